"""A group of frames as a task: from its key frame on, whose weights begin at random.

Nothing goes from one group into another, so that they can be learned in any order and anywhere.
A finished frame is a message (annex F): a key message, then deltas to the frame before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel, State, build
from nmc_framework.models.views import ViewModel
from nmc_framework.training import ClipPixels, FrameViews, Schedule, TrainedFrame
from nmc_framework.training.chain import train_chain, train_on
from nmc_framework.training.colour import Matrices
from nmc_framework.training.examples import Examples
from nmc_framework.training.instant_groups import GroupPixels
from nmc_framework.training.rate import Steps


@dataclass(frozen=True, eq=False)
class Begun:
    """What a group has of an earlier attempt: ``count`` frames, and what the next is made of."""

    count: int
    state: State
    colour: Matrices | None = None
    steps: Steps | None = None


@dataclass(frozen=True, eq=False)
class ViewMaterial:
    """What cameras saw in the frames of a group, and points of the scene (P, 3) where known."""

    cameras: Sequence[Camera]
    views: Sequence[FrameViews]
    points: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.views)

    def trained(
        self, model: ChainModel, schedule: Schedule, begun: Begun | None
    ) -> Iterator[TrainedFrame]:
        """Train what has not begun, counted from 0."""
        done = begun.count if begun else 0
        views = [replace(each, index=k) for k, each in enumerate(self.views)]
        if self.points is not None and not begun and isinstance(model, ViewModel):
            model.start_at(self.points)
        return train_chain(
            model,
            self.cameras,
            views[done:],
            schedule,
            before=views[done - 1] if done else None,
            colour=begun.colour if begun else None,
            steps=begun.steps if begun else None,
        )


class _InTurn:
    """Frames that are learned from examples of their own, each alone."""

    times: Sequence[float]

    def __len__(self) -> int:
        return len(self.times)

    def examples(self, model: Any, frame: int) -> Examples:
        """Return what a frame is learned from."""
        raise NotImplementedError

    def trained(
        self, model: Any, schedule: Schedule, begun: Begun | None
    ) -> Iterator[TrainedFrame]:
        """Train what has not begun, counted from 0."""
        steps = begun.steps if begun else None
        for k in range(begun.count if begun else 0, len(self)):
            examples = self.examples(model, k)
            frame = train_on(model, examples, schedule, frame=k, time=self.times[k], steps=steps)
            steps = frame.steps
            yield frame


@dataclass(frozen=True, eq=False)
class ClipMaterial(_InTurn):
    """The clips of a group, (pictures, height, width, 3) uint8; ``times`` in seconds."""

    clips: Sequence[npt.NDArray[np.uint8]]
    times: Sequence[float]

    def examples(self, model: Any, frame: int) -> ClipPixels:
        """Return the pixels of a clip."""
        return ClipPixels(model, self.clips[frame])


@dataclass(frozen=True, eq=False)
class InstantsMaterial(_InTurn):
    """What cameras saw in the instants of each frame of a group; ``times`` in seconds."""

    cameras: Sequence[Camera]
    instants: Sequence[Sequence[FrameViews]]
    times: Sequence[float]

    def examples(self, model: Any, frame: int) -> GroupPixels:
        """Return the pixels of the instants of a frame."""
        return GroupPixels(model, self.cameras, self.instants[frame])


#: What the frames of a group are learned from.
Material: TypeAlias = ViewMaterial | ClipMaterial | InstantsMaterial


@dataclass(frozen=True, eq=False)
class GroupJob:
    """All that training a group takes.

    ``first`` is the number of its key frame in the chain; ``seed`` that of the model's first
    weights. On one thread: sums, and so bytes, are the same wherever there is the same processor.
    """

    first: int
    family: str
    configuration: Mapping[str, Any]
    seed: int
    schedule: Schedule
    material: Material
    device: str = "cpu"
    begun: Begun | None = None


@dataclass(frozen=True, eq=False)
class Sent:
    """A finished frame on its way: what is known of it, without its state, and the message."""

    frame: TrainedFrame
    message: bytes


def train_group(job: GroupJob) -> Iterator[Sent]:
    """Train what a group lacks; yield each frame when it is finished.

    Frames are numbered as in the chain. Each message is a delta to the frame before it in the
    group, or a key message.
    """
    with on_one_thread():
        model = build(job.family, job.configuration, seed=job.seed)
        if job.begun:
            model.load(job.begun.state)
        model = model.to(job.device)
    before = job.begun.state if job.begun else None
    frames = job.material.trained(model, job.schedule, job.begun)
    while True:
        with on_one_thread():
            frame = next(frames, None)
        if frame is None:
            return
        message = nmc.encode_delta(before, frame.state)
        before = frame.state
        yield Sent(replace(frame, index=job.first + frame.index, state={}), message)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Have torch use one thread: sums come in one order, wherever it is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
