"""Rendering whole images from a model of one frame (clause 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from nmc_framework.allocation import keep_freed_memory
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel
from nmc_framework.models.dynamic import GroupModel
from nmc_framework.models.views import CHUNK, RayModel, Rays, shown


def render_image(
    model: ChainModel, camera: Camera, *, chunk: int = CHUNK, time: float | None = None
) -> npt.NDArray[np.uint8]:
    """Render what ``camera`` sees, (height, width, 3) uint8; the model's mode is left as it was.

    ``time`` is the instant of a model of a group, counted from 0; the first unless given.

    Raises
    ------
    ModelError
        When no camera can see the model.
    """
    seen_by = shown(model)
    with _rendering(model):
        if isinstance(seen_by, GroupModel):
            seen = seen_by.render_view(camera, chunk=chunk, time=time or 0.0)
        else:
            seen = seen_by.render_view(camera, chunk=chunk)
    return _levels(seen).reshape(camera.height, camera.width, 3)


def render_tile(
    model: RayModel, camera: Camera, tile: slice, *, time: float | None = None
) -> npt.NDArray[np.uint8]:
    """Render some pixels of what ``camera`` sees, (N, 3) uint8, counted row by row.

    They are the bytes that :func:`render_image` gives them, if the tile begins and ends where that
    divides its work: at multiples of :data:`~nmc_framework.models.views.CHUNK`.
    """
    if tile.start == tile.stop:
        return np.zeros((0, 3), np.uint8)
    device = next(model.parameters()).device
    instant = (time or 0.0) if isinstance(model, GroupModel) else None
    with _rendering(model):
        rays = Rays.of(camera, device, instant)[tile]
        parts = [model.seen(rays[a : a + CHUNK]) for a in range(0, len(rays), CHUNK)]
    return _levels(torch.cat(parts))


def tile_of(camera: Camera, number: int, count: int) -> slice:
    """Return tile ``number`` of ``count`` that a picture is divided into; it may be empty."""
    pixels = camera.width * camera.height
    chunks = -(-pixels // CHUNK)
    ends = (min(pixels, CHUNK * (chunks * k // count)) for k in (number, number + 1))
    return slice(*ends)


@contextmanager
def _rendering(model: ChainModel) -> Iterator[None]:
    """Have a model render, and leave its mode as it was."""
    keep_freed_memory()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def _levels(seen: torch.Tensor) -> npt.NDArray[np.uint8]:
    return np.asarray(seen.clamp(0, 1).mul(255).round().byte().cpu().numpy(), dtype=np.uint8)
