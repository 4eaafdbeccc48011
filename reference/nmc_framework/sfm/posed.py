"""Points of a rig whose cameras are known, and their refinement within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from nmc_framework.cameras.alignment import align
from nmc_framework.cameras.camera import CameraError, FloatArray
from nmc_framework.cameras.formats import RigDocument
from nmc_framework.sfm.mapping import finish, settings_of
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import SfmError, SfmOptions
from nmc_framework.sfm.solution import solution

if TYPE_CHECKING:
    import pycolmap

#: By how much refinement may move known cameras: a share of the rig's extent, and degrees.
MOST_MOVED, MOST_TURNED = 0.01, 1.0


def known_poses(cameras: Sequence[PooledFeatures], poses: RigDocument) -> list[FloatArray]:
    """Return world-to-camera matrices (4, 4) in the order of ``cameras``.

    Raises
    ------
    SfmError
        When a camera has no pose; it is named.
    """
    given = {Path(camera.name).stem: camera for camera in poses.cameras}
    given |= {camera.name: camera for camera in poses.cameras}
    missing = [camera.name for camera in cameras if camera.name not in given]
    if missing:
        names = ", ".join(camera.name for camera in poses.cameras)
        raise SfmError(f"no known pose of {', '.join(missing)}; there are {names}")
    matrices = [given[camera.name].camera_to_world for camera in cameras]
    return [np.asarray(np.linalg.inv(matrix), dtype=np.float64) for matrix in matrices]


def triangulate(
    database: Path,
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    starts: Sequence[pycolmap.Camera],
    poses: RigDocument,
) -> pycolmap.Reconstruction | None:
    """Find points with the cameras where they are known to be, and refine these where asked to.

    Parameters
    ----------
    database
        That :func:`~nmc_framework.sfm.database.write_database` wrote.
    cameras
        In the order of the database's images.
    options
        With ``refine`` all is adjusted together; where that moves a camera by more than 1 % of the
        rig's extent or 1 degree, the known ones are kept.
    starts
        The cameras' intrinsics, which stay as they are.
    poses
        The known cameras.

    Returns
    -------
    pycolmap.Reconstruction or None
        None where no point was found.
    """
    fixed = _mapped(database, cameras, options, starts, known_poses(cameras, poses))
    if fixed is None:
        return None
    if not options.refine:
        finish(fixed, cameras, known=True, refine=False)
        return fixed
    import pycolmap

    refined = pycolmap.Reconstruction(fixed)
    finish(refined, cameras, known=True, refine=True)
    names = [camera.name for camera in cameras]
    before, after = solution(fixed, names).rig, solution(refined, names).rig
    try:
        moved = align(after, before)
        # Adjustment leaves scale, turn and shift free; the known ones are taken back.
        fits = moved.worst_centre <= MOST_MOVED and moved.worst_rotation <= MOST_TURNED
    except CameraError:
        fits = False
    if fits:
        s = moved.similarity
        refined.transform(pycolmap.Sim3d(s.scale, pycolmap.Rotation3d(s.rotation), s.translation))
        return refined
    finish(fixed, cameras, known=True, refine=False)
    return fixed


def _mapped(
    database: Path,
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    starts: Sequence[pycolmap.Camera],
    poses: Sequence[FloatArray],
) -> pycolmap.Reconstruction | None:
    import pycolmap

    part = pycolmap.Reconstruction()
    for start in {start.camera_id: start for start in starts}.values():
        part.add_camera_with_trivial_rig(start)
    for number, (camera, start, pose) in enumerate(zip(cameras, starts, poses, strict=True), 1):
        image = pycolmap.Image(
            name=camera.name,
            camera_id=start.camera_id,
            image_id=number,
            keypoints=camera.keypoints[:, :2].astype(np.float64),
        )
        placed = pycolmap.Rigid3d(pycolmap.Rotation3d(pose[:3, :3]), pose[:3, 3])
        part.add_image_with_trivial_frame(image, placed)
    settings = settings_of(cameras, options, known=True)
    with TemporaryDirectory() as folder:
        found = pycolmap.triangulate_points(
            part, database, folder, folder, clear_points=True, options=settings
        )
    return found if found.num_points3D() else None
