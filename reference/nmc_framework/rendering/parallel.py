"""Rendering a track on several devices or processes, merged in order (clause 5.1).

The standard lets frames be spread over devices in proportion to their number. Every worker opens
the package for itself and renders a run of neighbouring frames, so that decoding deltas is not
repeated; the images come back in order, the same bytes for every number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import nmc
from nmc_framework.cameras import Camera, Viewpoint
from nmc_framework.models import build
from nmc_framework.rendering.film import render_track
from nmc_framework.rendering.track import TrackError, require_length

Picture = npt.NDArray[np.uint8]

#: Runs a worker takes in turn: enough to even out their speed, few enough to decode little twice.
_RUNS_EACH = 2


@dataclass(frozen=True, eq=False)
class _Run:
    package: Path
    camera: Camera
    frames: tuple[int, ...]
    track: tuple[Viewpoint, ...]
    device: str


def render_package(
    package: Path,
    track: Sequence[Viewpoint],
    camera: Camera,
    frames: Sequence[int] | None = None,
    *,
    workers: int = 1,
    devices: Sequence[str] = ("cpu",),
) -> Iterator[Picture]:
    """Render a track from a package, one image a viewpoint, in order.

    Parameters
    ----------
    package
        A ``.nmc`` file or directory whose family and configuration name the model.
    track, camera, frames
        As in :func:`~nmc_framework.rendering.render_track`.
    workers
        Processes; 1 renders in this one.
    devices
        Runs of frames are dealt out over these torch devices in turn.

    Raises
    ------
    TrackError
        When the track is not as long as ``frames``, or a frame is not in the package.
    """
    with nmc.open(package) as sequence:
        count = len(sequence)
    shown = tuple(range(count) if frames is None else frames)
    require_length(track, len(shown))
    for frame in shown:
        if not 0 <= frame < count:
            raise TrackError(f"frame {frame} is not in the package, which has {count}")
    runs = _deal(package, tuple(track), camera, shown, max(workers, len(devices)), devices)
    if workers <= 1:
        for run in runs:
            yield from _render(run)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for images in pool.map(_render, runs):
            yield from images


def _deal(
    package: Path,
    track: tuple[Viewpoint, ...],
    camera: Camera,
    frames: tuple[int, ...],
    parts: int,
    devices: Sequence[str],
) -> list[_Run]:
    bounds = np.linspace(0, len(frames), min(parts * _RUNS_EACH, len(frames)) + 1).astype(int)
    return [
        _Run(package, camera, frames[a:b], track[a:b], devices[i % len(devices)])
        for i, (a, b) in enumerate(pairwise(bounds))
    ]


def _render(run: _Run) -> list[Picture]:
    """Render one run on one thread: sums then come in one order, whoever renders."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with nmc.open(run.package) as sequence:
            model = build(sequence.family, sequence.configuration).to(run.device)
            return list(render_track(model, sequence, run.track, run.camera, run.frames))
    finally:
        torch.set_num_threads(threads)
