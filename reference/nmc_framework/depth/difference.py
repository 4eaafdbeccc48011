"""The input of the network: the picture, and a difference of Gaussians that its sharpness sets.

A variant of difference-of-Gaussians: of a 6 x 6 grid of points over the picture the inner 16 count.
The spread of the grey levels around each tells how much there is to see; the difference of the
two largest spreads is the wider Gaussian's standard deviation in pixels, 2 where they differ by
less than 1, and a tenth of it the narrower one's. The difference is repeated three times and
stacked on the picture: six channels.

The spread is the standard deviation. The variances of grey levels of 0..255 differ by hundreds or
thousands on real pictures: no picture is that large, the wider blur is its mean. In 0..1 they
differ by less than 1 always, and nothing is left for the picture to say. Whoever wants the
variance all the same chooses it as the model's ``focus``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # (height, width, 3)
Grey = npt.NDArray[np.float32]  # (height, width), 0..255
Floats = npt.NDArray[np.float32]

#: What spread is the measure of how much there is to see around a point.
Focus = Literal["deviation", "variance"]
FOCUSES: Final[tuple[Focus, ...]] = get_args(Focus)

#: Points along a side of the grid; those on its border do not count.
GRID: Final = 6
#: The wider Gaussian where the two largest spreads differ by less than 1.
FIXED_SIGMA: Final = 2.0
#: How much narrower the other Gaussian is.
RATIO: Final = 10.0
#: Radius of the disc around a point, in pixels of a picture of 480 rows.
_RADIUS, _ROWS = 10, 480
#: Share of the shorter side beyond which a Gaussian is no wider: it is the mean by then.
_WIDEST: Final = 0.25
#: Luma of red, green and blue (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grey_levels(picture: Picture) -> Grey:
    """Return the luma (height, width) float32 in 0..255 of a picture (height, width, 3) uint8."""
    return np.asarray(picture.astype(np.float32) @ _LUMA, np.float32)


def focus_variances(grey: Grey) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the 16 inner points (16, 2) of the grid, row and column, and the variances (16,).

    The variance is that of the grey levels within a disc about the point.
    """
    height, width = grey.shape
    rows = np.linspace(0, height - 1, GRID).astype(np.int64)[1:-1]
    columns = np.linspace(0, width - 1, GRID).astype(np.int64)[1:-1]
    radius = max(2, round(_RADIUS * height / _ROWS))
    points = np.array([(row, column) for row in rows for column in columns])
    variances = []
    for row, column in points:
        top, left = max(0, row - radius), max(0, column - radius)
        part = grey[top : row + radius + 1, left : column + radius + 1]
        y, x = np.ogrid[: part.shape[0], : part.shape[1]]
        inside = (y + top - row) ** 2 + (x + left - column) ** 2 <= radius**2
        variances.append(float(part[inside].astype(np.float64).var()))
    return points, np.array(variances)


def focus_difference(grey: Grey, focus: Focus = "deviation") -> float:
    """Return by how much the two largest spreads differ, in grey levels, or squares of them."""
    _, variances = focus_variances(grey)
    second, first = np.sort(variances if focus == "variance" else np.sqrt(variances))[-2:]
    return float(first - second)


def widest_sigma(grey: Grey) -> float:
    """Return the standard deviation in pixels beyond which no Gaussian of a picture goes."""
    return float(max(FIXED_SIGMA, _WIDEST * min(grey.shape)))


def focus_sigmas(grey: Grey, focus: Focus = "deviation") -> tuple[float, float]:
    """Return the standard deviations of the narrow and of the wide Gaussian, in pixels."""
    wide = focus_difference(grey, focus)
    if wide < 1:
        wide = FIXED_SIGMA
    wide = min(wide, widest_sigma(grey))
    return wide / RATIO, wide


@dataclass(frozen=True)
class FocusShares:
    """Of how many pictures the Gaussian is fixed, bounded, or set by what is seen; 0..1 each.

    ``median`` is the middle one of the wide Gaussians, in pixels.
    """

    fixed: float
    bounded: float
    median: float

    @property
    def free(self) -> float:
        """The share of pictures whose sharpness sets the Gaussian."""
        return 1 - self.fixed - self.bounded


def focus_shares(pictures: Iterable[Picture], focus: Focus = "deviation") -> FocusShares:
    """Return what sets the Gaussians of pictures (height, width, 3) uint8, of which there is one.

    Raises
    ------
    ValueError
        When there are no pictures.
    """
    fixed, bounded, wide = [], [], []
    for picture in pictures:
        grey = grey_levels(picture)
        difference = focus_difference(grey, focus)
        fixed.append(difference < 1)
        bounded.append(difference > widest_sigma(grey))
        wide.append(focus_sigmas(grey, focus)[1])
    if not wide:
        raise ValueError("there are no pictures")
    return FocusShares(float(np.mean(fixed)), float(np.mean(bounded)), float(np.median(wide)))


def difference_of_gaussians(picture: Picture, focus: Focus = "deviation") -> Floats:
    """Return the narrow blur less the wide one, (height, width) float32 in -1..1."""
    grey = grey_levels(picture)
    narrow, wide = focus_sigmas(grey, focus)
    return np.asarray((_blurred(grey, narrow) - _blurred(grey, wide)) / 255, np.float32)


def stacked(picture: Picture, focus: Focus = "deviation") -> Floats:
    """Return picture and difference as the network takes them, (6, height, width) float32."""
    colours = picture.astype(np.float32).transpose(2, 0, 1) / 255
    difference = difference_of_gaussians(picture, focus)
    return np.concatenate([colours, np.repeat(difference[None], 3, axis=0)])


def _blurred(grey: Grey, sigma: float) -> Grey:
    """Blur by products with two matrices: any sigma costs the same, and borders are not dimmed."""
    height, width = grey.shape
    return np.asarray(_weights(height, sigma) @ grey @ _weights(width, sigma).T, np.float32)


def _weights(count: int, sigma: float) -> Floats:
    places = np.arange(count, dtype=np.float64)
    weights = np.exp(-0.5 * ((places[:, None] - places[None]) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
