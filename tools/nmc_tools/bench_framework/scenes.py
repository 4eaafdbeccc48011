"""Every embedded scene with default settings: quality and time of its frames, and how it flickers.

A default is only good if it is good on all of them. What nobody tells of other people's footage,
bounds and background, the hard scenes do not tell either.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.cameras.extent import scene_extent
from nmc_framework.metrics import psnr, static_flicker
from nmc_framework.models import build, family
from nmc_framework.models.radiance.fitting import LATER_RAYS, MOST_LATER, fit, iterations
from nmc_framework.rendering import render_image
from nmc_framework.scene import scenes
from nmc_framework.training import FrameViews, Schedule, train_chain, train_frame
from nmc_tools.commands.chain_run import LATER, RAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_framework.cameras import Camera
    from nmc_framework.models import ChainModel
    from nmc_framework.scene import Rig, Scene

FAMILY = "hash_grid"
#: Frames after frame 0.
_FRAMES = 3
#: Of a quick run: pictures of a tenth the width, and hardly any training.
_QUICK_SHARE = 10
QUICK_OPTIONS = {"levels": 2, "log2_entries": 8, "finest": 16, "samples": 24}
#: The scene whose time others are given once more, and these: as hard as it, but for one thing.
_EASY, _LIKE_IT = "room", ("exposure", "walk")


def all_scenes(*, quick: bool) -> dict[str, Any]:
    """Train a chain of every embedded scene; return its figures by the scene's name."""
    found = {name: _measured(scene, quick=quick) for name, scene in scenes().items()}
    seconds = found[_EASY]["rows"][0]["seconds"]
    for name in _LIKE_IT:
        found[name]["in_time"] = _in_time(scenes()[name], seconds, quick=quick)
    return found


def _in_time(scene: Scene, seconds: float, *, quick: bool) -> float:
    """Return the PSNR in dB of frame 0 when it is trained for so long, whatever it needs."""
    _, rig, options, plan = prepared(scene, quick=quick)
    model = build(FAMILY, options)
    views = FrameViews(0, 0.0, scene.view_all(rig.training, 0.0))
    train_frame(model, rig.training, views, replace(plan, first_seconds=seconds))
    pictures = [render_image(model, camera) for camera in rig.held_out]
    return mean_psnr(pictures, [scene.clean(camera, 0.0) for camera in rig.held_out])


def _measured(scene: Scene, *, quick: bool) -> dict[str, Any]:
    size, rig, options, plan = prepared(scene, quick=quick)
    times = [index / scene.rate for index in range(1 + _FRAMES)]
    frames = [FrameViews(t, at, scene.view_all(rig.training, at)) for t, at in enumerate(times)]
    # What a camera did to its picture is not the scene's: held-out views are judged without it.
    truths = [[scene.clean(camera, at) for camera in rig.held_out] for at in times]
    model = build(FAMILY, options)
    pictures, rows, rendering = [], [], 0.0
    for done in train_chain(model, rig.training, frames, plan):
        began = time.perf_counter()
        pictures.append([render_image(model, camera) for camera in rig.held_out])
        rendering += time.perf_counter() - began
        quality = mean_psnr(pictures[-1], truths[done.index])
        rows.append({"seconds": done.seconds, "psnr": quality, "colour": done.colour is not None})
    alone = trained_alone(build(FAMILY, options), rig, frames[1], plan)
    return {
        "size": list(size),
        "cameras": len(rig.training),
        "iterations": [plan.first, plan.later],
        "rows": rows,
        "rendering": rendering / (len(rig.held_out) * len(times)),
        "flicker": _flicker(pictures[1], pictures[0], truths),
        "flicker_alone": _flicker(alone, pictures[0], truths),
    }


def prepared(scene: Scene, *, quick: bool) -> tuple[tuple[int, int], Rig, dict[str, Any], Schedule]:
    """Return size (width, height), rig, options and schedule, as ``nmc train`` chooses them."""
    width, height = scene.size
    size = (width // _QUICK_SHARE, height // _QUICK_SHARE) if quick else scene.size
    rig = scene.rig(size)
    options = fit(
        family(FAMILY).defaults(),
        rig.training,
        scene_extent(rig.training),
        bounds=scene.bounds if scene.told else None,
        background=scene.background if scene.told else None,
    )
    plan = usual_schedule(rig.training, quick=quick)
    return size, rig, options | (QUICK_OPTIONS if quick else {}), plan


def usual_schedule(cameras: Sequence[Camera], *, quick: bool) -> Schedule:
    """Return the schedule that ``nmc train`` chooses for training cameras."""
    return Schedule(
        first=4 if quick else iterations(cameras),
        later=2 if quick else LATER,
        most_later=None if quick else MOST_LATER * LATER,
        rays=RAYS,
        later_rays=round(LATER_RAYS * RAYS),
        colour="auto",
    )


def trained_alone(model: ChainModel, rig: Rig, views: FrameViews, plan: Schedule) -> list[Any]:
    """Return the held-out pictures of a frame that was trained from random weights, in full."""
    train_frame(model, rig.training, replace(views, index=0), replace(plan, seed=1))
    return [render_image(model, camera) for camera in rig.held_out]


def mean_psnr(pictures: Sequence[Any], truths: Sequence[Any]) -> float:
    """Return the mean PSNR in dB of views against what is true."""
    return float(np.mean([psnr(a, b) for a, b in zip(pictures, truths, strict=True)]))


def _flicker(now: Sequence[Any], before: Sequence[Any], truths: Sequence[Sequence[Any]]) -> float:
    views = zip(now, before, truths[1], truths[0], strict=True)
    return float(np.nanmean([static_flicker(*view) for view in views]))
