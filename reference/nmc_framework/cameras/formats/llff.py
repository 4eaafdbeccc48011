"""LLFF's ``poses_bounds.npy``, as in Neural 3D Video: N x 17, columns down, right, backward.

Each row is a 3 x 5 matrix, flattened, and near and far. Its first three columns are the camera's
down, right and backward axes in the world, the fourth its centre, the fifth height, width and focal
length (LLFF's ``poses/pose_utils.py``).
"""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np

from nmc_framework.cameras.camera import Camera
from nmc_framework.cameras.formats.format import Format, has_suffix, plain
from nmc_framework.cameras.formats.rig_document import (
    ConversionError,
    RigDocument,
    require_centred,
    require_straight,
)

#: Near and far, in scene units, for cameras that come without.
_DEPTHS = (0.1, 100.0)


def read(path: Path) -> RigDocument:
    """Read the array; its rows are the cameras in the order of their pictures' names.

    It has no names. They are called ``cam00`` and so on, which need not be their own: where a
    camera is missing from the footage, the rows after it count on.
    """
    # Mapped: a shape that the file does not hold is refused before memory is taken for it.
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except TokenError as error:  # numpy lets it through where a header is damaged
        raise ConversionError(f"{path.name}: its header cannot be read") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.isfinite(rows).all():
        raise ConversionError(f"{path.name}: expected finite numbers N x 17, got {rows.shape}")
    rows = rows.astype(np.float64)
    cameras = []
    for index, row in enumerate(rows):
        matrix = row[:15].reshape(3, 5)
        down, right, backward, centre, (height, width, focal) = matrix.T
        pose = np.eye(4)
        pose[:3] = np.stack([right, down, -backward, centre], axis=1)
        size = (round(width), round(height))
        camera = Camera(focal, focal, size[0] / 2, size[1] / 2, *size, pose, name=f"cam{index:02d}")
        cameras.append(camera)
    return RigDocument(tuple(cameras), depths=rows[:, 15:], by_order=True)


def write(path: Path, document: RigDocument) -> None:
    """Write the array; it has room for centred cameras with square pixels and no distortion."""
    require_straight(document, "LLFF")
    require_centred(document, "LLFF")
    depths = document.depths
    if depths is None:
        depths = np.tile(np.array(_DEPTHS), (len(document.cameras), 1))
    rows = []
    for camera, bounds in zip(document.cameras, depths, strict=True):
        if camera.fx != camera.fy:
            raise ConversionError(f"LLFF has one focal length; {camera.name!r} has two")
        right, down, forward, centre = camera.camera_to_world[:3].T
        size = np.array([camera.height, camera.width, camera.fx])
        matrix = np.stack([down, right, -forward, centre, size], axis=1)
        rows.append(np.concatenate([matrix.ravel(), bounds]))
    with path.open("wb") as file:  # of a name alone NumPy makes another one, which ends in .npy
        np.save(file, np.array(rows), allow_pickle=False)


FORMATS = (Format("llff", plain(read), write, has_suffix(".npy"), files="*.npy"),)
