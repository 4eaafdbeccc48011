"""The family ``vdsr``: convolutions at the large size that mend the bicubic picture (VDSR).

Kim, Lee and Lee 2016 (arXiv 1511.04587): 20 layers of 64 channels see the brightness of the
enlarged picture and say what is missing; colours are enlarged by the filter alone. The last layer
begins at 0 here, so that the network begins as the filter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.resampling import enlarged
from nmc_framework.super_resolution.upscaler import Upscaler

#: Weights of red, green and blue in the brightness (Rec. 601).
_BRIGHTNESS = (0.299, 0.587, 0.114)
_MOST_LAYERS, _MOST_CHANNELS = 64, 512


class Vdsr(Upscaler):
    """Convolutions at the large size that mend the brightness (VDSR)."""

    family: ClassVar[str] = "vdsr"
    meanings: ClassVar[Mapping[str, str]] = {
        "scale": "2, 3 or 4",
        "depth": "convolutions",
        "channels": "of each",
    }
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"depth": 5, "channels": 12},
        "small": {"depth": 8, "channels": 24},
        "medium": {"depth": 12, "channels": 32},
        "baseline": {"depth": 20, "channels": 64},
    }

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a small network that doubles the sides."""
        return {"scale": 2, "depth": 8, "channels": 24}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        depth, channels = int(self.configuration["depth"]), int(self.configuration["channels"])
        if not (2 <= depth <= _MOST_LAYERS and 0 < channels <= _MOST_CHANNELS):
            raise ModelError(
                f"vdsr has 2 to {_MOST_LAYERS} layers of 1 to {_MOST_CHANNELS} channels, not "
                f"{depth} of {channels}"
            )
        widths = [1, *[channels] * (depth - 1), 1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)
        )
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight)  # type: ignore[arg-type]
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.convolutions[-1].weight)  # type: ignore[arg-type]

    def layers(self) -> Sequence[nn.Module]:
        """Return the convolutions."""
        return list(self.convolutions)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return enlarged pictures: what is missing is added to all three colours alike."""
        large = enlarged(pictures, self.scale)
        weights = torch.tensor(_BRIGHTNESS, device=large.device).reshape(1, 3, 1, 1)
        values = (large * weights).sum(1, keepdim=True) - 0.5
        for convolution in self.convolutions[:-1]:
            values = convolution(values).relu()
        missing: Tensor = self.convolutions[-1](values)
        return large + missing
