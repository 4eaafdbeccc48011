"""Measures whole packages: writing, verified reading, seeking, opening, container overhead."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench.peers import Method
from nmc_tools.bench.timing import best_seconds

if TYPE_CHECKING:
    from nmc.coding.arithmetic import Effort
    from nmc_tools.bench.chains import Chain, Words

LONG_SEQUENCE = 10_000


class Packaged(Method):
    """A whole package as a method: files, digests and verified reading are part of its times."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._folder = Path(tempfile.mkdtemp())
        self._path = self._folder / "chain.nmc"
        self._writer: nmc.Writer | None = None
        self._sequence: nmc.ChainSequence | None = None

    def begin(self, chain: Chain) -> None:
        """Begin a package with the key frame."""
        self._close()
        self._writer = nmc.Writer(
            self._path, effort=self._effort, key_every=0, directory=True, overwrite=True
        )
        self._writer.append(chain.frames[0])

    def encode(self, chain: Chain, t: int) -> bytes:
        """Append frame t; return as many bytes as its segment has."""
        assert self._writer is not None
        before = self._writer.bytes_written
        self._writer.append(chain.frames[t])
        return bytes(self._writer.bytes_written - before)

    def _close(self) -> None:
        for opened in (self._writer, self._sequence):
            if opened is not None:
                opened.close()
        self._writer = self._sequence = None

    def end(self) -> None:
        """Delete the package."""
        self._close()
        shutil.rmtree(self._folder)

    def begin_decoding(self, chain: Chain) -> None:  # noqa: ARG002 - that of the other methods
        """Close the package, and read its key frame."""
        self._close()
        self._sequence = nmc.open(self._path)
        self._sequence.state(0)

    def decode(self, data: bytes, chain: Chain, t: int) -> list[Words]:  # noqa: ARG002 - as above
        """Read and verify frame t."""
        assert self._sequence is not None
        return [tensor.words for tensor in self._sequence.state(t).values()]


def measure_package(chain: Chain, effort: Effort) -> dict[str, float]:
    """Write and read a chain as a package; digests and files are part of the time.

    Returns
    -------
    dict
        ``encode`` and ``decode`` in MB/s of raw model, ``unverified`` the same as ``decode``
        without comparing states with their digests, ``ratio`` of the delta frames,
        ``package_ratio`` of all bytes on disk, ``container`` bytes beside the payloads,
        ``container_share`` of the raw model, ``seek`` (one random frame of a group, in multiples of
        one sequential frame) and ``seek_frames`` (frames that it decodes).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.nmc"

        def write() -> None:
            with nmc.Writer(path, effort=effort, key_every=0, overwrite=True) as writer:
                for state in chain.frames:
                    writer.append(state)

        write()
        raw = sum(array.nbytes for state in chain.frames for array in state.values())
        result = {"encode": raw / 1e6 / best_seconds(write)}
        with nmc.open(path) as sequence:

            def read() -> None:
                for t in range(len(sequence)):
                    sequence.state(t)

            read()
            sequential = best_seconds(read)
            last = len(sequence) - 1
            result["decode"] = raw / 1e6 / sequential
            result["seek"] = _seek_seconds(path, last) / (sequential / len(sequence))
            result["seek_frames"] = last + 1
            deltas = [f for f in sequence.frames if f.coding == "delta"]
            result["ratio"] = float(np.mean([f.state_bytes / f.segment_length for f in deltas]))
            result["unverified"] = raw / 1e6 / _unverified_seconds(path)
            result["package_ratio"] = raw / sequence.size
            result["container"] = _container_bytes(sequence)
            result["container_share"] = result["container"] / raw
    return result


def _unverified_seconds(path: Path) -> float:
    with nmc.open(path, verify=False) as sequence:

        def read() -> None:
            for t in range(len(sequence)):
                sequence.state(t)

        read()
        return best_seconds(read)


def _seek_seconds(path: Path, t: int) -> float:
    def seek() -> None:
        with nmc.open(path) as sequence:
            sequence.state(t)

    return best_seconds(seek)


def _container_bytes(sequence: nmc.ChainSequence) -> int:
    """Return all bytes of a package that are no payload of a tensor."""
    from nmc_format.segment import parse

    payload = 0
    for t in range(len(sequence)):
        segment = parse(sequence.coded(t), "segment")
        payload += sum(len(s.data) for s in (segment.raw, segment.integer) if s is not None)
    return sequence.size - payload


def measure_opening(frames: int = LONG_SEQUENCE) -> dict[str, Any]:
    """Open a long package of a tiny model in both forms; seconds, the shortest of several runs."""
    rng = np.random.default_rng(0)
    state = {f"layer.{i}": rng.standard_normal(4, dtype=np.float32) for i in range(4)}
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in ("file", "directory"):
            path = Path(folder) / f"{form}.nmc"
            with nmc.Writer(
                path, entropy="none", profile="baseline", directory=form == "directory"
            ) as writer:
                for t in range(frames):
                    state["layer.0"][0] = t
                    writer.append(state)

            def opened(path: Path = path) -> None:
                nmc.open(path).close()

            opened()
            seconds[form] = best_seconds(opened)
        with nmc.open(Path(folder) / "file.nmc") as sequence:
            start = time.perf_counter()
            sequence.state(frames // 2)
            seek = time.perf_counter() - start
    return {"frames": frames, "seconds": seconds, "seek_seconds": seek}
