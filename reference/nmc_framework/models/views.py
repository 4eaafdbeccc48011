"""What a model adds that cameras see: it learns from the pixels of their pictures, and shows views.

A family that says what single rays see is a :class:`RayModel`: its loss and its pictures follow
from that. One that cannot, such as what is rasterised, gives both itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ChainModel, ModelError

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

#: Pixels of a picture (height, width), as booleans.
Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: Rays at a time where a whole picture is rendered; bounds memory whatever the picture's size.
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Rays:
    """N rays: ``origins`` and unit ``directions``, each (N, 3) float32, world units, on one device.

    Where they go through pixels, ``cameras`` have these: ray n belongs to camera ``views[n]`` (N,)
    int64 and goes through ``pixels[n]`` (N, 2) float32, its picture coordinates x and y, which are
    0.5 at the middle of the first pixel. Where a model is of several instants, ray n was seen at
    ``times[n]`` (N,) float32: instants of the group, counted from 0.
    """

    origins: Tensor
    directions: Tensor
    cameras: Sequence[Camera] = field(default=(), kw_only=True)
    views: Tensor | None = field(default=None, kw_only=True)
    pixels: Tensor | None = field(default=None, kw_only=True)
    times: Tensor | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.origins)

    @classmethod
    def of(
        cls, camera: Camera, device: torch.device | str = "cpu", time: float | None = None
    ) -> Rays:
        """Return the rays through all pixels of a camera, row by row, at an instant if given."""
        rays = camera.rays()
        y, x = torch.meshgrid(
            torch.arange(camera.height), torch.arange(camera.width), indexing="ij"
        )
        return Rays(
            torch.from_numpy(np.array(rays.origins, dtype=np.float32)).to(device),
            torch.from_numpy(rays.directions.astype(np.float32)).to(device),
            cameras=(camera,),
            views=torch.zeros(len(rays), dtype=torch.int64, device=device),
            pixels=(torch.stack([x, y], dim=2).view(-1, 2) + 0.5).to(device),
            times=None if time is None else torch.full((len(rays),), float(time), device=device),
        )

    def __getitem__(self, part: slice) -> Rays:
        """Return some of the rays."""
        return Rays(
            self.origins[part],
            self.directions[part],
            cameras=self.cameras,
            views=None if self.views is None else self.views[part],
            pixels=None if self.pixels is None else self.pixels[part],
            times=None if self.times is None else self.times[part],
        )


class PixelExamples(Protocol):
    """Pixels to learn from, as far as a model is concerned with all of them."""

    @property
    def cameras(self) -> Sequence[Camera]:
        """The cameras that took them."""

    @property
    def pictures(self) -> Sequence[np.ndarray[Any, np.dtype[np.uint8]]]:
        """What each of them took, (height, width, 3) uint8."""

    @property
    def changed(self) -> Sequence[Mask]:
        """For each camera the pixels that differ from the frame before; empty if nobody knows."""


@dataclass(frozen=True, eq=False)
class Squares:
    """T squares of pixels, of which a batch has all or almost all.

    ``side`` pixels wide; ``views`` (T,) int64, ascending, says which camera sees each, ``corners``
    (T, 2) int64 the column and row of its first pixel. Of their pixels, counted square by square
    and row by row, the batch has those of ``kept`` (N,) int64, in its order.
    """

    side: int
    views: np.ndarray[Any, np.dtype[np.int64]]
    corners: np.ndarray[Any, np.dtype[np.int64]]
    kept: Tensor


@dataclass(frozen=True, eq=False)
class RayBatch(Rays):
    """Rays, and the ``colours`` (N, 3) float32 that they should see.

    ``squares`` says where they lie, if they were drawn in squares.
    """

    colours: Tensor
    develop: Callable[[Tensor], Tensor] | None = field(default=None, kw_only=True)
    squares: Squares | None = field(default=None, kw_only=True)

    def error(self, seen: Tensor) -> Tensor:
        """Return the mean squared error (Mildenhall 2020, eq. 6) of the colours (N, 3) of a model.

        Where the batch has a model of how its cameras saw colours, ``develop`` takes the model's
        ones through it first.
        """
        pictured = seen if self.develop is None else self.develop(seen)
        return nn.functional.mse_loss(pictured, self.colours)


class ViewModel(ChainModel):
    """A model of something that cameras see; it is trained on batches of pixels."""

    #: Rays a batch of frame 0 that serve the family.
    rays: ClassVar[int] = 1024
    #: Pixels are drawn in squares of such sides; 1: each by itself.
    side: ClassVar[int] = 1

    @abstractmethod
    def loss(self, batch: RayBatch) -> Tensor:
        """Return the scalar to minimise for a batch of pixels."""

    @abstractmethod
    def render_view(self, camera: Camera, *, chunk: int = CHUNK) -> Tensor:
        """Return what ``camera`` sees, (height, width, 3) float32 in 0..1.

        Called in evaluation mode and without gradients. A family that works ray by ray takes
        ``chunk`` of them at a time.
        """

    def start_at(self, points: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Begin at points (P, 3) of the scene, world units; called before a chain, where known."""

    def survey(self, cameras: Sequence[Camera]) -> None:
        """Learn what the training cameras are; called before a frame is trained."""

    def prepare(self, examples: PixelExamples) -> None:
        """Survey the cameras that took the pictures."""
        self.survey(examples.cameras)


class RayModel(ViewModel):
    """A model that says what each ray sees, by itself; loss and pictures follow from that."""

    @abstractmethod
    def seen(self, rays: Rays) -> Tensor:
        """Return the colours (N, 3) float32 in 0..1 that N rays see."""

    def passes(self, rays: Rays) -> Tensor:
        """Return the colours (K, N, 3) of all passes over N rays, those that are seen last.

        What an earlier pass finds says where the next one looks, without any gradient.
        """
        return self.seen(rays)[None]

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the mean squared colour error (Mildenhall 2020, eq. 6)."""
        return batch.error(self.seen(batch))

    def render_view(
        self, camera: Camera, *, chunk: int = CHUNK, time: float | None = None
    ) -> Tensor:
        """Render a picture ray by ray; see :meth:`ViewModel.render_view`.

        ``time`` is the instant, where a model is of several.
        """
        rays = Rays.of(camera, next(self.parameters()).device, time)
        parts = [self.seen(rays[a : a + chunk]) for a in range(0, len(rays), chunk)]
        return torch.cat(parts).view(camera.height, camera.width, 3)


def shown(model: ChainModel) -> ViewModel:
    """Return a model that views can be rendered of.

    Raises
    ------
    ModelError
        When the model's family is of another kind.
    """
    if isinstance(model, ViewModel):
        return model
    raise ModelError(
        f"a {model.family} model is not seen by cameras: there are no views of it to train on, to "
        "score or to render"
    )
