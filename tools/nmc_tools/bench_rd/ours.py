"""Our own coder as a whole package: files, manifest, digests of segments and states."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench_rd.coded import KEY_EVERY, Codec, Coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_tools.bench_rd.coded import State


def lossless() -> Codec:
    """Return the lossless coder at its efforts."""
    efforts = {name: {"effort": name} for name in ("fast", "strong", "max")}
    return Codec("nmc lossless", efforts, package, kind="ours")


def package(states: Sequence[State], options: Mapping[str, Any], folder: Path) -> Coded:
    """Write a chain as a package with some options of :class:`nmc.Writer`, and read it back."""
    _warm_up(options)
    path = folder / "chain.nmc"
    began = time.perf_counter()
    with nmc.Writer(path, key_every=KEY_EVERY, **options) as writer:
        for state in states:
            writer.append(state)
    encode = time.perf_counter() - began
    began = time.perf_counter()
    with nmc.open(path) as sequence:
        found: list[Any] = [sequence[t] for t in range(len(sequence))]
        decode = time.perf_counter() - began
        frames = tuple(float(record.segment_length) for record in sequence.frames)
    return Coded(frames, path.stat().st_size - sum(frames), found, encode, decode)


@cache
def _known() -> list[Mapping[str, Any]]:
    return []


def _warm_up(options: Mapping[str, Any]) -> None:
    """Code a few numbers once: what is compiled or loaded at first use is not measured."""
    if options in _known():
        return
    _known().append(options)
    rng = np.random.default_rng(0)
    states = [{"layer": rng.standard_normal((8, 8), dtype=np.float32)} for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        package(states, options, Path(folder))
