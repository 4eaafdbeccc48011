"""Adaptive density: Gaussians that are pulled about are cloned or split, faint ones pruned.

Kerbl et al. 2023, section 5.2. Rows of the tensors are given away and taken, so that an optimiser
keeps its hold on them: what is pruned leaves a free row, what is cloned or split takes one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: The opacity, before the sigmoid, of a free row: nothing of it is drawn.
FREE = -20.0
#: A Gaussian of less opacity is pruned (the paper's is 0.005, for 30,000 iterations).
_PRUNED = 0.02
#: Of those there are, the most that are cloned or split at a time.
_SHARE = 0.25
#: By how much the two halves of a split are smaller.
_SMALLER = 1.6


def free_rows(opacities: Tensor) -> Tensor:
    """Return which rows (N,) hold no Gaussian, as booleans."""
    return opacities <= FREE


@torch.no_grad()
def densify(parts: Mapping[str, Tensor], pull: Tensor, wide: float) -> tuple[int, int, int]:
    """Prune, clone and split; return how many each.

    Parameters
    ----------
    parts
        The tensors, N rows each: ``means``, ``scales`` (logarithms), ``quats``, ``opacities``
        (before the sigmoid), and others that are copied.
    pull
        (N,) the mean gradient of each one's place in the pictures; 0 where it was not seen. The
        paper compares it with a threshold; here those with the greatest come first, while there
        are free rows.
    wide
        World units: one whose largest standard deviation is below is cloned, another split.
    """
    opacities = parts["opacities"]
    faint = ~free_rows(opacities) & (torch.sigmoid(opacities) < _PRUNED)
    opacities[faint] = FREE
    free = torch.nonzero(free_rows(opacities))[:, 0]
    living = ~free_rows(opacities)
    count = min(len(free), int(_SHARE * int(living.sum())), int((living & (pull > 0)).sum()))
    if not count:
        return int(faint.sum()), 0, 0
    chosen = torch.where(living, pull, torch.full_like(pull, -1.0)).topk(count).indices
    taken = free[:count]
    # Two of this opacity, one behind the other, let pass what the one did (Bulò et al. 2024, 5).
    halved = 1 - (1 - torch.sigmoid(opacities[chosen])).sqrt()
    opacities[chosen] = torch.logit(halved, eps=1e-6)
    for tensor in parts.values():
        tensor[taken] = tensor[chosen]
    large = parts["scales"][chosen].exp().amax(dim=1) > wide
    for rows in (chosen[large], taken[large]):
        parts["means"][rows] += _drawn(parts["scales"][rows].exp(), parts["quats"][rows])
        parts["scales"][rows] -= torch.log(torch.tensor(_SMALLER))
    return int(faint.sum()), count - int(large.sum()), int(large.sum())


def _drawn(sizes: Tensor, quaternions: Tensor) -> Tensor:
    """Return offsets (N, 3) drawn from Gaussians of such sizes and rotations."""
    from nmc_framework.models.splats.rasterise import rotations

    offsets = sizes * torch.randn_like(sizes)
    return (rotations(quaternions) @ offsets[:, :, None])[:, :, 0]
