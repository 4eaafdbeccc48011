"""Rendering what some cameras see of some instants, as tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.models import build
from nmc_framework.rendering import Moment, render_image
from nmc_framework.rendering.parallel import Picture

#: Instants of a run: neighbours, so that each is decoded from the one before.
_RUN = 4


@dataclass(frozen=True, eq=False)
class ViewsRun:
    """Instants of a package, ascending, that one worker renders for all of some cameras."""

    package: Path
    moments: tuple[Moment, ...]
    cameras: tuple[Camera, ...]
    device: str


def render_views(run: ViewsRun) -> list[list[Picture]]:
    """Return the images of each instant, in the order of the cameras."""
    with nmc.open(run.package) as sequence:
        model = build(sequence.family, sequence.configuration).to(run.device)
        seen, loaded = [], None
        for moment in run.moments:
            if moment.frame != loaded:
                loaded = moment.frame
                model.load(sequence[loaded])
            seen.append([render_image(model, each, time=moment.time) for each in run.cameras])
        return seen


def rendered_views(
    pool: Executor,
    package: Path,
    moments: Sequence[Moment],
    cameras: Sequence[Camera],
    *,
    slots: int,
    device: str = "cpu",
) -> Iterator[list[Picture]]:
    """Yield the images of each instant, in order; ``slots`` runs are in hand at a time."""
    runs = (
        ViewsRun(package, tuple(moments[a : a + _RUN]), tuple(cameras), device)
        for a in range(0, len(moments), _RUN)
    )
    waiting: deque[Future[list[list[Picture]]]] = deque()
    for run in runs:
        waiting.append(pool.submit(render_views, run))
        if len(waiting) > slots:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()
