"""The family ``nerf_plus_plus``: one network within a sphere about the cameras, one beyond it.

After Zhang et al. 2020 (NeRF++, arXiv 2010.07492): what is inside the sphere is a NeRF of (x, y,
z); what is outside a NeRF of (x', y', z', 1/r), the point on the unit sphere in the same direction
and the inverse of its distance (section 4, figure 6), so that all of the outside is bounded. A ray
sees the inside, and the outside through what light the inside leaves (equation 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.backdrop import behind
from nmc_framework.models.radiance.field import RadianceModel, Rendered
from nmc_framework.models.radiance.nerf_mlp import (
    PAPER,
    PAPER_MEANINGS,
    NerfNetwork,
    encode_positions,
    require_frequencies,
)
from nmc_framework.models.radiance.volume import importance_samples
from nmc_framework.models.views import RayBatch, Rays

#: The least share of a ray's way inside the sphere; keeps intervals of rays that miss it apart.
_TINY = 1e-6


class InsideOutside(nn.Module):
    """The two networks of one pass: ``inside`` reads (x, y, z), ``outside`` (x', y', z', 1/r)."""

    def __init__(self, width: int, depth: int, skip: int, frequencies: tuple[int, int]) -> None:
        super().__init__()
        position, direction = (1 + 2 * count for count in frequencies)
        self.inside = NerfNetwork(width, depth, skip, 3 * position, 3 * direction)
        self.outside = NerfNetwork(width, depth, skip, 4 * position, 3 * direction)

    def linear_layers(self) -> list[nn.Module]:
        """Return the linear maps of the inside, then those of the outside."""
        return [*self.inside.linear_layers(), *self.outside.linear_layers()]


class NerfPlusPlus(RadianceModel):
    """A NeRF within a sphere and one of the inverted rest (NeRF++): all around, far and near.

    ``sphere`` is its middle and radius, in scene units; ``samples`` and ``fine_samples`` are those
    of either part.
    """

    family: ClassVar[str] = "nerf_plus_plus"
    meanings: ClassVar[Mapping[str, str]] = PAPER_MEANINGS | {
        "sphere": "middle and radius of the sphere about the cameras; set by the rig",
        "samples": "samples of a ray, inside the sphere and outside",
        "fine_samples": "further ones of either part; 0: there are no fine networks",
    }
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 1e-3)

    middle: Tensor

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the paper's configuration, about the origin."""
        return {
            "sphere": [0.0, 0.0, 0.0, 1.0],
            "background": [0.0, 0.0, 0.0],
            "near": 0.0,
            **PAPER,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if len(c["sphere"]) != 4 or not 0 < c["sphere"][3] < float("inf"):
            raise ModelError("nerf_plus_plus has a sphere of x, y, z and a radius above 0")
        if c["samples"] < 3:
            raise ModelError("nerf_plus_plus takes samples from 3 on")
        self.radius = float(c["sphere"][3])
        self.register_buffer("middle", torch.tensor(c["sphere"][:3]).float(), persistent=False)
        frequencies = (c["position_frequencies"], c["direction_frequencies"])
        require_frequencies(self.family, *frequencies)
        sizes = (c["width"], c["depth"], c["skip"], frequencies)
        self.coarse = InsideOutside(*sizes)
        self.fine = InsideOutside(*sizes) if c["fine_samples"] else None

    def layers(self) -> Sequence[nn.Module]:
        """Return the linear maps: coarse inside, coarse outside, fine inside, fine outside."""
        fine = self.fine.linear_layers() if self.fine else []
        return [*self.coarse.linear_layers(), *fine]

    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays; see :meth:`RadianceModel.render_rays`."""
        return self._render(origins, directions, self.background.expand(len(origins), 3))[-1]

    def passes(self, rays: Rays) -> Tensor:
        """Return the colours of both passes; see :meth:`RayModel.passes`."""
        back = self.background.expand(len(rays.origins), 3)
        rendered = self._render(rays.origins, rays.directions, back)
        return torch.stack([r.colour for r in rendered])

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the squared errors of both passes, summed (Mildenhall 2020, equation 6)."""
        unknown = self.configuration["background"] is None
        back = behind(batch.origins, self.background, drawn=unknown)
        rendered = self._render(batch.origins, batch.directions, back)
        if not self.training:  # what is told of the model is the error of what it shows
            return batch.error(rendered[-1].colour)
        return torch.stack([batch.error(r.colour) for r in rendered]).sum()

    def _render(self, origins: Tensor, directions: Tensor, back: Tensor) -> list[Rendered]:
        ray = InverseSphere((origins - self.middle) / self.radius, directions)
        near, far = ray.within(float(self.configuration["near"]) / self.radius)
        outermost = ray.outermost()
        count = self.configuration["samples"]
        # Shares 0..1 of the way inside; and of 1/r, from the sphere outwards to infinity.
        shares = [self._spread(len(origins), count, origins.device) for _ in range(2)]
        edges = torch.stack([near, far, outermost])
        coarse, weights = self._query(self.coarse, ray, shares, edges, back)
        if self.fine is None:
            return [coarse]
        with torch.no_grad():
            finer = []
            for share, weight in zip(shares, weights, strict=True):
                more = importance_samples(
                    share, weight, self.configuration["fine_samples"], jitter=self.training
                )
                finer.append(torch.sort(torch.cat([share, more], dim=1), dim=1).values)
        return [coarse, self._query(self.fine, ray, finer, edges, back)[0]]

    def _spread(self, rays: int, count: int, device: torch.device) -> Tensor:
        offset = torch.rand(rays, count, device=device) if self.training else 0.5
        return (
            (torch.arange(count, device=device) + offset)
            / count
            * torch.ones(rays, 1, device=device)
        )

    def _query(
        self,
        networks: InsideOutside,
        ray: InverseSphere,
        shares: Sequence[Tensor],
        edges: Tensor,
        back: Tensor,
    ) -> tuple[Rendered, tuple[Tensor, Tensor]]:
        near, far, outermost = edges[..., None].unbind(0)
        distance = near + (far - near) * shares[0]
        length = (far - near) * _gaps(shares[0])
        inverse = outermost * (1 - shares[1])
        # Outside, density is meant per unit of 1/r, as in the authors' program.
        gap = outermost * _gaps(shares[1])
        density, colour = self._ask(networks.inside, ray.points(distance), ray.directions)
        weights, left = _weigh(density * length)
        far_density, far_colour = self._ask(networks.outside, ray.inverted(inverse), ray.directions)
        far_weights, far_left = _weigh(far_density * gap)
        seen = (weights[..., None] * colour).sum(dim=1)
        beyond = (far_weights[..., None] * far_colour).sum(dim=1) + far_left[:, None] * back
        opacity = 1 - left * far_left
        reached = (weights * distance).sum(dim=1)
        outside = left * (far_weights * ray.distance(inverse)).sum(dim=1)
        depth = (reached + outside) / opacity.clamp_min(1e-6) * self.radius
        rendered = Rendered(seen + left[:, None] * beyond, opacity, depth)
        return rendered, (weights.detach(), far_weights.detach())

    def _ask(
        self, network: NerfNetwork, points: Tensor, directions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return densities (N, S) and colours (N, S, 3) at points (N, S, 3 or 4)."""
        rays, count, width = points.shape
        c = self.configuration
        position = encode_positions(points.reshape(-1, width), c["position_frequencies"])
        view = encode_positions(directions, c["direction_frequencies"])
        density, colour = network(position, view.repeat_interleave(count, dim=0))
        return density.view(rays, count), colour.view(rays, count, 3)


class InverseSphere:
    """N rays about a unit sphere: ``origins`` (N, 3) in radii from its middle."""

    def __init__(self, origins: Tensor, directions: Tensor) -> None:
        self.origins, self.directions = origins, directions
        self.along = (origins * directions).sum(dim=1)
        #: The squared distance of the middle from the line of the ray.
        self.aside = ((origins**2).sum(dim=1) - self.along**2).clamp_min(0)

    def within(self, nearest: float) -> tuple[Tensor, Tensor]:
        """Return the distances (N,), (N,) between which rays are inside; no way where they miss."""
        half = (1 - self.aside).clamp_min(0).sqrt()
        far = (half - self.along).clamp_min(nearest)
        return (-half - self.along).clamp_min(nearest).minimum(far), far + _TINY

    def outermost(self) -> Tensor:
        """Return 1/r (N,) where each ray's way outside begins: 1, less where it misses."""
        return self.aside.clamp_min(1).rsqrt()

    def points(self, distance: Tensor) -> Tensor:
        """Return the points (N, S, 3) at distances (N, S)."""
        return self.origins[:, None] + distance[..., None] * self.directions[:, None]

    def inverted(self, inverse: Tensor) -> Tensor:
        """Return (x', y', z', 1/r), (N, S, 4), where rays are at inverses of r (N, S).

        A ray is at r where t = sqrt(r² - aside) - along; times 1/r, so that 1/r may be 0.
        """
        onto = self.origins[:, None] * inverse[..., None]
        way = self._scaled(inverse)[..., None] * self.directions[:, None]
        return torch.cat([onto + way, inverse[..., None]], dim=2)

    def distance(self, inverse: Tensor) -> Tensor:
        """Return the distances (N, S), in radii, at inverses of r (N, S); of infinity a far one."""
        return self._scaled(inverse) / inverse.clamp_min(1e-3)

    def _scaled(self, inverse: Tensor) -> Tensor:
        """Return distance times 1/r."""
        root = (1 - self.aside[:, None] * inverse**2).clamp_min(0).sqrt()
        return root - self.along[:, None] * inverse


def _gaps(shares: Tensor) -> Tensor:
    """Return what each of ascending shares (N, S) stands for: up to the next, the last up to 1."""
    ends = torch.cat([shares[:, 1:], torch.ones_like(shares[:, :1])], dim=1)
    return (ends - shares).clamp_min(0)


def _weigh(optical: Tensor) -> tuple[Tensor, Tensor]:
    """Return what samples of an optical depth (N, S) contribute, and what light (N,) is left."""
    summed = torch.cumsum(optical, dim=1)
    return torch.exp(optical - summed) * -torch.expm1(-optical), torch.exp(-summed[:, -1])
