"""How near a rendered image is to the true one (clause 5.1, second render mode)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
_FloatImage = npt.NDArray[np.float64]

_WINDOW_SIGMA = 1.5
_WINDOW_RADIUS = 5
#: Table I of Wang, Simoncelli and Bovik 2003, finest scale first.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


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
    luminance, structure = _ssim_terms(a, b)
    return float((luminance * structure).mean())


def ms_ssim(image: Image, truth: Image) -> float:
    """Return the multi-scale structural similarity (Wang, Simoncelli and Bovik 2003).

    Five scales with the authors' weights; the luminance term counts at the coarsest one only.

    Parameters
    ----------
    image, truth
        (height, width, channels), each side at least 176, so that the window fits at every scale.

    Raises
    ------
    MetricError
        When the images are smaller, or of unequal shape.
    """
    a, b = _comparable(image, truth)
    least = (2 * _WINDOW_RADIUS + 1) << (len(_SCALE_WEIGHTS) - 1)
    if a.ndim != 3 or min(a.shape[:2]) < least:
        raise MetricError(f"MS-SSIM needs sides of at least {least} pixels, got {a.shape}")
    score = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        luminance, structure = _ssim_terms(a, b)
        last = scale == len(_SCALE_WEIGHTS) - 1
        term = float((luminance * structure if last else structure).mean())
        # A negative mean has no real power; as elsewhere it counts as no similarity.
        score *= max(term, 0.0) ** weight
        a, b = _halved(a), _halved(b)
    return score


def flicker(image: Image, before: Image, truth: Image, truth_before: Image) -> float:
    """Return how much more, or otherwise, a rendering changes from frame to frame than the truth.

    The mean absolute difference between the rendered and the true temporal change, in 0..1; 0 where
    the rendering changes exactly as the scene does. All four images have one shape.
    """
    now, true_now = _comparable(image, truth)
    then, true_then = _comparable(before, truth_before)
    if now.shape != then.shape:
        raise MetricError(f"images of unequal shape: {now.shape} and {then.shape}")
    return float(np.abs((now - then) - (true_now - true_then)).mean())


def _comparable(image: Image, truth: Image) -> tuple[_FloatImage, _FloatImage]:
    if image.shape != truth.shape:
        raise MetricError(f"images of unequal shape: {image.shape} and {truth.shape}")
    return _unit(image), _unit(truth)


def _unit(image: Image) -> _FloatImage:
    values = np.asarray(image, dtype=np.float64)
    return values / 255 if image.dtype == np.uint8 else values


def _ssim_terms(a: _FloatImage, b: _FloatImage) -> tuple[_FloatImage, _FloatImage]:
    """Return the luminance term and the product of the contrast and structure terms, by pixel."""
    mean_a, mean_b = _smooth(a), _smooth(b)
    variance = _smooth(a * a) - mean_a**2 + _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variance + c2)


def _halved(image: _FloatImage) -> _FloatImage:
    height, width = (side - side % 2 for side in image.shape[:2])
    even = image[:height, :width]
    blocks = even.reshape(height // 2, 2, width // 2, 2, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float64)


def _smooth(image: _FloatImage) -> _FloatImage:
    offsets = np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(image, len(weights), axis=axis)
        image = windows @ weights
    return image
