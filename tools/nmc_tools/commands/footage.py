"""What a chain is trained on and judged by: captured frames, or an embedded scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from nmc_tools.commands.framework import framework, require_there
from nmc_tools.terminal import note, refuse_input, warn

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.camera import FloatArray
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.training import FrameViews

#: Embedded scenes by name; what each is, ``nmc_framework.scene`` says.
SceneName = Literal["room", "exposure", "thin", "walk", "dome"]
SceneOption = Annotated[
    SceneName | None,
    typer.Option(help="Film an embedded scene instead of reading a folder; room if none is named."),
]
HeldOutOption = Annotated[
    list[str] | None,
    typer.Option("--held-out", help="A camera to test with, not to train with; repeatable."),
]

#: Frames a second of pictures in folders, which have no times.
_PICTURES_RATE = 30

Views = Callable[[Sequence[str], int, int], "Iterator[FrameViews]"]


class SceneCommand(TyperCommand):
    """A command with ``--scene``, which may stand without a name: it means the room then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the room where ``--scene`` is followed by an option, a path or nothing."""
        named = []
        for k, word in enumerate(args):
            named.append(word)
            following = args[k + 1] if k + 1 < len(args) else "-"
            if word == "--scene" and (following.startswith("-") or set(following) & {".", "/"}):
                named.append("room")
        return super().parse_args(ctx, named)


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames of several cameras.

    ``bounds`` and ``background`` are what a model is told of the scene, where known; ``points``
    (P, 3) what structure from motion reconstructed of it; ``own`` are the cameras held out unless
    others are named. ``clean`` are the same views without faults of the cameras (exposure, noise,
    blur), where they are known. ``times`` are those of the cameras' pictures, by name, where each
    is of an instant of its own.
    """

    rig: RigDocument
    count: int
    rate: Fraction
    read: Views
    bounds: list[list[float]] | None = None
    background: list[float] | None = None
    points: FloatArray | None = None
    own: tuple[str, ...] = ()
    clean: Views | None = None
    times: Mapping[str, float] = field(default_factory=dict)

    def views(self, names: Sequence[str], start: int = 0) -> Iterator[FrameViews]:
        """Yield the frames from ``start`` on, as the cameras named see them."""
        return self.read(names, start, self.count)

    def cameras(self, names: Sequence[str]) -> list[Camera]:
        """Return cameras by name."""
        known = {camera.name: camera for camera in self.rig.cameras}
        return [known[name] for name in names]

    def instants(self, names: Sequence[str]) -> list[float] | None:
        """Return at which instant, counted from 0, each camera took its picture, if one each."""
        from nmc_framework.capture.timed import instants_of

        if not self.times:
            return None
        found, _ = instants_of(self.times)
        return [found[name] for name in names]

    def options(self, known: Mapping[str, Any], training: Sequence[str]) -> dict[str, Any]:
        """Return what a family with the options ``known`` is told of the scene and its rig."""
        from nmc_framework.cameras.extent import scene_extent
        from nmc_framework.models.radiance.fitting import endless, fit

        cameras = self.cameras(training)
        extent = scene_extent(cameras, self.points, self.rig.depths_of(training))
        reason = endless(known, extent, self.bounds)
        if reason is not None:
            note(reason)
        return fit(known, cameras, extent, bounds=self.bounds, background=self.background)

    def reduced(self, sizes: Mapping[str, tuple[int, int]]) -> Footage:
        """Return the same views at the sizes (width, height) of their cameras, averaged."""
        from nmc_framework.capture.frames import reduced

        cameras = tuple(
            camera.resized(*sizes.get(camera.name, (camera.width, camera.height)))
            for camera in self.rig.cameras
        )
        rig = replace(self.rig, cameras=cameras)
        known = {camera.name: (camera.width, camera.height) for camera in cameras}

        def read(names: Sequence[str], start: int, stop: int) -> Iterator[FrameViews]:
            for views in self.read(names, start, stop):
                images = [
                    image if image.shape[1::-1] == known[name] else reduced(image, known[name])
                    for name, image in zip(names, views.images, strict=True)
                ]
                yield replace(views, images=images)

        return replace(self, rig=rig, read=read)

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
    scene: SceneName | None,
    cameras: Path | None = None,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    rate: Fraction | None = None,
) -> Footage:
    """Open frames and their cameras, or set an embedded scene up to be filmed.

    ``folder`` is one that ``nmc capture`` wrote, or a data set as it came: pictures of one instant,
    by camera or by frame, and a camera file beside them.
    """
    if (scene is not None) == (folder is not None):
        raise typer.BadParameter("give a folder of frames, or --scene")
    if scene is not None:
        if cameras is not None:
            raise typer.BadParameter("an embedded scene has its own", param_hint="--cameras")
        return film_scene(scene, size, frames=frames, rate=rate)
    assert folder is not None
    require_there([folder, *([] if cameras is None else [cameras])])
    if not folder.is_dir():
        hint = "'nmc capture' makes one of videos"
        refuse_input("input/unreadable", str(folder), "it is not a folder of pictures", hint)
    with framework(folder):
        footage = _captured(folder, cameras, float(rate or _PICTURES_RATE))
    if size is not None:
        footage = footage.reduced({camera.name: size for camera in footage.rig.cameras})
    count = footage.count if frames is None else min(frames, footage.count)
    return replace(footage, count=count, rate=rate or footage.rate)


def film_scene(
    name: SceneName,
    size: tuple[int, int] | None = None,
    *,
    rig: RigDocument | None = None,
    frames: int | None = None,
    rate: Fraction | None = None,
) -> Footage:
    """Return an embedded scene, filmed frame by frame as it is asked for.

    Size, frames and rate are the scene's own unless given. ``rig``, where given, are the cameras
    to film it with: those of a package.
    """
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.scene import scenes

    scene = scenes()[name]
    own = scene.rig(size)
    used = rig or RigDocument(own.cameras)
    speed = rate or Fraction(scene.rate)
    known = {camera.name: camera for camera in used.cameras}
    return Footage(
        rig=used,
        count=frames or scene.frames,
        rate=speed,
        read=_filmed(scene.render, known, speed),
        # Of other people's footage nobody tells the bounds: a hard scene's are found as theirs.
        bounds=[list(c) for c in scene.bounds] if scene.told and scene.bounds else None,
        background=list(scene.background) if scene.told and scene.background else None,
        own=() if rig else tuple(camera.name for camera in own.held_out),
        clean=_filmed(scene.clean, known, speed),
    )


def _filmed(
    take: Callable[[Camera, float], Any], cameras: Mapping[str, Camera], rate: Fraction
) -> Views:
    from nmc_framework.training import FrameViews

    def read(names: Sequence[str], start: int, stop: int) -> Iterator[FrameViews]:
        for index in range(start, stop):
            time = float(index / rate)
            yield FrameViews(index, time, [take(cameras[name], time) for name in names])

    return read


def _captured(folder: Path, cameras: Path | None, rate: float) -> Footage:
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.formats import camera_files
    from nmc_framework.cameras.formats.rig_document import require_straight
    from nmc_framework.capture.captured_folder import CAMERAS, RECORD, matched, read_capture
    from nmc_framework.capture.points import points_beside

    if folder.is_dir() and not (folder / RECORD).is_file():
        return _dataset(folder, cameras, rate)
    capture = read_capture(folder)
    path = cameras or folder / CAMERAS
    if not path.exists():
        raise CameraError(f"no {path.name} in it: give --cameras, to nmc capture or here")
    first = {name: capture.picture(name, 0) for name in capture.names}
    sizes = {name: (image.shape[1], image.shape[0]) for name, image in first.items()}
    with framework(path):
        rig = matched(camera_files.read(path, None, next(iter(sizes.values()))), sizes)
        require_straight(rig, "training (give the camera file to nmc capture: it straightens)")
        points = points_beside(path)
    behind = None if capture.background is None else list(capture.background)
    return Footage(rig, len(capture), capture.rate, capture.views, background=behind, points=points)


def _dataset(folder: Path, cameras: Path | None, rate: float) -> Footage:
    """Open pictures where they lie: of one instant, by camera or by frame."""
    from nmc_framework.cameras.formats import camera_files
    from nmc_framework.capture.dataset import find_cameras, open_dataset
    from nmc_framework.capture.points import points_beside

    if cameras is not None:
        with framework(cameras):
            camera_files.detect(cameras)
    found = open_dataset(folder, cameras, rate=rate)
    if found.left_out:
        more = f" and {len(found.left_out) - 5} more" if len(found.left_out) > 5 else ""
        note(f"left out, without a camera: {', '.join(found.left_out[:5])}{more}")
    for line in found.synchrony.warnings():
        warn(line)
    path = cameras or find_cameras(folder)
    return Footage(
        found.rig,
        len(found),
        found.rate,
        found.views,
        background=None if found.background is None else list(found.background),
        points=None if path is None else points_beside(path),
        own=found.tested,
        times={} if path is None or len(found) > 1 else _times(path, found.rig),
    )


def _times(path: Path, rig: RigDocument) -> dict[str, float]:
    """Return when the picture of each camera was taken; none where it is not known of all."""
    from nmc_framework.capture.timed import picture_times

    told = picture_times(path)
    times = {c.name: told[Path(c.name).stem] for c in rig.cameras if Path(c.name).stem in told}
    return times if len(times) == len(rig.cameras) else {}
