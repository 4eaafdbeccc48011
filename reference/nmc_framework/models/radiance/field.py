"""What a radiance field adds to a model that cameras see: volume rendering of any ray."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from nmc_framework.models.views import RayModel, Rays


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
    """A radiance field: what is seen along each ray, whatever picture it belongs to."""

    @abstractmethod
    def render_rays(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render N rays: origins and unit directions, each (N, 3) float32, world units.

        In training mode sample positions are jittered with torch's global generator.
        """

    def seen(self, rays: Rays) -> Tensor:
        """Return the colours (N, 3) of rendered rays."""
        return self.render_rays(rays.origins, rays.directions).colour
