"""The family ``nerf_mlp``: the network of the first NeRF paper (Mildenhall et al. 2020).

Positional encoding (equation 4), a trunk of ``depth`` layers with one skip connection, density
before and colour after the viewing direction joins; optionally a second network for the finer
samples that the first one's weights ask for (section 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.backdrop import behind
from nmc_framework.models.radiance.field import RadianceModel, Rendered
from nmc_framework.models.radiance.volume import composite, importance_samples
from nmc_framework.models.views import RayBatch, Rays

#: Most frequencies of an encoding: far above what single precision tells apart, below infinity.
_MOST_FREQUENCIES = 64
#: Sizes of the paper: of a network and its encodings, and samples of a ray.
PAPER: Mapping[str, Any] = {
    "width": 256,
    "depth": 8,
    "skip": 5,
    "position_frequencies": 10,
    "direction_frequencies": 4,
    "samples": 64,
    "fine_samples": 128,
}


#: What they say.
PAPER_MEANINGS: dict[str, str] = {
    "background": "the colour behind everything, 0..1; null: nobody knows",
    "near": "nothing is nearer to a camera, in scene units; set from the cameras",
    "width": "of each layer",
    "depth": "layers of the trunk",
    "skip": "the layer that sees the place once more, from 0 on",
    "position_frequencies": "octaves of the encoding of places",
    "direction_frequencies": "octaves of the encoding of directions",
    "samples": "samples of a ray for the first network",
    "fine_samples": "samples of a ray for the second; 0: there is none",
}


class NerfNetwork(nn.Module):
    """One network: encoded position and direction to density and colour."""

    def __init__(self, width: int, depth: int, skip: int, position: int, direction: int) -> None:
        super().__init__()
        self.skip = skip
        sizes = [position] + [width + (position if i == skip else 0) for i in range(1, depth)]
        self.trunk = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.density = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        self.view = nn.Linear(width + direction, width // 2)
        self.colour = nn.Linear(width // 2, 3)

    def linear_layers(self) -> list[nn.Module]:
        """Return the linear maps from input to output."""
        return [*self.trunk, self.density, self.feature, self.view, self.colour]

    def forward(self, position: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoded points (N, P) and directions (N, D) to density (N,) and colour (N, 3)."""
        hidden = position
        for index, layer in enumerate(self.trunk):
            if index == self.skip and index:
                hidden = torch.cat([position, hidden], dim=1)
            hidden = torch.relu(layer(hidden))
        density = nn.functional.softplus(self.density(hidden)[:, 0] - 1.0)
        seen = torch.relu(self.view(torch.cat([self.feature(hidden), direction], dim=1)))
        return density, torch.sigmoid(self.colour(seen))


class NerfMlp(RadianceModel):
    """The network of the first NeRF paper: small in bytes, slow to train.

    ``defaults`` names every option, the paper's sizes unless overridden.
    """

    family: ClassVar[str] = "nerf_mlp"
    meanings: ClassVar[Mapping[str, str]] = PAPER_MEANINGS | {
        "bounds": "two corners of the cuboid that holds the scene; set from cameras and points",
    }
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 1e-3)

    bounds: Tensor

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the paper's configuration."""
        return {
            "bounds": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]],
            "background": [0.0, 0.0, 0.0],
            "near": 0.0,
            **PAPER,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        bounds = torch.tensor(c["bounds"], dtype=torch.float32)
        self.register_buffer("bounds", bounds, persistent=False)
        require_frequencies(self.family, c["position_frequencies"], c["direction_frequencies"])
        encoded = [3 + 6 * c[f"{what}_frequencies"] for what in ("position", "direction")]
        sizes = (c["width"], c["depth"], c["skip"], *encoded)
        self.coarse = NerfNetwork(*sizes)
        self.fine = NerfNetwork(*sizes) if c["fine_samples"] else None

    def layers(self) -> Sequence[nn.Module]:
        """Return the coarse network's linear maps, then the fine one's."""
        fine = self.fine.linear_layers() if self.fine else []
        return [*self.coarse.linear_layers(), *fine]

    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays; see :meth:`RadianceModel.render_rays`."""
        return self._render(origins, directions, self.background.expand(len(origins), 3))[-1]

    def passes(self, rays: Rays) -> Tensor:
        """Return the colours of both networks; see :meth:`RayModel.passes`."""
        back = self.background.expand(len(rays.origins), 3)
        rendered = self._render(rays.origins, rays.directions, back)
        return torch.stack([r.colour for r in rendered])

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the squared errors of both networks' renderings, summed (equation 6)."""
        unknown = self.configuration["background"] is None
        back = behind(batch.origins, self.background, drawn=unknown)
        rendered = self._render(batch.origins, batch.directions, back)
        errors = [batch.error(r.colour) for r in rendered]
        return torch.stack(errors).sum()

    def _render(self, origins: Tensor, directions: Tensor, back: Tensor) -> list[Rendered]:
        near, far = self.spans(origins, directions)
        count = self.configuration["samples"]
        edges = torch.linspace(0, 1, count + 1, device=near.device)
        offset = torch.rand(len(near), count, device=near.device) if self.training else 0.5
        share = edges[:-1] + offset / count
        distance = near[:, None] + (far - near)[:, None] * share
        coarse, weights = self._query(self.coarse, origins, directions, distance, far, back)
        if self.fine is None:
            return [coarse]
        with torch.no_grad():
            more = importance_samples(
                distance, weights, self.configuration["fine_samples"], jitter=self.training
            )
            merged = torch.sort(torch.cat([distance, more], dim=1), dim=1).values
        return [coarse, self._query(self.fine, origins, directions, merged, far, back)[0]]

    def _query(
        self,
        network: NerfNetwork,
        origins: Tensor,
        directions: Tensor,
        distance: Tensor,
        far: Tensor,
        back: Tensor,
    ) -> tuple[Rendered, Tensor]:
        rays, count = distance.shape
        points = origins[:, None] + distance[..., None] * directions[:, None]
        unit = 2 * (points - self.bounds[0]) / (self.bounds[1] - self.bounds[0]) - 1
        position = encode_positions(unit.reshape(-1, 3), self.configuration["position_frequencies"])
        view = encode_positions(directions, self.configuration["direction_frequencies"])
        density, colour = network(position, view.repeat_interleave(count, dim=0))
        ends = torch.cat([distance[:, 1:], far[:, None].clamp_min(0)], dim=1)
        delta = (ends - distance).clamp_min(0)
        rendered = composite(
            density.view(rays, count), colour.view(rays, count, 3), distance, delta, back
        )
        optical = density.detach().view(rays, count) * delta
        weights = torch.exp(optical - torch.cumsum(optical, dim=1)) * -torch.expm1(-optical)
        return rendered, weights


def require_frequencies(family: str, *counts: int) -> None:
    """Raise :class:`ModelError` where 2^k·pi of a frequency would be no float32, or below none."""
    for count in counts:
        if not 0 <= count <= _MOST_FREQUENCIES:
            told = f"frequencies from 0 to {_MOST_FREQUENCIES}, not {count}"
            raise ModelError(f"{family} encodes by {told}: their powers of two overflow")


def encode_positions(values: Tensor, frequencies: int) -> Tensor:
    """Return values (N, 3) with sin and cos of 2^k·pi times them, (N, 3 + 6·frequencies).

    The raw values come first, as in the authors' program.
    """
    scale = torch.pi * 2.0 ** torch.arange(frequencies, device=values.device)
    angles = (values[:, None] * scale[:, None]).flatten(1)
    return torch.cat([values, torch.sin(angles), torch.cos(angles)], dim=1)
