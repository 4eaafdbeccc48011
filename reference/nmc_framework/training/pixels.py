"""The pixels of one frame's views as a pool from which batches of rays are drawn (clause 5.1).

Directions are computed for the drawn pixels only: a run's memory is that of one frame's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmc_framework.cameras import Camera
from nmc_framework.models import RayBatch
from nmc_framework.models.views import Mask, Squares

#: Difference of a colour value, of 255, above which a pixel counts as changed: above the noise of
#: video coding.
_CHANGE = 12


#: Of so many pixels one is kept back to judge by, and at most so many.
_KEPT_BACK, _MOST_KEPT_BACK = 50, 1024


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
    """Draws among all pixels of all views of one frame.

    Parameters
    ----------
    cameras, views
        The frame; image k belongs to camera k.
    before
        The frame that the weights come from, where there is one: it tells which pixels changed,
        see the attribute ``changed``, one boolean (height, width) mask a view.
    focus
        The share of a batch that is drawn among the changed pixels only; the rest is drawn among
        all, so that nothing that stands still is forgotten.
    side
        Pixels are drawn in squares of such sides about those that were drawn; 1: by themselves.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        views: FrameViews,
        before: FrameViews | None = None,
        *,
        focus: float = 0.0,
        device: torch.device | str = "cpu",
        side: int = 1,
    ) -> None:
        require_views(cameras, views)
        self._side = side
        self._pictures = tuple(views.images)
        self._cameras = tuple(cameras)
        self._colours = torch.from_numpy(_flat(views)).to(device)
        self._changed = torch.empty(0, dtype=torch.int64)
        self.changed: Sequence[Mask] = ()
        self._before = before
        if before is not None:
            require_views(cameras, before)
            self.changed = _changed(views, before)
            flat = np.concatenate([mask.ravel() for mask in self.changed])
            self._changed = torch.from_numpy(np.flatnonzero(flat))
        self.focus = focus if len(self._changed) else 0.0
        sizes = [camera.width * camera.height for camera in cameras]
        self._back = torch.empty(0, dtype=torch.int64)
        self._start = torch.tensor(np.cumsum([0, *sizes[:-1]]), device=device)
        self._width = torch.tensor([camera.width for camera in cameras], device=device)
        self._pinhole = _stack([[c.cx, c.cy, 1 / c.fx, 1 / c.fy] for c in cameras], device)
        self._rotation = _stack([c.rotation for c in cameras], device)
        self._centre = _stack([c.centre for c in cameras], device)

    def __len__(self) -> int:
        return len(self._colours)

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras that took the pictures."""
        return self._cameras

    @property
    def pictures(self) -> Sequence[npt.NDArray[np.uint8]]:
        """The picture of each camera."""
        return self._pictures

    def draw(self, count: int, generator: torch.Generator, focus: float | None = None) -> RayBatch:
        """Draw ``count`` pixels with replacement from a CPU ``generator``.

        ``focus`` takes the place of the pool's own for this batch, where pixels changed at all.
        """
        share = self.focus if focus is None or not self.focus else focus
        if self._side > 1:
            chosen = self._choose(-(-count // self._side**2), generator, share)
            return self._squares(chosen)
        chosen = self._choose(count, generator, share)
        if len(self._back):
            # A pixel that is kept back gives way to the next one, which never is.
            place = torch.searchsorted(self._back, chosen).clamp_max(len(self._back) - 1)
            chosen = torch.where(self._back[place] == chosen, chosen + 1, chosen)
        return self._batch(chosen)

    def kept_back(self, seed: int) -> RayBatch | None:
        """Return pixels that no batch has from now on: one in fifty, a thousand at most."""
        count = min(len(self) // _KEPT_BACK, _MOST_KEPT_BACK)
        generator = torch.Generator().manual_seed(seed)
        # Even ones only, so that the next one is free.
        self._back = (
            torch.unique(torch.randint((len(self) - 1) // 2, (count,), generator=generator)) * 2
        )
        return self._batch(self._back) if len(self._back) else None

    def kept_back_before(self) -> RayBatch | None:
        """Return the pixels kept back as they were in the frame before, where there is one."""
        if self._before is None or not len(self._back):
            return None
        colours = torch.from_numpy(_flat(self._before)[self._back.numpy()])
        return replace(
            self._batch(self._back), colours=colours.to(self._colours.device).float() / 255
        )

    def _squares(self, middles: Tensor) -> RayBatch:
        """Return the squares about some pixels, moved into their pictures."""
        middles = torch.sort(middles).values
        start, side = self._start.cpu(), self._side
        view = torch.searchsorted(start, middles, right=True) - 1
        sizes = torch.tensor([(c.width, c.height) for c in self._cameras])[view]
        within = middles - start[view]
        middle = torch.stack([within % sizes[:, 0], within // sizes[:, 0]], dim=1)
        corners = torch.minimum(middle - side // 2, sizes - side).clamp_min(0)
        step = torch.arange(side)
        row, column = (t.reshape(-1) for t in torch.meshgrid(step, step, indexing="ij"))
        x, y = corners[:, :1] + column, corners[:, 1:] + row
        pixels = (start[view][:, None] + y * sizes[:, :1] + x).reshape(-1)
        there = ((x < sizes[:, :1]) & (y < sizes[:, 1:])).reshape(-1)
        if len(self._back):
            there &= ~torch.isin(pixels, self._back)
        kept = torch.nonzero(there)[:, 0]
        squares = Squares(side, view.numpy(), corners.numpy(), kept.to(self._colours.device))
        return replace(self._batch(pixels[kept]), squares=squares)

    def _batch(self, chosen: Tensor) -> RayBatch:
        device = self._colours.device
        chosen = chosen.to(device)
        view = torch.searchsorted(self._start, chosen, right=True) - 1
        within = chosen - self._start[view]
        width = self._width[view]
        pinhole = self._pinhole[view]
        pixels = torch.stack([within % width, within // width], dim=1) + 0.5
        x = (pixels[:, 0] - pinhole[:, 0]) * pinhole[:, 2]
        y = (pixels[:, 1] - pinhole[:, 1]) * pinhole[:, 3]
        local = torch.stack([x, y, torch.ones_like(x)], dim=1)
        directions = torch.nn.functional.normalize(
            torch.einsum("nij,nj->ni", self._rotation[view], local), dim=1
        )
        colours = self._colours[chosen].float() / 255
        return RayBatch(
            self._centre[view],
            directions,
            colours,
            cameras=self._cameras,
            views=view,
            pixels=pixels,
        )

    def _choose(self, count: int, generator: torch.Generator, focus: float) -> Tensor:
        focused = int(count * focus)
        everywhere = torch.randint(len(self), (count - focused,), generator=generator)
        if not focused:
            return everywhere
        among = torch.randint(len(self._changed), (focused,), generator=generator)
        return torch.cat([everywhere, self._changed[among]])


def _flat(views: FrameViews) -> npt.NDArray[np.uint8]:
    return np.concatenate([np.asarray(image).reshape(-1, 3) for image in views.images])


def _changed(views: FrameViews, before: FrameViews) -> list[Mask]:
    """Return which pixels of each view differ from the frame before, and their neighbours."""
    masks: list[Mask] = []
    for image, old in zip(views.images, before.images, strict=True):
        difference = np.abs(image.astype(np.int16) - old).max(axis=2) > _CHANGE
        grown = np.pad(difference, 1)
        windows = np.lib.stride_tricks.sliding_window_view(grown, (3, 3))
        masks.append(np.asarray(windows.any(axis=(2, 3))))
    return masks


def require_views(cameras: Sequence[Camera], views: FrameViews) -> None:
    """Raise :class:`ViewsError` unless there is one image a camera, each of the camera's size."""
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
