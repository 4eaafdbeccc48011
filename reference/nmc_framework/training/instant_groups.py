"""Chains of groups: all pixels of several instants, and the way through footage (clause 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmc_framework.cameras import Camera
from nmc_framework.models import RayBatch
from nmc_framework.models.dynamic import Drawing, GroupBatch, GroupModel
from nmc_framework.models.views import ViewModel
from nmc_framework.training.clips import train_each
from nmc_framework.training.finished import Progress, TrainedFrame
from nmc_framework.training.pixels import FrameViews, PixelPool, ViewsError, require_views
from nmc_framework.training.schedule import Schedule
from nmc_framework.training.store import Store

#: Weight of a pixel that never changes, of one that changes from black to white.
_FLOOR = 0.01


class GroupPixels(PixelPool):
    """All pixels of the views of several instants, as :class:`~nmc_framework.training.Examples`.

    Parameters
    ----------
    model
        A model of groups says which instants it learns from, and what pixels are weighted by; one
        that knows nothing of time learns from all of them alike.
    cameras
        Training cameras; image k of every instant belongs to camera k.
    group
        The views of each instant.
    when
        Where each camera has taken one picture at an instant of its own, these instants, counted
        from 0; the group is then one of views.
    """

    def __init__(
        self,
        model: ViewModel,
        cameras: Sequence[Camera],
        group: Sequence[FrameViews],
        when: Sequence[float] | None = None,
    ) -> None:
        if not group:
            raise ViewsError("a group has one instant at least")
        if isinstance(model, GroupModel) and len(group) > model.instants:
            raise ViewsError(f"a group of {len(group)} instants is not one of {model.instants}")
        for views in group:
            require_views(cameras, views)
        self._model, self._own = model, tuple(cameras)
        self.length = len(group) if when is None else 1 + round(max(when))
        told = when or [float(k) for k in range(len(group)) for _ in cameras]
        self._when = torch.tensor(told, dtype=torch.float32)
        images = [image for views in group for image in views.images]
        every = FrameViews(group[0].index, group[0].time, images)
        device = next(model.parameters()).device
        super().__init__(self._own * len(group), every, device=device)
        self._varies, self._changes = _variation(group)
        self._most = self._varies.max(axis=0)
        self._sums: dict[Drawing, tuple[Tensor, Tensor]] = {}

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras that took the pictures, each once."""
        return self._own

    def _choose(self, count: int, generator: torch.Generator, focus: float) -> Tensor:
        """Draw a share ``focus`` of the pixels by importance (Li et al. 2022, section 4.3)."""
        drawing = self._model.drawing if isinstance(self._model, GroupModel) else None
        if drawing is None:
            return torch.randint(len(self), (count,), generator=generator)
        among, sums = self._summed(drawing)
        focused = int(count * focus)
        evenly = torch.randint(len(among), (count - focused,), generator=generator)
        place = torch.rand(focused, generator=generator, dtype=torch.float64) * sums[-1]
        found = torch.searchsorted(sums, place, right=True).clamp_max(len(sums) - 1)
        return among[torch.cat([evenly, found])]

    def draw(self, count: int, generator: torch.Generator, focus: float | None = None) -> RayBatch:
        """Draw ``count`` pixels with replacement; a share ``focus`` of them by importance."""
        self.focus = 0.0 if focus is None else focus
        return super().draw(count, generator, focus)

    def _summed(self, drawing: Drawing) -> tuple[Tensor, Tensor]:
        """Return the pixels of some instants, and the running sums of their weights."""
        if drawing not in self._sums:
            weights = self._varies if drawing.by == "median" else self._changes
            start = self._start.cpu()
            sizes = torch.diff(start, append=torch.tensor([len(self)]))
            instant = self._when.round().long().repeat_interleave(sizes)
            wanted = torch.ones(len(self), dtype=torch.bool)
            if drawing.instants is not None:
                wanted = torch.isin(instant, torch.tensor(drawing.instants))
            among = wanted.nonzero()[:, 0]
            if not len(among):
                among = torch.arange(len(self))
            chosen = torch.from_numpy(weights.reshape(-1))[among].double()
            self._sums = {drawing: (among, torch.cumsum(chosen + _FLOOR, 0))}
        return self._sums[drawing]

    def _batch(self, chosen: Tensor) -> RayBatch:
        batch = super()._batch(chosen)
        assert batch.views is not None
        count = len(self._own)
        known = {each.name: getattr(batch, each.name) for each in fields(RayBatch)}
        # Of a place that is passed once, every instant tells.
        varies = torch.from_numpy(self._most[chosen.cpu().numpy() % len(self._most)])
        known |= {
            "cameras": self._own,
            "views": batch.views % count,
            "times": self._when.to(batch.views.device)[batch.views],
            "varies": varies.to(batch.views.device),
        }
        return GroupBatch(**known)


def _variation(
    group: Sequence[FrameViews],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return by how much each pixel differs, (instants, pixels) in 0..1, largest channel.

    From its median over the group; and from the instants before and after.
    """
    pixels = np.stack(
        [np.concatenate([image.reshape(-1, 3) for image in views.images]) for views in group]
    ).astype(np.float32)
    pixels /= 255
    apart = np.abs(pixels - np.median(pixels, axis=0)).max(axis=2)
    steps = np.abs(np.diff(pixels, axis=0)).max(axis=2)
    still = np.zeros_like(apart[:1])
    changes = np.maximum(np.concatenate([still, steps]), np.concatenate([steps, still]))
    return apart, changes


def train_groups(
    store: Store,
    model: GroupModel,
    cameras: Sequence[Camera],
    groups: Callable[[int], Iterable[Sequence[FrameViews]]],
    schedule: Schedule,
    *,
    rate: Fraction | int = 1,
    when: Sequence[float] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train a model a group into ``store``, each from the one before; yield each when on disk.

    Parameters
    ----------
    store
        May hold frames already; what follows is bit for bit what an uninterrupted run would have
        made.
    model
        With random weights; a store's last state is loaded into it.
    cameras
        Training cameras, which stand still.
    groups
        Called with the index of the first group wanted; yields the views of its instants, and of
        the groups after it.
    schedule
        Its ``rays`` are pixels a batch, of all instants.
    rate
        Instants a second.
    when
        As of :class:`GroupPixels`.
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        When a loss is not finite.
    ViewsError
        When a group has more instants than the model.
    """
    return train_each(
        store,
        model,
        lambda first: (GroupPixels(model, cameras, group, when) for group in groups(first)),
        schedule,
        seconds=float(model.instants / Fraction(rate)),
        report=report,
    )
