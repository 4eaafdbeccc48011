"""Correspondences between cameras: matched within a frame, pooled over the frames, verified.

The cameras stand still, so that two cameras have one epipolar geometry for all frames. A point of
frame t is matched with points of frame t alone: what moves is a constraint like any other.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmc_framework.sfm.camera_pairs import choose_pairs
from nmc_framework.sfm.features import Report
from nmc_framework.sfm.nearest import mutual
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import SfmOptions

if TYPE_CHECKING:
    import pycolmap

#: COLMAP's limit of 4 pixels is made for images of about this many on the longer side.
_USUAL_SIDE, _USUAL_ERROR, _LEAST_ERROR = 1000.0, 4.0, 1.0


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cameras by index, their (N, 2) matched pooled features, and the verified geometry."""

    first: int
    second: int
    matches: npt.NDArray[np.uint32]
    geometry: pycolmap.TwoViewGeometry


def pixel_limit(sizes: Sequence[tuple[int, int]]) -> float:
    """Return up to how many pixels a correspondence may be off: 4 in large images, 1 in small."""
    side = max(max(size) for size in sizes)
    return min(_USUAL_ERROR, max(_LEAST_ERROR, _USUAL_ERROR * side / _USUAL_SIDE))


def match(
    cameras: Sequence[PooledFeatures],
    models: Sequence[pycolmap.Camera],
    options: SfmOptions,
    report: Report | None = None,
) -> Iterator[Pair]:
    """Match every camera with every other one, or of many with the likely ones.

    Mutual nearest neighbours under Lowe's ratio test (2004, section 7.1), then RANSAC on the
    two-view geometry, as COLMAP does it (Schönberger and Frahm 2016, section 2.1).

    Parameters
    ----------
    cameras
        With the same number of frames each.
    models
        Their intrinsics, guessed or known.
    options
        ``pairs`` and ``seed`` matter here.
    report
        Called with ``"matches"``, the number of pairs done and their number.
    """
    import pycolmap

    check = pycolmap.TwoViewGeometryOptions()
    check.ransac.random_seed = options.seed
    check.ransac.max_error = pixel_limit([camera.size for camera in cameras])
    points = [camera.keypoints[:, :2].astype(np.float64) for camera in cameras]
    pairs = choose_pairs(cameras, options.pairs)
    cores = os.cpu_count() or 1

    def verify(a: int, b: int, matches: npt.NDArray[np.uint32]) -> Pair:
        found = pycolmap.estimate_two_view_geometry(
            models[a], points[a], models[b], points[b], matches, check
        )
        return Pair(a, b, matches, found)

    # Products use all cores by themselves; geometry is estimated beside them, one pair a core.
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[Pair]] = deque()
        done = 0
        for a, b in pairs:
            waiting.append(pool.submit(verify, a, b, _matches(cameras[a], cameras[b])))
            while len(waiting) > 2 * cores or (waiting and (a, b) == pairs[-1]):
                yield waiting.popleft().result()
                done += 1
                if report:
                    report("matches", done, len(pairs))


def _matches(a: PooledFeatures, b: PooledFeatures) -> npt.NDArray[np.uint32]:
    found = []
    for frame, (here, there) in enumerate(zip(a.frames, b.frames, strict=True)):
        rows, columns = mutual(here.descriptors, there.descriptors).T
        found.append(np.stack([a.indices[frame][rows], b.indices[frame][columns]], axis=1))
    return _one_to_one(np.concatenate(found))


def _one_to_one(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Keep one partner of each feature: the one that most frames agree on."""
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    rows = rows[np.argsort(-counts, kind="stable")]
    for side in (0, 1):
        _, first = np.unique(rows[:, side], return_index=True)
        rows = rows[np.sort(first)]
    return np.ascontiguousarray(rows, dtype=np.uint32)
