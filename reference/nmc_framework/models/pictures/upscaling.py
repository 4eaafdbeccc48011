"""What the families after NeRV share: a small map of features, made a picture step by step.

A NeRV block (Chen et al. 2021, section 3.1) is a convolution, a pixel shuffle that makes the map
larger by its stride, and an activation. Sizes need not divide by the strides: the map is made for
the next larger size that does, and what is too much is cut off at the right and the bottom.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.pictures.clip import SIZE, SIZE_MEANINGS, ImageWise

#: Options of what makes the picture: ``channels`` of the small map, ``strides`` of the blocks, what
#: each block divides the channels by, and how few they may become.
UPSCALING: dict[str, Any] = SIZE | {
    "channels": 40,
    "strides": [2, 2, 2, 2],
    "reduction": 1.5,
    "least_channels": 12,
}
#: What they say.
UPSCALING_MEANINGS: dict[str, str] = SIZE_MEANINGS | {
    "channels": "channels of the small map that a picture is made of",
    "strides": "by how much each block enlarges the map; what is too much is cut off",
    "reduction": "what each block divides the channels by",
    "least_channels": "as few as they may become",
}
#: A side of a picture is made larger by at most so much.
_LARGEST = 1 << 12


class UpscalingBlock(nn.Module):
    """A NeRV block: a convolution of ``kernel`` pixels a side, a pixel shuffle, GELU."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int = 3) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(inputs, outputs * stride**2, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Return a map (N, outputs, stride·h, stride·w) of one (N, inputs, h, w)."""
        shuffled = nn.functional.pixel_shuffle(self.convolution(features), self.stride)
        return nn.functional.gelu(shuffled)


class Upscaled(ImageWise):
    """A family whose pictures are made of a small map of features by NeRV blocks."""

    learning_rates: ClassVar[tuple[float, float]] = (5e-3, 3e-3)
    iterations: ClassVar[tuple[int, int]] = (2400, 800)
    #: Channels of the result.
    results: int = 3

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        strides = c["strides"]
        if not strides or not all(isinstance(s, int) and s >= 1 for s in strides):
            raise ModelError(f"{self.family}: strides are numbers from 1 on, not {strides}")
        if prod(strides) > _LARGEST:
            raise ModelError(f"{self.family}: strides {strides} are more than {_LARGEST} in all")
        if c["channels"] < 1 or c["reduction"] <= 0 or c["least_channels"] < 1:
            raise ModelError(f"{self.family}: channels and their reduction are above 0")
        scale = prod(strides)
        self.map = (c["channels"], ceil(self.size[1] / scale), ceil(self.size[2] / scale))

    def build_blocks(self, kernels: Sequence[int]) -> None:
        """Make the blocks and the last convolution; ``kernels`` are their sides, block by block."""
        c = self.configuration
        widths = block_widths(c)
        self.blocks = nn.ModuleList(
            UpscalingBlock(a, b, stride, kernel)
            for a, b, stride, kernel in zip(
                widths[:-1], widths[1:], c["strides"], kernels, strict=True
            )
        )
        self.head = nn.Conv2d(widths[-1], self.results, 3, padding=1)

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """Return the small maps (N, channels, h, w) of pictures by number (N,)."""

    def upscaled(self, features: Tensor) -> Tensor:
        """Return what the blocks make of small maps: (N, results, height, width), any values."""
        for block in self.blocks:
            features = block(features)
        result: Tensor = self.head(features)[:, :, : self.size[1], : self.size[2]]
        return result

    def images(self, pictures: Tensor) -> Tensor:
        """Return pictures by number."""
        return torch.sigmoid(self.upscaled(self.features(pictures)))


def block_widths(configuration: Mapping[str, Any]) -> list[int]:
    """Return the channels of the small map, and of what each block makes of it."""
    c = configuration
    widths = [c["channels"]]
    for _ in c["strides"]:
        widths.append(max(c["least_channels"], round(widths[-1] / c["reduction"])))
    return widths


def encoded_times(times: Tensor, levels: int, base: float) -> Tensor:
    """Return the positional encoding (N, 2·levels) of times (N,) in 0..1 (NeRV, equation 1)."""
    angles = times[:, None] * torch.pi * base ** torch.arange(levels, device=times.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def require_levels(family: str, levels: int, base: float) -> None:
    """Refuse an encoding whose frequencies overflow.

    Raises
    ------
    ModelError
        If the highest one is not a number below 10^9.
    """
    try:
        highest = float(base) ** levels
    except OverflowError:
        highest = float("inf")
    if levels < 1 or not 0 < highest < 1e9:
        raise ModelError(
            f"{family}: {levels} levels of base {base} have frequencies up to {highest:.3g}; "
            "choose from 1 level on, and frequencies below 1e9"
        )
