"""The losses that networks are trained with: L1, L2, and distances of what a network perceives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from nmc_framework.models.chained import ModelError

if TYPE_CHECKING:
    from nmc_framework.evaluation.lpips import Lpips

Criterion = Callable[[Tensor, Tensor], Tensor]
LossName = Literal["l1", "l2", "perceptual"]
LOSSES: tuple[LossName, ...] = ("l1", "l2", "perceptual")
#: Weight of the perceptual distance beside the absolute error: at the start both are about alike.
_PERCEPTUAL = 0.1


def criterion(name: str, lpips: Lpips | None = None) -> Criterion:
    """Return a loss by name.

    Parameters
    ----------
    name
        ``"l1"`` as EDSR is trained with, ``"l2"`` as VDSR is, or ``"perceptual"``: the absolute
        error and a tenth of LPIPS (Zhang et al. 2018), whose weights are the user's to supply.
    lpips
        What measures LPIPS.

    Raises
    ------
    ModelError
        If there is no such loss, or it lacks its weights.
    """
    if name == "l1":
        return nn.functional.l1_loss
    if name == "l2":
        return nn.functional.mse_loss
    if name != "perceptual":
        raise ModelError(f"no loss {name!r}; there are {', '.join(LOSSES)}")
    if lpips is None:
        raise ModelError(
            "the perceptual loss needs the weights of LPIPS, which are yours to supply: give "
            "--lpips and --lpips-weights as for nmc evaluate"
        )
    measure = lpips

    def perceptual(seen: Tensor, truth: Tensor) -> Tensor:
        least = measure.trunk.least
        if min(seen.shape[2:]) < least:
            raise ModelError(
                f"the perceptual loss by {measure.trunk.title} needs patches of at least {least} "
                f"pixels, not {seen.shape[3]}x{seen.shape[2]}: give a larger --patch"
            )
        distance: Tensor = measure(seen * 2 - 1, truth * 2 - 1).mean()
        return nn.functional.l1_loss(seen, truth) + _PERCEPTUAL * distance

    return perceptual
