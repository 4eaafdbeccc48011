"""Captured frames on disk: one folder of pictures a camera, and beside them what is known of them.

``<camera>/00000000.png`` and so on; ``capture.json`` with the cameras' names, the frames' times and
the report, written last, so that a folder without it is not finished; ``cameras.json`` where the
cameras are known: it belongs to the pictures as they are, straightened and reduced; ``points.ply``
where structure from motion found points with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from nmc_framework.cameras import Camera
from nmc_framework.cameras.camera import FloatArray
from nmc_framework.cameras.distortion import straightened, undistorted
from nmc_framework.cameras.formats.rig_document import Lens, RigDocument
from nmc_framework.capture.picture_files import read_picture
from nmc_framework.capture.points import POINTS, write_cloud
from nmc_framework.capture.source import CaptureError, Picture
from nmc_framework.capture.synchrony import Synchrony
from nmc_framework.frame_rate import measured_rate
from nmc_framework.training.pixels import FrameViews

RECORD, CAMERAS = "capture.json", "cameras.json"
_CHANNELS = 3


@dataclass(frozen=True)
class CapturedFrames:
    """What a finished folder holds: cameras' names, and the frames' times in seconds.

    ``background`` is the colour, 0..1, behind pictures that were transparent.
    """

    folder: Path
    names: tuple[str, ...]
    times: tuple[float, ...]
    background: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def rate(self) -> Fraction:
        """Frames a second; 1 where one frame says nothing of it."""
        return measured_rate(self.times) or Fraction(1)

    def views(self, names: Sequence[str], start: int = 0, stop: int | None = None) -> Iterator[Any]:
        """Yield the frames from ``start`` on with the pictures of the cameras named."""
        for index in range(start, len(self) if stop is None else min(stop, len(self))):
            yield FrameViews(index, self.times[index], [self.picture(n, index) for n in names])

    def picture(self, name: str, index: int) -> Picture:
        """Read one camera's picture of a frame, (height, width, 3) uint8."""
        path = self.folder / name / f"{index:08d}.png"
        try:
            return read_picture(path)
        except OSError as error:
            raise CaptureError(f"camera {name!r}, frame {index}: {error}") from error


def read_capture(folder: Path) -> CapturedFrames:
    """Open a folder that :func:`write_capture` finished.

    Raises
    ------
    CaptureError
        When its record is missing or is none.
    """
    path = folder / RECORD
    if not path.is_file():
        raise CaptureError(f"{folder}: no {RECORD}; it is not a folder of captured frames")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(str(name) for name in record["cameras"])
        times = tuple(float(time) for time in record["times"])
        behind = tuple(min(max(float(v), 0.0), 1.0) for v in record.get("background") or ())
    except (ValueError, KeyError, TypeError) as error:
        raise CaptureError(f"{path}: not the record of a capture: {error!r}") from error
    if not names or not times or any(Path(n).name != n or n in {".", ".."} for n in names):
        raise CaptureError(f"{path}: it names no cameras or no frames")
    if len(behind) not in {0, _CHANNELS}:
        raise CaptureError(f"{path}: its background is not a colour")
    return CapturedFrames(folder, names, times, behind or None)


def write_capture(
    folder: Path,
    names: Sequence[str],
    frames: Iterator[FrameViews],
    synchrony: Synchrony,
    rig: RigDocument | None = None,
    *,
    points: FloatArray | None = None,
    background: Sequence[float] | None = None,
    report: Callable[[int], None] | None = None,
) -> CapturedFrames:
    """Write frames as they come, free of distortion where the cameras are known.

    Parameters
    ----------
    folder
        Made if need be.
    names
        Of the cameras, in the order of each frame's images.
    frames
        From :func:`~nmc_framework.capture.read_frames`.
    synchrony
        Goes into the record.
    rig
        Cameras and lenses in the order of ``names``, of the images' size; see :func:`matched`. The
        pictures written, and the cameras beside them, are those that
        :func:`~nmc_framework.cameras.distortion.straightened` makes of these: no pixel is empty.
    points
        Those (P, 3) of structure from motion, in the cameras' coordinates; go beside the cameras.
    background
        The colour behind pictures that were transparent, 0..1; goes into the record.
    report
        Called with the number of frames done.

    Raises
    ------
    CaptureError
        When the images are of another size than their cameras.
    """
    straight = None if rig is None else straight_rig(rig)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in (RECORD, POINTS):
        (folder / name).unlink(missing_ok=True)
    times = []
    for views in frames:
        for k, (name, image) in enumerate(zip(names, views.images, strict=True)):
            picture = image
            if rig is not None and straight is not None:
                picture = _straight(image, rig.cameras[k], rig.lenses[k], straight.cameras[k])
            Image.fromarray(picture).save(folder / name / f"{views.index:08d}.png")
        times.append(views.time)
        if report:
            report(len(times))
    if straight is not None:
        from nmc_framework.cameras.formats import native

        native.write(folder / CAMERAS, straight)
        if points is not None:
            write_cloud(folder / POINTS, points)
    record: dict[str, Any] = {"cameras": list(names), "times": times}
    record["synchrony"] = synchrony_record(synchrony)
    if background is not None:
        record["background"] = list(background)
    partial = folder / f"{RECORD}.partial"
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)
    behind = None if background is None else tuple(background)
    return CapturedFrames(folder, tuple(names), tuple(times), behind)


def synchrony_record(synchrony: Synchrony) -> dict[str, Any]:
    """Return the report as JSON values: seconds; null where there is no number."""
    rows: list[Mapping[str, Any]] = [asdict(camera) for camera in synchrony.cameras]
    return {
        "frames": len(synchrony.instants),
        "dropped": list(synchrony.dropped),
        "cameras": [{k: None if v != v else v for k, v in row.items()} for row in rows],  # noqa: PLR0124
    }


def matched(
    rig: RigDocument, sizes: Mapping[str, tuple[int, int]], size: tuple[int, int] | None = None
) -> RigDocument:
    """Return the cameras of ``sizes`` in its order, named as it names them, at the size ``size``.

    Parameters
    ----------
    rig
        Its cameras' names may be file names, with folders and suffixes. Where it has none, its
        cameras are those of the sources in natural order.
    sizes
        (width, height) of each source's pictures, by name.
    size
        To which the pictures are reduced; their own without.

    Raises
    ------
    CaptureError
        When a source has no camera, or one for pictures of another size.
    """
    rig = rig.named_after(list(sizes))
    known = {Path(c.name).stem: i for i, c in enumerate(rig.cameras)}
    known |= {camera.name: i for i, camera in enumerate(rig.cameras)}
    missing = [name for name in sizes if name not in known]
    if missing:
        found = ", ".join(camera.name for camera in rig.cameras)
        raise CaptureError(f"no camera parameters for {', '.join(missing)}; there are {found}")
    chosen = [known[name] for name in sizes]
    cameras = []
    for index, (name, own) in zip(chosen, sizes.items(), strict=True):
        camera = rig.cameras[index]
        if (camera.width, camera.height) != own:
            raise CaptureError(
                f"camera {name!r}: its pictures are {own[0]}x{own[1]}, "
                f"its parameters are for {camera.width}x{camera.height}"
            )
        cameras.append(camera.resized(*(size or own)).at(camera.camera_to_world, name))
    depths = None if rig.depths is None else rig.depths[chosen]
    lenses = tuple(rig.lenses[i] for i in chosen)
    return RigDocument(tuple(cameras), lenses, rig.normalisation, depths)


def straight_rig(rig: RigDocument) -> RigDocument:
    """Return the cameras without lenses whose whole pictures lie within those taken.

    See :func:`~nmc_framework.cameras.distortion.straightened`.
    """
    cameras = tuple(
        straightened(camera, lens) for camera, lens in zip(rig.cameras, rig.lenses, strict=True)
    )
    return RigDocument(cameras, normalisation=rig.normalisation, depths=rig.depths)


def _straight(image: Picture, camera: Camera, lens: Lens, straight: Camera) -> Picture:
    if image.shape != (camera.height, camera.width, 3):
        raise CaptureError(f"camera {camera.name!r}: a picture is {image.shape[1::-1]}")
    return image if lens.straight else undistorted(image, camera, lens, straight)
