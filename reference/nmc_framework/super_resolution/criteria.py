"""The losses that networks are trained with: L1, L2, and distances of what a network perceives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
            "the perceptual loss needs the weights of LPIPS's network, which are yours to supply: "
            "give --lpips-backbone, and --lpips-net if they are not VGG's"
        )
    return Perceptual(lpips)


@dataclass(frozen=True, eq=False)
class Perceptual:
    """The absolute error and a tenth of LPIPS (Zhang et al. 2018)."""

    lpips: Lpips

    def __call__(self, seen: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of patches (N, 3, h, w) of 0..1."""
        distance: Tensor = self.lpips(seen * 2 - 1, truth * 2 - 1).mean()
        return nn.functional.l1_loss(seen, truth) + _PERCEPTUAL * distance


def require_patches(criterion: Criterion, side: int, scale: int) -> None:
    """Refuse patches that a loss cannot be taken of.

    Parameters
    ----------
    criterion
        The loss.
    side
        Pixels of a side of the small pictures' patches.
    scale
        How many times as long those of the large ones are, which are compared.

    Raises
    ------
    ModelError
        If they are smaller than the network of the perceptual loss takes.
    """
    if not isinstance(criterion, Perceptual):
        return
    trunk = criterion.lpips.trunk
    if side * scale < trunk.least:
        raise ModelError(
            f"the perceptual loss by {trunk.title} needs patches of at least {trunk.least} pixels, "
            f"and there are {side * scale}: give --patch {-(-trunk.least // scale)} or more, of "
            "pictures that are as large"
        )
