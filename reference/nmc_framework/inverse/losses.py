"""The losses of equation 1 of the paper (Zhang et al. 2021, arXiv 2010.09125, section 3.2).

L = λ_col L_col + λ_percept L_percept + L_IOU + λ_sm L_sm + λ_lap L_lap + λ_mov L_mov.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nmc_framework.inverse.rasterise import Seen, normals
from nmc_framework.inverse.template import Template

if TYPE_CHECKING:
    from nmc_framework.evaluation.lpips import Lpips

#: Scales of the stand-in for a perceptual loss, each half the size of the one before.
_SCALES = 3


@dataclass(frozen=True)
class Weights:
    """What the terms are multiplied by; the mask's counts once."""

    colour: float = 3.0
    perceptual: float = 1.0
    smooth: float = 0.01
    laplacian: float = 1.0
    movement: float = 0.03


def mask_iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Return the intersection over union (N,) of masks (N, size, size) in 0..1.

    Products and sums, as for a loss: M·M' over M + M' - M·M'.
    """
    both = (mask * truth).sum(dim=(1, 2))
    either = (mask + truth - mask * truth).sum(dim=(1, 2))
    return both / either.clamp_min(1e-6)


def colour_loss(seen: Seen, picture: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute difference (N,) of colours where both have the object.

    ``picture`` is (N, 3, size, size) in 0..1, ``truth`` the mask (N, size, size).
    """
    shared = (seen.solid * truth)[:, None]
    total = (shared * (seen.colour - picture).abs()).sum(dim=(1, 2, 3))
    return total / (3 * shared.sum(dim=(1, 2, 3))).clamp_min(1.0)


def perceptual_loss(
    seen: Seen, picture: Tensor, truth: Tensor, network: Lpips | None = None
) -> Tensor:
    """Return the perceptual distance (N,) of the object and its picture, both before grey.

    By LPIPS with weights that the user has; without, a stand-in that needs none: the differences
    of gradients at several scales, which are no measure of what people see.
    """
    shared = (seen.solid * truth)[:, None]
    one, other = (shared * image + 0.5 * (1 - shared) for image in (seen.colour, picture))
    if network is not None:
        distance: Tensor = network(2 * one - 1, 2 * other - 1)
        return distance
    total = torch.zeros(len(one), device=one.device)
    for _ in range(_SCALES):
        difference = one - other
        right = (difference[..., 1:] - difference[..., :-1]).abs().mean(dim=(1, 2, 3))
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean(dim=(1, 2, 3))
        total = total + right + down
        one, other = nn.functional.avg_pool2d(one, 2), nn.functional.avg_pool2d(other, 2)
    return total


def smoothness(vertices: Tensor, shape: Template) -> Tensor:
    """Return L_sm (N,): the mean of (1 - cosine) over edges, between the normals of their faces."""
    _, flat = normals(vertices, shape)
    sides = torch.from_numpy(shape.beside).to(vertices.device)
    return (1 - (flat[:, sides[:, 0]] * flat[:, sides[:, 1]]).sum(dim=-1)).mean(dim=1)


def laplacian(moves: Tensor, shape: Template) -> Tensor:
    """Return L_lap (N,): how far each vertex moves (N, V, 3) apart from its neighbours' mean."""
    edges = torch.from_numpy(shape.edges).to(moves.device)
    sums = torch.zeros_like(moves)
    count = torch.zeros(moves.shape[1], device=moves.device, dtype=moves.dtype)
    one = torch.ones(len(edges), device=moves.device, dtype=moves.dtype)
    for here, there in ((0, 1), (1, 0)):
        sums = sums.index_add(1, edges[:, here], moves[:, edges[:, there]])
        count = count.index_add(0, edges[:, here], one)
    return (moves - sums / count[:, None]).square().sum(dim=-1).mean(dim=1)


def movement(moves: Tensor) -> Tensor:
    """Return L_mov (N,): the mean squared move of vertices (N, V, 3); moves are to be small."""
    return moves.square().sum(dim=-1).mean(dim=1)
