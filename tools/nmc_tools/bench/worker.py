"""Measures one method on one chain, in a process of its own: ``python -m nmc_tools.bench.worker``.

Prints one JSON document. A process for each method keeps their peak memory apart.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from nmc_tools.bench.chains import Chain, load
from nmc_tools.bench.peers import CHANGING, METHODS, Method
from nmc_tools.bench.timing import best_of, peak_memory, restart_peak


def _encoded(method: Method, chain: Chain) -> tuple[dict[int, bytes], float]:
    """Return every delta frame coded, and the seconds that this took."""
    method.begin(chain)
    start = time.perf_counter()
    coded = {t: method.encode(chain, t) for t in range(1, len(chain.frames))}
    return coded, time.perf_counter() - start


def _decoding_seconds(method: Method, chain: Chain, coded: dict[int, bytes]) -> float:
    """Return the seconds of decoding every delta frame.

    Raises
    ------
    ValueError
        If a frame does not come back bit for bit.
    """
    method.begin_decoding(chain)
    seconds = 0.0
    for t, data in coded.items():
        start = time.perf_counter()
        words = method.decode(data, chain, t)
        seconds += time.perf_counter() - start
        words = np.concatenate(words) if isinstance(words, list) else words
        if not np.array_equal(words, chain.flat(t)):
            raise ValueError(f"frame {t} did not come back bit for bit")
    return seconds


def round_trip(method: Method, chain: Chain) -> tuple[dict[int, bytes], float, float]:
    """Code and decode every delta frame; return the coded ones, and the seconds of both ways."""
    coded, seconds = _encoded(method, chain)
    return coded, seconds, _decoding_seconds(method, chain, coded)


def _tiny_chain() -> Chain:
    rng = np.random.default_rng(0)
    first = {f"layer.{i}": rng.standard_normal((64, 64 >> i), dtype=np.float32) for i in range(3)}
    second = {name: array * np.float32(1.001) for name, array in first.items()}
    third = {name: array * np.float32(1.002) for name, array in first.items()}
    return Chain("tiny", (first, second, third))


TINY = _tiny_chain()


def measure(method: Method, chain: Chain) -> dict[str, float]:
    """Code and decode every delta frame of a chain; the first round checks and finds the peak."""
    round_trip(method, TINY)  # what is compiled or loaded at first use is not part of the figures
    resident = restart_peak()
    coded, encoding, decoding = round_trip(method, chain)
    memory = peak_memory() - resident
    encoding = best_of(encoding, lambda: _encoded(method, chain)[1])
    decoding = best_of(decoding, lambda: _decoding_seconds(method, chain, coded))
    method.end()
    sizes = {t: chain.flat(t).nbytes for t in coded}
    return {
        "bytes_per_frame": sum(map(len, coded.values())) / len(coded),
        "ratio": float(np.mean([sizes[t] / len(data) for t, data in coded.items()])),
        "encode": sum(sizes.values()) / 1e6 / encoding,
        "decode": sum(sizes.values()) / 1e6 / decoding,
        "memory": float(memory),
    }


def main() -> None:
    """Measure what the command line names."""
    every = METHODS | CHANGING
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, choices=every)
    parser.add_argument("--chain", required=True, type=Path)
    arguments = parser.parse_args()
    chain = load(arguments.chain)
    print(json.dumps(measure(every[arguments.method](), chain)))


if __name__ == "__main__":
    main()
