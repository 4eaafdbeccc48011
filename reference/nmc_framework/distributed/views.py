"""Rendering what some cameras see of some instants, as tasks: instants, or pictures and tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel, build, family
from nmc_framework.models.views import RayModel
from nmc_framework.rendering import Moment, render_image
from nmc_framework.rendering.image import render_tile, tile_of
from nmc_framework.rendering.parallel import Picture

#: Instants of a run: neighbours, so that each is decoded from the one before.
_RUN = 4


@dataclass(frozen=True, eq=False)
class ViewsRun:
    """Instants of a package, ascending, that one worker renders for all of some cameras.

    ``tile`` is which tile of how many, where it renders one of each picture.
    """

    package: Path
    moments: tuple[Moment, ...]
    cameras: tuple[Camera, ...]
    device: str
    tile: tuple[int, int] | None = None


def render_views(run: ViewsRun) -> list[list[Picture]]:
    """Return the images of each instant, in the order of the cameras; of tiles, rows of pixels."""
    with nmc.open(run.package) as sequence:
        model = build(sequence.family, sequence.configuration).to(run.device)
        seen, loaded = [], None
        for moment in run.moments:
            if moment.frame != loaded:
                loaded = moment.frame
                model.load(sequence[loaded])
            seen.append([_image(model, each, moment, run.tile) for each in run.cameras])
        return seen


def _image(
    model: ChainModel, camera: Camera, moment: Moment, tile: tuple[int, int] | None
) -> Picture:
    if tile is None:
        return render_image(model, camera, time=moment.time)
    assert isinstance(model, RayModel), "others are not divided"
    return render_tile(model, camera, tile_of(camera, *tile), time=moment.time)


def rendered_views(
    pool: Executor,
    package: Path,
    moments: Sequence[Moment],
    cameras: Sequence[Camera],
    *,
    slots: int,
    device: str = "cpu",
) -> Iterator[list[Picture]]:
    """Yield the images of each instant, in order; ``slots`` tasks are in hand at a time.

    Where there are fewer runs of instants than slots, every picture is a task of its own, and where
    there are fewer pictures, every tile is one, of families that see ray by ray.
    """
    if len(moments) <= _RUN * (slots - 1):
        pairs = [(moment, camera) for moment in moments for camera in cameras]
        seen = rendered_track(pool, package, pairs, slots=slots, device=device)
        for _ in moments:
            yield [next(seen) for _ in cameras]
        return
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


def rendered_track(
    pool: Executor,
    package: Path,
    shown: Sequence[tuple[Moment, Camera]],
    *,
    slots: int,
    device: str = "cpu",
) -> Iterator[Picture]:
    """Yield a picture for each instant and camera, in order, each a task of its own.

    Where there are fewer than slots, every tile is one, of families that see ray by ray.
    """
    count = -(-slots // max(len(shown), 1)) if _is_by_rays(package) else 1
    tiles = [None] if count == 1 else [(k, count) for k in range(count)]
    started = [
        [
            pool.submit(render_views, ViewsRun(package, (moment,), (camera,), device, tile))
            for tile in tiles
        ]
        for moment, camera in shown
    ]
    for (_, camera), parts in zip(shown, started, strict=True):
        pixels = np.concatenate([each.result()[0][0] for each in parts])
        yield pixels.reshape(camera.height, camera.width, 3)


def _is_by_rays(package: Path) -> bool:
    with nmc.open(package) as sequence:
        kind = family(sequence.family)
    return issubclass(kind, RayModel) and kind.render_view is RayModel.render_view
