"""A long chain of the dome: whether quality falls from frame to frame, and how long each takes.

People in the scene move, and some instants are harder than others. What the worst frame and the
last one lose to the chain is therefore told by the same instants, each trained alone from random
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc_framework.models import build
from nmc_framework.rendering import render_image
from nmc_framework.scene import scenes
from nmc_framework.training import FrameViews, train_chain
from nmc_tools.bench_framework.scenes import FAMILY, mean_psnr, prepared, trained_alone
from nmc_tools.terminal import err

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_framework.scene import Rig, Scene

#: Later frames; of a quick run.
_FRAMES, _QUICK_FRAMES = 60, 3
#: Every so many frames the held-out views are rendered and judged.
_JUDGED_EVERY = 3


def drift(name: str = "dome", *, quick: bool) -> dict[str, Any]:
    """Train a chain of one scene with default settings; return quality and seconds by frame."""
    scene = scenes()[name]
    size, rig, options, plan = prepared(scene, quick=quick)
    last = _QUICK_FRAMES if quick else _FRAMES
    times = [index / scene.rate for index in range(1 + last)]
    frames = (FrameViews(t, at, scene.view_all(rig.training, at)) for t, at in enumerate(times))
    model, rows = build(FAMILY, options), []
    for done in train_chain(model, rig.training, frames, plan):
        row: dict[str, Any] = {"frame": done.index, "seconds": done.seconds}
        if done.index % _JUDGED_EVERY == 0:
            pictures = [render_image(model, camera) for camera in rig.held_out]
            row["psnr"] = _quality(scene, rig, pictures, times[done.index])
            err.print(
                f"{name}: frame {done.index} of {last}, {row['psnr']:.2f} dB, {done.seconds:.1f} s",
                markup=False,
            )
        rows.append(row)
    judged = [row for row in rows[1:] if "psnr" in row]
    worst = min(judged, key=lambda row: row["psnr"])["frame"]
    alone = []
    for index in sorted({worst, judged[-1]["frame"]}):
        views = FrameViews(index, times[index], scene.view_all(rig.training, times[index]))
        pictures = trained_alone(build(FAMILY, options), rig, views, plan)
        alone.append({"frame": index, "psnr": _quality(scene, rig, pictures, times[index])})
    return {
        "scene": name,
        "size": list(size),
        "cameras": len(rig.training),
        "iterations": [plan.first, plan.later],
        "rows": rows,
        "alone": alone,
    }


def _quality(scene: Scene, rig: Rig, pictures: Sequence[Any], at: float) -> float:
    return mean_psnr(pictures, [scene.clean(camera, at) for camera in rig.held_out])
