"""Photographs of a real scene with default settings: every eighth held out, as is usual.

``shared/data/scenes/fox`` of instant-ngp is meant: 50 photographs of 270x480, taken while walking.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nmc_framework.evaluation import HeldOut
from nmc_framework.models import build, family
from nmc_framework.training import train_frame
from nmc_tools.bench_framework.scenes import FAMILY, QUICK_OPTIONS, usual_schedule
from nmc_tools.commands.footage import open_footage

#: Every so many pictures one is held out, from the first on (Barron et al. 2022, section 6).
_EVERY = 8


def photographs(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Train a model of a folder of photographs with their cameras; return its figures."""
    footage = open_footage(folder, scene=None)
    names = [camera.name for camera in footage.rig.cameras]
    training, held_out = footage.split(names[::_EVERY])
    cameras = footage.cameras(training)
    options = footage.options(family(FAMILY).defaults(), training)
    model = build(FAMILY, options | (QUICK_OPTIONS if quick else {}))
    plan = usual_schedule(cameras, quick=quick)
    done = train_frame(model, cameras, next(footage.views(training)), plan)
    quality = HeldOut(footage.cameras(held_out), align=True)
    quality.score(model, 0, next(footage.views(held_out)).images)
    return {
        "name": folder.name,
        "size": [cameras[0].width, cameras[0].height],
        "cameras": [len(training), len(held_out)],
        "iterations": plan.first,
        "seconds": done.seconds,
        "colour": done.colour is not None,
        "psnr": quality.mean(0, "psnr"),
        "psnr_aligned": quality.mean(0, "psnr_aligned"),
    }
