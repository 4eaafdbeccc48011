"""Steps of a package that is coded anew, measured by what its cameras see (an encoder's business).

Cameras that are held out, and those that a frame's declared PSNR is of, measure nothing: steps that
were set by those who judge them would look better than they are.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

import nmc
from nmc.writing.quantisation import FIRST_QUALITY, steps_of_quality
from nmc.writing.sensitivity import has_grid
from nmc_tools.commands.framework import cameras_in
from nmc_tools.terminal import note, progress_bar, refuse_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nmc.writing.quantisation import Distortion, Step
    from nmc_framework.cameras import Camera

    State = dict[str, Any]

_FEW = 64
"""Elements below which a tensor that nobody measured keeps every bit."""

_NOT_DECLARED = -1.0
"""Decibels that no frame declares."""

_FAILURES = (ValueError, RuntimeError)
"""What a model raises of a state that it cannot show, such as one with NaN."""


def renderer(sequence: nmc.ChainSequence) -> Distortion:
    """Return how near renderings of two states are, in dB.

    Raises
    ------
    ModelError
        If the family cannot be built, or cameras do not see it.
    """
    from nmc_framework.evaluation.fidelity import fidelity

    return fidelity(str(sequence.family), sequence.configuration, cameras_in(sequence))


def renderer_of(sequence: nmc.ChainSequence) -> Distortion | None:
    """Return how near renderings of two states are; None where they cannot be made here."""
    if sequence.cameras is None:
        return None
    with suppress(ImportError, *_FAILURES):
        return renderer(sequence)
    return None


def where_it_can(distortion: Distortion) -> Distortion:
    """Return a distortion that says nothing of a state whose pictures are no numbers."""

    def seen(state: State, original: State) -> float:
        with suppress(*_FAILURES):
            decibels = float(distortion(state, original))
            return _NOT_DECLARED if math.isnan(decibels) else decibels
        return _NOT_DECLARED

    return seen


def measuring_cameras(sequence: nmc.ChainSequence) -> list[Camera]:
    """Return the cameras that steps are measured by: neither held out, nor those that judge.

    Where few are left, those that judge are among them: what no camera sees is coded coarsely.
    """
    from nmc_framework.evaluation.fidelity import VIEWS
    from nmc_framework.evaluation.gallery import spread

    cameras = cameras_in(sequence)
    held_out = set(sequence.quality.views) if sequence.quality else set()
    judging = {camera.name for camera in spread(cameras, VIEWS)}
    trained = [camera for camera in cameras if camera.name not in held_out]
    others = [camera for camera in trained if camera.name not in judging]
    return others if len(others) >= VIEWS else trained or cameras


def with_seen_steps(
    source: Path, sequence: nmc.ChainSequence, asked: nmc.Quantisation, *, certainly: bool
) -> nmc.Quantisation:
    """Return a quantisation whose steps are to each other as what is seen of the first frame.

    A quality says how many bits there are, and what is seen where they go. Steps that are given
    stay what they are: rounding alone is by what is seen.

    Parameters
    ----------
    source : Path
        Named in an error.
    sequence : ChainSequence
        A package with cameras.
    asked : Quantisation
    certainly : bool
        Whether what cannot be measured is an error; else steps go by magnitude, with a note.

    Raises
    ------
    FormatError
        If it is to be measured, and cannot be.
    """
    first: State = dict(sequence[0])
    try:
        known = _curvature(sequence, certainly=certainly)
        if asked.step is not None:
            return replace(asked, curvature=_for_rounding(known))
        seen = _measured(sequence, first, known)
        aim = _aim(seen, first, asked)
    except _FAILURES as error:
        reason = " ".join(str(error).split())
        if certainly:
            hint = "leave it to the magnitudes of the tensors with --no-measure"
            refuse_input("input/unsupported", str(source), f"it cannot be measured: {reason}", hint)
        note(f"steps go by magnitude, as what cameras see cannot be measured: {reason}")
        return asked
    step = _steps(seen, first, aim, asked.quality or FIRST_QUALITY)
    later = {row.name for row in sequence.manifest.tensors} - set(first)
    for name in sorted(later):
        note(f"{name}: stays lossless: it is not in the first frame, of which steps are measured")
    return replace(asked, step=step, quality=None, curvature=known)


def _for_rounding(
    known: Callable[[State], nmc.Curvature] | None,
) -> Callable[[State], nmc.Curvature]:
    if known is None:
        reason = "steps are given, and rounding is measured of models that single rays see"
        raise typer.BadParameter(reason, param_hint="--measure")
    return known


def _aim(seen: nmc.Sensitivity, first: State, asked: nmc.Quantisation) -> float:
    """Return the fidelity in dB that takes as many bits as were asked for."""
    if asked.target_psnr is not None:
        return float(asked.target_psnr)
    return seen.fidelity_like(steps_of_quality(first, asked.quality or FIRST_QUALITY))


def _steps(seen: nmc.Sensitivity, first: State, aim: float, quality: float) -> dict[str, Step]:
    """Return the steps of all tensors that are quantised; what nobody measured, by magnitude."""
    found: dict[str, Step] = {
        name: parts[0][1] if len(parts) == 1 else parts for name, parts in seen.steps(aim).items()
    }
    for name, step in steps_of_quality(first, quality).items():
        if name not in found and np.size(first[name]) >= _FEW and has_grid(first[name]):
            found[name] = step
    return found


def _measured(
    sequence: nmc.ChainSequence,
    first: State,
    known: Callable[[State], nmc.Curvature] | None,
) -> nmc.Sensitivity:
    whole = _of_other_shapes(sequence, first)
    with progress_bar("measuring what is seen", "parts") as progress:
        if known is not None:
            progress(0, 1)
            seen = known(first).sensitivity(first, whole)
            progress(1, 1)
            return seen
        from nmc_framework.evaluation.fidelity import fidelity

        described = str(sequence.family), sequence.configuration
        distance = fidelity(*described, measuring_cameras(sequence))
        measured = nmc.Sensitivity.measured(
            first, lambda state: distance(dict(state), first), whole, progress=progress
        )
    return measured.joined()


def _of_other_shapes(sequence: nmc.ChainSequence, first: State) -> dict[str, list[int]]:
    """Return the rows of tensors that have other shapes in other frames: they are one part."""
    shapes = Counter(row.name for row in sequence.manifest.tensors)
    return {
        name: [len(array)]
        for name, array in first.items()
        if shapes[name] > 1 and np.ndim(array) and len(array)
    }


def _curvature(
    sequence: nmc.ChainSequence, *, certainly: bool
) -> Callable[[State], nmc.Curvature] | None:
    """Return what measures a state by gradients; None of a model that single rays do not see."""
    from nmc_framework.evaluation.curvature import seen_curvature
    from nmc_framework.models import build
    from nmc_framework.models.views import RayModel

    model = build(str(sequence.family), sequence.configuration)
    if not isinstance(model, RayModel):
        return None
    cameras = measuring_cameras(sequence)

    def measured(state: State) -> nmc.Curvature:
        model.load(state)
        return seen_curvature(model, cameras)

    def tried(state: State) -> nmc.Curvature:
        with suppress(*_FAILURES):
            return measured(state)
        return nmc.Curvature()

    return measured if certainly else tried
