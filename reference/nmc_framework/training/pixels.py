"""The pixels of one frame's views as a pool from which batches of rays are drawn (clause 5.1).

Directions are computed for the drawn pixels only: the memory of a run is that of one frame's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmc_framework.cameras import Camera
from nmc_framework.models import RayBatch


class ViewsError(ValueError):
    """Images that do not belong to the cameras."""


@dataclass(frozen=True, eq=False)
class FrameViews:
    """All views of one instant.

    ``index`` counts frames from 0, ``time`` is in seconds; ``images`` has one (height, width, 3)
    uint8 image a training camera, in the cameras' order.
    """

    index: int
    time: float
    images: Sequence[npt.NDArray[np.uint8]]


class PixelPool:
    """Draws uniformly among all pixels of all views of one frame."""

    def __init__(
        self, cameras: Sequence[Camera], views: FrameViews, device: torch.device | str = "cpu"
    ) -> None:
        _check(cameras, views)
        self._colours = torch.from_numpy(
            np.concatenate([np.asarray(image).reshape(-1, 3) for image in views.images])
        ).to(device)
        sizes = [camera.width * camera.height for camera in cameras]
        self._start = torch.tensor(np.cumsum([0, *sizes[:-1]]), device=device)
        self._width = torch.tensor([camera.width for camera in cameras], device=device)
        self._pinhole = _stack([[c.cx, c.cy, 1 / c.fx, 1 / c.fy] for c in cameras], device)
        self._rotation = _stack([c.rotation for c in cameras], device)
        self._centre = _stack([c.centre for c in cameras], device)

    def __len__(self) -> int:
        return len(self._colours)

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """Draw ``count`` pixels with replacement from a CPU ``generator``."""
        device = self._colours.device
        chosen = torch.randint(len(self), (count,), generator=generator).to(device)
        view = torch.searchsorted(self._start, chosen, right=True) - 1
        within = chosen - self._start[view]
        width = self._width[view]
        pinhole = self._pinhole[view]
        x = ((within % width) + 0.5 - pinhole[:, 0]) * pinhole[:, 2]
        y = ((within // width) + 0.5 - pinhole[:, 1]) * pinhole[:, 3]
        local = torch.stack([x, y, torch.ones_like(x)], dim=1)
        directions = torch.nn.functional.normalize(
            torch.einsum("nij,nj->ni", self._rotation[view], local), dim=1
        )
        colours = self._colours[chosen].float() / 255
        return RayBatch(self._centre[view], directions, colours)


def _check(cameras: Sequence[Camera], views: FrameViews) -> None:
    if len(views.images) != len(cameras):
        raise ViewsError(
            f"frame {views.index} has {len(views.images)} images for {len(cameras)} cameras"
        )
    for camera, image in zip(cameras, views.images, strict=True):
        expected = (camera.height, camera.width, 3)
        if tuple(image.shape) != expected or image.dtype != np.uint8:
            raise ViewsError(
                f"frame {views.index}, camera {camera.name!r}: the image is {image.shape} "
                f"{image.dtype}, the camera needs {expected} uint8"
            )


def _stack(values: Sequence[Any], device: torch.device | str) -> Tensor:
    return torch.tensor(np.array(values), dtype=torch.float32, device=device)
