"""Where rays meet a cuboid, by its three pairs of planes (Kay and Kajiya 1986)."""

from __future__ import annotations

import torch
from torch import Tensor


def enter_and_leave(
    origins: Tensor, directions: Tensor, lower: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the distances (N,), (N,) between which each ray is inside a cuboid.

    Rays that miss get an empty interval; a ray that starts inside begins at 0.
    """
    tiny = torch.full_like(directions, 1e-9)
    safe = torch.where(directions.abs() < tiny, tiny, directions)
    a, b = (lower - origins) / safe, (upper - origins) / safe
    near = torch.minimum(a, b).amax(dim=1).clamp_min(0)
    far = torch.maximum(a, b).amin(dim=1)
    return near, torch.maximum(far, near)
