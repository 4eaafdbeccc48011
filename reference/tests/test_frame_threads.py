"""Threads within a frame: the same words, bytes and errors whatever their number."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import zstandard

import nmc
from nmc.coding import streams
from nmc.coding.arithmetic import CodedTensor, CoderError, History, encode, static
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.threads import beside, in_threads, one_ahead, parts_of
from nmc_format.issues import FormatError

COUNTS = (70_000, 5, 0, 200_000, 9000)


def chain() -> list[list[CodedTensor]]:
    """Return three frames of tensors of two word formats; one has several chunks."""
    rng = np.random.default_rng(4)
    values = [rng.normal(size=count).astype("f4") for count in COUNTS]
    frames = []
    for _ in range(3):
        words = [
            v.view("u4") if i % 2 else (v.view("u4") >> 16).astype("u2")
            for i, v in enumerate(values)
        ]
        formats = [(32, 8, 23) if i % 2 else (16, 8, 7) for i in range(len(words))]
        frames.append(
            [
                CodedTensor(i, *f, w.shape, w)
                for i, (f, w) in enumerate(zip(formats, words, strict=True))
            ]
        )
        values = [v + np.float32(1e-3) * rng.normal(size=v.size).astype("f4") for v in values]
    return frames


def payloads() -> tuple[list[list[CodedTensor]], list[bytes]]:
    frames, history = chain(), History()
    made = [
        encode(old, [t.reference for t in new], history, "fast") for old, new in pairwise(frames)
    ]
    assert all(data[0] == 1 for data in made)
    return frames, made


def decoded(payload, tensors, history, threads):
    reader = Reader(memoryview(payload))
    reader.byte()
    return static.decode(reader, tensors, history, threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_words_are_the_same(threads) -> None:
    frames, made = payloads()
    history = History()
    for old, new, payload in zip(frames, frames[1:], made, strict=False):
        words = decoded(payload, old, history, threads)
        assert all(np.array_equal(w, t.reference) for w, t in zip(words, new, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_broken_chunk_is_named(threads) -> None:
    frames, made = payloads()
    reader = Reader(memoryview(made[0]))
    reader.byte()
    sections = static.read_sections(reader, frames[0])
    broken = bytearray(made[0])
    for section in sections:  # the lanes of its last chunks
        for start in section.chunks[-2:, 2]:
            broken[start : start + 7] = bytes(7)
    for _ in range(5):
        with pytest.raises(CoderError, match=r"row 0, word 65536 and after: a lane begins"):
            decoded(bytes(broken), frames[0], History(), threads)


def test_parts_cover_everything_once() -> None:
    for count in (0, 1, 2, 7, 100):
        for threads in (1, 2, 5):
            parts = parts_of(count, threads)
            assert [i for part in parts for i in range(count)[part]] == list(range(count))
            assert all(part.stop > part.start for part in parts)


def test_jobs_run_at_the_same_time_and_the_first_error_is_raised() -> None:
    met = threading.Barrier(3, timeout=20)
    in_threads([met.wait] * 3, 3)

    def fail(k: int) -> None:
        met.wait()
        raise ValueError(k)

    with pytest.raises(ValueError, match=r"^0$"):
        in_threads([lambda k=k: fail(k) for k in range(3)], 3)


def chain_of_states() -> list[dict[str, np.ndarray]]:
    """Return two groups of three frames; one tensor is hashed in threads of its own."""
    rng = np.random.default_rng(5)
    state = {f"t{i}": rng.normal(size=(300, 3 * i + 1)).astype("f4") for i in range(20)}
    state["large"] = rng.normal(size=1_100_000).astype("f4")
    state["frozen"] = np.arange(9)
    made = []
    for _ in range(6):
        made.append(state)
        state = {
            n: a if n == "frozen" else a + np.float32(1e-4) * rng.normal(size=a.shape).astype("f4")
            for n, a in state.items()
        }
    return made


@pytest.mark.sweep(3)
@pytest.mark.parametrize(
    "options",
    [{"effort": "fast"}, {"effort": "fast", "entropy": "zstd"}, {"profile": "baseline"}],
    ids=["fast", "zstd", "plain"],
)
def test_a_package_is_the_same_and_is_read_as_the_same(tmp_path, options) -> None:
    made = chain_of_states()
    paths = [tmp_path / f"{threads}.nmc" for threads in (1, 2, 3, 5)]
    for path in paths:
        with nmc.Writer(path, key_every=3, threads=int(path.stem), **options) as writer:
            for state in made:
                writer.append(state)
    assert len({path.read_bytes() for path in paths}) == 1
    for threads in (1, 2, 3, 5):
        with nmc.open(paths[0], threads=threads) as sequence:
            for t in (0, 5, 2):
                for name, array in sequence[t].items():
                    assert array.tobytes() == made[t][name].tobytes()
            again = pickle.loads(pickle.dumps(sequence))
            assert again[1]["large"].tobytes() == made[1]["large"].tobytes()
            again.close()
        assert not nmc.check(paths[0], threads=threads).findings


def test_no_threads_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        nmc.Writer(tmp_path / "x.nmc", threads=0)
    with nmc.Writer(tmp_path / "y.nmc") as writer:
        writer.append({"w": np.ones(3, "f4")})
    with pytest.raises(ValueError, match="at least one"):
        nmc.open(tmp_path / "y.nmc", threads=0)


def test_a_large_stream_of_zstd_has_the_same_bytes(tmp_path, monkeypatch) -> None:
    """The library cuts it into jobs; how many of its threads do them changes nothing."""
    monkeypatch.setattr(streams, "_LARGE", 1 << 20)
    words = np.arange(1 << 21, dtype=np.uint32)
    states = [{"w": (words * step).view("<f4")} for step in (3, 5)]
    made = set()
    for threads in (1, 2, 5):
        path = tmp_path / f"{threads}.nmc"
        with nmc.Writer(path, entropy="zstd", effort="fast", threads=threads) as writer:
            for state in states:
                writer.append(state)
        made.add(path.read_bytes())
        with nmc.open(path) as sequence:
            assert sequence[1]["w"].tobytes() == states[1]["w"].tobytes()
    assert len(made) == 1


def test_a_stream_of_whole_jobs_of_zstd_has_no_empty_block() -> None:
    """Where the last job is a whole one, a thread that is free in time makes another one."""
    job = streams._JOB
    data = np.random.default_rng(3).bytes(2 * job)
    coder = streams._large(1, len(data), 2).compressobj(size=len(data))
    made = coder.compress(data[:job]) + coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    made += coder.compress(data[job:]) + coder.flush()
    assert zstandard.decompress(made) == data
    assert not made.endswith(b"\x01\x00\x00")


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_are_read_once_and_in_order(threads) -> None:
    pieces = [b"a", bytes([1]) * (1 << 20), np.full(1 << 19, 3, "u4"), b"", b"z"]
    read: list[bytes] = []
    given = list(beside(pieces, lambda piece: read.append(bytes(piece)), threads))
    assert all(a is b for a, b in zip(given, pieces, strict=True))
    assert read == [bytes(piece) for piece in pieces]


def test_a_piece_that_cannot_be_read_is_an_error() -> None:
    def refuse(_: object) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        list(beside([bytes(1 << 20)], refuse, 2))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_next_job_alone_is_done_ahead(threads) -> None:
    begun: list[int] = []
    done = [threading.Event() for _ in range(4)]

    def job(k: int) -> int:
        begun.append(k)
        done[k].set()
        if k == 3:
            raise ValueError("the last")
        return k

    found = one_ahead([partial(job, k) for k in range(4)], threads)
    for k in range(3):
        assert next(found) == k
        if threads > 1:
            assert done[k + 1].wait(60)
        assert begun == list(range(k + threads))
    with pytest.raises(ValueError, match="the last"):
        next(found)
    assert begun == [0, 1, 2, 3]


def test_what_is_ahead_is_let_go_with_the_caller() -> None:
    begun: list[int] = []
    found = one_ahead([partial(begun.append, k) for k in range(9)], 2)
    next(found)
    found.close()
    assert begun == [0, 1]


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_segment_that_changed_on_the_disk_is_found(tmp_path, threads, directory) -> None:
    path = tmp_path / "a.nmc"
    rng = np.random.default_rng(2)
    large = rng.integers(0, 99, 1 << 19, "i4")  # its segment is hashed while it is written
    with nmc.Writer(path, directory=directory, entropy="none", threads=threads) as writer:
        for t in range(3):
            writer.append({"w": large + t})
    whole = path.read_bytes() if not directory else b""
    assert not nmc.check(path).findings
    writer = nmc.Writer(path, directory=directory, entropy="none", threads=threads, overwrite=True)
    for t in range(3):
        writer.append({"w": large + t})
    (segment,) = tmp_path.rglob("*.partial/**/00000001.safetensors")
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    with pytest.raises(FormatError, match=r"00000001\.safetensors is not on the disk"):
        writer.close()
    assert directory or path.read_bytes() == whole
