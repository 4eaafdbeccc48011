"""What weight sharing and freezing buy, measured: the claims of clauses 5.2 and 5.3 as tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nmc_framework.cameras import Camera
from nmc_framework.metrics import psnr
from nmc_framework.models import RadianceModel, build
from nmc_framework.rendering import render_image
from nmc_framework.training import FrameViews, PixelPool, Schedule, freeze, train_frame

Picture = npt.NDArray[np.uint8]


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

    ``iteration`` seconds an iteration (median), ``relative`` to freezing nothing; ``psnr`` in dB on
    held-out views of the frame after fine-tuning; ``changed_bytes`` of the parameters that may
    change, the upper bound of what a delta frame has to carry.
    """

    name: str
    exclude_layers: tuple[int, ...]
    iteration: float
    relative: float
    psnr: float
    changed_bytes: int


@dataclass(frozen=True, eq=False)
class Bench:
    """Two successive frames of one scene, the cameras to train with, and those to judge by."""

    training: Sequence[Camera]
    held_out: Sequence[Camera]
    frames: tuple[FrameViews, FrameViews]
    truths: Sequence[Picture]

    def quality(self, model: RadianceModel) -> float:
        """Return the mean PSNR in dB over the held-out views of the second frame."""
        scores = [
            psnr(render_image(model, camera), truth)
            for camera, truth in zip(self.held_out, self.truths, strict=True)
        ]
        return float(np.mean(scores))


def weight_sharing(
    bench: Bench,
    family: str,
    configuration: Mapping[str, Any],
    schedule: Schedule,
    iterations: Sequence[int],
) -> list[SharingRow]:
    """Learn the second frame from the first one's weights, and from random ones (clause 5.2).

    The first frame is learned once with ``schedule.first`` iterations; each entry of
    ``iterations`` then starts from there, and from random weights with frame 0's learning rate.
    """
    model = build(family, configuration, seed=schedule.seed)
    first, second = bench.frames
    parent = train_frame(model, bench.training, first, schedule).state
    rows = []
    for count in iterations:
        model.load(parent)
        plan = replace(schedule, later=count)
        train_frame(model, bench.training, second, plan, before=first)
        shared = bench.quality(model)
        fresh = build(family, configuration, seed=schedule.seed)
        alone = replace(second, index=0)
        train_frame(fresh, bench.training, alone, replace(schedule, first=count))
        rows.append(SharingRow(count, shared, bench.quality(fresh)))
    return rows


def freezing(
    bench: Bench,
    family: str,
    configuration: Mapping[str, Any],
    schedule: Schedule,
    choices: Mapping[str, Callable[[RadianceModel], tuple[int, ...]]],
) -> list[FreezingRow]:
    """Learn the second frame with different layers frozen (clause 5.3).

    ``choices`` maps a name to what picks the frozen layers of a model; the first of them is what
    the others' time is relative to.
    """
    model = build(family, configuration, seed=schedule.seed)
    first, second = bench.frames
    parent = train_frame(model, bench.training, first, schedule).state
    rows: list[FreezingRow] = []
    for name, choose in choices.items():
        model.load(parent)
        layers = choose(model)
        plan = replace(schedule, exclude_layers=layers)
        done = train_frame(model, bench.training, second, plan, before=first)
        quality = bench.quality(model)
        seconds = seconds_per_iteration(model, bench.training, second, layers, schedule.rays)
        state = done.state
        changed = sum(state[key].nbytes for key, on in done.freezing.requires_grad.items() if on)
        base = rows[0].iteration if rows else seconds
        rows.append(FreezingRow(name, layers, seconds, seconds / base, quality, changed))
    return rows


def seconds_per_iteration(
    model: RadianceModel,
    cameras: Sequence[Camera],
    views: FrameViews,
    exclude_layers: Sequence[int],
    rays: int,
    repeats: int = 9,
) -> float:
    """Return the median time of one step: forward, backward and update, without house-keeping."""
    freeze(model, model.layers(), exclude_layers)
    optimiser = torch.optim.Adam(model.parameter_groups(0.0))
    pool = PixelPool(cameras, views)
    generator = torch.Generator().manual_seed(0)
    model.train()
    times = []
    for _ in range(repeats + 1):
        batch = pool.draw(rays, generator)
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
