"""Filming the embedded scene: real video files, one a camera, and the true cameras beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera, write_rig
from nmc_framework.rendering.video import write_video
from nmc_framework.scene.tracer import render


def view_all(
    cameras: Sequence[Camera], t: float, *, supersampling: int = 2
) -> list[npt.NDArray[np.uint8]]:
    """Render every camera's image of the scene at ``t`` seconds."""
    return [render(camera, t, supersampling=supersampling) for camera in cameras]


def film(
    folder: Path,
    cameras: Sequence[Camera],
    frames: int,
    rate: Fraction | int,
    *,
    quality: int = 12,
    supersampling: int = 2,
    report: Callable[[Camera], None] | None = None,
) -> list[Path]:
    """Write ``<camera name>.mp4`` for every camera and ``cameras.json`` into ``folder``.

    Frame k of every video shows the scene at k / ``rate`` seconds, so the videos are synchronous.
    ``supersampling`` is that of :func:`~nmc_framework.scene.render`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_rig(folder / "cameras.json", cameras)
    paths = []
    for camera in cameras:
        path = folder / f"{camera.name}.mp4"
        times = (float(k / Fraction(rate)) for k in range(frames))
        images = (render(camera, t, supersampling=supersampling) for t in times)
        write_video(path, images, rate, quality=quality)
        paths.append(path)
        if report:
            report(camera)
    return paths
