"""What a radiance field adds to a model that cameras see: volume rendering of any ray."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmc_framework.models.radiance.backdrop import backdrop, behind
from nmc_framework.models.radiance.cuboid import enter_and_leave
from nmc_framework.models.views import RayBatch, RayModel, Rays


@dataclass(frozen=True, eq=False)
class Rendered:
    """What volume rendering makes of N rays, all float32.

    ``colour`` (N, 3) over the background, ``opacity`` (N,) in 0..1, ``depth`` (N,) the expected
    distance in scene units of what was hit (0 where nothing was).
    """

    colour: Tensor
    opacity: Tensor
    depth: Tensor


class RadianceModel(RayModel):
    """A radiance field: what is seen along each ray, whatever picture it belongs to.

    Options of the scene mean the same in every family that has them. ``background`` is the colour
    behind it, or None where nobody knows: a buffer (3,) has it then, or grey. ``bounds`` is the
    cuboid of the scene, and ``near`` the distance before which nothing is looked for.
    """

    background: Tensor

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        if "background" in self.configuration:
            colour = backdrop(self.configuration["background"])
            self.register_buffer("background", colour, persistent=False)

    @abstractmethod
    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays: origins and unit directions, each (N, 3) float32, world units.

        Over the background. In training mode sample positions are jittered with torch's global
        generator.
        """

    def spans(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances (N,), (N,) between which rays are in the bounds, and not too near.

        Of a ray that misses them both are the same. Matter right before a lens explains what one
        camera sees, and hides the scene from no other: without ``near`` that is what is learned.
        """
        c = self.configuration
        bounds = torch.tensor(c["bounds"], dtype=torch.float32, device=origins.device)
        near, far = enter_and_leave(origins, directions, bounds[0], bounds[1])
        near = near.clamp_min(c.get("near", 0.0))
        return near, torch.maximum(near, far)

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the mean squared colour error, over a background that is random where unknown."""
        rendered = self.render_rays(batch.origins, batch.directions)
        if self.configuration.get("background", ()) is not None:
            return batch.error(rendered.colour)
        drawn = behind(batch.origins, self.background, drawn=True)
        seen = rendered.colour + (1 - rendered.opacity)[:, None] * (drawn - self.background)
        return batch.error(seen)

    def seen(self, rays: Rays) -> Tensor:
        """Return the colours (N, 3) of rendered rays."""
        return self.render_rays(rays.origins, rays.directions).colour
