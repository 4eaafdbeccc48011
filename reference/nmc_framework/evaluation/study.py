"""What weight sharing and freezing buy, measured: the claims of clauses 5.2 and 5.3 as tables."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.metrics import psnr
from nmc_framework.models import ChainModel, State, build
from nmc_framework.rendering import render_image
from nmc_framework.training import (
    AutoFreezing,
    FrameViews,
    PixelPool,
    Schedule,
    TrainedFrame,
    freeze,
    train_frame,
)

Picture = npt.NDArray[np.uint8]
#: What picks the frozen layers of a model: a function of it, a policy, or a schedule that says it.
Choice = Callable[[ChainModel], tuple[int, ...]] | AutoFreezing | Schedule


@dataclass(frozen=True)
class SharingRow:
    """One frame learned both ways for the same number of iterations; PSNR in dB, held-out."""

    iterations: int
    shared: float
    scratch: float

    @property
    def gain(self) -> float:
        """How much better the shared weights are, in dB."""
        return self.shared - self.scratch


@dataclass(frozen=True)
class FreezingRow:
    """One choice of frozen layers.

    ``iteration`` seconds an iteration (median), ``relative`` to freezing nothing, ``operations``
    those of its matrix products, forward and backward; ``seconds`` that the frame took; ``psnr`` in
    dB on held-out views of the frame after fine-tuning; ``changed_bytes`` of the parameters that
    may change; ``delta_bytes`` of the delta frame, coded without loss at effort *strong*.
    """

    name: str
    exclude_layers: tuple[int, ...]
    iteration: float
    relative: float
    operations: int
    seconds: float
    psnr: float
    changed_bytes: int
    delta_bytes: int


@dataclass(frozen=True, eq=False)
class Bench:
    """Successive frames of one scene, the cameras to train with, and those to judge by.

    ``truths`` are the held-out views of the last frame.
    """

    training: Sequence[Camera]
    held_out: Sequence[Camera]
    frames: Sequence[FrameViews]
    truths: Sequence[Picture]

    def quality(self, model: ChainModel) -> float:
        """Return the mean PSNR in dB over the held-out views of the last frame."""
        scores = [
            psnr(render_image(model, camera), truth)
            for camera, truth in zip(self.held_out, self.truths, strict=True)
        ]
        return float(np.mean(scores))

    def parent(self, model: ChainModel, schedule: Schedule, first: State | None = None) -> State:
        """Train a chain up to the last frame but one, from ``first`` as frame 0 where given."""
        before = self.frames[0]
        if first is None:
            train_frame(model, self.training, before, schedule)
        else:
            model.load(first)
        for views in self.frames[1:-1]:
            train_frame(model, self.training, views, schedule, before=before)
            before = views
        return model.save()

    def fine_tune(self, model: ChainModel, schedule: Schedule) -> TrainedFrame:
        """Train the last frame from the weights that the model has."""
        *_, before, views = self.frames
        return train_frame(model, self.training, views, schedule, before=before)


def weight_sharing(
    bench: Bench,
    family: str,
    configuration: Mapping[str, Any],
    schedule: Schedule,
    iterations: Sequence[int],
    *,
    first: State | None = None,
    scratch: Mapping[int, float] | None = None,
) -> list[SharingRow]:
    """Learn the last frame from the weights of the one before, and from random ones (clause 5.2).

    The chain before it is learned once, by ``schedule``, frame 0 from ``first`` where that is
    given; each entry of ``iterations`` then starts from there, and from random weights with frame
    0's learning rate, unless ``scratch`` has the PSNR of that already.
    """
    known = scratch or {}
    model = build(family, configuration, seed=schedule.seed)
    parent = bench.parent(model, schedule, first)
    rows = []
    for count in iterations:
        model.load(parent)
        bench.fine_tune(model, replace(schedule, later=count))
        shared = bench.quality(model)
        alone = known.get(count)
        if alone is None:
            alone = from_scratch(bench, family, configuration, schedule, count)
        rows.append(SharingRow(count, shared, alone))
    return rows


def from_scratch(
    bench: Bench, family: str, configuration: Mapping[str, Any], schedule: Schedule, count: int
) -> float:
    """Return the PSNR in dB of the last frame learned from random weights in ``count`` steps."""
    fresh = build(family, configuration, seed=schedule.seed)
    alone = replace(bench.frames[-1], index=0)
    train_frame(fresh, bench.training, alone, replace(schedule, first=count))
    return bench.quality(fresh)


def _chosen(schedule: Schedule, choice: Choice, model: ChainModel) -> Schedule:
    if isinstance(choice, Schedule):
        return choice
    if isinstance(choice, AutoFreezing):
        return replace(schedule, auto=choice)
    return replace(schedule, exclude_layers=choice(model))


def freezing(
    bench: Bench,
    family: str,
    configuration: Mapping[str, Any],
    schedule: Schedule,
    choices: Mapping[str, Choice],
    *,
    first: State | None = None,
    rounds: int = 9,
) -> list[FreezingRow]:
    """Learn the last frame with different layers frozen (clause 5.3).

    Parameters
    ----------
    bench, family, configuration, schedule, first
        As in :func:`weight_sharing`.
    choices
        What to freeze, by name, or a schedule of its own; the first of them is what the others'
        time is relative to.
    rounds
        Iterations of each choice that are timed, one of each in turn.
    """
    model = build(family, configuration, seed=schedule.seed)
    parent = bench.parent(model, schedule, first)
    done, quality = {}, {}
    for name, choice in choices.items():
        model.load(parent)
        done[name] = bench.fine_tune(model, _chosen(schedule, choice, model))
        quality[name] = bench.quality(model)
    steps = {
        name: Step(
            _loaded(family, configuration, parent),
            bench.training,
            bench.frames[-1],
            frame.freezing.exclude_layers,
            schedule.rays,
        )
        for name, frame in done.items()
    }
    times = interleaved({name: step.take for name, step in steps.items()}, rounds)
    base = times[next(iter(times))]
    return [
        FreezingRow(
            name=name,
            exclude_layers=frame.freezing.exclude_layers,
            iteration=statistics.median(times[name]),
            relative=statistics.median(t / b for t, b in zip(times[name], base, strict=True)),
            operations=steps[name].operations(),
            seconds=frame.seconds,
            psnr=quality[name],
            changed_bytes=sum(
                frame.state[key].nbytes for key, on in frame.freezing.requires_grad.items() if on
            ),
            delta_bytes=delta_bytes(model, parent, frame),
        )
        for name, frame in done.items()
    ]


class Step:
    """One iteration of training without house-keeping: forward, backward and update."""

    def __init__(
        self,
        model: ChainModel,
        cameras: Sequence[Camera],
        views: FrameViews,
        exclude_layers: Sequence[int],
        rays: int,
    ) -> None:
        freeze(model, model.layers(), exclude_layers)
        self._model = model.train()
        # A step of no length: every iteration that is timed works on the same weights.
        self._optimiser = torch.optim.Adam(model.parameter_groups(0.0))
        self._batch = PixelPool(cameras, views).draw(rays, torch.Generator().manual_seed(0))

    def take(self) -> None:
        """Do it, always with the same samples."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._optimiser.zero_grad(set_to_none=True)
            self._model.loss(self._batch).backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()

    def operations(self) -> int:
        """Return the multiplications and additions of the matrix products of an iteration."""
        with FlopCounterMode(display=False) as counter:
            self.take()
        return int(counter.get_total_flops())


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each task in each round, one of each in turn.

    What else the machine does then slows all of them, and their ratios least. One round before is
    not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def delta_bytes(model: ChainModel, parent: State, frame: TrainedFrame) -> int:
    """Return the bytes of ``frame`` as a delta frame of a package, after ``parent``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.nmc"
        with nmc.Writer(path, effort="strong", key_every=0, **model.in_package()) as writer:
            writer.append(parent)
            writer.append(frame.state, requires_grad=frame.freezing.requires_grad)
        with nmc.open(path) as sequence:
            return sequence.frames[1].segment_length


def _loaded(family: str, configuration: Mapping[str, Any], state: State) -> ChainModel:
    model = build(family, configuration)
    model.load(state)
    return model
