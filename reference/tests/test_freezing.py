"""Lineage and table 5-1: recorded as it was declared, enforced when written and when checked."""

from __future__ import annotations

import numpy as np
import pytest
from nmc_samples import FROZEN, LAYERS, assert_states, chain, refused

import nmc

ALL_TRAINED = dict.fromkeys(FROZEN, True)


@pytest.fixture
def states():
    return chain(6)


@pytest.fixture
def writer(tmp_path):
    return nmc.Writer(
        tmp_path / "x.nmc", key_every=3, layers=LAYERS, buffers=["steps", "table", "empty"]
    )


def record(path):
    """Return (flags by name, excluded layers) of each frame."""
    with nmc.open(path) as sequence:
        names = [row.name for row in sequence.manifest.tensors]
        return [
            (
                None if f.requires_grad is None else dict(zip(names, f.requires_grad, strict=True)),
                f.exclude_layers,
            )
            for f in sequence.frames
        ]


def test_flags_give_the_layers(writer, states) -> None:
    writer.append(states[0], requires_grad=ALL_TRAINED)
    writer.append(states[1], requires_grad=FROZEN)
    writer.append(states[1], requires_grad=dict.fromkeys(FROZEN, False))
    partly = ALL_TRAINED | {"body.bias": False}
    writer.append(states[1], requires_grad=partly)
    writer.close()
    found = record(writer.path)
    buffers = {"empty": False, "table": False, "steps": False}
    assert found[0] == (ALL_TRAINED | buffers, ())
    assert found[1] == (FROZEN | buffers, (2,))
    assert found[2] == (dict.fromkeys(FROZEN, False) | buffers, (0, 1, 2))
    assert found[3] == (partly | buffers, ())  # a layer is frozen where all of it is
    assert nmc.check(writer.path).findings == ()


def test_layers_give_the_flags(writer, states) -> None:
    writer.append(states[0], exclude_layers=[])
    writer.append(states[1], exclude_layers=[2])
    writer.append(states[1], exclude_layers=[2, 0, 1])
    writer.close()
    found = record(writer.path)
    assert [layers for _, layers in found] == [(), (2,), (0, 1, 2)]
    assert {n for n, flag in found[1][0].items() if flag} == {n for n in FROZEN if FROZEN[n]}
    assert not any(found[2][0].values())


def test_both_have_to_agree(writer, states) -> None:
    writer.append(states[0])
    writer.append(states[1], requires_grad=FROZEN, exclude_layers=[2])
    for layers, first in (([], 2), ([2, 1], 1), ([0], 0)):
        found = refused(
            "freezing/exclude-layers-disagree",
            lambda e=layers: writer.append(states[2], requires_grad=FROZEN, exclude_layers=e),
        )
        assert found.place.pointer == "/frames/2/exclude_layers"
        assert f"layer {first}" in found.message
    assert len(writer) == 2


@pytest.mark.parametrize(
    ("layers", "code"),
    [
        ([3], "freezing/exclude-layers-range"),
        ([-1], "freezing/exclude-layers-range"),
        ([True], "freezing/exclude-layers-range"),
        (["0"], "freezing/exclude-layers-range"),
        ([2, 2], "freezing/exclude-layers-order"),
    ],
    ids=str,
)
def test_layers_are_indices_of_layers(writer, states, layers, code) -> None:
    writer.append(states[0])
    found = refused(code, lambda: writer.append(states[1], exclude_layers=layers))
    assert found.place.pointer == "/frames/1/exclude_layers"


@pytest.mark.parametrize(
    "flags",
    [
        {"body.weight": True},
        FROZEN | {"nothing": True},
        FROZEN | {"steps": True},
        FROZEN | {"body.weight": 1},
        FROZEN | {"body.weight": "false"},
        FROZEN | {"body.weight": None},
        {},
    ],
    ids=["missing", "unknown", "buffer", "number", "text", "null", "none"],
)
def test_each_parameter_has_one_boolean(writer, states, flags) -> None:
    writer.append(states[0])
    found = refused("manifest/value", lambda: writer.append(states[1], requires_grad=flags))
    assert found.place.pointer == "/frames/1/requires_grad"


def test_booleans_of_numpy_are_booleans(writer, states) -> None:
    writer.append(states[0])
    writer.append(states[1], requires_grad={n: np.bool_(f) for n, f in FROZEN.items()})
    writer.close()
    assert record(writer.path)[1][1] == (2,)


@pytest.mark.parametrize("frame", [1, 2, 3, 4], ids=lambda t: "across a key frame" if t == 3 else t)
@pytest.mark.parametrize("how", ["flags", "layers"])
def test_a_frozen_parameter_does_not_change(writer, states, frame, how) -> None:
    """Also where the frame that follows is a key frame (clause 9.2.2)."""
    for state in states[:frame]:
        writer.append(state)
    changed = states[frame] | {"frozen": states[frame]["frozen"] + 1}
    declared = {"requires_grad": FROZEN} if how == "flags" else {"exclude_layers": [2]}
    found = refused("freezing/frozen-changed", lambda: writer.append(changed, **declared))
    assert found.place.pointer == f"/frames/{frame}/requires_grad"
    assert "frozen" in found.message
    writer.append(states[frame], **declared)
    writer.close()
    assert_states(writer.path, states[: frame + 1])


def test_the_sign_of_zero_is_a_change(writer, states) -> None:
    """Frozen is bit-identical, not equal as numbers; and a NaN is the same as itself."""
    special = np.array([0.0, np.nan])
    writer.append(states[0] | {"frozen": special})
    writer.append(states[1] | {"frozen": special.copy()}, requires_grad=FROZEN)
    refused(
        "freezing/frozen-changed",
        lambda: writer.append(
            states[2] | {"frozen": np.array([-0.0, np.nan])}, requires_grad=FROZEN
        ),
    )


def test_a_frozen_parameter_cannot_appear_or_take_another_shape(writer, states) -> None:
    without = {n: a for n, a in states[0].items() if n != "frozen"}
    writer.append(without)
    refused("freezing/frozen-changed", lambda: writer.append(states[1], requires_grad=FROZEN))
    writer.append(states[1])
    reshaped = states[2] | {"frozen": states[2]["frozen"].reshape(2, -1)}
    refused("freezing/frozen-changed", lambda: writer.append(reshaped, requires_grad=FROZEN))


def test_where_training_began_anew_nothing_is_compared(writer, states) -> None:
    """Lineage is not coding: no frame before, no promise about it."""
    writer.append(states[0])
    changed = states[1] | {"frozen": states[1]["frozen"] + 1}
    writer.append(changed, requires_grad=FROZEN, trained_from_previous=False)
    writer.close()
    assert nmc.check(writer.path).findings == ()
    with nmc.open(writer.path) as sequence:
        assert [f.trained_from for f in sequence.frames] == [None, None]
        assert sequence.frames[1].coding == "delta"


def test_lineage_goes_across_key_frames(writer, states) -> None:
    for state in states:
        writer.append(state)
    writer.close()
    with nmc.open(writer.path) as sequence:
        assert [f.trained_from for f in sequence.frames] == [None, 0, 1, 2, 3, 4]
        assert [f.coding for f in sequence.frames] == ["key", "delta", "delta"] * 2


def test_frozen_layers_are_found_by_comparing(tmp_path, states) -> None:
    buffers = ["steps", "table", "empty"]
    with nmc.Writer(
        tmp_path / "x.nmc", layers=LAYERS, buffers=buffers, detect_frozen=True, key_every=3
    ) as writer:
        for state in states:
            writer.append(state)
    found = record(tmp_path / "x.nmc")
    assert [layers for _, layers in found] == [()] + [(2,)] * 5
    assert found[3][0]["frozen"] is False
    assert found[0][0]["frozen"] is True
    assert nmc.check(tmp_path / "x.nmc").findings == ()


def test_nothing_declared_is_nothing_recorded(writer, states) -> None:
    writer.append(states[0])
    writer.append(states[1], exclude_layers=[2])
    writer.append(states[2])
    writer.close()
    found = record(writer.path)
    assert found[0] == (None, None)
    assert found[2] == (None, None)
    assert found[1][1] == (2,)


def test_models_that_grow_keep_their_record(tmp_path) -> None:
    """Rows that come later; a layer whose tensors have vanished counts as frozen (9.3.2)."""
    layers = {"a": 0, "b": 1}
    with nmc.Writer(tmp_path / "x.nmc", layers=layers, key_every=2) as writer:
        writer.append({"a": np.zeros(3)}, requires_grad={"a": True})
        writer.append({"a": np.ones(3), "b": np.zeros(2)}, requires_grad={"a": True, "b": True})
        writer.append({"a": np.ones(3), "b": np.ones(2)}, requires_grad={"a": False, "b": True})
        writer.append({"b": np.ones(2)}, requires_grad={"b": False}, exclude_layers=[0, 1])
        writer.append({"b": np.ones(2)}, exclude_layers=[0, 1])
    assert [layers for _, layers in record(tmp_path / "x.nmc")] == [(), (), (0,), (0, 1), (0, 1)]
    assert nmc.check(tmp_path / "x.nmc").findings == ()


def test_resumed_writers_enforce_it_too(tmp_path, states) -> None:
    path = tmp_path / "x.nmc"
    writer = nmc.Writer(path, layers=LAYERS, buffers=["steps", "table", "empty"])
    writer.append(states[0], requires_grad=ALL_TRAINED)
    with nmc.Writer(path, layers=LAYERS, buffers=["steps", "table", "empty"], resume=True) as again:
        changed = states[1] | {"frozen": states[1]["frozen"] + 1}
        refused("freezing/frozen-changed", lambda: again.append(changed, requires_grad=FROZEN))
        again.append(states[1], requires_grad=FROZEN)
    assert record(path)[1][1] == (2,)
