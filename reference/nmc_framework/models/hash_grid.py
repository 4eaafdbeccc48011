"""The family ``hash_grid``: multiresolution hash grid, small MLPs, occupancy grid.

After Müller et al. 2022 (Instant-NGP): features of a point from several lattices, a density
network, and a colour network that also sees the direction as spherical harmonics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.models.field import RadianceModel, RayBatch, Rendered
from nmc_framework.models.grid_encoding import GridLevel, encode, spherical_harmonics
from nmc_framework.models.occupancy import Occupancy, march
from nmc_framework.models.volume import composite, enter_and_leave

_HARMONICS = 9
#: Largest exponent of the density: e^9 is opaque within a thousandth of a scene unit.
_LARGEST_LOG_DENSITY = 9.0
#: While nothing is ruled out yet, steps are this many times as long.
_WARM_STRIDE = 4
#: Shares of a pixel's colour below this are not worked out.
_INVISIBLE = 1e-3
_UPDATE_EVERY = 8
_UPDATE_SHARE = 0.5
#: Shifts the exponent so that a random model is nearly transparent.
_LOG_DENSITY_SHIFT = -1.0


class HashGrid(RadianceModel):
    """See the module; ``defaults`` names every option."""

    family: ClassVar[str] = "hash_grid"
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 1.5e-2)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return {
            "bounds": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]],
            "background": [0.0, 0.0, 0.0],
            "levels": 8,
            "features": 4,
            "log2_entries": 15,
            "coarsest": 8,
            "finest": 128,
            "hidden": 64,
            "geometry": 15,
            "samples": 128,
            "occupancy": 48,
            "warm_up": 64,
            "sparsity": 0.0,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        bounds = torch.tensor(c["bounds"], dtype=torch.float32)
        self.register_buffer("bounds", bounds, persistent=False)
        background = torch.tensor(c["background"], dtype=torch.float32)
        self.register_buffer("background", background, persistent=False)
        extent = bounds[1] - bounds[0]
        self.edge = float(extent.max())
        self.step = float(torch.linalg.vector_norm(extent)) / c["samples"]
        cells = np.rint(np.geomspace(c["coarsest"], c["finest"], c["levels"])).astype(int)
        self.levels = nn.ModuleList(
            GridLevel(int(n), c["features"], c["log2_entries"]) for n in cells
        )
        self.density_network = nn.Sequential(
            nn.Linear(c["levels"] * c["features"], c["hidden"]),
            nn.ReLU(),
            nn.Linear(c["hidden"], 1 + c["geometry"]),
        )
        self.colour_network = nn.Sequential(
            nn.Linear(c["geometry"] + _HARMONICS, c["hidden"]),
            nn.ReLU(),
            nn.Linear(c["hidden"], c["hidden"]),
            nn.ReLU(),
            nn.Linear(c["hidden"], 3),
        )
        self.occupancy = Occupancy(c["occupancy"], self.step, extent / self.edge)

    bounds: Tensor
    background: Tensor

    def layers(self) -> Sequence[nn.Module]:
        """Return the levels, coarse to fine, then each linear map."""
        networks = [*self.density_network, *self.colour_network]
        return [*self.levels, *(m for m in networks if isinstance(m, nn.Linear))]

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Tables learn at the full rate, the networks at half of it."""
        tables = [p for p in self.levels.parameters() if p.requires_grad]
        known = {id(p) for p in tables}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            {"params": tables, "lr": learning_rate},
            {"params": rest, "lr": 0.5 * learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def begin_frame(self, index: int) -> None:  # noqa: ARG002 - the first is told by its warm grid
        """Let matter have moved a little."""
        self.occupancy.admit_motion()

    def after_step(self, iteration: int) -> None:
        """Redraw the occupancy bitmap every few iterations, once the densities mean something."""
        warm_up = self.configuration["warm_up"] if self.occupancy.warm else 0
        if (iteration + 1) % _UPDATE_EVERY or iteration + 1 < warm_up:
            return
        with torch.no_grad():
            share = 2.0 if self.occupancy.warm else _UPDATE_SHARE
            self.occupancy.update(lambda points: self._density(self._features(points))[0], share)

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the squared error plus a Cauchy penalty on density (Hedman et al. 2021, eq. 9).

        The penalty empties the space between things, which is what the occupancy grid lives on.
        """
        rendered, density = self._render(batch.origins, batch.directions)
        error = nn.functional.mse_loss(rendered.colour, batch.colours)
        depth = density * self.step
        per_ray = torch.log1p(2 * depth * depth).sum() / len(batch.origins)
        return error + float(self.configuration["sparsity"]) * per_ray

    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays; see :meth:`RadianceModel.render_rays`."""
        return self._render(origins, directions)[0]

    def _render(self, origins: Tensor, directions: Tensor) -> tuple[Rendered, Tensor]:
        distance, valid, step = self._samples(origins, directions)
        ray = valid.nonzero()[:, 0]
        points = origins[ray] + distance[valid][:, None] * directions[ray]
        features = self._features((points - self.bounds[0]) / self.edge)
        density, geometry = self._density(features)
        on_rays = torch.zeros_like(distance).masked_scatter(valid, density)
        seen = self._seen(on_rays.detach() * step) & valid
        harmonics = spherical_harmonics(directions)[seen.nonzero()[:, 0]]
        inputs = torch.cat([geometry[seen[valid]], harmonics], dim=1)
        colour = torch.sigmoid(self.colour_network(inputs))
        rendered = composite(
            on_rays,
            distance.new_zeros(*distance.shape, 3).masked_scatter(seen[..., None], colour),
            torch.where(valid, distance, 0),
            step,
            self.background,
        )
        return rendered, density

    def _seen(self, optical: Tensor) -> Tensor:
        """Return which samples (N, S) need a colour, from their optical depths.

        In training all that light still reaches, as an empty one may have to become matter; when
        rendering only those that contribute.
        """
        before = torch.exp(optical - torch.cumsum(optical, dim=1))
        if self.training:
            return before > _INVISIBLE
        return before * -torch.expm1(-optical) > _INVISIBLE

    def _samples(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, float]:
        with torch.no_grad():
            span = enter_and_leave(origins, directions, self.bounds[0], self.bounds[1])
            offset = torch.full_like(span[0], 0.5)
            if self.training:
                offset = torch.rand_like(offset)
            stride = _WARM_STRIDE if self.training and self.occupancy.warm else 1
            step = self.step * stride
            distance, valid = march(
                origins,
                directions,
                span,
                offset,
                step,
                self.configuration["samples"] // stride + 1,
                self.occupancy,
                (self.bounds[0], self.edge),
            )
        return distance, valid, step

    def _features(self, unit_points: Tensor) -> Tensor:
        levels = [level for level in self.levels if isinstance(level, GridLevel)]
        return encode(unit_points, levels)

    def _density(self, features: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.density_network(features)
        return torch.exp((raw[:, 0] + _LOG_DENSITY_SHIFT).clamp(max=_LARGEST_LOG_DENSITY)), raw[
            :, 1:
        ]
