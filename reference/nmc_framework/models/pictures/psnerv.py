"""The family ``psnerv``: patches of pictures from their times and places.

After Bai et al. 2023 (PS-NeRV): a picture is cut into patches of one size. The time and the place
of a patch, encoded, make a small map of features, NeRV blocks a patch of that; what the blocks have
is normalised and then scaled and moved as the time says (AdaIN, section 3.3). A small network that
is used for every patch holds more of a large picture than one that makes all of it at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.pictures.clip import SIZE, ClipBatch, ImageWise
from nmc_framework.models.pictures.upscaling import (
    UPSCALING,
    UPSCALING_MEANINGS,
    UpscalingBlock,
    block_widths,
    encoded_times,
    require_levels,
)

#: Patches at a time where whole pictures are made.
_CHUNK = 256


class Psnerv(ImageWise):
    """Patches of pictures by convolutions (PS-NeRV): one small network for all parts."""

    family: ClassVar[str] = "psnerv"
    meanings: ClassVar[Mapping[str, str]] = UPSCALING_MEANINGS | {
        "patch": "pixels of a patch's sides; the strides divide it",
        "levels": "frequencies that encode time and place",
        "base": "of each frequency to the one before",
        "hidden": "width of the linear map that they go through",
    }
    learning_rates: ClassVar[tuple[float, float]] = (5e-3, 3e-3)
    iterations: ClassVar[tuple[int, int]] = (2400, 800)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side."""
        return (
            SIZE
            | {k: UPSCALING[k] for k in ("channels", "reduction", "least_channels")}
            | {"patch": 32, "strides": [2, 2, 2], "levels": 16, "base": 1.4, "hidden": 96}
        )

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        require_levels(self.family, c["levels"], c["base"])
        scale = prod(int(s) for s in c["strides"])
        if c["patch"] < 1 or scale < 1 or c["patch"] % scale:
            raise ModelError(
                f"psnerv: a patch of {c['patch']} pixels a side does not divide by its strides "
                f"{c['strides']}, {scale} in all"
            )
        self.map = (c["channels"], c["patch"] // scale, c["patch"] // scale)
        self.rows = (ceil(self.size[1] / c["patch"]), ceil(self.size[2] / c["patch"]))
        inputs = 2 * c["levels"]
        self.stem = nn.ModuleList(
            [nn.Linear(3 * inputs, c["hidden"]), nn.Linear(c["hidden"], prod(self.map))]
        )
        widths = block_widths(c)
        self.blocks = nn.ModuleList(
            UpscalingBlock(a, b, stride)
            for a, b, stride in zip(widths[:-1], widths[1:], c["strides"], strict=True)
        )
        self.styles = nn.ModuleList(nn.Linear(inputs, 2 * width) for width in widths[1:])
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def layers(self) -> Sequence[nn.Module]:
        """Return the linear maps, each block and its style in turn, and the last convolution."""
        pairs = zip(self.blocks, self.styles, strict=True)
        return [*self.stem, *(m for pair in pairs for m in pair), self.head]

    def patches(self, places: Tensor) -> Tensor:
        """Return patches (N, 3, patch, patch) by picture, row and column of patches, (N, 3)."""
        c = self.configuration
        counts = torch.tensor([self.size[0], *self.rows], device=places.device)
        shares = (places + 0.5) / counts
        codes = [encoded_times(shares[:, k], c["levels"], c["base"]) for k in range(3)]
        values = torch.cat(codes, dim=1)
        for layer in self.stem:
            values = nn.functional.gelu(layer(values))
        values = values.view(-1, *self.map)
        for block, style in zip(self.blocks, self.styles, strict=True):
            scale, shift = style(codes[0])[:, :, None, None].chunk(2, dim=1)
            values = nn.functional.instance_norm(block(values)) * (1 + scale) + shift
        return torch.sigmoid(self.head(values))

    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the mean squared error of the patches that drawn pixels are in."""
        side = self.configuration["patch"]
        count = max(1, len(batch) // side**2)
        places = batch.indices[:count].clone()
        places[:, 1:] //= side
        truth = batch.truth(places[:, 0])
        below, right = (n * side - have for n, have in zip(self.rows, self.size[1:], strict=True))
        truth = nn.functional.pad(truth, (0, right, 0, below), mode="replicate")
        wanted = truth.unfold(2, side, side).unfold(3, side, side)
        picked = wanted[torch.arange(count), :, places[:, 1], places[:, 2]]
        return self.error(self.patches(places), picked)

    def images(self, pictures: Tensor) -> Tensor:
        """Put pictures together of their patches, and cut off what is too much."""
        rows, columns = self.rows
        side = self.configuration["patch"]
        place = torch.cartesian_prod(
            pictures,
            torch.arange(rows, device=pictures.device),
            torch.arange(columns, device=pictures.device),
        )
        parts = [self.patches(place[a : a + _CHUNK]) for a in range(0, len(place), _CHUNK)]
        whole = torch.cat(parts).view(-1, rows, columns, 3, side, side)
        whole = whole.permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, rows * side, columns * side)
        return whole[:, :, : self.size[1], : self.size[2]]
