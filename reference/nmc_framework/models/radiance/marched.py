"""What grid families share: rays are marched through occupied cells and composited (clause 5.1).

A family says what density and which features a point of the unit cube has, and what colour such
features show in a direction; where to sample, and what need not be looked at, is settled here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nmc_framework.models.radiance import quadrature, sampling
from nmc_framework.models.radiance.backdrop import behind
from nmc_framework.models.radiance.field import RadianceModel, Rendered
from nmc_framework.models.radiance.grid_encoding import GridLevel, encode, reuse
from nmc_framework.models.radiance.lit import lit
from nmc_framework.models.radiance.occupancy import Occupancy
from nmc_framework.models.radiance.sampling import Samples
from nmc_framework.models.radiance.space import Space
from nmc_framework.models.views import Mask, PixelExamples, RayBatch, Rays

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

#: Options that every marched family has, with values for a room of about two scene units.
MARCHING: dict[str, Any] = {
    "bounds": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]],
    "contracted": False,
    "near": 0.0,
    "background": [0.0, 0.0, 0.0],
    "samples": 128,
    "occupancy": 48,
    "warm_up": 64,
    "warm_share": 0.0,
    "distortion": 0.0,
}

#: What they say.
MARCHING_MEANINGS: dict[str, str] = {
    "bounds": "two corners of the cuboid that holds the scene; set from cameras and points",
    "contracted": "whether what lies outside of it is drawn in, for scenes without an end",
    "near": "nothing is nearer to a camera, in scene units; set from the cameras",
    "background": "the colour behind everything, 0..1; null: nobody knows",
    "samples": "steps along the cuboid's diagonal",
    "occupancy": "cells along an edge of the grid that says where there is nothing",
    "warm_up": "iterations before it rules anything out",
    "warm_share": "that as a share of frame 0's iterations, where it is more",
    "distortion": "what a spread of matter along a ray counts in the loss, against floaters",
}

#: Largest exponent of a density: e^9 is opaque within a thousandth of the cuboid.
_LARGEST_LOG_DENSITY = 9.0
#: Shifts the exponent so that a random model is nearly transparent.
_LOG_DENSITY_SHIFT = -1.0
#: While nothing is ruled out yet, or all is open where pictures changed, steps are this many times
#: as long.
_WARM_STRIDE = 4
_UPDATE_EVERY = 8
_UPDATE_SHARE = 0.5
#: Shares of a pixel's colour below this are not worked out.
_INVISIBLE = 1e-3
#: Shares of a frame's iterations between which the distortion comes to count in full.
_DISTORTION_RAMP = (0.2, 0.5)
#: Rays that are rendered at a time: what is known of their samples stays in the cache.
_AT_ONCE = 1024


class MarchedField(RadianceModel):
    """A field in a cuboid, or around one, with an occupancy grid; see the module."""

    lower: Tensor
    upper: Tensor

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        bounds = torch.tensor(c["bounds"], dtype=torch.float32)
        self.register_buffer("lower", bounds[0].clone(), persistent=False)
        self.register_buffer("upper", bounds[1].clone(), persistent=False)
        space = self.space
        self.step = float(torch.linalg.vector_norm(bounds[1] - bounds[0])) / c["samples"]
        self.room = sampling.most_steps(space, self.step)
        self.occupancy = Occupancy(c["occupancy"], self.step, space)
        self._changes: tuple[tuple[Camera, Mask], ...] = ()

    @property
    def space(self) -> Space:
        """Where the scene lies, on the model's device."""
        return Space(self.lower, self.upper, self.configuration["contracted"])

    @property
    def grid_levels(self) -> Sequence[GridLevel]:
        """The lattices whose features :meth:`field` takes, coarse to fine."""
        raise NotImplementedError(f"{self.family} has no lattices and gives encoded() itself")

    def encoded(self, unit: Tensor) -> Tensor:
        """Return what :meth:`field` takes, (N, E), of points (N, 3) of the unit cube.

        A field of several instants is asked for points (N, 4), whose last coordinate is the time.
        """
        return encode(unit, self.grid_levels)

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Return what :meth:`encoded` gave without gradients, now with them."""
        return reuse(known, unit, self.grid_levels)

    @abstractmethod
    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-density (N,), unshifted, and the features (N, F) of points.

        ``encoded`` (N, E) is what is stored at the points, such as the features of lattices.
        """

    @abstractmethod
    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return colours (N, 3), 0 to 1, of features (N, F) seen along directions (N, 3)."""

    def groups_of(self, tables: nn.Module, rate: float, share: float) -> list[dict[str, Any]]:
        """Return groups for the optimiser: tables learn at a rate, the rest at a share of it."""
        first = [p for p in tables.parameters() if p.requires_grad]
        known = {id(p) for p in first}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": first, "lr": rate}, {"params": rest, "lr": share * rate}]
        return [group for group in groups if group["params"]]

    def survey(self, cameras: Sequence[Camera]) -> None:
        """Rule out what no training camera sees, and within the bounds what only one does."""
        self.occupancy.survey(cameras, self.space, self.configuration["near"])

    def prepare(self, examples: PixelExamples) -> None:
        """Survey the cameras, and take down where their pictures changed."""
        super().prepare(examples)
        self._changes = tuple(zip(examples.cameras, examples.changed, strict=False))

    def begin_frame(self, index: int) -> None:  # noqa: ARG002 - the first is told by its warm grid
        """Let matter have moved a little, where cameras saw a change."""
        with torch.no_grad():
            self.occupancy.begin_frame(self.density, self._changes, self.space)

    def after_step(self, iteration: int) -> bool | None:
        """Redraw the occupancy bitmap every few iterations, once the densities mean something."""
        if (iteration + 1) % _UPDATE_EVERY or (self.occupancy.warm and self._warming(iteration)):
            return False
        with torch.no_grad():
            # While everything is open, twice as many probes as cells miss next to none.
            share = 2.0 if self.occupancy.warm else _UPDATE_SHARE
            self.occupancy.update(self.density, share)
        return False

    def settle(self, before: Mapping[str, Tensor]) -> None:
        """Open the cells that matter came to, and let the others be as they were."""
        self.occupancy.settle(before["occupancy.cells"], self.density)

    def _warming(self, iteration: int) -> bool:
        """Return whether it is too early to rule anything out.

        Training first makes fog before the cameras that explains their pictures one by one. What
        is ruled out then cannot become the matter that explains all of them.
        """
        c = self.configuration
        return iteration + 1 < c["warm_up"] or self.progress < float(c["warm_share"])

    def density(self, unit: Tensor) -> Tensor:
        """Return the densities (N,), 1 / scene unit, at points (N, 3) of the unit cube."""
        return self._density(self.field(self.encoded(unit))[0])

    def _density(self, raw: Tensor) -> Tensor:
        """Return the density, 1 / scene unit, of an unshifted log-density.

        It is meant per half edge of the cuboid, so that a scene's unit of length makes no odds: a
        random model is as transparent in millimetres as in metres.
        """
        return density(raw) * (2 / self.space.edge)

    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays; see :meth:`RadianceModel.render_rays`."""
        return self.render_at(origins, directions, None)

    def render_at(self, origins: Tensor, directions: Tensor, times: Tensor | None) -> Rendered:
        """Render N rays at ``times`` (N,), where the field is one of several instants."""
        back = self.background.expand(len(origins), 3)
        if torch.is_grad_enabled() or len(origins) <= _AT_ONCE:
            return self._render(origins, directions, back, times)
        parts = [
            self._render(
                origins[a : a + _AT_ONCE],
                directions[a : a + _AT_ONCE],
                back[a : a + _AT_ONCE],
                None if times is None else times[a : a + _AT_ONCE],
            )
            for a in range(0, len(origins), _AT_ONCE)
        ]
        return Rendered(
            torch.cat([part.colour for part in parts]),
            torch.cat([part.opacity for part in parts]),
            torch.cat([part.depth for part in parts]),
        )

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the mean squared colour error, over a background that is random where unknown."""
        unknown = self.configuration["background"] is None
        back = behind(batch.origins, self.background, drawn=unknown)
        rendered = self._render(batch.origins, batch.directions, back, batch.times)
        return batch.error(rendered.colour)

    def seen(self, rays: Rays) -> Tensor:
        """Return the colours (N, 3) of rendered rays."""
        return self.render_at(rays.origins, rays.directions, rays.times).colour

    def _points(self, samples: Samples, times: Tensor | None) -> Tensor:  # noqa: ARG002 - of groups
        """Return what :meth:`encoded` is asked for at samples of rays that are seen at times."""
        return samples.unit

    def _render(
        self,
        origins: Tensor,
        directions: Tensor,
        background: Tensor,
        times: Tensor | None = None,
    ) -> Rendered:
        def look(part: Samples) -> tuple[Tensor, Tensor]:
            found = self.encoded(self._points(part, times))
            return found, self._density(self.field(found)[0])

        with torch.no_grad():
            placed = self._samples(origins, directions)
            samples, encoded = lit(placed, look, self._seen, _INVISIBLE)
        raw, features = self.field(self.encoded_again(encoded, self._points(samples, times)))
        colour = self.colour(features, directions[samples.ray])
        blur = self._blur() if self.training else 0.0
        return quadrature.render(
            samples, self._density(raw), colour, background, (blur, self.space.edge / 2)
        )

    def _blur(self) -> float:
        """Return what the spread of matter along rays counts in the loss at this time.

        Nothing at first: before there are surfaces it would draw all matter to the lenses.
        """
        begin, end = _DISTORTION_RAMP
        ramp = min(max((self.progress - begin) / (end - begin), 0.0), 1.0)
        return ramp * float(self.configuration["distortion"])

    def _seen(self, weights: Tensor, left: Tensor) -> Tensor:
        """Return which samples (M,) are worked out, from what they contribute and leave.

        In training all that light still reaches, as an empty one may have to become matter; when
        rendering only those that contribute.
        """
        if self.training:
            return ~(weights + left <= _INVISIBLE)  # what is not a number is not hidden, either
        return weights > _INVISIBLE

    def _samples(self, origins: Tensor, directions: Tensor) -> Samples:
        space = self.space
        with torch.no_grad():
            near, far = space.spans(origins, directions)
            near = near.clamp_min(self.configuration["near"])
            offset = torch.full_like(near, 0.5)
            if self.training:
                offset = torch.rand_like(offset)
            open_in_vain = self.occupancy.warm or self.occupancy.searching
            stride = _WARM_STRIDE if self.training and open_in_vain else 1
            return sampling.place(
                origins,
                directions,
                (near, far),
                offset,
                self.step * stride,
                self.room // stride + 1,
                self.occupancy,
                space,
            )


def small_network(read: int, hidden: int, told: int) -> nn.Sequential:
    """Return two linear maps with a rectifier between them."""
    return nn.Sequential(nn.Linear(read, hidden), nn.ReLU(), nn.Linear(hidden, told))


def density(raw: Tensor) -> Tensor:
    """Return the density, 1 / half edge of the cuboid, of an unshifted log-density."""
    return torch.exp((raw + _LOG_DENSITY_SHIFT).clamp(max=_LARGEST_LOG_DENSITY))
