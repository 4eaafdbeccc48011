"""``nmc render``: a user's viewpoint track to 6DoF video (clause 5.1, first render mode)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_tools.commands.framework import (
    SizeOption,
    cameras_in,
    framework,
    parse_device,
    parse_size,
    require_new,
)
from nmc_tools.commands.options import ForceOption, PackagePath
from nmc_tools.selection import parse_frames
from nmc_tools.terminal import progress_bar, say, size_text

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera, Viewpoint

_SIZE = (256, 256)
_FIELD_OF_VIEW = 46.0


def render(
    package: PackagePath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The video: .mp4.")],
    track: Annotated[
        str,
        typer.Option(
            metavar="CSV|orbit", help="x,y,z,yaw,pitch,roll a frame; an EyeNavGS trace; or orbit."
        ),
    ] = "orbit",
    frames: Annotated[
        str | None, typer.Option(help="Frames to show, such as 0,3-5,8-; all if left out.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Images of the video; the frames are played to and fro."),
    ] = None,
    size: SizeOption = None,
    field_of_view: Annotated[
        float | None, typer.Option(min=1, max=170, help="Horizontal, in degrees.")
    ] = None,
    fps: Annotated[int | None, typer.Option(min=1, help="Else the package's own.")] = None,
    save_track: Annotated[
        Path | None, typer.Option(help="Write the viewpoints that were used as CSV.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(help="Move a trace so that it begins at this camera.")
    ] = None,
    eye: Annotated[
        Literal["left", "right", "centre"], typer.Option(help="Which eye of a trace.")
    ] = "centre",
    trace_scale: Annotated[
        float, typer.Option(min=1e-6, help="Scene units for one unit of a trace.")
    ] = 1.0,
    quality: Annotated[int, typer.Option(min=0, max=51, help="0 lossless, 51 worst.")] = 18,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the images are the same.")] = 1,
    device: Annotated[
        list[str] | None, typer.Option(help="Torch device; several share the frames.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Render what a user sees who moves along a track while the chain plays.

    An orbit swings about what the package's cameras face, within the angles they cover. A track
    in a CSV file has one viewpoint for each image.

    Examples
    --------
      nmc render scene.nmc -o video.mp4 --length 90

      nmc render scene.nmc --track user.csv -o video.mp4 --size 640x360 --workers 4

      nmc render scene.nmc --track user10_room.csv --anchor train_03 -o video.mp4
    """
    with framework(package):
        import nmc
        from nmc_framework.rendering import render_package, write_track, write_video

        if output.suffix.lower() != ".mp4":
            raise typer.BadParameter("the video is .mp4", param_hint="--output")
        devices = [parse_device(text) for text in device or ["cpu"]]
        require_new(output, force=force)
        with nmc.open(package) as sequence:
            known = cameras_in(sequence)
            rate = fps or max(1, sequence.manifest.timescale)
            shown = _shown(frames, len(sequence), length)
        moves = _Moves(known, rate, anchor, eye, trace_scale)
        viewpoints = moves.track(track, len(shown))
        camera = _camera(known, parse_size(size), field_of_view)
        images = render_package(
            package, viewpoints, camera, shown, workers=workers, devices=devices
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: an interrupted video is no video.
        partial = output.with_name(f".partial-{output.name}")
        try:
            with progress_bar(f"rendering {output.name}", "images") as progress:
                write_video(partial, _counted(images, len(shown), progress), rate, quality=quality)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
        if save_track is not None:
            write_track(save_track, viewpoints)
        seconds = len(shown) / rate
        say(
            f"{output}: {len(shown)} images of {camera.width}x{camera.height}, {seconds:.1f} s, "
            f"{size_text(output.stat().st_size)}"
        )


@dataclass(frozen=True)
class _Moves:
    """How a track comes about: from the package's cameras, or from a file."""

    cameras: list[Camera]
    rate: int
    anchor: str | None
    eye: Literal["left", "right", "centre"]
    scale: float

    def track(self, text: str, count: int) -> list[Viewpoint]:
        """Return ``count`` viewpoints."""
        from nmc_framework.rendering import TrackError, read_track

        if text == "orbit":
            return self._orbit(count)
        path = Path(text)
        if not path.is_file():
            raise TrackError(f"{text}: no such track; give a CSV file, or orbit")
        try:
            with path.open(encoding="utf-8-sig") as file:
                trace = "ViewIndex" in file.readline()
            return self._trace(path, count) if trace else read_track(path, frames=count)
        except UnicodeDecodeError as error:
            raise TrackError(f"{path.name} is no CSV file: {error}") from error

    def _trace(self, path: Path, count: int) -> list[Viewpoint]:
        import numpy as np

        from nmc_framework.cameras import Viewpoint
        from nmc_framework.rendering import read_eyenavgs

        trace = read_eyenavgs(path, eye=self.eye, scale=self.scale)
        track = trace.at(np.arange(count) / self.rate)
        if self.anchor is None:
            return track
        named = [camera for camera in self.cameras if camera.name == self.anchor]
        if not named:
            found = ", ".join(camera.name for camera in self.cameras) or "none"
            reason = f"no camera {self.anchor!r} in the package; there are {found}"
            raise typer.BadParameter(reason, param_hint="--anchor")
        poses = [viewpoint.camera_to_world() for viewpoint in track]
        move = named[0].camera_to_world @ np.linalg.inv(poses[0])
        return [Viewpoint.from_camera_to_world(move @ pose) for pose in poses]

    def _orbit(self, count: int) -> list[Viewpoint]:
        import numpy as np

        from nmc_framework.cameras import Viewpoint
        from nmc_framework.cameras.layout import layout
        from nmc_framework.rendering import TrackError, orbit

        if not self.cameras:
            raise TrackError("the package has no cameras to orbit among; give a --track in a file")
        rig = layout(self.cameras)
        azimuths, elevations = np.array([rig.angles(camera) for camera in self.cameras]).T
        # Azimuths relative to the first camera's, so that no range is cut at 180 degrees.
        azimuths = azimuths[0] + (azimuths - azimuths[0] + 180) % 360 - 180
        level = rig.levelled()
        track = orbit(
            level @ rig.target,
            count,
            distance=rig.distance,
            azimuths=(float(azimuths.min()), float(azimuths.max())),
            elevations=(float(elevations.min()), float(elevations.max())),
        )
        back = np.eye(4)
        back[:3, :3] = level.T
        return [Viewpoint.from_camera_to_world(back @ v.camera_to_world()) for v in track]


def _shown(text: str | None, count: int, length: int | None) -> list[int]:
    """Return which frame each image shows."""
    try:
        once = parse_frames(text, count) if text else list(range(count))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--frames") from None
    if length is None:
        return once
    to_and_fro = once + once[-2:0:-1]
    return [to_and_fro[i % len(to_and_fro)] for i in range(length)]


def _camera(known: Sequence[Camera], size: tuple[int, int] | None, degrees: float | None) -> Camera:
    """Return the image's intrinsics: as asked, else those of the package's first camera."""
    import numpy as np

    from nmc_framework.cameras import Camera

    if size is None:
        size = (known[0].width, known[0].height) if known else _SIZE
    if degrees is None:
        degrees = _FIELD_OF_VIEW
        if known:
            degrees = float(np.degrees(2 * np.arctan(0.5 * known[0].width / known[0].fx)))
    return Camera.from_field_of_view(degrees, *size, np.eye(4), "user")


def _counted(images: Iterator[Any], total: int, progress: Any) -> Iterator[Any]:
    for number, image in enumerate(images, start=1):
        yield image
        progress(number, total)
