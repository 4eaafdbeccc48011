"""Training a depth network, and adapting it from room to room with its encoder frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nmc
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.pairs import DepthExamples, Pair
from nmc_framework.depth.unet import DepthUnet
from nmc_framework.training import (
    Freezing,
    PackageStore,
    Progress,
    Schedule,
    TrainedFrame,
    train_on,
)


@dataclass(frozen=True, eq=False)
class Room:
    """A place that a model is adapted to: its name, pictures to learn from and to be judged by."""

    name: str
    training: Sequence[Pair]
    held_out: Sequence[Pair]


def split(name: str, pairs: Sequence[Pair], every: int) -> Room:
    """Return a room of which every so many-th picture is held out; all are learned where 0.

    Raises
    ------
    DepthError
        When nothing is left to learn from.
    """
    held_out = [pair for k, pair in enumerate(pairs) if every and k % every == every - 1]
    training = [pair for k, pair in enumerate(pairs) if not (every and k % every == every - 1)]
    if not training:
        raise DepthError(f"{name} has no pictures to learn from")
    return Room(name, training, held_out)


def examples_of(model: DepthUnet, pairs: Sequence[Pair]) -> DepthExamples:
    """Return pairs as what a model learns from, on its device and at its size."""
    c = model.configuration
    bounds = (float(c["nearest"]), float(c["farthest"]))
    device = next(model.parameters()).device
    return DepthExamples(pairs, model.size, bounds, device, model.focus)


def train_depth(
    model: DepthUnet,
    pairs: Sequence[Pair],
    schedule: Schedule,
    report: Callable[[Progress], None] | None = None,
) -> TrainedFrame:
    """Train a model from the weights it has, as frame 0 of a chain.

    Raises
    ------
    DepthError
        When no depth is known, or its bounds leave none.
    TrainingError
        When the loss is no finite number.
    """
    return train_on(model, examples_of(model, pairs), schedule, frame=0, report=report)


def first_frame(model: DepthUnet) -> TrainedFrame:
    """Return the weights that a model has as frame 0 of a chain, not trained any further."""
    names = {name: True for name, _ in model.named_parameters()}
    return TrainedFrame(0, 0.0, model.save(), Freezing(names, ()), 0, 0.0, 0.0)


def adapt(
    store: RoomStore,
    model: DepthUnet,
    rooms: Iterable[Room],
    schedule: Schedule,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[tuple[Room, TrainedFrame]]:
    """Fine-tune a model from room to room into a store, its encoder frozen; yield each room.

    Frame 0 of the store is the model as it was, frame k that of room k, made from frame k - 1.
    """
    plan = replace(schedule, exclude_layers=model.encoder_layers)
    if not len(store):
        store.append(first_frame(model), "")
    done = len(store) - 1
    model.load(store.last_state())
    for index, room in enumerate(rooms, start=1):
        if index <= done:
            continue
        examples = examples_of(model, room.training)
        frame = train_on(model, examples, plan, frame=index, time=float(index), report=report)
        store.append(frame, room.name)
        yield room, frame


class RoomStore:
    """Frames of rooms in an open :class:`nmc.Writer`; each is told its room's name."""

    def __init__(self, writer: nmc.Writer) -> None:
        self._writer = writer

    def __len__(self) -> int:
        return len(self._writer)

    def last_state(self) -> Mapping[str, Any]:
        """Return the state of the last frame."""
        return PackageStore(self._writer).last_state()

    def append(self, frame: TrainedFrame, room: str) -> None:
        """Put a frame on disk."""
        self._writer.append(
            frame.state,
            presentation_time=frame.index,
            requires_grad=frame.freezing.requires_grad,
            exclude_layers=list(frame.freezing.exclude_layers),
            iterations=frame.iterations,
            seconds=frame.seconds,
            trained_from_previous=bool(frame.index),
            extras={"room": room} if room else None,
        )
