"""A folder of pictures with their camera file, opened where it lies (clause 5.1).

What :mod:`~nmc_framework.capture.captured_folder` keeps on disk is made here on the way: pictures
matched, freed of their lenses as they are read. For photographs of one instant, and for pictures by
camera or by frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from nmc_framework.cameras.distortion import undistorted
from nmc_framework.cameras.formats.rig_document import RigDocument
from nmc_framework.capture.captured_folder import matched, straight_rig
from nmc_framework.capture.finding import find_sources
from nmc_framework.capture.frames import read_frames, synchronise
from nmc_framework.capture.opening import background_of, picture_sizes, turned_to
from nmc_framework.capture.source import CaptureError, ImageSource, Picture, Source
from nmc_framework.capture.synchrony import Synchrony
from nmc_framework.capture.tested import named_apart, read_with_tests, tested_pictures
from nmc_framework.frame_rate import measured_rate
from nmc_framework.training.pixels import FrameViews

#: Where camera files lie in data sets, the best first.
_CAMERA_FILES = (
    "cameras.json",
    "transforms.json",
    "train_meta.json",
    "transforms_train.json",
    "sparse/0",
    "sparse",
    "colmap/sparse/0",
    "colmap",
    "camera_array.toml",
    "poses_bounds.npy",
    "cameras.xml",
    "intri.yml",
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures that lie where they were found, and the straight cameras that belong to them.

    ``left_out`` names the pictures that have no camera, ``tested`` the cameras set apart to test
    with; ``background`` is the colour behind pictures that are transparent, 0..1.
    """

    sources: tuple[Source, ...]
    synchrony: Synchrony
    taken: RigDocument
    rig: RigDocument
    left_out: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    background: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.synchrony.instants)

    @property
    def rate(self) -> Fraction:
        """Frames a second; 1 where one frame says nothing of it."""
        return measured_rate([instant.time for instant in self.synchrony.instants]) or Fraction(1)

    def views(
        self, names: Sequence[str], start: int = 0, stop: int | None = None
    ) -> Iterator[FrameViews]:
        """Yield the frames from ``start`` on with the straight pictures of the cameras named."""
        order = [camera.name for camera in self.rig.cameras]
        chosen = [order.index(name) for name in names]
        instants = tuple(
            replace(instant, pictures=tuple(instant.pictures[k] for k in chosen))
            for instant in self.synchrony.instants[:stop]
        )
        sources = [self.sources[k] for k in chosen]
        for views in read_frames(sources, replace(self.synchrony, instants=instants), start=start):
            images = [
                self._straight(k, image) for k, image in zip(chosen, views.images, strict=True)
            ]
            yield replace(views, images=images)

    def _straight(self, index: int, image: Picture) -> Picture:
        camera, lens = self.taken.cameras[index], self.taken.lenses[index]
        if image.shape != (camera.height, camera.width, 3):
            raise CaptureError(f"camera {camera.name!r}: a picture is {image.shape[1::-1]}")
        return image if lens.straight else undistorted(image, camera, lens, self.rig.cameras[index])


def find_cameras(folder: Path) -> Path | None:
    """Return the camera file, or folder, of a data set; none where there is none that is known."""
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.formats import camera_files

    names = [*_CAMERA_FILES, *sorted(path.name for path in folder.glob("calibration*.json"))]
    for name in names:
        path = folder / name
        place = folder if name == "intri.yml" else path
        if not path.exists():
            continue
        try:
            camera_files.detect(place)
        except CameraError:
            continue
        return place
    return None


def open_dataset(
    folder: Path, cameras: Path | None = None, *, rate: float = 30.0, by: str = "time"
) -> Dataset:
    """Open a folder of pictures with the cameras that are in it, or in ``cameras``.

    Parameters
    ----------
    folder
        What :func:`~nmc_framework.capture.find_sources` knows.
    cameras
        A camera file of any format; else one that lies in the folder under a usual name.
    rate
        Frames a second of pictures, which have no times of their own.
    by
        Whether frames are matched by ``"time"``, that is by their numbers, or by ``"index"``.

    Raises
    ------
    CaptureError
        When no cameras are found, or none is of a picture; or the pictures are of other sizes than
        the cameras.
    """
    found = find_sources(folder, rate)
    path = cameras or find_cameras(folder)
    if path is None:
        raise CaptureError(
            f"{folder.name}: no camera file in it ({', '.join(_CAMERA_FILES[:6])}, …); give one "
            "(--cameras), or estimate the cameras with nmc sfm"
        )
    sizes = picture_sizes(found)
    document, tested = read_with_tests(path, None, next(iter(sizes.values())))
    document = document.named_after(list(sizes))
    found += [ImageSource(n, (p,), (0.0,)) for n, p in tested_pictures(path).items()]
    found = turned_to(found, document)
    sizes = picture_sizes(found)
    known = {camera.name for camera in document.cameras}
    known |= {Path(camera.name).stem for camera in document.cameras}
    kept = [source for source in found if source.name in known]
    left_out = tuple(source.name for source in found if source.name not in known)
    if not kept or (left_out and len(kept) < 2):
        names = ", ".join([camera.name for camera in document.cameras][:6])
        raise CaptureError(
            f"{path.name} has no cameras of {', '.join(left_out[:6])}; it has {names}"
        )
    synchrony = synchronise(kept, by=by)
    taken = matched(document, {source.name: sizes[source.name] for source in kept})
    kept_back = named_apart([camera.name for camera in taken.cameras], tested)
    return Dataset(
        tuple(kept),
        synchrony,
        taken,
        straight_rig(taken),
        left_out,
        kept_back,
        background_of(kept),
    )
