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
SSIM_SIDE = 11
#: Scales of MS-SSIM, each half the size of the one before.
_SCALES = 5
#: The shortest side on which the window fits at every scale.
MS_SSIM_SIDE = SSIM_SIDE << (_SCALES - 1)
#: Largest change of a channel, 0..1, of a pixel that stands still: what video coding leaves there.
_STILL = 3 / 255


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
    if a.ndim != 3 or min(a.shape[:2]) < SSIM_SIDE:
        raise MetricError(
            f"SSIM needs (height, width, channels) of at least 11 x 11, got {a.shape}"
        )
    _, everywhere = structural_similarity_index_measure(
        _batch(a), _batch(b), sigma=1.5, data_range=1.0, return_full_image=True
    )
    # torchmetrics averages its reflected border too, which the authors' program leaves out.
    border = SSIM_SIDE // 2
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
    if a.ndim != 3 or min(a.shape[:2]) < MS_SSIM_SIDE:
        raise MetricError(f"MS-SSIM needs sides of at least {MS_SSIM_SIDE} pixels, got {a.shape}")
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


def static_flicker(image: Image, before: Image, truth: Image, truth_before: Image) -> float:
    """Return how much a rendering changes where the truth stands still, in 0..1.

    The mean absolute change from the frame before, over the pixels of which no channel of the truth
    changes by more than 3/255; NaN where there are none. All four images, (height, width,
    channels), have one shape.
    """
    now, true_now = _comparable(image, truth)
    then, true_then = _comparable(before, truth_before)
    if now.shape != then.shape:
        raise MetricError(f"images of unequal shape: {now.shape} and {then.shape}")
    # Of equal 8-bit steps no rounding may decide.
    still = np.abs(true_now - true_then).max(axis=-1) <= _STILL + 1e-9
    return float(np.abs(now - then)[still].mean()) if still.any() else float("nan")


def colour_aligned(image: Image, truth: Image) -> _FloatImage:
    """Return the image under the affine map of colours that brings it nearest to the truth.

    Exposure and white balance of the camera that took the truth are no property of a scene; the
    map, 3 by 4 by least squares over all pixels, stands for them. Held-out views of photographs are
    scored with it and without it.

    Parameters
    ----------
    image, truth
        (height, width, 3) each, of one shape; uint8 or floating point in 0..1.

    Returns
    -------
    numpy.ndarray
        (height, width, 3) float64 within 0..1.
    """
    a, b = _comparable(image, truth)
    if a.ndim != 3:
        raise MetricError(f"colours are aligned of (height, width, channels), not of {a.shape}")
    flat = a.reshape(-1, a.shape[2])
    given = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    found = np.linalg.lstsq(given, b.reshape(flat.shape), rcond=None)[0]
    return np.asarray(np.clip(given @ found, 0, 1).reshape(a.shape), dtype=np.float64)


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
