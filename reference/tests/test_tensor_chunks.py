"""One tensor of an entropy-coded frame: its chunks alone are read and decoded, and verified."""

from __future__ import annotations

import numpy as np
import pytest
from bad_cases import flip
from nmc_samples import seal, segment_path

import nmc
from nmc.coding import streams
from nmc.coding.arithmetic import static
from nmc.coding.arithmetic import static_chunk_kernel as kernels
from nmc.coding.arithmetic.static_kernel import CHUNK
from nmc.reading.segment_parts import SegmentParts
from nmc_format.issues import FormatError
from nmc_format.package.directory import DirectoryPackage
from nmc_format.segment import parse

COUNT = 70_000
NAMES = ("a", "b", "c", "d", "half", "still")
FRAMES = 5


def states() -> list[dict[str, np.ndarray]]:
    """Return two groups of frames in which all tensors but one change."""
    rng = np.random.default_rng(8)
    state = {name: rng.normal(size=(COUNT // 100, 100)).astype("f4") for name in NAMES}
    state["half"] = state["half"].astype("f2")
    made = []
    for _ in range(FRAMES):
        made.append(state)
        steps = {n: 1e-3 * rng.normal(size=a.shape) for n, a in state.items() if n != "still"}
        state = {n: (a + steps.get(n, 0)).astype(a.dtype) for n, a in state.items()}
    return made


def packed(path, **options):
    with nmc.Writer(path, key_every=3, directory=True, **options) as writer:
        for state in states():
            writer.append(state)
    return path


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Return the numbers of words that the static coder decodes."""
    numbers: list[int] = []
    real = static._decode_chunks

    def counting(section, chunks, *others):
        counts = section.rows[chunks[:, kernels.TENSOR], kernels.COUNT]
        numbers.extend(np.minimum(counts - chunks[:, kernels.FIRST], CHUNK).tolist())
        real(section, chunks, *others)

    monkeypatch.setattr(static, "_decode_chunks", counting)
    return numbers


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


@pytest.mark.parametrize("threads", [1, 3])
def test_words_in_proportion(tmp_path, decoded, read, threads) -> None:
    path = packed(tmp_path / "x.nmc", effort="fast")
    made = states()
    for t in range(FRAMES):
        for name in NAMES:
            with nmc.open(path, threads=threads) as sequence:
                decoded.clear()
                read.clear()
                found = sequence.tensor(t, name)
                assert found.tobytes() == made[t][name].tobytes()
                sizes = [frame.segment_length for frame in sequence.frames]
            assert sum(decoded) == COUNT * (0 if name == "still" else t % 3)
            share = {"still": 0.01, "half": 0.25}.get(name, 0.4)
            deltas = sum(sizes[s] for s in range(t - t % 3 + 1, t + 1))
            assert sum(read) < sizes[t - t % 3] + share * deltas + 2 * (1 << 16)


def test_several_tensors_of_both_word_formats(tmp_path, decoded) -> None:
    path = packed(tmp_path / "x.nmc", effort="fast")
    with nmc.open(path) as sequence:
        state = sequence.state(2, names=["half", "d", "still"])
        names = [sequence.manifest.tensors[row].name for row in state]
        assert names == ["d", "half", "still"]
        for name, tensor in zip(names, state.values(), strict=True):
            assert tensor.words.tobytes() == states()[2][name].tobytes()
    assert sum(decoded) == 2 * 2 * COUNT


def chunk_of(path, t: int, name: str) -> int:
    """Return the place in a segment of the first chunk of a tensor."""
    from nmc.coding.arithmetic.payload import Reader
    from nmc.coding.decode import coded_tensor

    with nmc.open(path) as sequence:
        rows = sequence.manifest.tensors
        before = sequence.state(t - 1)
        segment = parse(sequence.coded(t), "")
        stream = segment.integer
        changed = [row for row in before if segment.modes[row] == 3]
        coded = [coded_tensor(row, rows, before[row]) for row in changed]
        reader = Reader(stream.data)
        assert reader.byte() == 1
        for section in static.read_sections(reader, coded):
            for k, i in enumerate(section.indices):
                if rows[changed[i]].name == name:
                    first = section.chunks[section.chunks[:, kernels.TENSOR] == k][0]
                    return stream.offset + int(first[kernels.CODE_END])
    raise KeyError(name)


def test_damage_of_another_tensor_is_not_seen_and_its_own_is(tmp_path) -> None:
    path = packed(tmp_path / "x.nmc", effort="fast")
    flip(segment_path(path, 1), chunk_of(path, 1, "b") + 40)
    seal(path)
    with nmc.open(path) as sequence:
        assert sequence.tensor(1, "c").tobytes() == states()[1]["c"].tobytes()
        assert sequence.tensor(2, "a").tobytes() == states()[2]["a"].tobytes()
        for t in (1, 2):
            with pytest.raises(FormatError):
                sequence.tensor(t, "b")


@pytest.mark.parametrize("name", ["a", "d", "half"])
def test_of_a_zstd_stream_one_tensor_is_held(tmp_path, monkeypatch, name) -> None:
    path = packed(tmp_path / "x.nmc", entropy="zstd", effort="fast")
    held: list[int] = []
    real = streams.decompress_some

    def counting(*arguments, **options):
        made = real(*arguments, **options)
        held.append(sum(words.size for words in made.values()))
        return made

    monkeypatch.setattr(streams, "decompress_some", counting)
    monkeypatch.setattr(SegmentParts, "read", None)  # it would keep what it reads
    with nmc.open(path) as sequence:
        assert sequence.tensor(2, name).tobytes() == states()[2][name].tobytes()
    assert held == [COUNT] * 3


def test_what_is_behind_the_last_plane_is_not_decompressed(tmp_path) -> None:
    """Of zstd, the end of a stream is not looked at where the tensor ends before it."""
    path = packed(tmp_path / "x.nmc", entropy="zstd", effort="fast")
    with nmc.open(path) as sequence:
        stream = parse(sequence.coded(1), "").integer
    assert stream is not None
    flip(segment_path(path, 1), stream.offset + len(stream.data) - 1)
    seal(path)
    with nmc.open(path) as sequence:
        assert sequence.tensor(1, "a").tobytes() == states()[1]["a"].tobytes()
        with pytest.raises(FormatError):
            sequence[1]
