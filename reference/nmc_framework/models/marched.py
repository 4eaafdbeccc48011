"""What grid families share: rays are marched through occupied cells and composited (clause 5.1).

A family says what density and which features a point of the unit cube has, and what colour such
features show in a direction; where to sample, and what need not be looked at, is settled here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nmc_framework.models.field import RadianceModel, Rendered
from nmc_framework.models.occupancy import Occupancy, march
from nmc_framework.models.volume import composite, enter_and_leave

#: Options that every marched family has, with values for a room of about two scene units.
MARCHING: dict[str, Any] = {
    "bounds": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]],
    "background": [0.0, 0.0, 0.0],
    "samples": 128,
    "occupancy": 48,
    "warm_up": 64,
}

#: Largest exponent of a density: e^9 is opaque within a thousandth of a scene unit.
_LARGEST_LOG_DENSITY = 9.0
#: Shifts the exponent so that a random model is nearly transparent.
_LOG_DENSITY_SHIFT = -1.0
#: While nothing is ruled out yet, steps are this many times as long.
_WARM_STRIDE = 4
_UPDATE_EVERY = 8
_UPDATE_SHARE = 0.5
#: Shares of a pixel's colour below this are not worked out.
_INVISIBLE = 1e-3


class MarchedField(RadianceModel):
    """A field in a cuboid with an occupancy grid; see the module."""

    bounds: Tensor
    background: Tensor

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
        self.occupancy = Occupancy(c["occupancy"], self.step, extent / self.edge)

    @abstractmethod
    def field(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-density (N,), unshifted, and the features (N, F) of points (N, 3).

        Points lie in the unit cube that ``bounds``' lower corner and longest edge span.
        """

    @abstractmethod
    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return colours (N, 3), 0 to 1, of features (N, F) seen along directions (N, 3)."""

    def begin_frame(self, index: int) -> None:  # noqa: ARG002 - the first is told by its warm grid
        """Let matter have moved a little."""
        self.occupancy.admit_motion()

    def after_step(self, iteration: int) -> None:
        """Redraw the occupancy bitmap every few iterations, once the densities mean something."""
        warm_up = self.configuration["warm_up"] if self.occupancy.warm else 0
        if (iteration + 1) % _UPDATE_EVERY or iteration + 1 < warm_up:
            return
        with torch.no_grad():
            # While everything is open, twice as many probes as cells miss next to none.
            share = 2.0 if self.occupancy.warm else _UPDATE_SHARE
            self.occupancy.update(lambda points: density(self.field(points)[0]), share)

    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays; see :meth:`RadianceModel.render_rays`."""
        distance, valid, step = self._samples(origins, directions)
        ray = valid.nonzero()[:, 0]
        points = origins[ray] + distance[valid][:, None] * directions[ray]
        raw, features = self.field((points - self.bounds[0]) / self.edge)
        on_rays = torch.zeros_like(distance).masked_scatter(valid, density(raw))
        seen = self._seen(on_rays.detach() * step) & valid
        colour = self.colour(features[seen[valid]], directions[seen.nonzero()[:, 0]])
        return composite(
            on_rays,
            distance.new_zeros(*distance.shape, 3).masked_scatter(seen[..., None], colour),
            torch.where(valid, distance, 0),
            step,
            self.background,
        )

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


def density(raw: Tensor) -> Tensor:
    """Return the density, 1 / scene unit, of an unshifted log-density."""
    return torch.exp((raw + _LOG_DENSITY_SHIFT).clamp(max=_LARGEST_LOG_DENSITY))
