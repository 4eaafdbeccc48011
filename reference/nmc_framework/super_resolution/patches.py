"""Patches of pairs of pictures, small and large, as what a network learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.criteria import Criterion, require_patches
from nmc_framework.super_resolution.resampling import Pictures, to_tensor
from nmc_framework.super_resolution.upscaler import PatchBatch

#: Pixels of the sides of patches of small pictures, where nobody says otherwise.
PATCH = 32
#: What a patch is turned and mirrored to: the eight symmetries of the square.
_SYMMETRIES = 8


class PatchPairs:
    """Pairs of pictures, as :class:`~nmc_framework.training.Examples`.

    Parameters
    ----------
    low, high
        Small pictures (h, w, 3) uint8, and the large ones of each, (scale·h, scale·w, 3).
    criterion
        The loss.
    patch
        Side in pixels of the small pictures' patches; less where a picture is smaller.
    augment
        Whether patches are turned and mirrored.

    Raises
    ------
    ModelError
        If there are no pairs, sizes do not go together, or patches are too small for the loss.
    """

    def __init__(
        self,
        low: Sequence[Pictures],
        high: Sequence[Pictures],
        criterion: Criterion,
        *,
        patch: int = PATCH,
        augment: bool = True,
    ) -> None:
        if not low or len(low) != len(high):
            raise ModelError("there are no pictures to learn from")
        self.scale = round(high[0].shape[0] / max(1, low[0].shape[0]))
        for small, large in zip(low, high, strict=True):
            if tuple(s * self.scale for s in small.shape[:2]) != large.shape[:2]:
                raise ModelError(
                    f"a picture of {large.shape[1]}x{large.shape[0]} is not {self.scale} times "
                    f"one of {small.shape[1]}x{small.shape[0]}"
                )
        self._low = [np.ascontiguousarray(each) for each in low]
        self._high = [np.ascontiguousarray(each) for each in high]
        self.patch = min(patch, *(min(each.shape[:2]) for each in low))
        require_patches(criterion, self.patch, self.scale)
        self._criterion, self._augment = criterion, augment
        # A large picture is drawn from as often as its pixels are many.
        areas = torch.tensor([each.shape[0] * each.shape[1] for each in low], dtype=torch.float64)
        self._shares = areas / areas.sum()

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - what changed between scenes is not known
    ) -> PatchBatch:
        """Draw patches with replacement."""
        chosen = torch.multinomial(self._shares, count, replacement=True, generator=generator)
        places = torch.rand((count, 2), generator=generator, dtype=torch.float64)
        turns = torch.randint(_SYMMETRIES, (count,), generator=generator)
        low, high = [], []
        side, scale = self.patch, self.scale
        for index, (down, right), turn in zip(
            chosen.tolist(), places.tolist(), turns.tolist(), strict=True
        ):
            small, large = self._low[index], self._high[index]
            y = int(down * (small.shape[0] - side + 1))
            x = int(right * (small.shape[1] - side + 1))
            kind = turn if self._augment else 0
            low.append(_turned(small[y : y + side, x : x + side], kind))
            a, b, size = y * scale, x * scale, side * scale
            high.append(_turned(large[a : a + size, b : b + size], kind))
        return PatchBatch(_stacked(low), _stacked(high), self._criterion)

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - a scene is learned by heart
        """Return nothing: all pictures may be drawn."""
        return


def _turned(patch: Pictures, kind: int) -> Pictures:
    """Return a patch (h, w, 3) under one of eight symmetries."""
    turned = np.rot90(patch, kind % 4)
    return turned[:, ::-1] if kind >= 4 else turned


def _stacked(patches: Sequence[Pictures]) -> Tensor:
    return to_tensor(np.stack(patches))
