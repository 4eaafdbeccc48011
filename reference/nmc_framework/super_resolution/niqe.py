"""NIQE: how natural a picture looks, without an original (Mittal, Soundararajan and Bovik 2013).

Statistics of the normalised brightness, in blocks of 96 pixels at two scales, are compared with
those of pristine pictures: the distance of two Gaussians (equation 10). The pristine model is the
authors' own, of 2012; their notice lies beside it. 3 is natural, 10 is far from it.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nmc_framework.metrics import MetricError
from nmc_framework.super_resolution.luma import luma
from nmc_framework.super_resolution.resampling import Pictures, resized

#: Side of the blocks, as the authors have it.
BLOCK = 96
#: Blocks that a covariance needs.
LEAST_BLOCKS = 2
#: Side and spread of the window that means and spreads are taken in.
_WINDOW, _SIGMA = 7, 7 / 6
#: How pixels are paired: with those at the right, below, and on both diagonals.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
#: Beyond the border of a picture that is made smaller, so that it is mirrored as in MATLAB.
_MARGIN = 8

Pristine = tuple[Tensor, Tensor]


def niqe(picture: Pictures) -> float:
    """Return the NIQE of a picture (height, width, 3) uint8; small is natural.

    Raises
    ------
    MetricError
        If it has fewer than two blocks of 96 pixels, or all of it is of one colour.
    """
    height, width = (side // BLOCK for side in picture.shape[:2])
    if height * width < LEAST_BLOCKS:
        raise MetricError(
            f"NIQE needs at least {LEAST_BLOCKS} blocks of {BLOCK}x{BLOCK} pixels, and "
            f"{picture.shape[1]}x{picture.shape[0]} has {height * width}"
        )
    grey = np.round(luma(picture))[: height * BLOCK, : width * BLOCK]
    features = block_features(grey)
    known = features[~features.isnan().any(1)]
    if len(known) < LEAST_BLOCKS:
        raise MetricError("NIQE cannot be measured of a picture of one colour")
    mean, covariance = pristine()
    difference = mean - features.nanmean(0)
    inverse = torch.linalg.pinv((covariance + torch.cov(known.T)) / 2)
    return math.sqrt(max(0.0, float(difference @ inverse @ difference)))


@functools.cache
def pristine() -> Pristine:
    """Return mean (36,) and covariance (36, 36) of the features of pristine pictures."""
    tensors = load_file(Path(__file__).with_name("niqe_pristine.safetensors"))
    return tensors["mean"], tensors["covariance"]


def block_features(grey: npt.NDArray[np.float64]) -> Tensor:
    """Return the features (blocks, 36) of a picture (height, width) in 0..255, sides in blocks."""
    values = torch.from_numpy(np.ascontiguousarray(grey))[None, None]
    found = []
    for scale in (1, 2):
        side = BLOCK // scale
        blocks = nn.functional.unfold(_normalised(values), side, stride=side)[0].T
        found.append(_features(blocks.reshape(-1, side, side)))
        if scale == 1:
            values = _halved(values)
    return torch.cat(found, 1)


def _normalised(values: Tensor) -> Tensor:
    """Return values without their local mean, by their local spread (equation 1)."""
    places = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = torch.exp(-(places**2) / (2 * _SIGMA**2))
    kernel = (window[:, None] * window)[None, None]
    kernel = kernel / kernel.sum()

    def mean_of(x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, [_WINDOW // 2] * 4, mode="replicate")
        return nn.functional.conv2d(padded, kernel)

    mean = mean_of(values)
    spread = (mean_of(values**2) - mean**2).abs().sqrt()
    return (values - mean) / (spread + 1)


def _halved(values: Tensor) -> Tensor:
    height, width = values.shape[2:]
    mirrored = np.pad(values[0, 0].numpy(), _MARGIN, mode="symmetric")
    large = torch.from_numpy(mirrored)[None, None]
    half = resized(large, (height // 2 + _MARGIN, width // 2 + _MARGIN))
    inner = slice(_MARGIN // 2, -_MARGIN // 2)
    return half[:, :, inner, inner]


def _features(blocks: Tensor) -> Tensor:
    """Return 18 features of each block (blocks, h, w): of its values, and of pairs of them."""
    shape, left, right = _asymmetric(blocks)
    found = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _asymmetric(blocks * blocks.roll(shift, (1, 2)))
        mean = (right - left) * (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
        found += [shape, mean, left, right]
    return torch.stack(found, 1)


@functools.cache
def _shapes() -> tuple[Tensor, Tensor]:
    """Return shapes of the distribution, and the ratio of moments that each has (section II-B)."""
    shapes = torch.arange(0.2, 10.001, 0.001, dtype=torch.float64)
    logs = 2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)
    return shapes, logs.exp()


def _asymmetric(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return shape and both spreads of the asymmetric Gaussian that fits each block."""
    flat = blocks.flatten(1)
    left, right = (
        (flat.clamp(**side).square().sum(1) / sign.sum(1)).sqrt()
        for side, sign in (({"max": 0}, flat < 0), ({"min": 0}, flat > 0))
    )
    ratio = left / right
    moments = flat.abs().mean(1) ** 2 / flat.square().mean(1)
    wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, known = _shapes()
    nearest = torch.searchsorted(known, wanted.nan_to_num(0.0)).clamp(1, len(known) - 1)
    below = (wanted - known[nearest - 1]) < (known[nearest] - wanted)
    # A block of one colour has no ratio: its shape is the first one, as in the authors' program.
    shape = shapes[nearest - below.long()]
    factor = ((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2).exp()
    return shape, left * factor, right * factor
