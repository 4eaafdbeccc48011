"""What a chain is trained on and judged by: captured frames, or the embedded scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmc_tools.terminal import note

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.training import FrameViews

SceneOption = Annotated[
    bool, typer.Option("--scene", help="Film the embedded scene instead of reading a folder.")
]
HeldOutOption = Annotated[
    list[str] | None,
    typer.Option("--held-out", help="A camera to test with, not to train with; repeatable."),
]

#: The embedded scene as it is filmed unless said otherwise: as in ``nmc demo``.
_FRAMES, _RATE, _TRAINING, _HELD_OUT, _PIXELS = 20, 15, 16, 3, 128

#: Frames a second of pictures in folders, which have no times.
_PICTURES_RATE = 30

Views = Callable[[Sequence[str], int, int], "Iterator[FrameViews]"]


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames of several cameras.

    ``bounds`` and ``background`` are what a model is told of the scene, where known; ``own`` are
    the cameras held out unless others are named.
    """

    rig: RigDocument
    count: int
    rate: int
    read: Views
    bounds: list[list[float]] | None = None
    background: list[float] | None = None
    own: tuple[str, ...] = ()

    def views(self, names: Sequence[str], start: int = 0) -> Iterator[FrameViews]:
        """Yield the frames from ``start`` on, as the cameras named see them."""
        return self.read(names, start, self.count)

    def cameras(self, names: Sequence[str]) -> list[Camera]:
        """Return cameras by name."""
        known = {camera.name: camera for camera in self.rig.cameras}
        return [known[name] for name in names]

    def split(self, held_out: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Return the names to train on and those held out; refuse unknown ones."""
        names = [camera.name for camera in self.rig.cameras]
        chosen = list(dict.fromkeys(held_out if held_out is not None else self.own))
        unknown = [name for name in chosen if name not in names]
        if unknown:
            reason = f"no camera {', '.join(unknown)}; there are {', '.join(names)}"
            raise typer.BadParameter(reason, param_hint="--held-out")
        training = [name for name in names if name not in chosen]
        if not training:
            raise typer.BadParameter("no camera is left to train with", param_hint="--held-out")
        return training, chosen


def open_footage(
    folder: Path | None,
    *,
    scene: bool,
    cameras: Path | None = None,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    rate: int | None = None,
) -> Footage:
    """Open frames and their cameras, or set the embedded scene up to be filmed.

    ``folder`` is one that ``nmc capture`` wrote, or a data set as it came: pictures of one instant,
    by camera or by frame, and a camera file beside them.
    """
    if scene == (folder is not None):
        raise typer.BadParameter("give a folder of frames, or --scene")
    if scene:
        if cameras is not None:
            raise typer.BadParameter("the embedded scene has its own", param_hint="--cameras")
        return film_scene(size or (_PIXELS, _PIXELS), frames=frames or _FRAMES, rate=rate or _RATE)
    assert folder is not None
    if size is not None:
        raise typer.BadParameter("nmc capture --size reduces frames", param_hint="--size")
    footage = _captured(folder, cameras, float(rate or _PICTURES_RATE))
    count = footage.count if frames is None else min(frames, footage.count)
    return replace(footage, count=count, rate=rate or footage.rate)


def film_scene(
    size: tuple[int, int],
    *,
    rig: RigDocument | None = None,
    frames: int = _FRAMES,
    rate: int = _RATE,
) -> Footage:
    """Return the embedded scene, filmed frame by frame as it is asked for.

    ``rig``, where given, are the cameras to film it with: those of a package.
    """
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.scene import BACKGROUND, BOUNDS, arc_rig, view_all
    from nmc_framework.training import FrameViews

    arc = arc_rig(_TRAINING, _HELD_OUT, size)
    used = rig or RigDocument(arc.cameras)
    own = () if rig else tuple(camera.name for camera in arc.held_out)
    box, behind = [list(corner) for corner in BOUNDS], list(BACKGROUND)

    def read(names: Sequence[str], start: int, stop: int) -> Iterator[FrameViews]:
        chosen = footage.cameras(names)
        for index in range(start, stop):
            time = index / rate
            yield FrameViews(index, time, view_all(chosen, time))

    footage = Footage(used, frames, rate, read, box, behind, own)
    return footage


def _captured(folder: Path, cameras: Path | None, rate: float) -> Footage:
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.formats import registry
    from nmc_framework.cameras.formats.document import require_straight
    from nmc_framework.capture.folder import CAMERAS, RECORD, matched, read_capture

    if folder.is_dir() and not (folder / RECORD).is_file():
        return _dataset(folder, cameras, rate)
    capture = read_capture(folder)
    path = cameras or folder / CAMERAS
    if not path.exists():
        raise CameraError(f"no {path.name}: give --cameras, to nmc capture or here")
    first = {name: capture.picture(name, 0) for name in capture.names}
    sizes = {name: (image.shape[1], image.shape[0]) for name, image in first.items()}
    rig = matched(registry.read(path, None, next(iter(sizes.values()))), sizes)
    require_straight(rig, "training (give the camera file to nmc capture: it straightens)")
    return Footage(rig, len(capture), capture.rate, capture.views, _bounds(rig))


def _dataset(folder: Path, cameras: Path | None, rate: float) -> Footage:
    """Open pictures where they lie: of one instant, by camera or by frame."""
    from nmc_framework.capture.dataset import open_dataset

    found = open_dataset(folder, cameras, rate=rate)
    if found.left_out:
        more = f" and {len(found.left_out) - 5} more" if len(found.left_out) > 5 else ""
        note(f"left out, without a camera: {', '.join(found.left_out[:5])}{more}")
    return Footage(found.rig, len(found), found.rate, found.views, _bounds(found.rig))


def _bounds(rig: RigDocument) -> list[list[float]] | None:
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.layout import layout

    try:
        return layout(rig.cameras).bounds()
    except CameraError:
        return None  # the family's own, or what the user sets
