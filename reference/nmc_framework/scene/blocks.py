"""Rays in blocks of neighbours, so that what none of them can meet is passed over for all at once.

A block is held by a cone: the ball of its rays' origins, the mean of their directions and the
widest angle to it (Amanatides 1984).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera
from nmc_framework.scene.item import Placed
from nmc_framework.scene.solids import Scalars, Vectors

Indices = npt.NDArray[np.intp]

#: Pixels along the side of a tile, and rays a block: those of a tile.
_TILE = 8
_BLOCK = _TILE * _TILE
#: Added to angles in radians: float32 knows the cosine of a small one no better.
_SLACK = np.float32(2e-3)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Cones that hold the rays of each block; all float32.

    ``centres`` (3, B) or (3, 1) and ``radii`` (B,) or (1,) of the origins' balls, ``axes`` (3, B),
    ``angles`` (B,) in radians, ``rays`` how many there are in all.
    """

    centres: Vectors
    radii: Scalars
    axes: Vectors
    angles: Scalars
    rays: int

    @classmethod
    def about(cls, origin: Scalars | Vectors, directions: Vectors) -> Blocks:
        """Return the blocks of rays from ``origin``, (3,) or (3, N), along ``directions``."""
        grouped = _grouped(directions)
        axes = grouped.mean(axis=2)
        axes /= np.maximum(np.sqrt((axes * axes).sum(axis=0)), np.float32(1e-12))
        narrowest = (axes[:, :, None] * grouped).sum(axis=0).min(axis=1)
        angles = np.arccos(np.clip(narrowest, -1, 1))
        if origin.ndim == 1:
            centres, radii = origin[:, None], np.zeros(1, np.float32)
        else:
            starts = _grouped(origin)
            centres = starts.mean(axis=2)
            off = starts - centres[:, :, None]
            radii = np.sqrt((off * off).sum(axis=0).max(axis=1))
        return cls(centres, radii, axes, angles, directions.shape[1])

    def near(self, placed: Placed) -> Indices | None:
        """Return the rays of the blocks that may meet an item; None if these are about all."""
        solid, pose = placed.item.solid, placed.pose
        if np.isinf(solid.reach):
            return None
        met = np.zeros(len(self.angles), bool)
        for along, radius in solid.balls:
            offset = (pose.translation + pose.rotation[:, 2] * np.float32(along))[:, None]
            offset = offset - self.centres
            distance = np.sqrt((offset * offset).sum(axis=0))
            share = (np.float32(radius * 1.001) + self.radii) / np.maximum(distance, 1e-12)
            cosine = (offset * self.axes).sum(axis=0) / np.maximum(distance, 1e-12)
            apart = np.arccos(np.clip(cosine, -1, 1)) - self.angles
            met |= (share >= 1) | (apart <= np.arcsin(np.minimum(share, 1)) + _SLACK)
        blocks = np.flatnonzero(met)
        if 4 * len(blocks) > 3 * len(met):
            return None
        rays: Indices = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
        return rays[: np.searchsorted(rays, self.rays)]


def _grouped(vectors: Vectors) -> npt.NDArray[np.float32]:
    """Return vectors (3, N) as (3, B, rays a block); the last one repeated to fill up."""
    count = vectors.shape[1]
    missing = -count % _BLOCK
    filled = np.pad(vectors, ((0, 0), (0, missing)), mode="edge") if missing else vectors
    return filled.reshape(3, -1, _BLOCK)


def camera_rays(camera: Camera, supersampling: int) -> Vectors:
    """Return the directions (3, N) of k x k rays a pixel, tile by tile: see :func:`in_rows`."""
    step = 1.0 / supersampling
    width, height = camera.width * supersampling, camera.height * supersampling
    x = ((np.arange(width) + 0.5) * step - camera.cx) / camera.fx
    y = ((np.arange(height) + 0.5) * step - camera.cy) / camera.fy
    tiles = _tiles(width, height)
    columns, rows = tiles % width, tiles // width
    right, down, forward = camera.rotation.T
    directions = right[:, None] * x[columns] + down[:, None] * y[rows] + forward[:, None]
    directions /= np.sqrt((directions * directions).sum(axis=0))
    return np.asarray(directions, np.float32)


def in_rows(
    values: npt.NDArray[np.float32], camera: Camera, supersampling: int
) -> npt.NDArray[np.float32]:
    """Return values (…, N) of :func:`camera_rays` row by row."""
    ordered = np.empty_like(values)
    ordered[..., _tiles(camera.width * supersampling, camera.height * supersampling)] = values
    return ordered


@lru_cache(maxsize=8)
def _tiles(width: int, height: int) -> Indices:
    """Return the numbers of pixels, counted row by row, in the order of tiles."""
    y, x = np.divmod(np.arange(width * height), width)
    tile = (y // _TILE) * (-(-width // _TILE)) + x // _TILE
    order: Indices = np.argsort(tile, kind="stable")
    order.setflags(write=False)
    return order
