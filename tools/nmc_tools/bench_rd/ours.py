"""Our own coder as a whole package: files, manifest, digests of segments and states."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench_rd.coded import KEY_EVERY, Codec, Coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_tools.bench_rd.coded import State


#: The row of packages that were trained for rate.
TRAINED = "nmc trained for rate"
#: Its row with steps from measured sensitivity.
SENSITIVE = "nmc lossy, by sensitivity"
#: Its row with rounding by the curvature of what is seen.
CURVED = "nmc lossy, by curvature"
_QUALITIES = (64, 56, 48, 40, 32, 24, 16)


def lossless() -> Codec:
    """Return the lossless coder at its efforts."""
    efforts = {name: {"effort": name} for name in ("fast", "strong", "max")}
    return Codec("nmc lossless", efforts, package, kind="ours")


def lossy(exponents: Sequence[int]) -> list[Codec]:
    """Return the lossy coder with one step for all tensors, at powers of two, and by quality."""
    steps = {f"step 2^{e}": {"step": 2.0**e} for e in exponents}
    qualities = {f"quality {q}": {"quality": q} for q in _QUALITIES}
    return [
        Codec("nmc lossy, one step", steps, _quantised, kind="ours"),
        Codec("nmc lossy, quality", qualities, _quantised, kind="ours"),
    ]


def by_sensitivity(found: nmc.Sensitivity, aims: Sequence[float]) -> Codec:
    """Return the lossy coder with steps from measured sensitivity, for fidelities in dB."""
    steps = {
        f"aim {aim:g} dB": {"step": found.steps(aim), "update_step": found.update_steps(aim)}
        for aim in aims
    }
    return Codec(SENSITIVE, steps, _quantised, kind="ours")


def by_curvature(
    found: Sequence[nmc.Curvature], sensitivity: nmc.Sensitivity, aims: Sequence[float]
) -> Codec:
    """Return the lossy coder with the curvature of each frame, for fidelities in dB."""
    steps = {f"aim {aim:g} dB": sensitivity.steps(aim) for aim in aims}
    return Codec(CURVED, steps, partial(_curved, found), kind="ours")


def _curved(
    found: Sequence[nmc.Curvature], states: Sequence[State], steps: Any, folder: Path
) -> Coded:
    in_order = iter(found)
    quantisation = nmc.Quantisation(steps, curvature=lambda _: next(in_order))
    return package(states, {"profile": "lossy", "quantisation": quantisation}, folder)


def trained(packages: Mapping[str, Path]) -> Codec:
    """Return packages that were trained for rate on the scene of a chain, as points of it."""
    return Codec(TRAINED, packages, _read, kind="trained")


def _read(states: Sequence[State], path: Path, _: Path) -> Coded:
    with nmc.open(path) as sequence:
        if len(sequence) < len(states):
            raise ValueError(f"{path} has {len(sequence)} frames of {len(states)}")
        began = time.process_time()
        found: list[Any] = [sequence[t] for t in range(len(states))]
        decode = time.process_time() - began
        frames = tuple(float(record.segment_length) for record in sequence.frames)
        rest = (sequence.size - sum(frames)) * len(states) / len(frames)
    return Coded(frames[: len(states)], rest, found, decode=decode)


def _quantised(states: Sequence[State], options: Mapping[str, Any], folder: Path) -> Coded:
    quantisation = nmc.Quantisation(**options)
    return package(states, {"profile": "lossy", "quantisation": quantisation}, folder)


def package(states: Sequence[State], options: Mapping[str, Any], folder: Path) -> Coded:
    """Write a chain as a package with some options of :class:`nmc.Writer`, and read it back."""
    _warm_up(options)
    path = folder / "chain.nmc"
    began = time.process_time()
    with nmc.Writer(path, key_every=KEY_EVERY, threads=1, **options) as writer:
        for state in states:
            writer.append(state)
    encode = time.process_time() - began
    began = time.process_time()
    with nmc.open(path, threads=1) as sequence:
        found: list[Any] = [sequence[t] for t in range(len(sequence))]
        decode = time.process_time() - began
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
    lossy = options.get("quantisation")
    if lossy is not None and lossy.curvature is not None:  # it is one of other tensors
        options = {**options, "quantisation": replace(lossy, curvature=None)}
    rng = np.random.default_rng(0)
    states = [{"layer": rng.standard_normal((8, 8), dtype=np.float32)} for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        package(states, options, Path(folder))
