"""Training a chain: frame 0 from random weights, frame t from frame t-1 (clauses 5.2 and 5.3)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nmc_framework.allocation import keep_freed_memory
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel
from nmc_framework.models.views import ViewModel
from nmc_framework.training.clock import Clock
from nmc_framework.training.colour import ColourMaps, Matrices
from nmc_framework.training.examples import Examples
from nmc_framework.training.finished import Progress, TrainedFrame, TrainingError
from nmc_framework.training.holding import hold_still
from nmc_framework.training.layer_freezing import Reading, freeze
from nmc_framework.training.optimisers import damping, optimiser, peak_rate, precise
from nmc_framework.training.pixels import FrameViews, PixelPool
from nmc_framework.training.rate import BitsAdam, SparseAdam, SteppedAdam, Steps
from nmc_framework.training.schedule import Schedule

#: A weight as large as this has diverged: what the families make of theirs saturates below 10, and
#: a step of Adam is about the rate at most (Kingma and Ba 2015, section 2.1): at 0.1, the largest
#: usual rate, it took a million of them in one direction.
_DIVERGED = 1e5
#: From which share of the iterations on the loss that is reported is taken.
_LAST_TENTH = 0.9
#: Share of frame 0 after which the cameras' exposures are found alike, or not.
_DECIDED = 0.6
#: Pixels a view that tell its exposure in a new frame.
_ANTICIPATED = 256
#: Optimisers of weights that lie on grids: they keep these as they are before rounding.
_ON_GRIDS = BitsAdam | SteppedAdam | SparseAdam
#: Iterations between two looks at the pixels kept back.
_JUDGED_EVERY = 25


def train_chain(
    model: ChainModel,
    cameras: Sequence[Camera],
    frames: Iterable[FrameViews],
    schedule: Schedule | None = None,
    *,
    before: FrameViews | None = None,
    colour: Matrices | None = None,
    steps: Steps | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train frame after frame, each from the weights of the one before; yield each when done.

    Parameters
    ----------
    model
        Its weights are where the first of ``frames`` starts from: random for frame 0, the last
        finished frame's when a chain is taken up again.
    cameras
        Training cameras, which stand still.
    frames
        One after another; two are held at a time.
    schedule
        Defaults to ``Schedule()``.
    before
        The views of the frame whose weights the model has, when a chain is taken up again.
    colour
        Its colour maps, by view, where it has any.
    steps
        The grids that its weights lie on, where it was trained for rate.
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        When a loss is not finite. Frames yielded before are not touched.
    """
    plan = schedule or Schedule()
    for views in frames:
        done = train_frame(
            model,
            cameras,
            views,
            plan,
            before=before,
            colour=colour,
            steps=steps,
            report=report,
        )
        yield done
        before, colour, steps = views, done.colour, done.steps


def train_frame(
    model: ChainModel,
    cameras: Sequence[Camera],
    views: FrameViews,
    schedule: Schedule,
    *,
    before: FrameViews | None = None,
    colour: Matrices | None = None,
    steps: Steps | None = None,
    report: Callable[[Progress], None] | None = None,
) -> TrainedFrame:
    """Train ``model`` on one frame, from the weights it has; see :func:`train_chain`."""
    began = time.perf_counter()
    device = next(model.parameters()).device
    side = model.side if isinstance(model, ViewModel) else 1
    pool = PixelPool(cameras, views, before, focus=schedule.focus, device=device, side=side)
    maps = None
    if schedule.colour == "on" or (schedule.colour == "auto" and (colour or not views.index)):
        maps = ColourMaps([camera.name for camera in cameras], colour).to(device)
    done = _trained(model, pool, schedule, views.index, views.time, maps, steps, report)
    return replace(done, seconds=time.perf_counter() - began)


def train_on(
    model: ChainModel,
    examples: Examples,
    schedule: Schedule,
    *,
    frame: int,
    time: float = 0.0,
    steps: Steps | None = None,
    report: Callable[[Progress], None] | None = None,
) -> TrainedFrame:
    """Train ``model`` on one frame of anything, from the weights it has.

    Parameters
    ----------
    model
        Any model whose loss understands the batches of ``examples``.
    examples
        What the frame is learned from.
    schedule
        Its ``rays`` are examples a batch; ``colour`` does not apply.
    frame, time
        The frame's number from 0, and its time in seconds.
    steps
        The grids that the weights lie on, where the frame before was trained for rate.
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        When a loss is not finite, or weights run away.
    """
    return _trained(model, examples, schedule, frame, time, None, steps, report)


def _trained(
    model: ChainModel,
    examples: Examples,
    schedule: Schedule,
    frame: int,
    at: float,
    maps: ColourMaps | None,
    steps: Steps | None,
    report: Callable[[Progress], None] | None,
) -> TrainedFrame:
    began = time.perf_counter()
    keep_freed_memory()
    device = next(model.parameters()).device
    seed = _frame_seed(schedule.seed, frame)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.prepare(examples)
        excluded = _excluded(model, examples, schedule, frame, seed)
        reading: Reading = schedule.reading if frame and not schedule.auto else "table"
        freezing = freeze(model, model.layers(), excluded, reading)
        learner = optimiser(model, schedule, frame, steps)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        before = _held(model, schedule) if frame else {}
        torch.manual_seed(seed)
        loss, iterations, maps = _optimise(model, examples, schedule, frame, learner, maps, report)
        found, bits = _finished(model, learner, schedule, frame, buffers)
        hold_still(model, before, schedule.hold)
        model.end_frame()
    return TrainedFrame(
        index=frame,
        time=at,
        state=model.save(),
        freezing=freezing,
        iterations=iterations,
        seconds=time.perf_counter() - began,
        loss=loss,
        colour=None if maps is None else maps.matrices(),
        steps=found,
        bits=bits,
    )


def _held(model: ChainModel, schedule: Schedule) -> dict[str, Tensor]:
    """Return the weights before a frame, where small moves of theirs are given back."""
    if not schedule.hold or schedule.rate is not None or schedule.bits is not None:
        return {}
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _finished(
    model: ChainModel,
    learner: torch.optim.Optimizer,
    schedule: Schedule,
    frame: int,
    buffers: Mapping[str, Tensor],
) -> tuple[Steps | None, float]:
    """Return the grids of a frame's weights and the estimated bits of its change, if for rate."""
    _refuse_diverged(model, frame)
    if not isinstance(learner, _ON_GRIDS):
        return None, math.nan
    steps = learner.finish()
    if frame and not (schedule.rate and schedule.rate.is_key(frame)):
        with torch.no_grad():
            model.settle(buffers)
    return steps, learner.bits


def _excluded(
    model: ChainModel, examples: Examples, schedule: Schedule, frame: int, seed: int
) -> tuple[int, ...]:
    if not frame:
        return ()
    if schedule.auto is None:
        return schedule.exclude_layers
    generator = torch.Generator().manual_seed(seed)
    rate = peak_rate(model, schedule, frame)
    rays = schedule.rays_of(frame)
    return schedule.auto.choose(model, examples, rays, rate, damping(model, schedule), generator)


def _optimise(
    model: ChainModel,
    examples: Examples,
    schedule: Schedule,
    frame: int,
    learner: torch.optim.Optimizer,
    colour: ColourMaps | None,
    report: Callable[[Progress], None] | None,
) -> tuple[float, int, ColourMaps | None]:
    """Train a frame.

    Returns the mean loss of the last tenth, how many iterations it took, and the colour maps if
    there is a use for them.
    """
    seconds = schedule.seconds_of(frame)
    clock = Clock(schedule.iterations_of(frame), seconds)
    optimisers = [learner]
    if colour is not None:
        optimisers.append(colour.optimiser())
    rates = [[group["lr"] for group in each.param_groups] for each in optimisers]
    generator = torch.Generator().manual_seed(_frame_seed(schedule.seed, frame))
    judge = examples.kept_back(_frame_seed(schedule.seed, frame))
    judged = report is not None or seconds is not None
    last: list[float] = []
    held_out = math.nan
    goal = _goal(model, examples, schedule, frame, colour)
    if colour is not None and frame:
        colour.anticipate(model, examples.draw(_ANTICIPATED * len(colour.views), generator, 0.0))
    model.train()
    model.begin_frame(frame)
    iteration, undecided = 0, schedule.colour == "auto" and not frame
    while (progress := clock.progress(iteration)) < 1:
        model.progress = progress
        if undecided and progress >= _DECIDED:
            undecided = False
            if colour is not None and colour.alike():
                colour, optimisers = None, optimisers[:1]
        _begin_iteration(optimisers, rates, schedule.share_of_rate(progress))
        rays = max(round(schedule.rays_of(frame) * clock.share_of_batch(iteration)), 1)
        batch = examples.draw(rays, generator, schedule.focus_at(progress))
        with precise(model, schedule):
            loss = model.loss(batch if colour is None else colour.developing(batch))
        value = float(loss.detach())
        _refuse_infinite(value, frame, iteration, clock)
        (loss if colour is None else loss + colour.penalty()).backward()  # type: ignore[no-untyped-call]
        if isinstance(learner, _ON_GRIDS):
            learner.heard(value, progress)
        for each in optimisers:
            each.step()
        if colour is not None:
            colour.settle()
        if model.after_step(iteration) and isinstance(learner, _ON_GRIDS):
            learner.take_over()
        iteration += 1
        if progress >= _LAST_TENTH or clock.progress(iteration) >= 1:
            last.append(value)
        if goal is not None and clock.progress(iteration) >= 1:
            clock.prolong(schedule.more_of(frame, goal - _judged(model, judge, colour)), iteration)
            goal = None
        if judged and judge is not None and iteration % _JUDGED_EVERY == 0:
            held_out = _judged(model, judge, colour)
            clock.heard(held_out, iteration)
        if report:
            rate = optimisers[0].param_groups[0]["lr"]
            report(Progress(frame, iteration, clock.total(iteration), value, rate, held_out))
    model.progress = 1.0
    model.eval()
    return sum(last) / max(len(last), 1), iteration, colour


def _begin_iteration(
    optimisers: Sequence[torch.optim.Optimizer], rates: Sequence[Sequence[float]], share: float
) -> None:
    """Forget the gradients, and set all learning rates to a share of their peaks."""
    for each, peaks in zip(optimisers, rates, strict=False):
        each.zero_grad(set_to_none=True)
        for group, peak in zip(each.param_groups, peaks, strict=True):
            group["lr"] = peak * share


def _goal(
    model: ChainModel,
    examples: Examples,
    schedule: Schedule,
    frame: int,
    colour: ColourMaps | None,
) -> float | None:
    """Return the PSNR in dB of the frame before, at the pixels that judge this one.

    None where a frame learns so many iterations, however good it is. It is asked of weights, maps
    and pictures alone, so that a chain that is taken up again goes on with the same bits.
    """
    prolonged = frame and schedule.most_later is not None and schedule.later_seconds is None
    if not prolonged or not isinstance(examples, PixelPool):
        return None
    seen = examples.kept_back_before()
    return None if seen is None else _judged(model, seen, colour)


@torch.no_grad()
def _judged(model: ChainModel, judge: Any, colour: ColourMaps | None) -> float:
    """Return the PSNR in dB of examples that no batch has; random numbers go on as before.

    A family's loss may hold more than the error of colours: then it is the PSNR of that.
    """
    model.eval()
    with torch.random.fork_rng(devices=[]):
        error = float(model.loss(judge if colour is None else colour.developing(judge)))
    model.train()
    return -10 * math.log10(max(error, 1e-12))


def _refuse_infinite(value: float, frame: int, iteration: int, clock: Clock) -> None:
    """Raise where a loss is not a number."""
    if not math.isfinite(value):
        raise TrainingError(
            f"frame {frame}: the loss became {value} at iteration {iteration} of "
            f"{clock.total(iteration)}; "
            "frames before it are kept. A lower learning rate usually helps"
        )


def _refuse_diverged(model: ChainModel, frame: int) -> None:
    """Raise where training ran away although its loss, of bounded colours, stayed a number."""
    for name, parameter in model.named_parameters():
        largest = float(parameter.detach().abs().max()) if parameter.numel() else 0.0
        # A parameter that was not trained is as it was, and none of this frame's doing.
        if parameter.requires_grad and not largest < _DIVERGED:
            raise TrainingError(
                f"frame {frame}: training diverged, {name} reached {largest:.3g}; "
                "frames before it are kept. A lower learning rate usually helps"
            )


def _frame_seed(seed: int, frame: int) -> int:
    # Any injective map will do; 2^20 frames is more than half a day of video at 24 frames a second.
    return (seed << 20) + frame
