"""The family ``dnerf``: one canonical scene, and a network that says where each place came from.

After Pumarola et al. 2021 (D-NeRF, arXiv 2011.13961): a deformation network maps a place and a time
to a shift (equation 2) into the canonical scene, that of the first instant, where the shift is
none; what is there is a radiance field (equation 1). The authors' field is a NeRF; here it is a
hash grid with small networks, which learns in a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.dynamic.group import GROUP, GROUP_MEANINGS, Drawing, MarchedGroup
from nmc_framework.models.radiance.grid_encoding import (
    GridLevel,
    encode,
    lattices,
    levels_in,
    reuse,
    spherical_harmonics,
)
from nmc_framework.models.radiance.hash_grid import LATTICE_MEANINGS
from nmc_framework.models.radiance.marched import small_network
from nmc_framework.models.radiance.nerf_mlp import encode_positions, require_frequencies

_HARMONICS = 9
#: The networks' share of the tables' learning rate, and the deformation's.
_NETWORK_SHARE, _DEFORMATION_SHARE = 0.2, 0.05
#: Share of frame 0's iterations after which all instants are learned from.
_GATHERED = 0.4


class Deformation(nn.Module):
    """Encoded places and times to shifts, (N, 3), in edges of the unit cube; begins near none."""

    def __init__(self, width: int, depth: int, frequencies: tuple[int, int]) -> None:
        super().__init__()
        self.frequencies = frequencies
        position, time = (1 + 2 * count for count in frequencies)
        sizes = [3 * position + time] + [width] * depth
        self.trunk = nn.ModuleList(nn.Linear(read, told) for read, told in pairwise(sizes))
        self.last = nn.Linear(width, 3)
        nn.init.uniform_(self.last.weight, -1e-3, 1e-3)
        nn.init.zeros_(self.last.bias)

    def forward(self, points: Tensor) -> Tensor:
        """Return the shifts of points (N, 4), which have none at time 0."""
        place, time = points[:, :3], points[:, 3:]
        hidden = torch.cat(
            [
                encode_positions(2 * place - 1, self.frequencies[0]),
                encode_positions(time, self.frequencies[1]),
            ],
            dim=1,
        )
        for layer in self.trunk:
            hidden = layer(hidden).relu()
        shift: Tensor = self.last(hidden) * (time > 0)
        return shift


class Dnerf(MarchedGroup):
    """A canonical scene and a deformation over time (D-NeRF): what moves keeps its looks.

    ``deformation`` are width and depth of its network; the other options are those of hash_grid.
    """

    family: ClassVar[str] = "dnerf"
    meanings: ClassVar[Mapping[str, str]] = (
        GROUP_MEANINGS
        | LATTICE_MEANINGS
        | {
            "deformation": "width and depth of the network that shifts places",
            "position_frequencies": "octaves of its encoding of places",
            "time_frequencies": "octaves of its encoding of times",
        }
    )
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 1e-2)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return GROUP | {
            "deformation": [64, 4],
            "position_frequencies": 5,
            "time_frequencies": 3,
            "levels": 8,
            "features": 4,
            "log2_entries": 15,
            "coarsest": 8,
            "finest": 128,
            "hidden": 64,
            "geometry": 15,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if len(c["deformation"]) != 2 or min(c["deformation"]) < 1:
            raise ModelError("dnerf has a deformation of a width and a depth from 1 on")
        frequencies = (c["position_frequencies"], c["time_frequencies"])
        require_frequencies(self.family, *frequencies)
        width, depth = c["deformation"]
        self.deformation = Deformation(width, depth, frequencies)
        self.levels = lattices(c, c["log2_entries"])
        read = c["levels"] * c["features"]
        self.density_network = small_network(read, c["hidden"], 1 + c["geometry"])
        self.colour_network = small_network(c["geometry"] + _HARMONICS, c["hidden"], 3)

    def layers(self) -> Sequence[nn.Module]:
        """Return the deformation's linear maps, then the levels, then those of the networks."""
        moved = [*self.deformation.trunk, self.deformation.last]
        networks = [*self.density_network, *self.colour_network]
        return [*moved, *self.levels, *(m for m in networks if isinstance(m, nn.Linear))]

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - the shares are the same
    ) -> list[dict[str, Any]]:
        """Tables learn at the full rate, the networks at shares of it."""
        groups = self.groups_of(self.levels, learning_rate, _NETWORK_SHARE)
        slow = {id(p) for p in self.deformation.parameters()}
        moved = [p for p in self.deformation.parameters() if p.requires_grad]
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in slow]
        groups.append({"params": moved, "lr": _DEFORMATION_SHARE * learning_rate})
        return [group for group in groups if group["params"]]

    @property
    def drawing(self) -> Drawing:
        """First the first instants, then more and more of them, as the authors train."""
        if self.progress >= _GATHERED:
            return Drawing()
        known = 1 + int(self.progress / _GATHERED * self.instants)
        return Drawing(tuple(range(min(known, self.instants))))

    @property
    def grid_levels(self) -> Sequence[GridLevel]:
        """The hashed lattices of the canonical scene, coarse to fine."""
        return levels_in(self.levels)

    def encoded(self, unit: Tensor) -> Tensor:
        """Return the canonical features of points (N, 4)."""
        return encode(unit[:, :3] + self.deformation(unit), self.grid_levels)

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Shift the points again, with gradients; what they have there is known."""
        return reuse(known, unit[:, :3] + self.deformation(unit), self.grid_levels)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the density network makes of the levels' features."""
        raw = self.density_network(encoded)
        return raw[:, 0], raw[:, 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return what the colour network makes of geometry and direction."""
        inputs = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.colour_network(inputs))
