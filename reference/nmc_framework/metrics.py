"""How near a rendered image is to the true one (clause 5.1, second render mode).

SSIM and MS-SSIM are those of torchmetrics; LPIPS is in :mod:`nmc_framework.evaluation.lpips`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Image = npt.NDArray[Any]
_FloatImage = npt.NDArray[np.float64]

#: Side of SSIM's Gaussian window of sigma 1.5.
_WINDOW = 11
#: Scales of MS-SSIM, each half the size of the one before.
_SCALES = 5


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
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = _comparable(image, truth)
    if a.ndim != 3 or min(a.shape[:2]) < _WINDOW:
        raise MetricError(
            f"SSIM needs (height, width, channels) of at least 11 x 11, got {a.shape}"
        )
    _, everywhere = structural_similarity_index_measure(
        _batch(a), _batch(b), sigma=1.5, data_range=1.0, return_full_image=True
    )
    # torchmetrics averages its reflected border too, which the authors' program leaves out.
    border = _WINDOW // 2
    return float(everywhere[..., border:-border, border:-border].double().mean())


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
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    a, b = _comparable(image, truth)
    least = _WINDOW << (_SCALES - 1)
    if a.ndim != 3 or min(a.shape[:2]) < least:
        raise MetricError(f"MS-SSIM needs sides of at least {least} pixels, got {a.shape}")
    # A negative mean has no real power; "relu" counts it as no similarity.
    return float(
        multiscale_structural_similarity_index_measure(
            _batch(a), _batch(b), sigma=1.5, data_range=1.0, normalize="relu"
        )
    )


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


def unit(image: Image) -> _FloatImage:
    """Return the image as float64: uint8 divided by 255, floating point as it is."""
    values = np.asarray(image, dtype=np.float64)
    return values / 255 if image.dtype == np.uint8 else values


def _comparable(image: Image, truth: Image) -> tuple[_FloatImage, _FloatImage]:
    if image.shape != truth.shape:
        raise MetricError(f"images of unequal shape: {image.shape} and {truth.shape}")
    return unit(image), unit(truth)


def _batch(image: _FloatImage) -> Tensor:
    """Return (1, channels, height, width) float32: torch has no fast convolution of float64."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).permute(2, 0, 1)[None]
