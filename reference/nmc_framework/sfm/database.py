"""COLMAP's database of a rig: one image a camera, holding the features of all its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.cameras.formats import RigDocument
from nmc_framework.cameras.formats.colmap import model_of
from nmc_framework.sfm.features import Report
from nmc_framework.sfm.matching import match
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import SfmError, SfmOptions

if TYPE_CHECKING:
    import pycolmap

#: COLMAP's first guess of a focal length, in longer sides of the image.
_FOCAL_GUESS = 1.2


def models(
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    intrinsics: RigDocument | None,
    stated: Mapping[str, float] | None = None,
) -> list[pycolmap.Camera]:
    """Return the intrinsics to start from, one a camera; shared ones are one object.

    ``stated`` are focal lengths in pixels by camera, such as photographs carry with them: to begin
    with, in place of a guess.

    Raises
    ------
    SfmError
        When intrinsics are to be shared by images of different sizes, or known ones are missing
        or belong to images of another size.
    """
    if intrinsics is not None:
        return _known(cameras, intrinsics)
    if options.shared_intrinsics:
        for camera in cameras[1:]:
            if camera.size != cameras[0].size:
                raise SfmError(
                    f"shared intrinsics need images of one size: those of {camera.name!r} are "
                    f"{_size(camera)}, those of {cameras[0].name!r} {_size(cameras[0])}"
                )
        known = [focal for camera in cameras if (focal := (stated or {}).get(camera.name))]
        focal = float(np.median(known)) if known else None
        return [_guess(1, cameras[0], options, focal)] * len(cameras)
    return [
        _guess(number, camera, options, (stated or {}).get(camera.name))
        for number, camera in enumerate(cameras, start=1)
    ]


def write_database(
    path: Path,
    cameras: Sequence[PooledFeatures],
    starts: Sequence[pycolmap.Camera],
    options: SfmOptions,
    report: Report | None = None,
) -> None:
    """Match the cameras' features and write everything that mapping reads.

    Image and frame ``k + 1`` are camera ``k``. Each camera is a rig of its own to COLMAP: it is
    the pooled features that say that the whole stands still.
    """
    import pycolmap

    partial = path.with_name(f".partial-{path.name}")
    partial.unlink(missing_ok=True)
    with pycolmap.Database.open(partial) as database:
        for number in sorted({model.camera_id for model in starts}):
            database.write_camera(_numbered(starts, number), use_camera_id=True)
            rig = pycolmap.Rig(rig_id=number)
            rig.add_ref_sensor(pycolmap.sensor_t(pycolmap.SensorType.CAMERA, number))
            database.write_rig(rig, use_rig_id=True)
        for number, (camera, model) in enumerate(zip(cameras, starts, strict=True), start=1):
            image = pycolmap.Image(name=camera.name, camera_id=model.camera_id, image_id=number)
            database.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(frame_id=number, rig_id=model.camera_id)
            sensor = pycolmap.sensor_t(pycolmap.SensorType.CAMERA, model.camera_id)
            frame.add_data_id(pycolmap.data_t(sensor, number))
            database.write_frame(frame, use_frame_id=True)
            database.write_keypoints(number, camera.keypoints)
        for pair in match(cameras, starts, options, report):
            numbers = (pair.first + 1, pair.second + 1)
            database.write_matches(*numbers, pair.matches)
            database.write_two_view_geometry(*numbers, pair.geometry)
    partial.replace(path)


def verified(path: Path) -> dict[tuple[int, int], int]:
    """Return how many verified correspondences pairs of images have, by their numbers."""
    import pycolmap

    with pycolmap.Database.open(path) as database:
        pairs, counts = database.read_two_view_geometry_num_inliers()
    found = {}
    for pair, count in zip(pairs, counts, strict=True):
        first, second = pycolmap.pair_id_to_image_pair(pair)
        found[int(first), int(second)] = int(count)
    return found


def _numbered(starts: Sequence[pycolmap.Camera], number: int) -> pycolmap.Camera:
    return next(model for model in starts if model.camera_id == number)


def _guess(
    number: int, camera: PooledFeatures, options: SfmOptions, stated: float | None
) -> pycolmap.Camera:
    import pycolmap

    focal = stated or _FOCAL_GUESS * max(camera.size)
    name = options.camera_model.upper()
    model = pycolmap.Camera.create_from_model_name(number, name, focal, *camera.size)
    model.has_prior_focal_length = stated is not None
    return model


def _known(cameras: Sequence[PooledFeatures], intrinsics: RigDocument) -> list[Any]:
    import pycolmap

    given = {Path(camera.name).stem: index for index, camera in enumerate(intrinsics.cameras)}
    given |= {camera.name: index for index, camera in enumerate(intrinsics.cameras)}
    result = []
    for number, camera in enumerate(cameras, start=1):
        if camera.name not in given:
            names = ", ".join(known.name for known in intrinsics.cameras)
            raise SfmError(f"no known intrinsics for camera {camera.name!r}; there are {names}")
        known = intrinsics.cameras[given[camera.name]]
        if (known.width, known.height) != camera.size:
            raise SfmError(
                f"camera {camera.name!r}: its pictures are {_size(camera)}, its known intrinsics "
                f"are for {known.width}x{known.height}"
            )
        name, values = model_of(known, intrinsics.lenses[given[camera.name]])
        model = pycolmap.Camera(
            camera_id=number, model=name, width=known.width, height=known.height, params=values
        )
        model.has_prior_focal_length = True
        result.append(model)
    return result


def _size(camera: PooledFeatures) -> str:
    return f"{camera.size[0]}x{camera.size[1]}"
