"""Other ways to a rig: mapped again from other beginnings, and compared with the solution.

Incremental mapping never takes back an early mistake, so where it begins matters when pictures look
alike. A rival that places as many cameras with as good a fit, but elsewhere, says that the pictures
allow several rigs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmc_framework.cameras.alignment import align
from nmc_framework.cameras.camera import CameraError
from nmc_framework.sfm.mapping import map_once
from nmc_framework.sfm.pooling import PooledFeatures
from nmc_framework.sfm.sfm_options import SfmOptions
from nmc_framework.sfm.solution import solution
from nmc_framework.sfm.verdict import Reason

if TYPE_CHECKING:
    import pycolmap

#: A rival is of like cost when it has this share of the solution's observations and so many times
#: its error at most.
_OBSERVATIONS, _ERROR = 0.8, 1.5
#: Of fewer cameras there is no other beginning.
_FEWEST_CAMERAS = 4
#: A pair to begin with has this share of the strongest one's correspondences.
_STRONG = 0.25


def compare_rivals(
    part: pycolmap.Reconstruction,
    database: Path,
    cameras: Sequence[PooledFeatures],
    options: SfmOptions,
    verified: Mapping[tuple[int, int], int],
    *,
    known: bool,
) -> list[Reason]:
    """Return how far rivals are from a reconstruction; nothing where there can be none.

    Parameters
    ----------
    part
        The solution.
    database
        What it was mapped from.
    cameras
        In the order of the database's images.
    options
        ``rivals`` of them, with other seeds.
    verified
        Numbers of verified correspondences by pair of images.
    known
        The intrinsics are known.
    """
    names = [camera.name for camera in cameras]
    if options.rivals < 1 or part.num_reg_images() < _FEWEST_CAMERAS:
        return []
    ours = solution(part, names)
    fit = (int(part.compute_num_observations()), float(part.compute_mean_reprojection_error()))
    farthest: tuple[float, float, tuple[str, ...]] | None = None
    fewest, began = 1.0, False
    for number, pair in enumerate(_beginnings(verified, options.rivals), start=1):
        rival = map_once(
            database, cameras, options, known=known, seed=options.seed + number, begin=pair
        )
        placed = 0 if rival is None else int(rival.num_reg_images())
        # A pair that cannot be begun with, of too small an angle say, tells nothing.
        if rival is None or placed < _FEWEST_CAMERAS:
            continue
        began = True
        fewest = min(fewest, placed / part.num_reg_images())
        of_like_cost = (
            rival.compute_num_observations() >= _OBSERVATIONS * fit[0] * placed / len(ours.errors)
            and rival.compute_mean_reprojection_error() <= _ERROR * fit[1]
        )
        if not of_like_cost:
            continue
        try:
            compared = align(solution(rival, names).rig, ours.rig)
        except CameraError:
            continue
        worst = sorted(compared.offsets, key=lambda offset: -offset.centre)
        apart = (compared.mean_centre, compared.mean_rotation, tuple(o.name for o in worst))
        farthest = max(farthest or apart, apart)
    found = [Reason("rival_cameras", fewest)] if began else []
    if farthest is not None:
        found.append(Reason("rivals", farthest[0], farthest[2]))
        found.append(Reason("rival_rotations", farthest[1], farthest[2]))
    return found


def _beginnings(verified: Mapping[tuple[int, int], int], count: int) -> list[tuple[int, int]]:
    """Return pairs of images to begin with: strong ones with no camera in common."""
    ranked = sorted(verified, key=lambda pair: (-verified[pair], pair))
    chosen: list[tuple[int, int]] = []
    used: set[int] = set()
    # The strongest pair is where mapping begins by itself, or near it.
    for pair in ranked:
        if used & set(pair) or verified[pair] < _STRONG * verified[ranked[0]]:
            continue
        used |= set(pair)
        chosen.append(pair)
    rest = chosen[1:] or chosen
    # Spread over the strong ones: the next best is often next door.
    picks = np.unique(np.linspace(0, len(rest) - 1, min(count, len(rest))).round().astype(int))
    return [rest[k] for k in picks[::-1]] if rest else []
