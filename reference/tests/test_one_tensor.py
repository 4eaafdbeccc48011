"""One tensor of a frame: what is read for it, how it is verified, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from bad_cases import flip
from nmc_samples import rebuild, seal, segment_path

import nmc
from nmc.reading.segment_parts import SegmentParts
from nmc_format.issues import FormatError
from nmc_format.package.directory import DirectoryPackage
from nmc_format.segment import parse

NAMES = ("a", "b", "c", "empty", "late")
COUNT = 60_000


def states(count: int = COUNT) -> list[dict[str, np.ndarray]]:
    """Return two groups of frames: tensors that change, stay, come late, have another shape."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(count // 100, 100)).astype("f4") for _ in range(2))
    c = rng.normal(size=count).astype("f2")
    made = []
    for t in range(6):
        a = a + np.float32(1e-4) * rng.normal(size=a.shape).astype("f4")
        state = {"a": a, "b": b, "c": c, "empty": np.empty((0, 3), "f4")}
        if t >= 2:
            state["late"] = np.arange(t * count // 6, dtype="i4")
        if t == 4:
            c = c.reshape(2, -1) * np.float16(0.5)
        made.append(state)
    return made


def packed(path, count: int = COUNT, **options):
    with nmc.Writer(path, key_every=3, directory=True, **options) as writer:
        for state in states(count):
            writer.append(state)
    return path


WAYS = [
    {"profile": "baseline", "entropy": "none"},
    {"entropy": "zstd", "effort": "fast"},
    {"entropy": "nmc", "effort": "fast"},
]


@pytest.mark.parametrize("options", WAYS, ids=lambda o: o["entropy"])
@pytest.mark.parametrize("count", [600, COUNT])  # too small for stored digests, and large enough
def test_it_is_the_one_of_the_state(tmp_path, options, count) -> None:
    path = packed(tmp_path / "x.nmc", count, **options)
    for t, state in enumerate(states(count)):
        for name in NAMES:
            with nmc.open(path) as sequence:
                if name not in state:
                    with pytest.raises(KeyError, match=name):
                        sequence.tensor(t, name)
                    continue
                found = sequence.tensor(t, name)
                assert found.dtype == state[name].dtype
                assert found.shape == state[name].shape
                assert found.tobytes() == state[name].tobytes()
                assert not found.flags.writeable
                assert sequence.tensor(t - 6, name).tobytes() == found.tobytes()


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """Return the numbers of bytes that are read of segments."""
    sizes: list[int] = []
    part = DirectoryPackage.part

    def counting(self, index, limit, start, size):
        sizes.append(size)
        return part(self, index, limit, start, size)

    monkeypatch.setattr(DirectoryPackage, "part", counting)
    return sizes


def test_nothing_else_is_read(tmp_path, read) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    for name, frame, times in (("c", 2, 1), ("a", 2, 3), ("b", 5, 1)):
        with nmc.open(path) as sequence:
            read.clear()
            size = sequence.tensor(frame, name).nbytes
            assert times * size <= sum(read) < times * size + 20_000


def test_a_state_at_hand_is_not_read_again(tmp_path, read) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    with nmc.open(path) as sequence:
        sequence[2]
        read.clear()
        sequence.tensor(2, "a")
        assert not read


def damaged(path, name: str, t: int):
    """Change a bit of a tensor in the bytes of a frame, and have the manifest name those bytes."""
    with nmc.open(path) as sequence:
        segment = parse(sequence.coded(t), "")
        state = sequence.state(t)
        data = next(
            tensor.words.tobytes()
            for row, tensor in state.items()
            if sequence.manifest.tensors[row].name == name
        )
        whole = sequence.coded(t)
    assert segment.raw is not None
    flip(segment_path(path, t), whole.index(data) + len(data) // 2)
    seal(path)


def test_what_it_returns_is_verified(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    damaged(path, "c", 0)
    with nmc.open(path) as sequence:
        with pytest.raises(FormatError, match="state"):
            sequence.tensor(0, "c")
        with pytest.raises(FormatError, match="state"):
            sequence.tensor(1, "c")
        # the others were not damaged: their digests say so, and that of c is the right one
        assert sequence.tensor(1, "a").tobytes() == states()[1]["a"].tobytes()
        assert sequence.tensor(3, "c").tobytes() == states()[3]["c"].tobytes()


def test_without_verification_it_is_as_it_was_read(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    damaged(path, "c", 0)
    with nmc.open(path, verify=False) as sequence:
        found = sequence.tensor(0, "c")
    assert (found.view("u2") != states()[0]["c"].view("u2")).sum() == 1


def test_stored_digests_are_not_trusted(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    rebuild(path, 0, payloads=lambda s: {**s, "digests": s["digests"][32:] + s["digests"][:32]})
    with nmc.open(path) as sequence:
        for name in ("a", "b", "c"):
            with pytest.raises(FormatError, match="digest"):
                sequence.tensor(0, name)


def test_a_segment_of_another_length_is_refused_before_memory_is_taken(
    tmp_path, monkeypatch
) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    monkeypatch.setattr(np, "empty", None)
    package = DirectoryPackage(path)
    with pytest.raises(FormatError, match="manifest says"):
        SegmentParts(package, 0, 1 << 50)


def test_a_closed_sequence_has_no_tensors(tmp_path) -> None:
    sequence = nmc.open(packed(tmp_path / "x.nmc", 600, **WAYS[0]))
    sequence.close()
    with pytest.raises(ValueError, match="closed"):
        sequence.tensor(0, "a")


def test_the_names_of_a_frame(tmp_path, read) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[0])
    with nmc.open(path) as sequence:
        assert sequence.names(0) == ["a", "b", "c", "empty"]
        assert sequence.names(-1) == ["a", "b", "c", "empty", "late"]
        assert sum(read) < 20_000


def test_some_tensors_by_name(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc", **WAYS[1])
    with nmc.open(path) as sequence:
        rows = sequence.manifest.tensors
        assert [rows[i].name for i in sequence.state(2, names=["late", "b"])] == ["b", "late"]
        with pytest.raises(KeyError, match="nobody"):
            sequence.state(2, names=["b", "nobody"])
