"""Source names, extras and colour: written, read, cut, resumed, recovered (clauses 5.4.5, 5.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import nmc
from nmc_format.json_view import json_view

if TYPE_CHECKING:
    from pathlib import Path

VIEWS = ["cam0", "오른쪽"]


def _state(t: int) -> dict[str, Any]:
    return {"w": np.arange(64, dtype="<f4") + np.float32(t) / 7}


def _colour(frames: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(size=(frames, len(VIEWS), 3, 4))


def _fill(writer: nmc.Writer, frames: range, colour: np.ndarray[Any, Any] | None = None) -> None:
    for t in frames:
        maps = None if colour is None else dict(zip(VIEWS, colour[t], strict=True))
        extras = {"epoch": t, "loss": {"rgb": [0.5, float("nan")]}}
        writer.append(_state(t), source_name=f"epoch_{t}.pth", extras=extras, colour=maps)


def _assert_kept(path: Path, frames: list[int], colour: np.ndarray[Any, Any]) -> None:
    assert nmc.check(path).accepted
    with nmc.open(path) as sequence:
        records = sequence.frames[:]
        assert [r.source_name for r in records] == [f"epoch_{t}.pth" for t in frames]
        assert [r.extras["epoch"] for r in records] == frames
        assert records[0].extras["loss"] == {"rgb": [0.5, None]}
        assert sequence.colour is not None
        assert list(sequence.colour.views) == VIEWS
        np.testing.assert_array_equal(sequence.colour.affine, colour[frames])
        view = json_view(sequence.manifest)
        assert view["frames"][-1]["source_name"] == f"epoch_{frames[-1]}.pth"
        assert view["colour"]["view"] == VIEWS


@pytest.mark.parametrize("directory", [False, True])
def test_what_is_given_comes_back(tmp_path: Path, directory: bool) -> None:
    path, colour = tmp_path / "a.nmc", _colour(3)
    with nmc.Writer(path, directory=directory) as writer:
        _fill(writer, range(3))
        writer.set_colour(VIEWS, colour)
    _assert_kept(path, [0, 1, 2], colour)


def test_nothing_given_adds_no_column(tmp_path: Path) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append(_state(0), extras={})
    with nmc.open(tmp_path / "a.nmc") as sequence:
        frames = sequence.manifest.frames
        assert (frames.source_name, frames.extras) == (None, None)
        assert sequence.frames[0].source_name == ""
        assert sequence.frames[0].extras == {}
        assert sequence.colour is None


def test_cutting_and_joining_keep_them(tmp_path: Path) -> None:
    path, colour = tmp_path / "a.nmc", _colour(6)
    with nmc.Writer(path, key_every=3) as writer:
        _fill(writer, range(6), colour)
    nmc.extract(path, [1, 2, 3, 5], tmp_path / "b.nmc")  # decoded again, and copied
    _assert_kept(tmp_path / "b.nmc", [1, 2, 3, 5], colour)
    nmc.extract(path, [0, 1], tmp_path / "c.nmc")
    nmc.concat([tmp_path / "c.nmc", tmp_path / "b.nmc"], tmp_path / "d.nmc")
    _assert_kept(tmp_path / "d.nmc", [0, 1, 1, 2, 3, 5], colour)


def test_joining_with_a_package_without_colour_says_identity(tmp_path: Path) -> None:
    colour = _colour(1)
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        _fill(writer, range(1), colour)
    with nmc.Writer(tmp_path / "b.nmc") as writer:
        writer.append(_state(1))
    nmc.concat([tmp_path / "b.nmc", tmp_path / "a.nmc"], tmp_path / "c.nmc")
    with nmc.open(tmp_path / "c.nmc") as sequence:
        assert sequence.colour is not None
        np.testing.assert_array_equal(sequence.colour.affine[0], [np.eye(3, 4)] * 2)
        np.testing.assert_array_equal(sequence.colour.affine[1], colour[0])
        assert [r.source_name for r in sequence.frames] == ["", "epoch_0.pth"]


def test_an_interruption_loses_none_of_it(tmp_path: Path) -> None:
    path, colour = tmp_path / "a.nmc", _colour(4)
    writer = nmc.Writer(path)
    _fill(writer, range(2), colour)
    del writer
    with nmc.Writer(path, resume=True) as writer:
        assert len(writer) == 2
        _fill(writer, range(2, 4), colour)
    _assert_kept(path, [0, 1, 2, 3], colour)


def test_recover_keeps_what_was_set_last(tmp_path: Path) -> None:
    path, colour = tmp_path / "a.nmc", _colour(2)
    writer = nmc.Writer(path)
    _fill(writer, range(2))
    writer.set_colour(VIEWS, colour)
    del writer
    assert nmc.recover(path) == 2
    _assert_kept(path, [0, 1], colour)


BAD = [
    ({"source_name": "a/b.pth"}, "/frames/0/source_name"),
    ({"source_name": "a\\b.pth"}, "/frames/0/source_name"),
    ({"source_name": ".."}, "/frames/0/source_name"),
    ({"source_name": "a\0"}, "/frames/0/source_name"),
    ({"source_name": "\udcff.pth"}, "/frames/0/source_name"),
    ({"source_name": "x" * 1025}, "/frames/0/source_name"),
    ({"extras": {"x": "y" * 65_536}}, "/frames/0/extras"),
    ({"extras": {"x": object()}}, "/frames/0/extras"),
    ({"extras": "[1]"}, "/frames/0/extras"),
    ({"extras": {"x": "\ud800"}}, "/frames/0/extras"),
    ({"colour": {"a": np.eye(3)}}, "/training/colour/0"),
    ({"colour": {"a": np.full((3, 4), np.nan)}}, "/training/colour/0"),
    ({"colour": {"\0": np.eye(3, 4)}}, "/training/colour_view"),
]


@pytest.mark.parametrize(("given", "place"), BAD)
def test_what_no_manifest_may_hold_is_refused_at_once(
    tmp_path: Path, given: dict[str, Any], place: str
) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        with pytest.raises(nmc.FormatError) as caught:
            writer.append(_state(0), **given)
        assert caught.value.finding.place.pointer == place
        assert len(writer) == 0
        writer.append(_state(0))
    assert nmc.check(tmp_path / "a.nmc").accepted


def test_long_extras_are_refused_before_the_manifest_is_full(tmp_path: Path) -> None:
    text = '{"x":"' + "y" * 60_000 + '"}'
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for _ in range(2**24 // len(text)):
            writer.append({"w": np.zeros(1, "<f4")}, extras=text)
        with pytest.raises(nmc.FormatError, match="together"):
            writer.append({"w": np.zeros(1, "<f4")}, extras=text)
    assert nmc.check(tmp_path / "a.nmc").accepted


@pytest.mark.parametrize(
    ("views", "shape"), [(["a"], (1, 2, 3, 4)), (["a", "a"], (1, 2, 3, 4)), (["a"], (2, 1, 3, 4))]
)
def test_a_colour_of_another_shape_is_refused(
    tmp_path: Path, views: list[str], shape: tuple[int, ...]
) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append(_state(0))
        with pytest.raises(nmc.FormatError):
            writer.set_colour(views, np.zeros(shape))
