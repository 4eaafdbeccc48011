"""Measures one method on one chain, in a process of its own: ``python -m nmc_tools.bench.worker``.

Prints one JSON document. A process for each method keeps their peak memory apart.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmc_tools.bench.peers import METHODS, Chain, Method

if TYPE_CHECKING:
    from collections.abc import Callable

_ENOUGH_SECONDS = 0.6
_MOST_REPEATS = 7


def restart_peak() -> int:
    """Forget the peak of the resident memory so far; return what is resident now, in bytes.

    Linux only; elsewhere the peak is that of the whole process, and 0 is returned.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return 0
    return _status("VmRSS")


def peak_memory() -> int:
    """Return the peak resident bytes since :func:`restart_peak`; 0 where the system hides it."""
    try:
        return _status("VmHWM")
    except OSError:
        return 0


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def load_chain(folder: Path) -> Chain:
    """Read a chain of safetensors files, in natural order."""
    from nmc_tools import checkpoints

    paths = checkpoints.expand([folder])
    states = tuple(checkpoints.read(path).state for path in paths)
    return Chain(folder.name, states)  # type: ignore[arg-type]


def best_seconds(work: Callable[[], None]) -> float:
    """Return the shortest of several runs; one run where it takes long."""
    best = total = 0.0
    for i in range(_MOST_REPEATS):
        start = time.perf_counter()
        work()
        taken = time.perf_counter() - start
        best = taken if i == 0 else min(best, taken)
        total += taken
        if total > _ENOUGH_SECONDS:
            break
    return best


def _round_trip(method: Method, chain: Chain) -> dict[int, bytes]:
    """Code and decode every delta frame, and return the coded ones.

    Raises
    ------
    ValueError
        If a frame does not come back bit for bit.
    """
    coded = {t: method.encode(chain, t) for t in range(1, len(chain.frames))}
    for t, data in coded.items():
        words = method.decode(data, chain, t)
        words = np.concatenate(words) if isinstance(words, list) else words
        if not np.array_equal(words, chain.flat(t)):
            raise ValueError(f"frame {t} did not come back bit for bit")
    return coded


def _tiny_chain() -> Chain:
    rng = np.random.default_rng(0)
    first = {f"layer.{i}": rng.standard_normal((64, 64 >> i), dtype=np.float32) for i in range(3)}
    second = {name: array * np.float32(1.001) for name, array in first.items()}
    third = {name: array * np.float32(1.002) for name, array in first.items()}
    return Chain("tiny", (first, second, third))


_TINY = _tiny_chain()


def measure(method: Method, chain: Chain) -> dict[str, float]:
    """Code and decode every delta frame of a chain; the first round checks and finds the peak."""
    deltas = range(1, len(chain.frames))
    _round_trip(method, _TINY)  # what is compiled or loaded at first use is not part of the figures
    resident = restart_peak()
    coded = _round_trip(method, chain)
    memory = peak_memory() - resident

    def encode() -> None:
        for t in deltas:
            method.encode(chain, t)

    def decode() -> None:
        for t in deltas:
            method.decode(coded[t], chain, t)

    raw = sum(chain.flat(t).nbytes for t in deltas)
    size = sum(map(len, coded.values()))
    return {
        "bytes_per_frame": size / len(deltas),
        "ratio": float(np.mean([chain.flat(t).nbytes / len(coded[t]) for t in deltas])),
        "encode": raw / 1e6 / best_seconds(encode),
        "decode": raw / 1e6 / best_seconds(decode),
        "memory": float(memory),
    }


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--chain", required=True, type=Path)
    arguments = parser.parse_args()
    chain = load_chain(arguments.chain)
    print(json.dumps(measure(METHODS[arguments.method](), chain)))


if __name__ == "__main__":
    main()
