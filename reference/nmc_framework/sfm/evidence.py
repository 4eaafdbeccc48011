"""The figures by which a solved rig is judged, from the reconstruction and what was matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras.camera import FloatArray
from nmc_framework.sfm.matching import pixel_limit
from nmc_framework.sfm.verdict import Reason

if TYPE_CHECKING:
    import pycolmap

#: Pairs with fewer verified correspondences prove nothing; rotations need some more.
_FEWEST, _FEWEST_TO_TURN = 15, 30
#: A correspondence contradicts a solution from so many times on what it may be off.
_SLACK = 2.0
#: Pairs of which most correspondences contradict are named.
_MOST = 0.5
#: Cameras no farther apart than this share of the rig's extent, and looking the same way to within
#: so many degrees, stand at one place.
_SAME_PLACE, _SAME_WAY = 0.003, 10.0
#: Of pictures in a row so many are passed over, as a share of all: steps of a walk may be small.
_IN_A_ROW = 0.05
_CLOSES = 10.0
#: So many triplets are looked at, spread over all.
_TRIPLETS = 4000
#: Configurations of COLMAP's two-view geometry that tell a rotation: calibrated and not.
_TELLING = frozenset({2, 3})


@dataclass(frozen=True, eq=False)
class _Placed:
    """A camera of the reconstruction: (3, 4) world-to-camera, keypoints (N, 2) at depth 1.

    ``pixels`` is its focal length, ``focal`` the same as a share of the picture's longer side.
    """

    name: str
    index: int
    pose: FloatArray
    plane: FloatArray
    pixels: float
    focal: float

    @property
    def centre(self) -> FloatArray:
        return np.asarray(-self.pose[:, :3].T @ self.pose[:, 3], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two placed cameras, their verified matches, and the rotation between them by these alone."""

    first: int
    second: int
    matches: npt.NDArray[np.uint32]
    turn: FloatArray | None


def gather(part: pycolmap.Reconstruction, database: Path, names: Sequence[str]) -> list[Reason]:
    """Return the figures of a reconstruction.

    Parameters
    ----------
    part
        From :func:`~nmc_framework.sfm.mapping.reconstruct`.
    database
        What it was mapped from: pairs that were not used count too.
    names
        Of all cameras, placed or not, in their order.
    """
    import pycolmap

    with pycolmap.Database.open(database) as opened:
        placed = _placed(part, opened, names)
        pairs = _pairs(opened, placed)
    limit = pixel_limit([(c.width, c.height) for c in part.cameras.values()])
    found = [_same_place(placed), *_conflicts(placed, pairs, limit), _cycles(placed, pairs)]
    found += _tracks(part, placed)
    error = _error(part) / limit
    found += [Reason("angle", _angle(part, placed)), Reason("error", error)]
    focal = [placed[k].focal for k in placed]
    found.append(Reason("focal_spread", max(focal) / min(focal)))
    missing = [name for name in names if name not in {p.name for p in placed.values()}]
    found.append(Reason("missing", len(missing) / len(names), tuple(missing)))
    return [reason for reason in found if reason is not None]


def _placed(
    part: pycolmap.Reconstruction, database: pycolmap.Database, names: Sequence[str]
) -> dict[int, _Placed]:
    order = {name: index for index, name in enumerate(names)}
    found = {}
    for image in part.images.values():
        if not image.has_pose:
            continue
        camera = part.cameras[image.camera_id]
        points = np.asarray(database.read_keypoints(image.image_id))[:, :2].astype(np.float64)
        pose = np.asarray(image.cam_from_world().matrix(), dtype=np.float64)
        plane = np.asarray(camera.cam_from_img(points), dtype=np.float64).reshape(-1, 2)
        pixels = float(camera.mean_focal_length())
        focal = pixels / max(camera.width, camera.height)
        index = order.get(image.name, 0)
        found[image.image_id] = _Placed(image.name, index, pose, plane, pixels, focal)
    return found


def _pairs(database: pycolmap.Database, placed: Mapping[int, _Placed]) -> list[_Pair]:
    import pycolmap

    found = []
    for number, geometry in zip(*database.read_two_view_geometries(), strict=True):
        a, b = (int(k) for k in pycolmap.pair_id_to_image_pair(number))
        matches = np.asarray(geometry.inlier_matches)
        if a in placed and b in placed and len(matches) >= _FEWEST:
            turn = _turn(placed[a], placed[b], geometry, matches)
            found.append(_Pair(a, b, matches, turn))
    return found


def _turn(a: _Placed, b: _Placed, geometry: Any, matches: Any) -> FloatArray | None:
    """Return the rotation from one camera to another by their matches alone, where they tell it.

    With the focal lengths found: a fundamental matrix alone tells none. Points on one plane tell
    two, and are passed over.
    """
    import pycolmap

    if int(geometry.config) not in _TELLING or len(matches) < _FEWEST_TO_TURN:
        return None
    ideal = pycolmap.Camera(model="SIMPLE_PINHOLE", width=2000, height=2000, params=[1e3, 1e3, 1e3])
    ideal.has_prior_focal_length = True
    points = [1e3 * side.plane + 1e3 for side in (a, b)]
    check = pycolmap.TwoViewGeometryOptions()
    check.compute_relative_pose = True
    check.ransac.random_seed = 0
    check.ransac.max_error = 4.0
    found = pycolmap.estimate_two_view_geometry(ideal, points[0], ideal, points[1], matches, check)
    if found.cam2_from_cam1 is None or int(found.config) not in _TELLING:
        return None
    if len(found.inlier_matches) < _MOST * len(matches):
        return None
    return np.asarray(found.cam2_from_cam1.rotation.matrix(), dtype=np.float64)


def _same_place(placed: Mapping[int, _Placed]) -> Reason:
    """Count cameras that stand where another one stands: two of a rig cannot."""
    cameras = sorted(placed.values(), key=lambda camera: camera.index)
    centres = np.array([camera.centre for camera in cameras])
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    axes = np.array([camera.pose[2, :3] for camera in cameras])
    same_way = axes @ axes.T > np.cos(np.radians(_SAME_WAY))
    row = np.array([camera.index for camera in cameras])
    apart_in_row = np.abs(row[:, None] - row) > max(1, int(_IN_A_ROW * len(cameras)))
    close = (apart <= _SAME_PLACE * apart.max()) & same_way
    # In a rig of few cameras neighbours in the list cannot share a place either.
    close &= apart_in_row if len(cameras) >= 40 else ~np.eye(len(cameras), dtype=bool)
    pairs = [(cameras[i], cameras[j]) for i, j in zip(*np.nonzero(np.triu(close)), strict=True)]
    share = float(close.any(axis=1).mean())
    return Reason("same_place", share, tuple(f"{a.name} and {b.name}" for a, b in pairs))


def _conflicts(placed: Mapping[int, _Placed], pairs: Sequence[_Pair], limit: float) -> list[Reason]:
    """Count verified correspondences that do not lie on each other's epipolar lines in the end.

    Of all cameras together, and of the one with the largest share, of those that have enough. A
    rig that was found and one that was given have limits of their own.
    """
    counts = {k: np.zeros(2) for k in placed}  # contradictions and correspondences
    named = []
    for pair in pairs:
        a, b = placed[pair.first], placed[pair.second]
        off = _sampson(a, b, pair.matches)
        pixels = (a.pixels + b.pixels) / 2
        wrong = float((off > _SLACK * limit / pixels).sum())
        counts[pair.first] += wrong, len(pair.matches)
        counts[pair.second] += wrong, len(pair.matches)
        if wrong > _MOST * len(pair.matches) and len(pair.matches) >= _FEWEST_TO_TURN:
            named.append((len(pair.matches), f"{a.name} and {b.name}"))
    against, total = sum(counts.values(), np.zeros(2))
    share = float(against / total) if total else float("nan")
    where = tuple(name for _, name in sorted(named, reverse=True))
    shares = sorted(
        ((w / n, placed[k].name) for k, (w, n) in counts.items() if n >= _FEWEST_TO_TURN),
        reverse=True,
    )
    found = [Reason("conflicts", share, where), Reason("posed_conflicts", share, where)]
    if shares:
        most = tuple(name for share, name in shares if share > _MOST)
        found.append(Reason("posed_camera", float(shares[0][0]), most))
    return found


def _sampson(a: _Placed, b: _Placed, matches: Any) -> FloatArray:
    """Return first-order distances to the epipolar geometry at depth 1 (Sampson 1982), (N,)."""
    rotation = b.pose[:, :3] @ a.pose[:, :3].T
    x, y, z = b.pose[:, 3] - rotation @ a.pose[:, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    essential = cross @ rotation
    here = np.column_stack([a.plane[matches[:, 0]], np.ones(len(matches))])
    there = np.column_stack([b.plane[matches[:, 1]], np.ones(len(matches))])
    lines, back = here @ essential.T, there @ essential
    scale = (lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs((there * lines).sum(axis=1)) / np.sqrt(scale)
    return np.asarray(np.nan_to_num(off, nan=np.inf), dtype=np.float64)


def _cycles(placed: Mapping[int, _Placed], pairs: Sequence[_Pair]) -> Reason | None:
    """Count triplets whose rotations, each by two cameras alone, do not lead back to the first.

    As view graphs are filtered (Zach, Klopschitz and Pollefeys, CVPR 2010); None without triplets.
    """
    turns = {(p.first, p.second): p.turn for p in pairs if p.turn is not None}
    turns |= {(b, a): turn.T for (a, b), turn in turns.items()}
    triplets = [
        (a, b, c)
        for a, b, c in combinations(sorted(placed), 3)
        if (a, b) in turns and (b, c) in turns and (c, a) in turns
    ]
    if len(triplets) < 3:
        return None
    step = max(1, len(triplets) // _TRIPLETS)
    looked = triplets[::step]
    off = np.array([_degrees(turns[c, a] @ turns[b, c] @ turns[a, b]) for a, b, c in looked])
    open_ = [looked[k] for k in np.argsort(-off) if off[k] > _CLOSES]
    names = tuple(" + ".join(placed[k].name for k in triplet) for triplet in open_[:8])
    return Reason("cycles", float((off > _CLOSES).mean()), names)


def _degrees(turn: FloatArray) -> float:
    axis = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    return float(np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(turn) - 1)))


def _tracks(part: pycolmap.Reconstruction, placed: Mapping[int, _Placed]) -> list[Reason]:
    counts = {k: int(part.images[k].num_points3D) for k in placed}
    poorest = sorted(placed, key=lambda k: counts[k])
    names = tuple(placed[k].name for k in poorest)
    median = float(np.median(list(counts.values())))
    weakest, joint = _joint(part, placed)
    return [
        Reason("tracks", median, names),
        Reason("posed_tracks", median, names),
        Reason("fewest_tracks", float(counts[poorest[0]]), names),
        Reason("joint", float(weakest), joint),
    ]


def _joint(
    part: pycolmap.Reconstruction, placed: Mapping[int, _Placed]
) -> tuple[int, tuple[str, ...]]:
    """Return how many points hold the weakest joint together, and the two cameras there.

    That is the weakest edge of the strongest spanning tree of cameras by points in common.
    """
    order = {k: row for row, k in enumerate(sorted(placed))}
    shared = np.zeros((len(order), len(order)), dtype=np.int64)
    for point in part.points3D.values():
        rows = sorted({order[e.image_id] for e in point.track.elements if e.image_id in order})
        shared[np.ix_(rows, rows)] += 1
    reached = np.zeros(len(order), dtype=bool)
    reached[0] = True
    best, source = shared[0].copy(), np.zeros(len(order), dtype=np.int64)
    weakest, ends = int(shared.max()), (0, 0)
    while not reached.all():
        row = int(np.argmax(np.where(reached, -1, best)))
        if best[row] <= weakest:
            weakest, ends = int(best[row]), (int(source[row]), row)
        reached[row] = True
        closer = shared[row] > best
        best[closer], source[closer] = shared[row][closer], row
    names = [placed[k].name for k in sorted(placed)]
    return weakest, tuple(names[k] for k in ends) if ends != (0, 0) else ()


def _error(part: pycolmap.Reconstruction) -> float:
    """Return the mean over points of their errors in pixels, except for the worst hundredth.

    Of a few points that end behind a camera the error has no bounds.
    """
    errors = np.array([point.error for point in part.points3D.values()], dtype=np.float64)
    if not len(errors):
        return float("nan")
    return float(np.sort(errors)[: max(1, int(0.99 * len(errors)))].mean())


def _angle(part: pycolmap.Reconstruction, placed: Mapping[int, _Placed]) -> float:
    """Return the median over points of the widest angle under which two cameras see one."""
    centres = {k: camera.centre for k, camera in placed.items()}
    widest = []
    for point in part.points3D.values():
        seen = {e.image_id for e in point.track.elements if e.image_id in centres}
        rays = np.array([centres[k] for k in sorted(seen)]) - point.xyz
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        widest.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))
    return float(np.median(widest)) if widest else float("nan")
