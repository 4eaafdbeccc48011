"""The family ``hash_grid``: multiresolution hash grid, small MLPs, occupancy grid.

After Müller et al. 2022 (Instant-NGP): features of a point from several lattices, a density
network, and a colour network that also sees the direction as spherical harmonics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.radiance.grid_encoding import (
    GridLevel,
    lattices,
    levels_in,
    spherical_harmonics,
)
from nmc_framework.models.radiance.marched import (
    MARCHING,
    MARCHING_MEANINGS,
    MarchedField,
    small_network,
)

_HARMONICS = 9
#: The networks' share of the tables' learning rate from random weights, where the background is
#: known and where it is not: there a fifth, as at a half most of the colour network's units die
#: (decision 0100).
_FIRST_SHARE = {True: 0.5, False: 0.2}
#: And in fine-tuning: a step of a network moves the whole scene, and almost all of it stands still
#: from frame to frame.
_LATER_SHARE = 0.05


#: What its own options say, and those of families that are made of hash grids.
LATTICE_MEANINGS: dict[str, str] = {
    "levels": "lattices, coarse to fine",
    "features": "features of each",
    "log2_entries": "entries of a table, as a power of two; set from the pictures",
    "coarsest": "cells along an edge of the first lattice",
    "finest": "cells along an edge of the last; set from what a pixel covers",
    "hidden": "width of the networks",
    "geometry": "features that the density network hands to the one of colour",
}


class HashGrid(MarchedField):
    """Multiresolution hash grid with small networks (Instant-NGP): fast, fine, the default."""

    family: ClassVar[str] = "hash_grid"
    meanings: ClassVar[Mapping[str, str]] = MARCHING_MEANINGS | LATTICE_MEANINGS
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 1e-1)
    damping: ClassVar[float] = 4.0

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return MARCHING | {
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
        self.levels = lattices(c, c["log2_entries"])
        width = c["levels"] * c["features"]
        self.density_network = small_network(width, c["hidden"], 1 + c["geometry"])
        self.colour_network = nn.Sequential(
            nn.Linear(c["geometry"] + _HARMONICS, c["hidden"]),
            nn.ReLU(),
            nn.Linear(c["hidden"], c["hidden"]),
            nn.ReLU(),
            nn.Linear(c["hidden"], 3),
        )

    def layers(self) -> Sequence[nn.Module]:
        """Return the levels, coarse to fine, then each linear map."""
        networks = [*self.density_network, *self.colour_network]
        return [*self.levels, *(m for m in networks if isinstance(m, nn.Linear))]

    def parameter_groups(
        self, learning_rate: float, *, later: bool = False
    ) -> list[dict[str, Any]]:
        """Tables learn at the full rate, the networks at a share of it."""
        known = self.configuration["background"] is not None
        share = _LATER_SHARE if later else _FIRST_SHARE[known]
        return self.groups_of(self.levels, learning_rate, share)

    @property
    def grid_levels(self) -> Sequence[GridLevel]:
        """The hashed lattices, coarse to fine."""
        return levels_in(self.levels)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the density network makes of the levels' features."""
        raw = self.density_network(encoded)
        return raw[:, 0], raw[:, 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return what the colour network makes of geometry and direction."""
        inputs = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.colour_network(inputs))
