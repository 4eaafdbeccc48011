"""What a writer is asked to lose, and what it remembers from frame to frame (chapter 12)."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from nmc_samples import same_state
from quantised_samples import interrupted, packed

import nmc


def chain(frames, *, seed=0):
    """A matrix that is trained, one that rests for some frames, and what is never quantised."""
    rng = np.random.default_rng(seed)
    matrix, resting = rng.normal(size=(32, 24)), rng.normal(size=(40, 3))
    found = []
    for t in range(frames):
        found.append(
            {
                "matrix": matrix.astype("f4"),
                "resting": resting.astype("f4"),
                "count": np.arange(70) + t,
                "mask": np.arange(70) > t,
                "flat": np.ones(70, "f4"),
                "empty": np.zeros((0, 3), "f4"),
                "broken": np.array([np.nan, np.inf] * 40, "f4"),
            }
        )
        matrix = matrix + 0.01 * rng.normal(size=matrix.shape)
        if t in (2, 5):
            resting = resting + 0.01 * rng.normal(size=resting.shape)
    return found


def error(a, b):
    return float(np.abs(a.astype("f8") - b.astype("f8")).max())


@pytest.mark.parametrize("quality", [1, 30, 60, 100])
def test_quality_is_relative_to_magnitude(tmp_path, quality) -> None:
    small = [{name: a * 1e-3 if a.dtype == "f4" else a for name, a in s.items()} for s in chain(4)]
    asked = nmc.Quantisation(quality=quality, rate=0.0, transform=False)
    for states, scale in ((chain(4), 1.0), (small, 1e-3)):
        packed(tmp_path / "a.nmc", states, asked)
        with nmc.open(tmp_path / "a.nmc") as sequence:
            for t, state in enumerate(states):
                worst = error(sequence[t]["matrix"], state["matrix"])
                step = 1.13 * scale * 2.0 ** (-quality / 8)  # it has more elements than most
                assert 0.2 * step < worst < 0.8 * step


def test_tensors_of_few_elements_have_finer_steps(tmp_path) -> None:
    """An element of a large tensor matters less; bits of small tensors cost next to nothing."""
    rng = np.random.default_rng(0)
    shapes = {"table": (6400, 2), "layer": (16, 32), "last": (4, 32)}
    states = [{name: rng.normal(size=s).astype("f4") for name, s in shapes.items()}]
    states.append({name: a + np.float32(1e-2) * a for name, a in states[0].items()})
    states[1]["new"] = rng.normal(size=(8, 16)).astype("f4")
    asked = nmc.Quantisation(quality=30, dependent=False, transform=False)
    packed(tmp_path / "a.nmc", states, asked)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        step = {name: 2 * error for name, error in sequence.declared_errors(1).items()}
    assert step["table"] / step["layer"] == pytest.approx(5, rel=0.1)
    assert step["layer"] / step["last"] == pytest.approx(2, rel=0.1)
    assert step["new"] / step["last"] == pytest.approx(1, rel=0.1)


def test_proportions_take_as_many_bits_as_root_mean_squares() -> None:
    from nmc.writing.quantisation import proportions, steps_of_quality

    sizes = {"a": (2.0, 900), "b": (0.5, 10), "nothing": (0.0, 70)}
    found = proportions(sizes)
    octaves = [n * np.log2(found[name] / size) for name, (size, n) in sizes.items() if size]
    assert sum(octaves) == pytest.approx(0, abs=1e-9)
    assert found["nothing"] == 0 and proportions({}) == {}
    assert steps_of_quality({"a": np.full((30, 30), 2.0)}, 16) == {"a": pytest.approx(0.5)}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ml_dtypes.bfloat16])
@pytest.mark.parametrize("allowed", [1.0, 0.1, 4e-3, 1e-4, 1e-7])
def test_no_element_is_farther_than_allowed(tmp_path, dtype, allowed) -> None:
    rng = np.random.default_rng(0)
    states = [
        {"w": (np.exp(3 * rng.normal(size=(50, 40))) * (1 + 0.01 * t)).astype(dtype)}
        for t in range(3)
    ]
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(max_error=allowed))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            assert error(sequence[t]["w"], state["w"]) <= allowed
            assert sequence.declared_errors(t).get("w", 0.0) <= allowed


def test_an_error_that_a_type_cannot_keep(tmp_path) -> None:
    rng = np.random.default_rng(0)
    states = [{"w": (1000 * rng.normal(size=(50, 40))).astype("f2")} for _ in range(2)]
    writer = packed(tmp_path / "a.nmc", states, nmc.Quantisation(max_error=1e-6))
    assert "stays lossless" in writer.notes["w"]
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert same_state(sequence[1], states[1])


@pytest.mark.parametrize(
    "asked", [{"step": 5e-324}, {"step": 1e308}, {"max_error": 1e308}, {"quality": 50}]
)
@pytest.mark.filterwarnings("error")
def test_numbers_at_the_end_of_the_range(tmp_path, asked) -> None:
    """A declared error is a binary32 number: what is farther off cannot be quantised."""
    rng = np.random.default_rng(0)
    states = [{"w": rng.normal(size=(20, 9)) * size} for size in (1e300, 1e-300, 1e-310, 1.0)]
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(**asked), key_every=1)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            bound = sequence.declared_errors(t).get("w", 0.0)
            assert error(sequence[t]["w"], state["w"]) <= bound


@pytest.mark.parametrize(
    "asked",
    [
        {"step": 5e-324},
        {"max_error": 1e300},
        {"quality": 40},
        {"quality": 100},
        {"target_bytes": 9},
    ],
)
@pytest.mark.parametrize("largest", [5e-324 * 99, np.finfo("f8").max, 0.0])
@pytest.mark.filterwarnings("error")
def test_the_smallest_and_the_largest_numbers(tmp_path, asked, largest) -> None:
    """Steps below all exponents, and bins whose elements are beyond the numbers."""
    rng = np.random.default_rng(0)
    shares = [rng.choice([-1.0, 1.0], (50, 50)), rng.integers(-99, 100, (50, 50)) / 99]
    states = [{"w": share * largest} for share in (*shares, np.zeros((50, 50)), *shares)]
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(**asked))
    assert nmc.check(tmp_path / "a.nmc").findings == ()
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            bound = sequence.declared_errors(t).get("w", 0.0)
            assert np.abs(sequence[t]["w"] / 2 - state["w"] / 2).max() <= bound / 2


def test_what_is_not_as_asked_is_said(tmp_path) -> None:
    writer = packed(tmp_path / "a.nmc", chain(2), nmc.Quantisation({"matrix": 1e-9, "resting": 99}))
    assert writer.notes == {
        "matrix": "stays lossless: the step is too fine for its largest elements (frame 0)",
        "resting": "all its elements became 0: the step is larger than they are (frame 0)",
        "broken": "stays lossless: it has NaN or infinity (frame 0)",
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "none"),
        ({"step": 0.1, "quality": 4}, "step and quality"),
        ({"quality": 0}, "from 1 to 100"),
        ({"quality": 100.5}, "from 1 to 100"),
        ({"quality": float("nan")}, "from 1 to 100"),
        ({"quality": "high"}, "from 1 to 100"),
        ({"max_error": 0}, "above 0"),
        ({"max_error": float("inf")}, "above 0"),
        ({"max_error": {"w": -1}}, "above 0"),
        ({"step": "fine"}, "rows and step"),
        ({"step": {"w": ["fine"]}}, "rows and step"),
        ({"step": 1.0, "rate": float("nan")}, "at least 0"),
    ],
)
def test_what_is_no_quantisation(asked, words) -> None:
    with pytest.raises(ValueError, match=words):
        nmc.Quantisation(**asked)


@pytest.mark.parametrize("key_every", [0, 4])
def test_what_was_given_again_stays(tmp_path, key_every) -> None:
    """Originals are compared with originals: a tensor that rests is skipped, and was frozen."""
    layers = {"matrix": 0, "resting": 1}
    states = chain(8)
    asked = nmc.Quantisation(0.05)
    path = tmp_path / "a.nmc"
    packed(path, states, asked, key_every=key_every, layers=layers, detect_frozen=True)
    with nmc.open(path) as sequence:
        frozen = [frame.exclude_layers for frame in sequence.frames]
        found = [state["resting"].tobytes() for state in sequence]
    assert frozen == [(), (1,), (1,), (), (1,), (1,), (), (1,)]
    for t in range(1, 8):
        assert (found[t] == found[t - 1]) or t in (3, 6)


def test_a_change_below_the_step_is_training(tmp_path) -> None:
    """Bins that stay do not mean that nobody trained."""
    first = chain(1)[0]
    states = [first, {**first, "resting": first["resting"] + np.float32(1e-5)}]
    path = tmp_path / "a.nmc"
    packed(path, states, nmc.Quantisation(5.0), detect_frozen=True)
    with nmc.open(path) as sequence:
        rows = [row.name for row in sequence.manifest.tensors]
        flags = dict(zip(rows, sequence.frames[1].requires_grad, strict=True))
        assert flags["resting"]
        assert not flags["matrix"]


def test_what_is_frozen_may_not_change(tmp_path) -> None:
    states = chain(4)
    flags = {name: name not in ("resting", "flat") for name in states[0]}
    with nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(5.0)) as writer:
        for state in states[:3]:
            writer.append(state, requires_grad=flags)
        with pytest.raises(nmc.FormatError, match="frozen-changed"):
            writer.append(states[3], requires_grad=flags)  # by less than a step
        changed = {**states[2], "matrix": states[3]["matrix"]}
        writer.append(changed, requires_grad=flags)
        again = {**writer.last_state, "matrix": states[3]["matrix"] + 1}
        writer.append(again, requires_grad=flags)  # training goes on from what is decoded
    assert nmc.check(tmp_path / "a.nmc").findings == ()


ASKED = [{"step": 0.05}, {"quality": 40}, {"max_error": 1e-3}, {"step": 0.05, "dependent": True}]


@pytest.mark.sweep(5)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_a_resumed_package_has_the_same_bytes(tmp_path, asked, stop) -> None:
    states, options = chain(8), {"key_every": 4, "detect_frozen": True}
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(**asked), **options)
    options["quantisation"] = nmc.Quantisation(**asked)
    interrupted(tmp_path / "b.nmc", states, stop, options)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()


OTHERS = [{"step": 0.1}, {"step": 0.05, "rate": 0.3}, {"quality": 9}]


@pytest.mark.parametrize("other", [None, *(nmc.Quantisation(**asked) for asked in OTHERS)])
def test_other_settings_do_not_go_on(tmp_path, other) -> None:
    states = chain(2)
    writer = nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(0.05))
    writer.append(states[0])
    del writer
    with pytest.raises(nmc.FormatError, match="when the package was begun"):
        nmc.Writer(tmp_path / "a.nmc", quantisation=other, profile="lossy", resume=True)
    with nmc.Writer(
        tmp_path / "a.nmc", quantisation=nmc.Quantisation(np.float64(0.05)), resume=True
    ) as again:
        again.append(states[1])


def test_what_is_not_known_is_not_recorded(tmp_path) -> None:
    """After a segment that was copied, nobody knows what its originals were."""
    states = chain(3)
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(0.05))
    with (
        nmc.open(tmp_path / "a.nmc") as sequence,
        nmc.Writer(
            tmp_path / "b.nmc", quantisation=nmc.Quantisation(0.05), detect_frozen=True
        ) as writer,
    ):
        rows = sequence.manifest.tensors
        writer.append_coded(sequence.coded(0), sequence.frames[0], rows, lineage=False)
        writer.append(states[1])
        writer.append(states[2])
    with nmc.open(tmp_path / "b.nmc") as sequence:
        assert sequence.frames[1].requires_grad is None
        assert sequence.frames[2].requires_grad is not None
