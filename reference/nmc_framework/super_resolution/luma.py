"""PSNR, SSIM and MS-SSIM of the brightness, without a border, as super-resolution is measured.

The brightness is that of Rec. 601 in its range of 16..235, as MATLAB's ``rgb2ycbcr`` has it, the
peak 255, and the border as many pixels as the scale (Lim et al. 2017, section 4; Timofte et al.
2013). Figures of papers are of this kind, and a decibel or so above those of all colours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nmc_framework.metrics import MS_SSIM_SIDE, SSIM_SIDE, MetricError, ms_ssim, ssim
from nmc_framework.super_resolution.resampling import Pictures

#: Luma's weights of red, green and blue in 0..255, and its least value (Rec. 601).
_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255
_LEAST = 16.0
_PEAK = 255.0
#: What a perfect picture counts as in dB, so that there is a mean.
PERFECT = 100.0


def luma(picture: Pictures) -> npt.NDArray[np.float64]:
    """Return the brightness (height, width) in 16..235 of a picture (height, width, 3) uint8."""
    return np.asarray(picture.astype(np.float64) @ _WEIGHTS + _LEAST)


def luma_psnr(picture: Pictures, truth: Pictures, border: int) -> float:
    """Return the PSNR of the brightness in dB, at most 100.

    Raises
    ------
    MetricError
        If the pictures are of unequal size, or nothing is left inside of the border.
    """
    a, b = _inside(picture, truth, border)
    error = float(np.mean((a - b) ** 2))
    return min(PERFECT, 10 * float(np.log10(_PEAK**2 / error))) if error else PERFECT


def luma_ssim(picture: Pictures, truth: Pictures, border: int) -> float:
    """Return the SSIM of the brightness; NaN where the pictures are smaller than its window."""
    a, b = _inside(picture, truth, border)
    if min(a.shape) < SSIM_SIDE:
        return float("nan")
    return ssim(a[..., None] / _PEAK, b[..., None] / _PEAK)


def luma_ms_ssim(picture: Pictures, truth: Pictures, border: int) -> float:
    """Return the MS-SSIM of the brightness; NaN where a side is below 176 pixels."""
    a, b = _inside(picture, truth, border)
    if min(a.shape) < MS_SSIM_SIDE:
        return float("nan")
    return ms_ssim(a[..., None] / _PEAK, b[..., None] / _PEAK)


def _inside(
    picture: Pictures, truth: Pictures, border: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if picture.shape != truth.shape:
        raise MetricError(
            f"a picture of {picture.shape[1]}x{picture.shape[0]} cannot be compared with one of "
            f"{truth.shape[1]}x{truth.shape[0]}"
        )
    height, width = picture.shape[:2]
    if min(height, width) <= 2 * border:
        raise MetricError(
            f"nothing is left of {width}x{height} without a border of {border} pixels"
        )
    inner = slice(border, height - border), slice(border, width - border)
    return luma(picture)[inner], luma(truth)[inner]
