"""How near a rendered image is to the true one: PSNR and SSIM (clause 5.1, second render mode)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
_FloatImage = npt.NDArray[np.float64]

_WINDOW_SIGMA = 1.5
_WINDOW_RADIUS = 5


class MetricError(ValueError):
    """Images that cannot be compared."""


def psnr(image: Image, truth: Image) -> float:
    """Return the peak signal-to-noise ratio in dB.

    Parameters
    ----------
    image, truth
        Two images of one shape; uint8 counts as 0..255, floating point as 0..1.

    Returns
    -------
    float
        10·log10(1 / mean squared error); inf for equal images.
    """
    a, b = _comparable(image, truth)
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(image: Image, truth: Image) -> float:
    """Return the mean structural similarity (Wang et al. 2004), averaged over the channels.

    A Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, over the positions where the
    window lies fully inside the image, as in the authors' own program.

    Parameters
    ----------
    image, truth
        (height, width, channels), each side at least 11; uint8 or floating point in 0..1.
    """
    a, b = _comparable(image, truth)
    if a.ndim != 3 or min(a.shape[:2]) < 2 * _WINDOW_RADIUS + 1:
        raise MetricError(
            f"SSIM needs (height, width, channels) of at least 11 x 11, got {a.shape}"
        )
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a = _smooth(a * a) - mean_a**2
    var_b = _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    score = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(score.mean())


def _comparable(image: Image, truth: Image) -> tuple[_FloatImage, _FloatImage]:
    if image.shape != truth.shape:
        raise MetricError(f"images of unequal shape: {image.shape} and {truth.shape}")
    return _unit(image), _unit(truth)


def _unit(image: Image) -> _FloatImage:
    values = np.asarray(image, dtype=np.float64)
    return values / 255 if image.dtype == np.uint8 else values


def _smooth(image: _FloatImage) -> _FloatImage:
    offsets = np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(image, len(weights), axis=axis)
        image = windows @ weights
    return image
