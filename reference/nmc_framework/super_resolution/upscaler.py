"""What networks that enlarge pictures have in common: a scale, and pairs that they learn from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nmc_framework.models.chained import ChainModel, ModelError
from nmc_framework.super_resolution.resampling import Pictures, to_pictures, to_tensor

#: The scales that the families have.
SCALES = (2, 3, 4)
#: Pixels of large pictures that are worked out at a time; bounds memory.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches to learn from.

    ``low`` (N, 3, h, w) and ``high`` (N, 3, scale·h, scale·w) are float32 in 0..1; ``criterion``
    says how far what a network makes of the ones is from the others.
    """

    low: Tensor
    high: Tensor
    criterion: Callable[[Tensor, Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.low)


class Upscaler(ChainModel):
    """A network that enlarges pictures by a fixed scale."""

    # A scene is another picture altogether: nothing is spared.
    damping: ClassVar[float] = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 1e-3)
    #: Iterations that serve the family: of pre-training, and of fine-tuning on a scene.
    iterations: ClassVar[tuple[int, int]] = (2000, 300)
    #: Sizes of the network by name, as options.
    sizes: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        if self.scale not in SCALES:
            told = ", ".join(map(str, SCALES))
            raise ModelError(f"{self.family} enlarges {told} times, not {self.scale}")

    @property
    def scale(self) -> int:
        """How many times a picture's sides become longer."""
        return int(self.configuration["scale"])

    @abstractmethod
    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures (N, 3, h, w) of 0..1 as (N, 3, scale·h, scale·w) of about 0..1."""

    @classmethod
    def from_foreign(cls, state: Mapping[str, Any], scale: int | None) -> Upscaler:
        """Build the network that a checkpoint of another program holds.

        Raises
        ------
        ModelError
            If it holds another network; what is amiss is named.
        """
        del state, scale
        raise ModelError(f"no program's checkpoints are read as {cls.family}")

    def loss(self, batch: PatchBatch) -> Tensor:
        """Return the criterion of the batch's patches."""
        device = next(self.parameters()).device
        return batch.criterion(self(batch.low.to(device)), batch.high.to(device))

    @torch.no_grad()
    def enlarge(self, pictures: Pictures) -> Pictures:
        """Return pictures (N, h, w, 3) uint8 enlarged, (N, scale·h, scale·w, 3) uint8."""
        was_training = self.training
        self.eval()
        device = next(self.parameters()).device
        large = self.scale**2 * pictures.shape[1] * pictures.shape[2]
        count = max(1, _CHUNK // max(1, large))
        low = to_tensor(pictures)
        parts = [self(low[a : a + count].to(device)).cpu() for a in range(0, len(low), count)]
        self.train(was_training)
        return to_pictures(torch.cat(parts))


def upscaling(model: ChainModel) -> Upscaler:
    """Return a model that enlarges pictures.

    Raises
    ------
    ModelError
        When the model's family is of another kind.
    """
    if isinstance(model, Upscaler):
        return model
    raise ModelError(f"a {model.family} model enlarges no pictures; edsr and vdsr do")
