"""A film of what a picture shows, seen from all sides: the points of its pixels, turned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from nmc_framework.depth.difference import Picture
from nmc_framework.depth.pairs import DepthMap
from nmc_framework.depth.surface import places, usual_focal
from nmc_framework.depth.turning_kernel import draw

#: Pictures of a film, and how many a second.
PICTURES: Final = 96
RATE: Final = 24
#: How much farther off the camera is behind the scene than before it, and how much higher.
_FARTHER, _HIGHER = 0.9, 12.0
#: Nothing nearer to the camera is seen, in metres.
_NEAR = 0.05
#: Sides of the squares, as a share of the distance between pixels: more closes what slants.
_OVERLAP = 1.6
_BACKGROUND = (24, 26, 30)


def turning(
    picture: Picture,
    depth: DepthMap,
    focal: float | None = None,
    *,
    pictures: int = PICTURES,
    degrees: float = 360.0,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the pictures of a film, each of the size of ``picture``.

    Parameters
    ----------
    picture, depth
        (height, width, 3) uint8 and (height, width) float32 in metres.
    focal
        In pixels; that of the usual lens if None.
    pictures
        Of the film. The first one is the picture itself.
    degrees
        360: once round. Less: to and fro within so many.
    """
    height, width = depth.shape
    lens = focal or usual_focal(width, height)
    points = places(depth, lens).reshape(-1, 3)
    colours = np.ascontiguousarray(picture.reshape(-1, 3))
    sizes = (_OVERLAP * depth / lens).astype(np.float32).ravel()
    pivot = float(np.median(depth))
    for k in range(pictures):
        turn = 2 * np.pi * k / pictures
        angle = turn if degrees >= 360 else np.radians(degrees / 2) * np.sin(turn)
        seen = np.full((height, width), np.inf, np.float32)
        image = np.empty((height, width, 3), np.uint8)
        image[:] = _BACKGROUND
        draw(points, colours, _view(angle, pivot, lens, width, height), _NEAR, sizes, seen, image)
        yield image


def _view(
    angle: float, pivot: float, focal: float, width: int, height: int
) -> npt.NDArray[np.float64]:
    """Return a camera that looks at the pivot, a point of such depth on the axis, from an angle."""
    behind = 0.5 - 0.5 * np.cos(angle)
    down = np.radians(_HIGHER) * behind
    turned = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    tilted = np.array(
        [[1, 0, 0], [0, np.cos(down), np.sin(down)], [0, -np.sin(down), np.cos(down)]]
    )
    rotation = tilted @ turned
    middle = np.array([0.0, 0.0, pivot])
    translation = -rotation @ middle + np.array([0, 0, pivot * (1 + _FARTHER * behind)])
    return np.concatenate([rotation.ravel(), translation, [focal, width / 2, height / 2]])
