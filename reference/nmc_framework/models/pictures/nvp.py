"""The family ``nvp``: three learnable planes and a sparse grid, read by a modulated network.

After Kim et al. 2022 (NVP): the features of a pixel are read from the planes (x, y), (x, t) and
(y, t), each of several resolutions, and from a coarse grid (x, y, t) (section 3.1). They modulate,
layer by layer, a network of sines over the time (section 3.2, after Mehta et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.pictures.clip import SIZE, SIZE_MEANINGS, PixelWise

#: The coordinates that each plane lies across, of x, y and the time.
_PLANES = ((0, 1), (0, 2), (1, 2))
#: Most numbers of one table.
_MOST = 1 << 28


class Table(nn.Module):
    """Features on a regular lattice of any number of axes, interpolated linearly between."""

    def __init__(self, features: int, sides: Sequence[int]) -> None:
        super().__init__()
        # As grid_sample has them: the last axis of the table is the first coordinate.
        self.values = nn.Parameter(torch.randn(1, features, *reversed(sides)) * 0.1)

    def forward(self, places: Tensor) -> Tensor:
        """Return features (N, F) of places (N, axes) in -1..1."""
        axes = places.shape[1]
        grid = places.view(1, -1, *[1] * (axes - 1), axes)
        read = nn.functional.grid_sample(
            self.values, grid, padding_mode="border", align_corners=True
        )
        return read.view(read.shape[1], -1).T


class Nvp(PixelWise):
    """Learnable planes and a sparse grid, read by sines (NVP): quick to learn, large."""

    family: ClassVar[str] = "nvp"
    meanings: ClassVar[Mapping[str, str]] = SIZE_MEANINGS | {
        "features": "features of each plane",
        "resolutions": "sides of the planes as shares of the clip's",
        "grid": "sides of the sparse grid as shares of the clip's: x, y, time",
        "grid_features": "its features",
        "hidden": "width of the layers of sines",
        "depth": "how many of them there are",
        "omega": "what the arguments of sines are multiplied by",
    }
    learning_rates: ClassVar[tuple[float, float]] = (1e-2, 5e-3)
    iterations: ClassVar[tuple[int, int]] = (800, 300)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side.

        ``resolutions`` are shares of the clip's sides that the planes have; ``grid`` those of the
        three sides of the grid.
        """
        return SIZE | {
            "features": 4,
            "resolutions": [0.125, 0.25, 0.5],
            "grid": [0.25, 0.25, 0.5],
            "grid_features": 4,
            "hidden": 48,
            "depth": 2,
            "omega": 10.0,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        pictures, height, width = self.size
        sides = (width, height, pictures)
        if not c["resolutions"] or len(c["grid"]) != 3 or min(*c["resolutions"], *c["grid"]) <= 0:
            raise ModelError("nvp: resolutions, and the three of the grid, are shares above 0")

        def scaled(axes: Sequence[int], shares: Sequence[float], features: int) -> Table:
            lengths = [sides[a] * s for a, s in zip(axes, shares, strict=True)]
            if features < 1 or any(not 0 < n < 1 << 20 for n in lengths):
                raise ModelError(f"nvp: a table of {features} features and sides {lengths}")
            found = [max(2, round(n)) for n in lengths]
            total = features * prod(found)
            if total > _MOST:
                raise ModelError(f"nvp: a table of {total:.3g} numbers is more than {_MOST}")
            return Table(features, found)

        self.planes = nn.ModuleList(
            scaled(axes, [share, share], c["features"])
            for axes in _PLANES
            for share in c["resolutions"]
        )
        self.grid = scaled((0, 1, 2), c["grid"], c["grid_features"])
        inputs = c["features"] * len(self.planes) + c["grid_features"]
        widths = [inputs, *[c["hidden"]] * c["depth"]]
        self.modulators = nn.ModuleList(
            nn.Linear(widths[k] + (inputs if k else 0), c["hidden"]) for k in range(c["depth"])
        )
        self.sines = nn.ModuleList(
            nn.Linear(c["hidden"] if k else 1, c["hidden"]) for k in range(c["depth"])
        )
        self.last = nn.Linear(c["hidden"], 3)

    @property
    def axes(self) -> int:
        """A place always has a time here."""
        return 3

    def layers(self) -> Sequence[nn.Module]:
        """Return the planes, the grid, modulators and sines in turn, and the last map."""
        pairs = zip(self.modulators, self.sines, strict=True)
        return [*self.planes, self.grid, *(m for pair in pairs for m in pair), self.last]

    def colours(self, places: Tensor) -> Tensor:
        """Read the features of places, and let them modulate the sines."""
        of_plane = [axes for axes in _PLANES for _ in self.configuration["resolutions"]]
        read = [
            plane(places[:, list(axes)]) for plane, axes in zip(self.planes, of_plane, strict=True)
        ]
        features = torch.cat([*read, self.grid(places)], dim=1)
        values, modulation = places[:, 2:3], features
        for number, (modulator, sine) in enumerate(zip(self.modulators, self.sines, strict=True)):
            given = torch.cat([modulation, features], dim=1) if number else features
            modulation = nn.functional.leaky_relu(modulator(given), 0.1)
            values = modulation * torch.sin(self.configuration["omega"] * sine(values))
        return torch.sigmoid(self.last(values))
