"""Filming an embedded scene: real video files, one a camera, and the true cameras beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from nmc_framework.cameras import Camera, write_rig
from nmc_framework.rendering.video import write_video
from nmc_framework.scene.embedded import ROOM
from nmc_framework.scene.scene import Picture, Scene


def render(camera: Camera, t: float, *, supersampling: int = 2) -> Picture:
    """Render the room at ``t`` seconds: :meth:`Scene.render` of the scene ``room``."""
    return ROOM.render(camera, t, supersampling=supersampling)


def view_all(
    cameras: Sequence[Camera], t: float, *, supersampling: int = 2, scene: Scene = ROOM
) -> list[Picture]:
    """Render every camera's image of a scene, the room unless another is given, at ``t``."""
    return scene.view_all(cameras, t, supersampling=supersampling)


def film(
    folder: Path,
    cameras: Sequence[Camera],
    frames: int,
    rate: Fraction | int,
    *,
    quality: int = 12,
    supersampling: int | None = None,
    scene: Scene = ROOM,
    report: Callable[[Camera], None] | None = None,
) -> list[Path]:
    """Write ``<camera name>.mp4`` for every camera and ``cameras.json`` into ``folder``.

    Frame k of every video shows the scene at k / ``rate`` seconds, so the videos are synchronous.
    ``supersampling`` is that of :meth:`Scene.render`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_rig(folder / "cameras.json", cameras)
    paths = []
    for camera in cameras:
        path = folder / f"{camera.name}.mp4"
        times = (float(k / Fraction(rate)) for k in range(frames))
        images = (scene.render(camera, t, supersampling=supersampling) for t in times)
        write_video(path, images, rate, quality=quality)
        paths.append(path)
        if report:
            report(camera)
    return paths
