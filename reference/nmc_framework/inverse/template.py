"""The mesh that every object is a deformation of: a sphere that mirrors itself left and right.

An octahedron whose faces are divided evenly and pushed onto the unit sphere: no triangle crosses
the mirror plane y = 0, so half of the vertices say all. The texture map shows one half as the side
view does, x to the right and z upwards; the other half mirrors it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_CORNERS = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
_FACES = ((0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (1, 0, 5), (2, 1, 5), (3, 2, 5), (0, 3, 5))


@dataclass(frozen=True, eq=False)
class Template:
    """A mirrored sphere.

    Parameters
    ----------
    vertices
        (V, 3) float32, on the unit sphere.
    faces
        (F, 3) int64, anticlockwise seen from outside.
    half
        (H,) int64: the vertices with y ≥ 0, which say where all are.
    source
        (V,) int64: for each vertex, its place in ``half``, or that of its mirror image.
    sign
        (V, 3) float32: what the place in ``half`` is multiplied by: y by -1 for mirror images, and
        by 0 on the plane.
    texture
        (V, 2) float32 in 0..1: places in the texture map, u to the right, v downwards.
    edges
        (E, 2) int64, each once.
    beside
        (E, 2) int64: the two faces at each edge.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]
    half: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    sign: npt.NDArray[np.float32]
    texture: npt.NDArray[np.float32]
    edges: npt.NDArray[np.int64]
    beside: npt.NDArray[np.int64]

    def whole(self, half: Tensor) -> Tensor:
        """Return all vertices (..., V, 3) from those of one half (..., H, 3)."""
        source = torch.from_numpy(self.source).to(half.device)
        return half[..., source, :] * torch.from_numpy(self.sign).to(half.device)


@lru_cache(maxsize=4)
def template(divisions: int) -> Template:
    """Return the sphere whose octahedron has edges of ``divisions`` parts, from 2 on."""
    if divisions < 2:
        raise ValueError(f"a sphere has 2 divisions at least, not {divisions}")
    points: dict[tuple[int, ...], int] = {}
    faces = []

    def vertex(corners: tuple[int, int, int], i: int, j: int) -> int:
        a, b, c = (_CORNERS[k] for k in corners)
        place = a * (divisions - i - j) + b * i + c * j
        return points.setdefault(tuple(round(v) for v in place), len(points))

    for corners in _FACES:
        for i in range(divisions):
            for j in range(divisions - i):
                lower = (vertex(corners, i, j), vertex(corners, i + 1, j))
                faces.append((*lower, vertex(corners, i, j + 1)))
                if i + j < divisions - 1:
                    upper = vertex(corners, i + 1, j + 1)
                    faces.append((lower[1], upper, vertex(corners, i, j + 1)))
    grid = np.array(list(points), np.float64)
    vertices = _spread(grid / divisions)
    half = np.flatnonzero(grid[:, 1] >= 0)
    place = {tuple(grid[k]): n for n, k in enumerate(half)}
    source = np.array([place[x, abs(y), z] for x, y, z in grid])
    sign = np.ones((len(grid), 3), np.float32)
    sign[:, 1] = np.sign(grid[:, 1])
    corners_of = np.array(faces, np.int64)
    edges, beside = _edges(corners_of)
    return Template(
        vertices.astype(np.float32),
        corners_of,
        half,
        source,
        sign,
        _map(vertices).astype(np.float32),
        edges,
        beside,
    )


def _spread(octahedral: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Push points of the octahedron |x| + |y| + |z| = 1 outwards, evenly spread over the sphere."""
    turned = np.sin(octahedral * np.pi / 2)
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True))


def _edges(
    faces: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the edges (E, 2), each once, and the two faces at each, (E, 2)."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, (a, b, c) in enumerate(faces.tolist()):
        for one, other in ((a, b), (b, c), (c, a)):
            found.setdefault((min(one, other), max(one, other)), []).append(number)
    return np.array(list(found), np.int64), np.array(list(found.values()), np.int64)


def _map(vertices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return places (V, 2) in the map of directions: equal areas of the half sphere on a square.

    Lambert's azimuthal projection about the y axis makes a disc of it, and Shirley and Chiu's map
    (1997) a square of the disc.
    """
    x, y, z = vertices.T
    radius = np.sqrt(np.maximum(1 - np.abs(y), 0))
    angle = np.arctan2(z, x)
    quarter = np.floor((angle + np.pi / 4) / (np.pi / 2))
    within = angle - quarter * (np.pi / 2)
    along, across = radius, radius * within / (np.pi / 4)
    turn = quarter.astype(int) % 4
    u = np.choose(turn, [along, -across, -along, across])
    v = np.choose(turn, [across, along, -across, -along])
    return np.stack([(1 + u) / 2, (1 - v) / 2], axis=1)
