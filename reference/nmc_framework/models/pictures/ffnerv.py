"""The family ``ffnerv``: temporal grids of several resolutions, and pictures that help each other.

After Lee et al. 2023 (FFNeRV): the features of a time are interpolated in grids that are coarse and
fine in time (section 3.2). Of them comes a picture of its own, and flows along which the pictures
of its own of near times are warped; a weight for each says what is shown of it (section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.pictures.upscaling import UPSCALING, UPSCALING_MEANINGS, Upscaled

#: What a flow of 1 moves, in pixels, and how likely at first a picture's own is shown (a logit).
_FLOW, _OWN = 4.0, 2.0


class TimeGrid(nn.Module):
    """A map of features (channels, h, w) at each of ``times``, interpolated between them."""

    def __init__(self, times: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.Embedding(times, shape[0] * shape[1] * shape[2])
        nn.init.normal_(self.table.weight, std=0.1)

    def forward(self, share: Tensor) -> Tensor:
        """Return maps (N, channels, h, w) of times (N,) in 0..1, from the first to the last."""
        last = self.table.num_embeddings - 1
        place = share * last
        below = place.floor().long().clamp(0, max(last - 1, 0))
        above = (below + 1).clamp_max(last)
        part = (place - below)[:, None]
        values = self.table(below) * (1 - part) + self.table(above) * part
        maps: Tensor = values.view(-1, *self.shape)
        return maps


class Ffnerv(Upscaled):
    """Temporal grids, and pictures warped along flows (FFNeRV): for what moves little."""

    family: ClassVar[str] = "ffnerv"
    meanings: ClassVar[Mapping[str, str]] = UPSCALING_MEANINGS | {
        "times": "maps of each temporal grid",
        "features": "channels of those maps",
        "neighbours": "steps to the pictures that help, such as [-2, -1, 1, 2]",
    }

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side."""
        return UPSCALING | {"times": [4, 8, 16], "features": 6, "neighbours": [-1, 1]}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if not c["times"] or not all(isinstance(n, int) and 0 < n < 1 << 20 for n in c["times"]):
            raise ModelError(f"ffnerv: times are numbers of maps from 1 on, not {c['times']}")
        if not all(isinstance(step, int) and step for step in c["neighbours"]):
            raise ModelError(f"ffnerv: neighbours are steps such as -1 or 2, not {c['neighbours']}")
        shape = (c["features"], *self.map[1:])
        self.grids = nn.ModuleList(TimeGrid(times, shape) for times in c["times"])
        self.stem = nn.Conv2d(c["features"] * len(c["times"]), c["channels"], 1)
        # A picture, and for each neighbour two numbers of a flow and one of a weight.
        self.results = 3 + 3 * len(c["neighbours"])
        self.build_blocks([3] * len(c["strides"]))

    def layers(self) -> Sequence[nn.Module]:
        """Return the grids, the first convolution, the blocks and the last convolution."""
        return [*self.grids, self.stem, *self.blocks, self.head]

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the first convolution makes of the grids."""
        share = pictures / max(self.size[0] - 1, 1)
        maps = torch.cat([grid(share) for grid in self.grids], dim=1)
        return nn.functional.gelu(self.stem(maps))

    def images(self, pictures: Tensor) -> Tensor:
        """Return pictures by number: each one's own, and those of its neighbours, warped."""
        steps = torch.tensor([0, *self.configuration["neighbours"]], device=pictures.device)
        wanted = (pictures[:, None] + steps).clamp(0, self.size[0] - 1)
        needed, place = torch.unique(wanted, return_inverse=True)
        made = self.upscaled(self.features(needed))
        own = torch.sigmoid(made[:, :3])
        mine = made[place[:, 0]]
        count = len(steps) - 1
        flows = mine[:, 3 : 3 + 2 * count].view(-1, count, 2, *mine.shape[2:]) * _FLOW
        logits = torch.cat([torch.full_like(mine[:, :1], _OWN), mine[:, 3 + 2 * count :]], dim=1)
        weights = logits.softmax(dim=1)
        seen = weights[:, :1] * own[place[:, 0]]
        for k in range(count):
            warped = warp(own[place[:, k + 1]], flows[:, k])
            seen = seen + weights[:, k + 1 : k + 2] * warped
        return seen


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Return pictures (N, 3, H, W) as they are at the ends of flows (N, 2, H, W), in pixels."""
    height, width = pictures.shape[2:]
    x = torch.arange(width, device=flow.device) + 0.5 + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + 0.5 + flow[:, 1]
    places = torch.stack([x / width, y / height], dim=3) * 2 - 1
    return nn.functional.grid_sample(
        pictures, places, mode="bilinear", padding_mode="border", align_corners=False
    )
