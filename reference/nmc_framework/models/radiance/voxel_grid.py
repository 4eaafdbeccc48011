"""The family ``voxel_grid``: densities and colours on dense lattices, no network at all.

After Yu et al. 2022 (Plenoxels): a log-density and spherical harmonics of colour at every vertex,
interpolated; here summed over a few lattices, coarse to fine, which takes the place of their total
variation prior: what a fine lattice does not need to say, a coarse one says smoothly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.grid_encoding import GridLevel, spherical_harmonics
from nmc_framework.models.radiance.marched import MARCHING, MARCHING_MEANINGS, MarchedField

#: A lattice is dense whatever its size: no table is ever too small for it.
_DENSE = 62
_CHANNELS = 3


class VoxelGrid(MarchedField):
    """Densities and colours on dense lattices, no network (Plenoxels): large, quick to render.

    ``cells`` are the lattices' sides, ``harmonics`` 1, 4 or 9 a colour channel.
    """

    family: ClassVar[str] = "voxel_grid"
    meanings: ClassVar[Mapping[str, str]] = MARCHING_MEANINGS | {
        "cells": "cells along an edge of each lattice",
        "harmonics": "spherical harmonics a colour channel: 1, 4 or 9",
    }
    learning_rates: ClassVar[tuple[float, float]] = (1e-1, 1e-1)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return MARCHING | {"cells": [12, 24, 48, 80], "harmonics": 1}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if c["harmonics"] not in {1, 4, 9}:
            raise ModelError(f"voxel_grid has 1, 4 or 9 harmonics, not {c['harmonics']}")
        self.width = 1 + _CHANNELS * c["harmonics"]
        self.levels = nn.ModuleList(GridLevel(n, self.width, _DENSE) for n in c["cells"])

    def layers(self) -> Sequence[nn.Module]:
        """Return the lattices, coarse to fine."""
        return list(self.levels)

    @property
    def grid_levels(self) -> Sequence[GridLevel]:
        """The lattices, coarse to fine."""
        return [level for level in self.levels if isinstance(level, GridLevel)]

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the lattices."""
        summed = encoded.view(len(encoded), len(self.levels), self.width).sum(dim=1)
        return summed[:, 0], summed[:, 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Evaluate the harmonics; 0 stands for middle grey."""
        basis = spherical_harmonics(directions)[:, : self.configuration["harmonics"]]
        coefficients = features.view(-1, _CHANNELS, basis.shape[1])
        return torch.sigmoid((coefficients * basis[:, None]).sum(dim=2) / basis[:1, :1])
