"""A chain that somebody else made: any package, judged by its cameras, or by its numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_framework.metrics import psnr
from nmc_tools.bench_rd.baselines import is_quantised
from nmc_tools.bench_rd.chains import BenchChain, Judged, rendered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nmc_framework.cameras import Camera
    from nmc_framework.models import ChainModel
    from nmc_tools.bench_rd.coded import State

#: So many cameras judge; the others measure.
_JUDGES = 4
#: Powers of two below the usual size of a weight.
_FINER = range(1, 8)


def packaged_chain(path: Path) -> BenchChain:
    """Return the chain of a package; its steps are powers of two below the size of its weights.

    Where it has cameras that its family can be rendered by, every third one judges (four at
    most), and steps are measured by the others. Else it is judged by its numbers: the PSNR whose
    peak is each tensor's own range.

    Raises
    ------
    nmc.FormatError
        If it is no sound package.
    """
    with nmc.open(path) as sequence:
        states: list[Any] = [sequence[t] for t in range(len(sequence))]
        seen = _seen(sequence)
    exponents = _exponents(states[0])
    if seen is None:
        return by_numbers(path.stem, states, exponents)
    model, cameras = seen
    judging = cameras[1::3][:_JUDGES]
    measuring = [camera for camera in cameras if camera not in judging]
    return _by_cameras(path.stem, states, exponents, model, (judging, measuring))


def by_numbers(name: str, states: Sequence[State], exponents: Sequence[int]) -> BenchChain:
    """Return a chain that is judged by its numbers: PSNR, each tensor's own range as the peak."""

    def judge(t: int, decoded: State) -> Judged:
        return Judged(_likeness(decoded, states[t]))

    return BenchChain(name, states, judge, "its numbers", exponents)


def _likeness(decoded: State, original: State) -> float:
    squares, count = 0.0, 0
    for name, array in original.items():
        if not is_quantised(array):
            continue
        peak = float(np.ptp(array.astype(np.float64))) or 1.0
        error = (decoded[name].astype(np.float64) - array) / peak
        squares += float(np.sum(error**2))
        count += error.size
    return float(-10 * np.log10(squares / count)) if squares else float("inf")


def _seen(sequence: nmc.ChainSequence) -> tuple[ChainModel, list[Camera]] | None:
    """Return a package's model and cameras; None where there are too few, or no family."""
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.models import ModelError, build
    from nmc_framework.models.views import shown

    if sequence.cameras is None:
        return None
    try:
        cameras = list(cameras_in(sequence))
        model = build(str(sequence.family), sequence.configuration)
        shown(model)
    except ModelError:
        return None
    return (model, cameras) if len(cameras) > 1 else None


def _by_cameras(
    name: str,
    states: Sequence[State],
    exponents: Sequence[int],
    model: ChainModel,
    cameras: tuple[list[Camera], list[Camera]],
) -> BenchChain:
    from nmc_framework.evaluation.curvature import seen_curvature
    from nmc_framework.models.views import RayModel

    judging, measuring = cameras

    @cache
    def original(t: int) -> Any:
        return rendered(model, states[t], judging)

    def judge(t: int, state: State) -> Judged:
        return Judged(psnr(rendered(model, state, judging), original(t)))

    few = measuring[:: -(-len(measuring) // _JUDGES)]

    @cache
    def measured_by() -> Any:
        return rendered(model, states[0], few)

    def measured(state: State) -> float:
        return psnr(rendered(model, state, few), measured_by())

    @cache
    def curvature(t: int) -> nmc.Curvature:
        assert isinstance(model, RayModel)
        model.load(states[t])
        return seen_curvature(model, measuring)

    return BenchChain(
        name,
        states,
        judge,
        f"renderings of {len(judging)} of its cameras",
        exponents,
        curvature=curvature if isinstance(model, RayModel) else None,
        measured=measured,
    )


def _exponents(state: State) -> list[int]:
    """Return powers of two below the usual size of the weights of a state."""
    arrays = [array.astype(np.float64) for array in state.values() if is_quantised(array)]
    squares = sum(float(np.sum(array**2)) for array in arrays)
    size = (squares / max(sum(array.size for array in arrays), 1)) ** 0.5 or 1.0
    return [int(np.floor(np.log2(size))) - finer for finer in _FINER]
