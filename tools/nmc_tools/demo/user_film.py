"""The demo's film: what a user sees who moves while the chain plays, held-out views beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from nmc_framework.cameras import Camera, Viewpoint
from nmc_framework.evaluation import CAPTION, above, beside, captioned, enlarged
from nmc_framework.rendering import (
    TrackSource,
    orbit,
    render_package,
    user_camera,
    user_track,
    write_track,
    write_video,
)
from nmc_framework.scene import TARGET, Rig, Scene, orbit_camera
from nmc_framework.scene.rig import AZIMUTH
from nmc_framework.scene.scene import Picture
from nmc_tools.demo.size import Size


def strip(view: Picture, truth: Picture, decibels: float, side: int) -> Picture:
    """Return a held-out view above its rendering, ``side`` pixels along the longer side."""
    height, width = truth.shape[:2]
    shape = round(side * min(1.0, width / height)), round(side * min(1.0, height / width))
    pictures = [(truth, "held-out camera: truth"), (view, f"rendered: {decibels:.1f} dB")]
    return above([captioned(enlarged(image, *shape), text) for image, text in pictures])


@dataclass(frozen=True, eq=False)
class User:
    """Who looks on: the viewpoints of all images, and the camera."""

    track: Sequence[Viewpoint]
    camera: Camera


def user_of(scene: Scene, rig: Rig, size: Size) -> User:
    """Swing the viewpoint across the scene and back while the chain is played to and fro."""
    count = size.frames * size.turns
    # As high as the two captioned pictures beside it.
    shape = (size.track, 2 * (size.track // 2) + CAPTION)
    if scene.name == "room":
        azimuths = (AZIMUTH - 42, AZIMUTH + 42)
        track = orbit(TARGET, count, distance=3.5, azimuths=azimuths, elevations=(14, 34))
        return User(track, orbit_camera(AZIMUTH, 20, shape))
    track = user_track(TrackSource(), count, rig.cameras, size.rate)
    return User(track, user_camera(rig.cameras, shape, None))


def film(
    out: Path,
    package: Path,
    size: Size,
    user: User,
    strips: Sequence[Picture],
    progress: Progress,
) -> Path:
    """Play the chain to and fro as the user sees it; ``strips`` has a picture to go beside it."""
    once = list(range(size.frames))
    shown = [i for turn in range(size.turns) for i in (once if turn % 2 == 0 else once[::-1])]
    write_track(out / "track.csv", user.track)
    task = progress.add_task("render the viewpoint track", total=len(shown), note="")

    # Beyond a few, starting workers takes longer than they save.
    workers = min(4, os.cpu_count() or 1, max(1, len(shown) // 8))

    def pictures() -> Iterator[Picture]:
        images = render_package(package, user.track, user.camera, shown, workers=workers)
        for number, (frame, image) in enumerate(zip(shown, images, strict=True)):
            note = f"frame {frame}, viewpoint {number}"
            progress.update(task, advance=1, note=note)
            yield beside([captioned(image, f"user's viewpoint (6DoF): {note}"), strips[frame]])

    write_video(out / "video.mp4", pictures(), size.rate)
    return out / "video.mp4"
