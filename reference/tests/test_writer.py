"""The writer: bounded memory, nothing hashed or copied twice, errors that leave it as it was."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import assert_states, chain, members, segment_path, write

import nmc
from nmc.writing import journal, unfinished
from nmc.writing.folder import Folder


def refused(code: str, action) -> nmc.Finding:
    with pytest.raises(nmc.FormatError) as caught:
        action()
    assert caught.value.finding.code == code, caught.value
    return caught.value.finding


def large(t: int, count: int = 250_000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(t)
    base = np.random.default_rng(0).normal(size=count).astype("f4")
    return {
        "w": base + (1e-5 * rng.normal(size=count)).astype("f4"),
        "frozen": np.arange(count, dtype="f4"),
    }


@pytest.mark.parametrize("entropy", ["none", "zstd", "nmc"])
def test_memory_does_not_grow_with_the_length(tmp_path, entropy) -> None:
    """The writer keeps one state; the caller's own is dropped before the next is made."""
    states = [large(t) for t in range(30)]
    size = sum(a.nbytes for a in states[0].values())
    kept, peaks = [], []
    options = {"entropy": entropy, "effort": "fast", "key_every": 0}
    write(tmp_path / "warm.nmc", states[:3], **options)  # compiling takes memory, too, but once
    with nmc.Writer(tmp_path / "x.nmc", **options) as writer:
        tracemalloc.start()
        try:
            for state in states:
                tracemalloc.reset_peak()
                writer.append(state)
                current, peak = tracemalloc.get_traced_memory()
                kept.append(current)
                peaks.append(peak)
        finally:
            tracemalloc.stop()
    # beside the state it keeps: the planes of one frame, and its segment
    assert max(peaks) < 6 * size
    assert kept[-1] < 1.5 * size  # one state, and what the coder remembers of it
    assert max(peaks[-5:]) <= max(peaks[2:7]) + 0.1 * size


def test_reading_in_order_does_not_grow_either(tmp_path) -> None:
    write(tmp_path / "x.nmc", [large(t) for t in range(12)], effort="fast")
    size = sum(a.nbytes for a in large(0).values())
    with nmc.open(tmp_path / "x.nmc") as sequence:
        sequence[1]
        tracemalloc.start()
        try:
            kept = []
            for t in range(2, 12):
                sequence[t]
                kept.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert kept[-1] - kept[1] < 0.1 * size


class CountingHash:
    """Stands for hashlib.sha256; counts the bytes that were hashed."""

    def __init__(self) -> None:
        self.bytes = 0
        self.real = hashlib.sha256

    def __call__(self, data=b""):
        counter = self
        inner = self.real()

        class Digest:
            def update(self, more) -> None:
                counter.bytes += memoryview(more).nbytes
                inner.update(more)

            def digest(self) -> bytes:
                return inner.digest()

            def hexdigest(self) -> str:
                return inner.hexdigest()

        digest = Digest()
        digest.update(data)
        return digest


@pytest.fixture
def counted(monkeypatch) -> CountingHash:
    counter = CountingHash()
    monkeypatch.setattr(hashlib, "sha256", counter)
    return counter


def test_an_unchanged_tensor_costs_nothing(tmp_path, counted) -> None:
    """No bytes beyond its mode, no hash, and no copy when it is read."""
    frozen = {f"frozen{i}": np.arange(100_000, dtype="f4") + i for i in range(5)}
    first = frozen | {"w": np.zeros(10, "f4")}
    second = frozen | {"w": np.ones(10, "f4")}
    lengths = []
    with nmc.Writer(tmp_path / "x.nmc", entropy="none", key_every=0) as writer:
        writer.append(first)
        for state in (second, first, second):
            counted.bytes = 0
            # equal in another memory: it is compared, found equal, and not hashed
            lengths.append(writer.append({n: a.copy() for n, a in state.items()}))
            assert counted.bytes < 2000
    assert max(lengths) < 600  # two megabytes are unchanged

    with nmc.open(tmp_path / "x.nmc") as sequence:
        one = sequence[1]
        counted.bytes = 0
        two = sequence[2]
        assert counted.bytes < 2000
        for name in frozen:
            assert np.shares_memory(one[name], two[name])
        assert not np.shares_memory(one["w"], two["w"])


def test_modes_are_one_byte_each(tmp_path) -> None:
    """With enough of them that the padding of the header does not hide it."""
    sizes = {}
    for count in (0, 1000):
        frozen = {f"frozen{i}": np.arange(8, dtype="f4") for i in range(count)}
        with nmc.Writer(tmp_path / f"{count}.nmc", entropy="none", key_every=0) as writer:
            writer.append(frozen | {"w": np.zeros(5000, "f4"), "big": np.zeros(9000)})
            sizes[count] = writer.append(frozen | {"w": np.ones(5000, "f4"), "big": np.zeros(9000)})
    assert sizes[1000] - sizes[0] <= 1000 + 64


def test_the_callers_arrays_can_be_changed_after_append(tmp_path) -> None:
    """Training changes its weights in place; what was written stays written."""
    w = np.zeros(4000, "f4")
    expected = []
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        for t in range(4):
            w += t
            expected.append({"w": w.copy()})
            writer.append({"w": w})
    assert_states(tmp_path / "x.nmc", expected)


def test_overhead_of_the_container(tmp_path) -> None:
    """At most 0.1 per cent of the raw models, for a model of a million parameters."""
    rng = np.random.default_rng(0)
    shapes = {f"layer{i}.weight": (256, 256) for i in range(16)}
    shapes |= {f"layer{i}.bias": (256,) for i in range(16)}
    states = [{n: rng.normal(size=s).astype("f4") for n, s in shapes.items()} for _ in range(8)]
    assert sum(a.size for a in states[0].values()) >= 10**6
    raw = sum(a.nbytes for state in states for a in state.values())
    for options in ({}, {"directory": True}):
        path = write(tmp_path / f"x{len(options)}.nmc", states, profile="baseline", **options)
        with nmc.open(path) as sequence:
            overhead = (sequence.size - raw) / raw
        on_disk = sum(len(d) for d in members(path).values()) if options else path.stat().st_size
        assert sequence.size == on_disk
        assert overhead <= 0.001, f"{100 * overhead:.4f} %"


# --- errors ---------------------------------------------------------------------------------------


def test_without_a_frame_nothing_is_left(tmp_path) -> None:
    refused("manifest/value", lambda: nmc.Writer(tmp_path / "a.nmc").close())
    with pytest.raises(RuntimeError, match="mine"), nmc.Writer(tmp_path / "b.nmc"):
        raise RuntimeError("mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("directory", [False, True])
def test_an_exception_keeps_what_is_finished(tmp_path, directory) -> None:
    states = chain(4)
    path = tmp_path / "a.nmc"
    with pytest.raises(RuntimeError, match="mine"), nmc.Writer(path, directory=directory) as writer:
        writer.append(states[0])
        writer.append(states[1])
        raise RuntimeError("mine")
    assert refused("package/unfinished" if directory else "host/not-found", lambda: nmc.open(path))
    if not directory:
        refused("package/unfinished", lambda: nmc.Writer(path))
    with nmc.Writer(path, directory=directory, resume=True) as writer:
        assert len(writer) == 2
        assert writer.last_state["steps"] == 100
        for state in states[2:]:
            writer.append(state)
    assert_states(path, states)
    assert members(path) == members(write(tmp_path / "b.nmc", states))


def test_recover_closes_what_is_finished(tmp_path) -> None:
    states = chain(4)
    for directory in (False, True):
        path = tmp_path / f"{directory}.nmc"
        writer = nmc.Writer(path, directory=directory)
        for state in states[:3]:
            writer.append(state)
        del writer
        assert nmc.recover(path) == 3
        assert_states(path, states[:3])
        refused("host/not-found", lambda p=path: nmc.recover(p))
    refused("host/not-found", lambda: nmc.recover(tmp_path / "nothing.nmc"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["False.nmc", "True.nmc"]


BAD_STATES = {
    "name empty": ({"": np.ones(2)}, "manifest/tensor-name"),
    "name too long": ({"x" * 1025: np.ones(2)}, "manifest/tensor-name"),
    "name with NUL": ({"a\0b": np.ones(2)}, "manifest/tensor-name"),
    "name with a surrogate": ({"\ud800": np.ones(2)}, "manifest/tensor-name"),
    "name reserved": ({"__metadata__": np.ones(2)}, "manifest/tensor-name"),
    "rank 33": ({"w": np.ones((1,) * 33)}, "manifest/tensor-shape"),
    "absurd dimensions": ({"w": np.zeros((2**28, 2**28, 0))}, "manifest/tensor-shape"),
    "type": ({"w": np.ones(2, "c16")}, "input/unsupported"),
    "text": ({"w": "hello"}, "input/unsupported"),
    "nothing": ({"w": None}, "input/unsupported"),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_refused_state_changes_nothing(tmp_path, name) -> None:
    if name == "rank 33":
        pytest.importorskip("numpy", "2")
    state, code = BAD_STATES[name]
    good = {"a": np.zeros(3, "f4")}
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append(good)
        refused(code, lambda: writer.append({"new": np.ones(1), **state}))
        assert len(writer) == 1
        assert len(writer.rows) == 1
        writer.append({"a": np.ones(3, "f4")})
    assert_states(tmp_path / "a.nmc", [good, {"a": np.ones(3, "f4")}])


def test_an_existing_row_cannot_take_an_absurd_shape(tmp_path) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append({"w": np.zeros(3, "f4")})
        refused(
            "manifest/tensor-shape",
            lambda: writer.append({"w": np.zeros((2**28, 2**28, 0), "f4")}),
        )


def test_presentation_times(tmp_path) -> None:
    state = {"w": np.zeros(3)}
    with nmc.Writer(tmp_path / "a.nmc", timescale=1000) as writer:
        writer.append(state, presentation_time=-40)
        writer.append(state)
        found = refused("manifest/time-order", lambda: writer.append(state, presentation_time=-39))
        assert found.place.pointer == "/frames/2/presentation_time"
        refused("manifest/value", lambda: writer.append(state, presentation_time=2**63))
        writer.append(state, presentation_time=2**63 - 1)
        refused("manifest/value", lambda: writer.append(state))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert [f.presentation_time for f in sequence.frames] == [-40, -39, 2**63 - 1]


def test_training_effort(tmp_path) -> None:
    state = {"w": np.zeros(3)}
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for bad in (float("nan"), float("inf"), -1.0):
            refused("manifest/not-a-number", lambda b=bad: writer.append(state, seconds=b))
        for bad in (-1, 2**63):
            refused("manifest/value", lambda b=bad: writer.append(state, iterations=b))
        writer.append(state, iterations=0, seconds=0.0)
        writer.append(state)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert [(f.iterations, f.seconds) for f in sequence.frames] == [(0, 0.0), (None, None)]


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "studio"},
        {"entropy": "gzip"},
        {"effort": "lazy"},
        {"profile": "baseline", "entropy": "zstd"},
        {"key_every": -1},
        {"timescale": 0},
        {"timescale": 2**32},
        {"configuration": [1]},
        {"configuration": {"x": float("nan")}},
        {"configuration": {"x": 1 << 20_000}},
        {"configuration": "[1]"},
        {"configuration": '{"x": "\ud800"}'},
        {"family": "a\0b"},
        {"sequence_id": "\ud800"},
        {"layers": {"w": -2}},
        {"layers": {"w": 2**31}},
        {"layers": {"w": True}},
    ],
    ids="-".join,
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options) -> None:
    with pytest.raises(ValueError, match=r"."):
        nmc.Writer(tmp_path / "a.nmc", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_writer_writes_no_more(tmp_path) -> None:
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        writer.append({"w": np.zeros(3)})
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append({"w": np.zeros(3)})


def test_a_quality_record_of_another_length_is_refused_and_can_be_mended(tmp_path) -> None:
    states = chain(2)
    writer = nmc.Writer(tmp_path / "a.nmc")
    for state in states:
        writer.append(state)
    writer.set_quality(nmc.Quality(["v"], {"psnr": np.zeros((3, 1))}))
    refused("manifest/object-shape", writer.close)
    writer.set_quality(nmc.Quality(["v"], {"psnr": np.array([[30.0], [np.nan]])}))
    writer.close()
    assert_states(tmp_path / "a.nmc", states)


def test_a_large_configuration(tmp_path) -> None:
    configuration = {"names": [f"layer {i}" for i in range(20_000)]}
    path = write(tmp_path / "a.nmc", chain(1), configuration=configuration)
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        assert sequence.configuration == configuration


def test_replacing_a_package(tmp_path) -> None:
    for directory in (False, True):
        path = write(tmp_path / f"{directory}.nmc", chain(5), directory=directory)
        write(path, chain(2, seed=1), directory=directory, overwrite=True)
        assert_states(path, chain(2, seed=1))
    writer = nmc.Writer(tmp_path / "c.nmc")
    writer.append(chain(1)[0])
    write(tmp_path / "c.nmc", chain(2), overwrite=True)
    assert_states(tmp_path / "c.nmc", chain(2))
    assert not (tmp_path / "c.nmc.partial").exists()


def test_a_replaced_package_is_there_until_the_new_one_is(tmp_path) -> None:
    path = write(tmp_path / "a.nmc", chain(2))
    writer = nmc.Writer(path, overwrite=True)
    writer.append(chain(1, seed=1)[0])
    assert_states(path, chain(2))
    writer.close()
    assert_states(path, chain(1, seed=1))


# --- a full disk ----------------------------------------------------------------------------------


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("where", ["segment", "journal", "manifest", "package"])
def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch, where, directory) -> None:
    """Wherever the disk is full, what was finished is kept, and the writer can go on."""
    if where == "package" and directory:
        pytest.skip("a directory is not written again")
    states = [dict(s) for s in chain(4)]
    states[2]["late"] = np.ones(3)  # a row that is not to be lost, nor to be there twice
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=directory)
    writer.append(states[0])
    writer.append(states[1])
    at_the_end = where in {"manifest", "package"}
    for state in states[2:] if at_the_end else []:
        writer.append(state)
    if where == "journal":

        def torn(handle, line) -> None:
            os.write(handle, line[:20])
            raise FULL

        monkeypatch.setattr(journal, "write_all", torn)
    else:
        name = {"segment": "0000", "manifest": "manifest.new", "package": "package.new"}[where]
        if where == "manifest" and not directory:
            name = "package.new"
        real = Folder.create

        def full(self, given):
            if given.startswith(name):
                raise FULL
            return real(self, given)

        monkeypatch.setattr(Folder, "create", full)
    action = writer.close if at_the_end else lambda: writer.append(states[2])
    found = refused("host/no-space", action)
    monkeypatch.undo()
    assert found.place.file == str(path)
    assert len(writer) == (4 if at_the_end else 2)
    if at_the_end:
        writer.close()
    else:
        assert [row.name for row in writer.rows].count("late") == 0
        with nmc.Writer(path, directory=directory, resume=True) as other:
            assert len(other) == 2
            for state in states[2:]:
                other.append(state)
    assert_states(path, states)
    assert members(path) == members(write(tmp_path / "b.nmc", states))


def test_the_writer_itself_goes_on_after_a_full_disk(tmp_path, monkeypatch) -> None:
    states = [dict(s) for s in chain(5)]
    states[2]["late"] = np.ones(3)
    states[3]["late"] = np.ones(3)

    def full(*args):
        raise FULL

    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for t, state in enumerate(states):
            if t in {1, 2}:
                with monkeypatch.context() as patch:
                    patch.setattr(journal, "write_all", full)
                    refused("host/no-space", lambda s=state: writer.append(s))
            writer.append(state)
    assert_states(tmp_path / "a.nmc", states)


@pytest.mark.parametrize("directory", [False, True])
def test_what_the_disk_did_not_take_is_written_anew(tmp_path, monkeypatch, directory) -> None:
    """After a failed fsync the system knows nothing of the bytes any more, and reports no error."""
    states = chain(5)
    synced = []
    monkeypatch.setattr(unfinished, "SYNC_SECONDS", 0)
    writer = nmc.Writer(tmp_path / "a.nmc", directory=directory)
    writer.append(states[0])
    real = Folder.sync_file

    def lost(self, name):
        synced.append((self.path / name).stat().st_ino)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Folder, "sync_file", lost)
    refused("host/device", lambda: writer.append(states[1]))
    monkeypatch.setattr(Folder, "sync_file", real)
    folder = tmp_path / ("a.nmc" if directory else "a.nmc.partial")
    for state in states[1:]:
        writer.append(state)
    assert segment_path(folder, 0).stat().st_ino != synced[0]
    writer.close()
    assert_states(tmp_path / "a.nmc", states)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this system lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("directory", [False, True])
def test_a_disk_that_is_really_full(small_disk, tmp_path, directory) -> None:
    rng = np.random.default_rng(0)
    states = [{"w": rng.integers(0, 2**64, 1000, "u8")} for _ in range(40)]
    path = small_disk / "a.nmc"
    writer = nmc.Writer(path, directory=directory)
    done = 0
    with pytest.raises(nmc.FormatError) as caught:
        for state in states:
            writer.append(state)
            done += 1
    assert caught.value.finding.code == "host/no-space"
    assert 5 < done < 40
    refused("host/no-space", lambda: fill(small_disk) or writer.append(states[done]))
    with pytest.raises(nmc.FormatError) as caught:
        writer.close()
    assert caught.value.finding.code == "host/no-space"
    # what is there moves to a larger disk, and is gone on with there
    (small_disk / "filler").unlink()
    source = path if directory else path.with_name("a.nmc.partial")
    target = tmp_path / source.name
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    with nmc.Writer(tmp_path / "a.nmc", directory=directory, resume=True) as other:
        assert len(other) == done
        for state in states[done:]:
            other.append(state)
    assert_states(tmp_path / "a.nmc", states)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
