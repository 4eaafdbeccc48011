"""A model's options for a scene: from its rig, the size of its pictures, and what is known of it.

Everything is measured in footprints: what a pixel covers at the distance of the middle of the
scene. A lattice finer than that learns noise, a coarser one blurs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.cameras import CameraError

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.extent import SceneExtent

Bounds = Sequence[Sequence[float]]

#: Half the inner cube of an unbounded scene, in distances of the outer cameras from its middle:
#: cameras that stood in the contracted part would see what is before them in its coarse cells.
_AROUND_CAMERAS = 1.1
#: Nothing is looked for nearer to a camera than this share of its distance to the middle.
_NEAR = 0.2
#: The finest lattice and the step of samples, in footprints, each with the bounds of what is usual.
_FINEST_CELL, _FINEST = 1.0, (64, 1024)
_STEP, _SAMPLES = 4.0, (128, 256)
#: Training pixels for each entry of a table, and the usual tables, as powers of two.
_PIXELS_AN_ENTRY, _LOG2_ENTRIES = 16, (15, 18)
#: For scenes of which nobody knows where they end: the share of the iterations with an open grid
#: and long steps, in which fog lifts, and how much a spread along the ray counts, against floaters.
#: In an unbounded scene the fog is thicker and lifts later.
_WARM_SHARE, _DISTORTION, _OCCUPANCY = {False: 0.1, True: 0.4}, 0.02, 64

#: By how much of a footprint single precision may misplace a camera.
_MISPLACED = 0.5

#: Frame 0 learns so many iterations for the fourth root of the training pixels, within limits.
_ITERATIONS, _FEWEST, _MOST = 34.0, 300, 2000
#: Rays a batch of later frames, as a multiple of frame 0's: what is left of their error is noise.
LATER_RAYS = 5 / 2
#: Iterations of a later frame at most, as a multiple of the usual: where much moved it needs more.
MOST_LATER = 4


def iterations(cameras: Sequence[Camera]) -> int:
    """Return how many iterations frame 0 learns, from the size of the training pictures."""
    pixels = sum(camera.width * camera.height for camera in cameras)
    return int(min(max(_ITERATIONS * pixels**0.25, _FEWEST), _MOST))


def fit(
    known: Mapping[str, Any],
    cameras: Sequence[Camera],
    extent: SceneExtent,
    *,
    bounds: Bounds | None = None,
    background: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return values for those options of a family that depend on the scene.

    Parameters
    ----------
    known
        The family's defaults: an option that it does not have is left out.
    cameras
        The training cameras.
    extent
        How far the scene reaches, as the rig shows it.
    bounds
        Two corners of a cuboid that holds all of the scene, where somebody knows.
    background
        The colour behind it, where somebody knows; else ``None``, and a model is trained so that
        it needs none.

    Raises
    ------
    CameraError
        When the cameras stand so far from the origin that single precision blurs what they see.
    """
    values: dict[str, Any] = {"background": None if background is None else list(background)}
    if bounds is not None:
        lower, upper = (np.asarray(corner, dtype=np.float64) for corner in bounds)
        values |= {"contracted": False, "near": 0.0}
    else:
        lower, upper = extent.lower, extent.upper
        middle = (lower + upper) / 2
        distances = np.array([np.linalg.norm(c.centre - middle) for c in cameras])
        near = max(extent.near, _NEAR * float(np.median(distances)))
        values |= {"contracted": extent.unbounded and "contracted" in known, "near": near}
        values |= {"distortion": _DISTORTION, "occupancy": _OCCUPANCY}
        values["warm_share"] = _WARM_SHARE[values["contracted"]]
        if values["contracted"]:
            apart = [float(np.abs(c.centre - middle).max()) for c in cameras]
            half = max(_AROUND_CAMERAS * max(apart), float((upper - lower).max()) / 2)
            lower, upper = middle - half, middle + half
    values["bounds"] = [[float(v) for v in corner] for corner in (lower, upper)]
    values["sphere"] = _sphere(cameras, lower, upper)
    values |= _resolution(cameras, lower, upper, contracted=values["contracted"])
    return {name: value for name, value in values.items() if name in known}


def endless(known: Mapping[str, Any], extent: SceneExtent, bounds: Bounds | None) -> str | None:
    """Return what to say where a scene has no end, and a family holds a cuboid of it alone."""
    of_cuboid = "bounds" in known and "contracted" not in known
    if bounds is not None or not extent.unbounded or not of_cuboid:
        return None
    return (
        "the scene goes on behind what the cameras look at, and this family has a cuboid of it "
        "alone, the rest as a background: hash_grid, voxel_grid, tensorf and nerf_plus_plus "
        "hold all of it"
    )


def _sphere(
    cameras: Sequence[Camera], lower: np.ndarray[Any, Any], upper: np.ndarray[Any, Any]
) -> list[float]:
    """Return middle and radius of a ball that holds the cameras, and all of the scene's middle."""
    middle = (lower + upper) / 2
    apart = max(float(np.linalg.norm(camera.centre - middle)) for camera in cameras)
    radius = max(_AROUND_CAMERAS * apart, float((upper - lower).max()) / 2)
    return [*(float(v) for v in middle), radius]


def _resolution(
    cameras: Sequence[Camera],
    lower: np.ndarray[Any, Any],
    upper: np.ndarray[Any, Any],
    *,
    contracted: bool,
) -> dict[str, int]:
    """Return the options that say how fine a model is."""
    middle = (lower + upper) / 2
    footprint = float(
        np.median([np.linalg.norm(c.centre - middle) / max(c.fx, c.fy) for c in cameras])
    )
    footprint = max(footprint, 1e-6 * float((upper - lower).max()))
    edge = float((upper - lower).max()) * (2 if contracted else 1)
    diagonal = float(np.linalg.norm(upper - lower))
    _require_near(cameras, footprint)
    pixels = sum(camera.width * camera.height for camera in cameras)
    return {
        "finest": _within(edge / (_FINEST_CELL * footprint), _FINEST),
        "samples": _within(diagonal / (_STEP * footprint), _SAMPLES),
        "log2_entries": _within(math.log2(max(pixels / _PIXELS_AN_ENTRY, 1)), _LOG2_ENTRIES),
    }


def _require_near(cameras: Sequence[Camera], footprint: float) -> None:
    """Refuse cameras in coordinates such as those of a map, which rays in float32 cannot hold."""
    farthest = max(float(np.abs(camera.centre).max()) for camera in cameras)
    apart = float(np.spacing(np.float32(farthest)))
    if not apart <= _MISPLACED * footprint:
        raise CameraError(
            f"the cameras stand {farthest:.3g} scene units from the origin, where single precision "
            f"tells places {apart:.2g} apart, and a pixel covers {footprint:.2g}: move them with "
            "'nmc cameras convert CAMERAS -o cameras.json --centre'"
        )


def _within(value: float, limits: tuple[int, int]) -> int:
    return round(min(max(value, limits[0]), limits[1]))
