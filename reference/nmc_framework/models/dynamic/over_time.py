"""Values that change with time: a vector for each instant of a group, interpolated between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class OverTime(nn.Module):
    """A vector for each instant, ``table`` (instants, width) float32, drawn about ``middle``."""

    def __init__(self, instants: int, width: int, *, spread: float, middle: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Parameter(middle + spread * torch.randn(instants, width))

    def forward(self, share: Tensor) -> Tensor:
        """Return the vectors (N, width) at shares (N,) 0..1 of the group."""
        at = share.clamp(0, 1) * (len(self.table) - 1)
        low = at.floor().long()
        high = (low + 1).clamp_max(len(self.table) - 1)
        near, far = (nn.functional.embedding(index, self.table) for index in (low, high))
        return near + (at - low)[:, None] * (far - near)

    @torch.no_grad()
    def bridge(self, keys: Sequence[int]) -> None:
        """Interpolate the vectors of instants between key frames from theirs."""
        for low, high in pairwise(keys):
            for instant in range(low + 1, high):
                share = (instant - low) / (high - low)
                self.table[instant] = torch.lerp(self.table[low], self.table[high], share)
