"""What training minimises: absolute depth, its gradients globally and by a grid, and structure.

L1 + global gradient + 0.3 · grid gradient + SSIM, each over the pixels whose depth is known. Depth
maps are (N, 1, height, width) float32 in metres, masks of that shape are 1 where depth is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

#: Weight of the grid's gradient: more of it makes a model general less well.
GRID_WEIGHT: Final = 0.3
#: Cells along each side of the grid.
CELLS: Final = 4
#: Side of SSIM's square window, in pixels.
_WINDOW = 7
#: SSIM's constants (Wang et al. 2004).
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class Losses:
    """The four terms, each a scalar; ``total`` is what the weights follow."""

    depth: Tensor
    gradient_global: Tensor
    gradient_grid: Tensor
    ssim: Tensor

    @property
    def total(self) -> Tensor:
        """L1 + global gradient + 0.3 · grid gradient + SSIM."""
        return self.depth + self.gradient_global + GRID_WEIGHT * self.gradient_grid + self.ssim


def losses(
    predicted: Tensor,
    truth: Tensor,
    known: Tensor,
    reach: float,
    *,
    gradients: bool = True,
    grid: bool = True,
    structure: bool = True,
) -> Losses:
    """Return the four losses.

    Parameters
    ----------
    predicted, truth, known
        (N, 1, height, width); see above. What is not known may be any finite number.
    reach
        The range of depth in metres, to which SSIM's constants relate.
    gradients, grid, structure
        Whether gradients, those of the grid's cells among them, and structure are worked out; else
        these terms are 0.
    """
    truth = torch.where(known > 0, truth, 0.0)
    error = (predicted - truth).abs() * known
    nothing = torch.zeros((), device=predicted.device)
    depth = error.sum() / known.sum().clamp(min=1)
    return Losses(
        depth,
        _gradient_error(predicted, truth, known) if gradients else nothing,
        _grid_error(predicted, truth, known) if gradients and grid else nothing,
        _structure_error(predicted, truth, known, reach) if structure else nothing,
    )


def _gradients(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps[..., :, 1:] - maps[..., :, :-1], maps[..., 1:, :] - maps[..., :-1, :]


def _gradient_error(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the L1 error of the gradients along x, and of those along y, added."""
    both = (known[..., :, 1:] * known[..., :, :-1], known[..., 1:, :] * known[..., :-1, :])
    error = torch.zeros((), device=predicted.device)
    for found, true, mask in zip(_gradients(predicted), _gradients(truth), both, strict=True):
        error = error + ((found - true).abs() * mask).sum() / mask.sum().clamp(min=1)
    return error


def _grid_error(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the mean over the grid's cells of the error of gradients within each.

    A cell counts as much as any other, however few of its depths are known.
    """
    height, width = predicted.shape[-2:]
    rows, columns = (torch.linspace(0, side, CELLS + 1).round().int() for side in (height, width))
    errors = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            cell = (..., slice(int(top), int(bottom)), slice(int(left), int(right)))
            if known[cell].any():
                errors.append(_gradient_error(predicted[cell], truth[cell], known[cell]))
    return torch.stack(errors).mean() if errors else torch.zeros((), device=predicted.device)


def _structure_error(predicted: Tensor, truth: Tensor, known: Tensor, reach: float) -> Tensor:
    """Return (1 - SSIM) / 2 over windows; moments are those of the pixels that are known."""
    side = min(_WINDOW, *predicted.shape[-2:])
    share = functional.avg_pool2d(known, side, stride=1)
    seen = share > 0
    if not seen.any():
        return torch.zeros((), device=predicted.device)

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values * known, side, stride=1) / share.clamp(min=1e-6)

    a, b = mean(predicted), mean(truth)
    variance_a = (mean(predicted * predicted) - a * a).clamp(min=0)
    variance_b = (mean(truth * truth) - b * b).clamp(min=0)
    covariance = mean(predicted * truth) - a * b
    c1, c2 = (_K1 * reach) ** 2, (_K2 * reach) ** 2
    similar = (2 * a * b + c1) * (2 * covariance + c2)
    similar = similar / ((a * a + b * b + c1) * (variance_a + variance_b + c2))
    error: Tensor = ((1 - similar) / 2)[seen].mean()
    return error
