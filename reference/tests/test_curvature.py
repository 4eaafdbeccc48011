"""Rounding that knows how much is seen of errors: smaller packages for what is seen."""

from __future__ import annotations

import numpy as np
import pytest

import nmc
from nmc.coding.quantised.curvature import Feedback, importance, seen_of_rounding


def inputs(columns, *, seed=0):
    """Inputs of a layer that lie near few directions, as activations do."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(2000, columns // 8)) @ rng.normal(size=(columns // 8, columns))
    return mixed + 0.1 * rng.normal(size=(2000, columns))


def test_errors_of_columns_make_up_for_each_other() -> None:
    x = inputs(64)
    gram = x.T @ x / len(x)
    wanted = 3 * np.random.default_rng(1).normal(size=(48, 64))
    feedback = Feedback.of(gram, None)
    assert feedback is not None
    chosen = feedback.chosen(wanted.copy(), seen_only=False)

    def seen(found):
        return float(np.mean(((found - wanted) @ x.T) ** 2))

    assert seen(chosen) < 0.4 * seen(np.rint(wanted))
    assert np.abs(chosen - wanted).max() < 8


def test_what_is_predicted_of_rounding_is_what_is_seen() -> None:
    gram = np.diag([4.0] * 16)
    assert seen_of_rounding(gram) == pytest.approx(4.0 * 1.1 / 12)
    assert seen_of_rounding(np.zeros((4, 4))) == 0.0


def test_what_is_below_the_noise_is_left_out() -> None:
    gram = np.diag([1.0] * 8 + [1e-6] * 24)
    wanted = 5 * np.random.default_rng(2).normal(size=(200, 32))
    feedback = Feedback.of(gram, None)
    assert feedback is not None
    all_of_it = feedback.chosen(wanted.copy(), seen_only=False)
    seen = feedback.chosen(wanted.copy(), seen_only=True)
    assert np.abs(seen[:, :8] - wanted[:, :8]).max() < 1.5
    assert np.abs(seen).sum() < np.abs(all_of_it).sum()
    assert not feedback.chosen(0.01 * wanted, seen_only=True).any()


@pytest.mark.parametrize("gram", [np.zeros((8, 8)), np.full((8, 8), np.nan)])
def test_nothing_seen_is_no_feedback(gram) -> None:
    assert Feedback.of(gram, None) is None


def test_what_is_no_curvature_is_not_used() -> None:
    negative = np.array([[1.0, 5.0], [5.0, 1.0]])
    assert Feedback.of(negative, None) is None
    assert seen_of_rounding(negative) == pytest.approx(1 / 12)


def test_errors_that_add_up_beyond_the_numbers(tmp_path) -> None:
    rng = np.random.default_rng(0)
    state = {"w": (1e30 * rng.normal(size=(20, 16))).astype("f4")}
    x = rng.normal(size=(100, 1)) @ rng.normal(size=(1, 16))
    known = nmc.Curvature({"w": x.T @ x})
    coded(tmp_path / "a.nmc", [state], nmc.Quantisation({"w": 1e22}, curvature=known))


@pytest.mark.parametrize("dtype", ["f2", "f8", "bf16"])
def test_types_and_shapes(tmp_path, dtype) -> None:
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bf16" else np.dtype(dtype)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(20, 4, 3, 3))
    states = [
        {"conv": (weight + 0.1 * t).astype(kind), "alone": weight[0].astype(kind)} for t in (0, 1)
    ]
    x = inputs(40)[:, :36]
    known = nmc.Curvature({"conv": x.T @ x}, {"alone": np.ones((4, 3, 3))})
    quantisation = nmc.Quantisation(0.1, curvature=known)
    with nmc.Writer(tmp_path / "a.nmc", quantisation=quantisation) as writer:
        for state in states:
            writer.append(state)
    assert nmc.check(tmp_path / "a.nmc").findings == ()
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            for name, bound in sequence.declared_errors(t).items():
                off = sequence[t][name].astype("f8") - state[name].astype("f8")
                assert np.abs(off).max() <= bound < 2


def test_weights_of_elements_are_one_on_average_and_never_nothing() -> None:
    assert importance(np.zeros((3, 2))).tolist() == [[1, 1]] * 3
    found = importance(np.array([[2.0, 0.0], [2.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([2.05 / 1.05, 0.05 / 1.05])


def chain(frames=4):
    """A layer, and a table half of whose rows are never looked at; with what is seen of them."""
    rng = np.random.default_rng(0)
    weight, table = rng.normal(size=(48, 64)), rng.normal(size=(4000, 2))
    states = []
    for _ in range(frames):
        states.append({"layer": weight.astype("f4"), "table": table.astype("f4")})
        weight = weight + 0.02 * rng.normal(size=weight.shape)
        table = table + 0.02 * rng.normal(size=table.shape)
    return states


X = inputs(64)
LOOKED = np.arange(4000) % 2 == 0
KNOWN = nmc.Curvature(
    {"layer": X.T @ X / len(X) / 48 / 64},
    {"table": np.repeat(np.where(LOOKED, 1.0, 1e-9)[:, None] / 4000, 2, axis=1)},
)


def seen_error(state, original) -> float:
    layer = (state["layer"] - original["layer"]).astype("f8") @ X.T
    table = (state["table"] - original["table"]).astype("f8")[LOOKED]
    return float(np.mean(layer**2) / 64 + np.sum(table**2) / 4000)


def coded(path, states, quantisation):
    with nmc.Writer(path, quantisation=quantisation, overwrite=True) as writer:
        sizes = [writer.append(state) for state in states]
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        decoded = [sequence[t] for t in range(len(sequence))]
        for t, state in enumerate(states):
            for name, bound in sequence.declared_errors(t).items():
                off = decoded[t][name].astype("f8") - state[name].astype("f8")
                assert np.abs(off).max() <= bound
    if "layer" not in states[0]:
        return sizes, []
    return sizes, [seen_error(a, b) for a, b in zip(decoded, states, strict=True)]


def test_curvature_needs_fewer_bytes_for_less_error(tmp_path) -> None:
    states = chain()
    plain = nmc.Quantisation({"layer": 0.05, "table": 0.8})
    known = nmc.Quantisation({"layer": 0.1, "table": 1.2}, curvature=KNOWN)
    sizes, errors = coded(tmp_path / "a.nmc", states, plain)
    fewer, less = coded(tmp_path / "b.nmc", states, known)
    assert fewer[0] < 0.85 * sizes[0]
    assert sum(fewer[1:]) < 0.8 * sum(sizes[1:])
    assert np.mean(less) < np.mean(errors)


def test_curvature_of_each_frame(tmp_path) -> None:
    states, asked = chain(), []

    def measured(state):
        asked.append(state["layer"][0, 0])
        return KNOWN

    steps = {"layer": 0.06, "table": 0.8}
    sizes, _ = coded(tmp_path / "a.nmc", states, nmc.Quantisation(steps, curvature=measured))
    same, _ = coded(tmp_path / "b.nmc", states, nmc.Quantisation(steps, curvature=KNOWN))
    assert sizes == same
    assert asked == [state["layer"][0, 0] for state in states]


def test_sensitivity_without_a_rendering() -> None:
    state = chain(1)[0] | {"count": np.arange(9)}
    found = KNOWN.sensitivity(state, {"table": [1000, 3000]})
    assert [(part.name, part.rows) for part in found.parts] == [
        ("layer", 48),
        ("table", 1000),
        ("table", 3000),
    ]
    assert found.parts[1].error == pytest.approx(1000 / 4000 / 12)
    steps = found.steps(40.0)
    assert steps["table"][0][1] == pytest.approx(steps["table"][1][1])


def test_a_callable_that_fails_keeps_the_frames(tmp_path) -> None:
    states = chain(2)

    def broken(state):
        if np.array_equal(state["layer"], states[1]["layer"]):
            raise ZeroDivisionError("no light")
        return KNOWN

    with nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(0.1, curvature=broken)) as w:
        w.append(states[0])
        with pytest.raises(nmc.FormatError, match="curvature failed: it raised ZeroDivisionError"):
            w.append(states[1])
        assert len(w) == 1


@pytest.mark.parametrize(
    ("columns", "elements", "words"),
    [
        ({"a": np.ones((2, 3))}, {}, "not a square matrix"),
        ({"a": np.full((2, 2), np.inf)}, {}, "not finite"),
        ({}, {"a": np.array([-1.0])}, "below 0"),
    ],
)
def test_curvature_that_is_none(columns, elements, words) -> None:
    with pytest.raises(ValueError, match=words):
        nmc.Curvature(columns, elements)


def test_curvature_of_other_shapes() -> None:
    known = nmc.Curvature({"a": np.eye(3)}, {"b": np.ones(4)})
    with pytest.raises(ValueError, match="4 columns, and curvature of 3"):
        known.of_tensor("a", (2, 4))
    with pytest.raises(ValueError, match="6 elements, not 4"):
        known.of_tensor("b", (3, 2))
    with pytest.raises(ValueError, match="max_error"):
        nmc.Quantisation(max_error=0.1, curvature=known)
    assert known.digest != nmc.Curvature({"a": 2 * np.eye(3)}, {"b": np.ones(4)}).digest
    one, other = (nmc.Quantisation(0.1, curvature=c).text for c in (known, KNOWN))
    assert one != other
