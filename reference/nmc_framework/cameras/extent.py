"""How far a scene reaches as its rig shows it: the cuboid to model, near, far, what is behind.

Cameras alone tell where their fields of view meet; reconstructed points tell what is there. Both
are taken with a grain of salt: a camera may look astray, points go astray, and cameras may stand
within the cuboid (a dome) as well as outside of it (a stage, an object that is walked around).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import Camera, CameraError, FloatArray
from nmc_framework.cameras.sight import between, counts, inside, overlap, seen_by_two

Arrangement = Literal["surrounding", "around", "facing", "outward"]

#: Fewer points than these say too little.
_FEWEST_POINTS = 100
#: Share of the points that the cuboid leaves out at either end of each axis, and the margin about
#: the rest as a share of its longest edge: what has no texture has no points.
_STRAY, _MARGIN = 0.005, 0.08
#: Rounds of the reweighted search for the place that cameras face, and the sine below which a
#: camera counts in full.
_ROUNDS, _FULL_SINE = 12, 0.05
#: Below this share of the cameras' number, the sum of projectors has no target: parallel axes.
_PARALLEL = 1e-3
#: Sectors of azimuth of which cameras that surround a place leave no more than a third in a row
#: empty, and the degrees by which their heights differ at least.
_SECTORS, _WIDEST_GAP, _LEAST_RISE = 24, 8, 35.0
#: Cells a side of the grid in which fields of view are counted.
_CELLS = 40
#: A point belongs to the subject where this share of the rig sees it; half the side of a subject
#: of which no points tell is at most that share of its distance.
_SHARE, _MOST_HALF = 0.5, 0.8
#: Points farther from the target than so many distances of the outer cameras are background; from
#: which share of them on the scene is unbounded.
_BEHIND, _MANY = 1.6, 0.08
#: The near distance is at least this share of the distance to the target, and at most that: cameras
#: that look at each other see in common what is right before them, but nothing stands there.
_LEAST_NEAR, _MOST_NEAR = 0.1, 0.3
#: Of the depth of the nearest points, how much is left in front of them.
_IN_FRONT = 0.7
#: Half the side of the cuboid of cameras that look outward, in spreads of the rig.
_OUTWARD = 10.0
#: Length of the mean optical axis from which cameras face one way; and the mean depths of points
#: beyond which they are background of cameras without a target.
_ONE_WAY, _FAR_OUT = 0.5, 4.0
#: A target so many times farther away than the rig is wide is none: the axes are parallel.
_TOO_FAR = 25.0


@dataclass(frozen=True, eq=False)
class SceneExtent:
    """What a rig says of its scene; lengths in scene units.

    Parameters
    ----------
    lower, upper
        (3,) corners of the cuboid of interest: all of a bounded scene, the subject of an unbounded
        one.
    near, far
        Distances from a camera between which something may be. Nothing that two cameras see is
        nearer; ``far`` is infinite where nothing says where the scene ends.
    unbounded
        Whether there is something to see outside of the cuboid.
    arrangement
        ``"surrounding"``: cameras on all sides and at several heights look at one place, as in a
        dome; ``"around"``: they look at one place from some sides; ``"facing"``: in one direction;
        ``"outward"``: away from each other.
    by_points
        Whether points were at hand that say where things are, or near and far of the cameras.
    """

    lower: FloatArray
    upper: FloatArray
    near: float
    far: float
    unbounded: bool
    arrangement: Arrangement
    by_points: bool

    def bounds(self) -> list[list[float]]:
        """Return the two corners as lists, the form that models take."""
        return [[float(v) for v in corner] for corner in (self.lower, self.upper)]

    def as_json(self) -> dict[str, Any]:
        """Return the extent as JSON values; an infinite ``far`` as null."""
        return {
            "bounds": self.bounds(),
            "near": self.near,
            "far": self.far if math.isfinite(self.far) else None,
            "unbounded": self.unbounded,
            "arrangement": self.arrangement,
            "by_points": self.by_points,
        }


def scene_extent(
    cameras: Sequence[Camera],
    points: npt.ArrayLike | None = None,
    depths: FloatArray | None = None,
) -> SceneExtent:
    """Return how far the scene of a rig reaches.

    Parameters
    ----------
    cameras
        Without distortion, or with little.
    points
        (N, 3) reconstructed points in the cameras' coordinates; fewer than 100 count as none.
    depths
        (cameras, 2) near and far along each optical axis, where a camera file tells them. Without
        points they say where things may be: anywhere between.

    Raises
    ------
    CameraError
        When there are no cameras, or all of them stand at one place.
    """
    if not cameras:
        raise CameraError("there are no cameras: a scene's extent cannot be told")
    found = _finite(points)
    if found is None and depths is not None:
        found = _finite(between(cameras, depths))
    place = _target(cameras)
    if place is None:
        return _without_target(cameras, found)
    target, distance = place
    arrangement = _arrangement(cameras, target)
    seen = None if found is None else seen_by_two(cameras, found)
    if seen is None or len(seen) < _FEWEST_POINTS:
        seen = None
    away = None if seen is None else np.linalg.norm(seen - target, axis=1)
    unbounded = _unbounded(cameras, target, arrangement, away)
    lower, upper = _cuboid(cameras, target, distance, seen, unbounded=unbounded)
    near = _near(cameras, distance, seen)
    far = _far(cameras, lower, upper, unbounded=unbounded)
    return SceneExtent(lower, upper, near, far, unbounded, arrangement, seen is not None)


def _finite(points: npt.ArrayLike | None) -> FloatArray | None:
    if points is None:
        return None
    found = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    found = found[np.isfinite(found).all(axis=1)]
    return found if len(found) >= _FEWEST_POINTS else None


def _target(cameras: Sequence[Camera]) -> tuple[FloatArray, float] | None:
    """Return the place that most cameras face and their median distance to it, if there is one.

    The point nearest to the optical axes with the least sum of angles instead of their squares, by
    reweighting: a camera that looks elsewhere hardly moves it.
    """
    axes = np.array([c.rotation[:, 2] for c in cameras])
    centres = np.array([c.centre for c in cameras])
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    weights = np.ones(len(cameras))
    target = np.zeros(3)
    for _ in range(_ROUNDS):
        total = np.einsum("n,nij->ij", weights, projectors)
        if np.linalg.svd(total, compute_uv=False)[-1] < _PARALLEL * weights.sum():
            return None
        target = np.linalg.solve(total, np.einsum("n,nij,nj->i", weights, projectors, centres))
        towards = target - centres
        distances = np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
        sines = np.linalg.norm(np.cross(axes, towards), axis=1) / distances
        # Of a camera that has the place behind it, the axis says nothing.
        behind = (towards * axes).sum(axis=1) <= 0
        # Per unit of distance: far cameras are to count no more than near ones.
        scale = np.maximum(distances, np.median(distances) * 0.05)
        weights = np.where(behind, 1e-3, 1 / np.maximum(sines, _FULL_SINE)) / scale
    towards = target - centres
    ahead = (towards * axes).sum(axis=1) > 0
    if ahead.mean() <= 0.5:
        return None
    distance = float(np.median(np.linalg.norm(towards[ahead], axis=1)))
    spread = float(np.linalg.norm(centres - np.median(centres, axis=0), axis=1).max())
    return (target, distance) if distance <= _TOO_FAR * spread else None


def _arrangement(cameras: Sequence[Camera], target: FloatArray) -> Arrangement:
    towards = np.array([c.centre for c in cameras]) - target
    towards = towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    up = _up(cameras)
    heights = np.degrees(np.arcsin(np.clip(towards @ up, -1, 1)))
    x = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.9 else [0.0, 1, 0])
    x /= np.linalg.norm(x)
    angles = np.arctan2(towards @ np.cross(up, x), towards @ x)
    level = np.abs(heights) < 80
    filled = np.zeros(_SECTORS, dtype=bool)
    filled[((angles[level] / (2 * np.pi)) % 1 * _SECTORS).astype(np.int64) % _SECTORS] = True
    gap = _longest_gap(filled)
    rise = np.ptp(np.quantile(heights, [0.05, 0.95]))
    if gap <= _WIDEST_GAP and rise >= _LEAST_RISE:
        return "surrounding"
    return "around"


def _longest_gap(filled: npt.NDArray[np.bool_]) -> int:
    if not filled.any():
        return len(filled)
    places = np.flatnonzero(filled)
    return int(np.diff(np.append(places, places[0] + len(filled))).max()) - 1


def _up(cameras: Sequence[Camera]) -> FloatArray:
    mean: FloatArray = -np.array([c.rotation[:, 1] for c in cameras]).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])


def _unbounded(
    cameras: Sequence[Camera],
    target: FloatArray,
    arrangement: Arrangement,
    away: FloatArray | None,
) -> bool:
    """Return whether something is to be seen beyond the rig; without points by how it stands."""
    if away is None:
        return arrangement != "surrounding"
    rig = np.linalg.norm(np.array([c.centre for c in cameras]) - target, axis=1)
    return bool((away > _BEHIND * np.quantile(rig, 0.9)).mean() > _MANY)


def _cuboid(
    cameras: Sequence[Camera],
    target: FloatArray,
    distance: float,
    points: FloatArray | None,
    *,
    unbounded: bool,
) -> tuple[FloatArray, FloatArray]:
    """Return the corners of the cuboid of interest."""
    away = np.linalg.norm(np.array([c.centre for c in cameras]) - target, axis=1)
    reach = float(np.quantile(away, 0.9))
    if unbounded:
        return _subject(cameras, target, distance, points)
    if points is not None:
        apart = np.linalg.norm(points - target, axis=1)
        return _padded(points[apart <= max(_BEHIND * reach, float(np.quantile(apart, 0.9)))])
    # A dome: everything between the cameras that two of them see, the floor as well.
    cells = _grid(target, reach * (1 + _MARGIN))
    cells = cells[np.linalg.norm(cells - target, axis=1) <= reach * (1 + _MARGIN)]
    seen = cells[counts(cameras, cells) >= min(2, len(cameras))]
    return _padded(np.concatenate([seen, [target]]), stray=0.0)


def _subject(
    cameras: Sequence[Camera], target: FloatArray, distance: float, points: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return the cuboid of what an unbounded scene is about, nearer than the cameras are.

    Of the points that half of the cameras see; without these, a cube about the target as wide as
    the wider side of the median picture.
    """
    if points is not None:
        near = points[np.linalg.norm(points - target, axis=1) <= distance]
        near = near[counts(cameras, near) >= _SHARE * len(cameras)]
        if len(near) >= _FEWEST_POINTS:
            return _padded(near)
    tangents = [max(c.width / c.fx, c.height / c.fy) / 2 for c in cameras]
    half = distance * min(float(np.median(tangents)), _MOST_HALF)
    return target - half, target + half


def _padded(points: FloatArray, stray: float | None = None) -> tuple[FloatArray, FloatArray]:
    """Return the cuboid of all points but the outermost, with a margin."""
    out = _STRAY if stray is None else stray
    lower, upper = np.quantile(points, [out, 1 - out], axis=0)
    margin = _MARGIN * float((upper - lower).max())
    return lower - margin, upper + margin


def _grid(middle: FloatArray, half: float) -> FloatArray:
    side = (np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    cells = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(middle + half * cells, dtype=np.float64)


def _near(cameras: Sequence[Camera], distance: float, points: FloatArray | None) -> float:
    """Return the distance from any camera before which nothing is that two of them see.

    Kept between 10 and 30 % of the distance to the target: cameras close together see all in
    common, and points are found only on what has a texture.
    """
    found = [overlap(camera, cameras, distance, _LEAST_NEAR) for camera in cameras]
    nearest = float(np.quantile(found, 0.1))
    if points is not None:
        depths = [_nearest_point(camera, points) for camera in cameras]
        nearest = max(nearest, _IN_FRONT * float(np.quantile(depths, 0.1)))
    return min(max(nearest, _LEAST_NEAR * distance), _MOST_NEAR * distance)


def _nearest_point(camera: Camera, points: FloatArray) -> float:
    seen = points[inside(camera, points)]
    if len(seen) < 10:
        return 0.0
    return float(np.quantile(np.linalg.norm(seen - camera.centre, axis=1), 2 * _STRAY))


def _far(
    cameras: Sequence[Camera],
    lower: FloatArray,
    upper: FloatArray,
    *,
    unbounded: bool,
) -> float:
    if unbounded:
        return math.inf
    return _farthest(cameras, lower, upper)


def _farthest(cameras: Sequence[Camera], lower: FloatArray, upper: FloatArray) -> float:
    """Return the distance of the corner that is farthest from a camera."""
    centres = np.array([c.centre for c in cameras])
    apart = np.maximum(np.abs(centres - lower), np.abs(centres - upper))
    return float(np.linalg.norm(apart, axis=1).max())


def _without_target(cameras: Sequence[Camera], points: FloatArray | None) -> SceneExtent:
    """Return the extent of a rig without a common target: facing one way, or outward."""
    centres = np.array([c.centre for c in cameras])
    axes = np.array([c.rotation[:, 2] for c in cameras])
    spread = float(np.linalg.norm(centres - np.median(centres, axis=0), axis=1).max())
    facing = bool(np.linalg.norm(axes.mean(axis=0)) > _ONE_WAY)
    arrangement: Arrangement = "facing" if facing else "outward"
    seen = None if points is None else points[counts(cameras, points) >= 1]
    if seen is not None and len(seen) >= _FEWEST_POINTS:
        depths = np.linalg.norm(seen - np.median(centres, axis=0), axis=1)
        near = _IN_FRONT * float(np.quantile(depths, _STRAY))
        kept = seen[depths <= _FAR_OUT * np.median(depths)]
        lower, upper = _padded(kept)
        unbounded = bool((depths > _FAR_OUT * np.median(depths)).mean() > _MANY)
        far = math.inf if unbounded else _farthest(cameras, lower, upper)
        return SceneExtent(lower, upper, near, far, unbounded, arrangement, by_points=True)
    if not spread > 0:
        raise CameraError(
            "all cameras stand at one place: how far a scene reaches only points can tell, such as "
            "COLMAP's beside its cameras, or a file with near and far, such as poses_bounds.npy"
        )
    if facing:
        lower, upper, near = _ahead(cameras, spread)
    else:
        middle = np.median(centres, axis=0)
        lower, upper = middle - _OUTWARD * spread, middle + _OUTWARD * spread
        near = _LEAST_NEAR * _OUTWARD * spread
    return SceneExtent(lower, upper, near, math.inf, True, arrangement, by_points=False)


def _ahead(cameras: Sequence[Camera], spread: float) -> tuple[FloatArray, FloatArray, float]:
    """Return the cuboid of what cameras see that face one way, and where their views meet.

    Up to so far that a step as wide as the rig moves nothing by more than a few degrees.
    """
    reach = _OUTWARD * spread
    near = float(
        np.quantile([overlap(camera, cameras, reach, _LEAST_NEAR) for camera in cameras], 0.1)
    )
    corners = []
    for camera in cameras:
        frame = [(x, y) for x in (0, camera.width) for y in (0, camera.height)]
        rays = camera.rays_at(frame)
        cosines = rays.directions @ camera.rotation[:, 2]
        corners += [
            camera.centre + depth * rays.directions / cosines[:, None] for depth in (near, reach)
        ]
    lower, upper = np.quantile(np.concatenate(corners), [0.0, 1.0], axis=0)
    return lower, upper, near
