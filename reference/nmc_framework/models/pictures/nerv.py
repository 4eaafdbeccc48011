"""The family ``nerv``: a whole picture from its time.

After Chen et al. 2021 (NeRV): the time is encoded by sines and cosines, two linear maps make a
small map of features of it, and NeRV blocks a picture of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

from torch import Tensor, nn

from nmc_framework.models.pictures.upscaling import (
    UPSCALING,
    UPSCALING_MEANINGS,
    Upscaled,
    encoded_times,
    require_levels,
)


class Nerv(Upscaled):
    """A whole picture from its time by convolutions (NeRV): quick to show, larger than SIREN."""

    family: ClassVar[str] = "nerv"
    meanings: ClassVar[Mapping[str, str]] = UPSCALING_MEANINGS | {
        "levels": "frequencies that encode the time",
        "base": "of each frequency to the one before",
        "hidden": "width of the linear map that the time goes through",
    }

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side."""
        return UPSCALING | {"levels": 40, "base": 1.25, "hidden": 32}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        require_levels(self.family, c["levels"], c["base"])
        self.stem = nn.ModuleList(
            [nn.Linear(2 * c["levels"], c["hidden"]), nn.Linear(c["hidden"], prod(self.map))]
        )
        self.build_blocks([3] * len(c["strides"]))

    def layers(self) -> Sequence[nn.Module]:
        """Return the linear maps, the blocks and the last convolution."""
        return [*self.stem, *self.blocks, self.head]

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the linear maps make of the times."""
        c = self.configuration
        values = encoded_times((pictures + 0.5) / self.size[0], c["levels"], c["base"])
        for layer in self.stem:
            values = nn.functional.gelu(layer(values))
        return values.view(-1, *self.map)
