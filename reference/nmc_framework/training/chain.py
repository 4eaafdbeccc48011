"""Training a chain: frame 0 from random weights, frame t from frame t-1 (clauses 5.2 and 5.3)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from nmc_framework.cameras import Camera
from nmc_framework.models import RadianceModel, State
from nmc_framework.training.freezing import Freezing, Reading, freeze
from nmc_framework.training.pixels import FrameViews, PixelPool

#: Share of the iterations after which the learning rate begins to fall.
_PLATEAU = 0.3


class TrainingError(RuntimeError):
    """Training that cannot go on; names the frame and the iteration."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast each frame learns.

    Parameters
    ----------
    first, later
        Iterations of frame 0 and of every later frame.
    rays
        Rays a batch.
    learning_rate, later_learning_rate
        Peak rates of Adam, the family's own where None; each frame decays to ``final_share`` of it
        along a cosine.
    focus
        Share of a later frame's rays that go to pixels which changed since the frame before.
    damping
        Adam's epsilon in later frames. Above the usual, it keeps weights that see next to no
        gradient where they are, instead of scaling every gradient up to the same step.
    exclude_layers, reading
        What later frames freeze; see :func:`~nmc_framework.training.freezing.freeze`.
    seed
        Everything random in frame t follows from (seed, t) alone.
    """

    first: int = 400
    later: int = 60
    rays: int = 2048
    learning_rate: float | None = None
    later_learning_rate: float | None = None
    final_share: float = 0.1
    focus: float = 0.25
    damping: float = 1e-15
    exclude_layers: tuple[int, ...] = ()
    reading: Reading = "table"
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """Where training stands: frame, iteration of so many, loss (mean squared error)."""

    frame: int
    iteration: int
    iterations: int
    loss: float

    @property
    def psnr(self) -> float:
        """PSNR in dB of the last batch."""
        return -10 * math.log10(max(self.loss, 1e-12))


@dataclass(frozen=True, eq=False)
class TrainedFrame:
    """One finished frame: its state, and how it came about.

    ``seconds`` is wall time of training; ``loss`` the mean of the last tenth of the batches.
    """

    index: int
    time: float
    state: State
    freezing: Freezing
    iterations: int
    seconds: float
    loss: float


def train_chain(
    model: RadianceModel,
    cameras: Sequence[Camera],
    frames: Iterable[FrameViews],
    schedule: Schedule | None = None,
    *,
    before: FrameViews | None = None,
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
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        When a loss is not finite. Frames yielded before are not touched.
    """
    plan = schedule or Schedule()
    for views in frames:
        yield train_frame(model, cameras, views, plan, before=before, report=report)
        before = views


def train_frame(
    model: RadianceModel,
    cameras: Sequence[Camera],
    views: FrameViews,
    schedule: Schedule,
    *,
    before: FrameViews | None = None,
    report: Callable[[Progress], None] | None = None,
) -> TrainedFrame:
    """Train ``model`` on one frame, from the weights it has; see :func:`train_chain`."""
    began = time.perf_counter()
    excluded: tuple[int, ...] = schedule.exclude_layers if views.index else ()
    reading: Reading = schedule.reading if views.index else "table"
    freezing = freeze(model, model.layers(), excluded, reading)
    iterations = schedule.later if views.index else schedule.first
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_frame_seed(schedule.seed, views.index))
        pool = PixelPool(cameras, views, before, focus=schedule.focus, device=device)
        loss = _optimise(model, pool, schedule, views.index, iterations, report)
    return TrainedFrame(
        index=views.index,
        time=views.time,
        state=model.save(),
        freezing=freezing,
        iterations=iterations,
        seconds=time.perf_counter() - began,
        loss=loss,
    )


def _optimise(
    model: RadianceModel,
    pool: PixelPool,
    schedule: Schedule,
    frame: int,
    iterations: int,
    report: Callable[[Progress], None] | None,
) -> float:
    asked = schedule.later_learning_rate if frame else schedule.learning_rate
    rate = model.learning_rates[1 if frame else 0] if asked is None else asked
    # Built after freezing: a frozen parameter has neither a gradient nor moments.
    epsilon = schedule.damping if frame else 1e-15
    optimiser = torch.optim.Adam(model.parameter_groups(rate), betas=(0.9, 0.99), eps=epsilon)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: _share_of_rate(i / max(iterations, 1), schedule.final_share)
    )
    generator = torch.Generator().manual_seed(_frame_seed(schedule.seed, frame))
    last: list[float] = []
    model.train()
    model.begin_frame(frame)
    for iteration in range(iterations):
        optimiser.zero_grad(set_to_none=True)
        loss = model.loss(pool.draw(schedule.rays, generator))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"frame {frame}: the loss became {value} at iteration {iteration} of {iterations}; "
                "frames before it are kept. A lower learning rate usually helps"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        decay.step()
        model.after_step(iteration)
        if iteration >= min(0.9 * iterations, iterations - 1):
            last.append(value)
        if report:
            report(Progress(frame, iteration + 1, iterations, value))
    model.eval()
    return sum(last) / max(len(last), 1)


def _share_of_rate(progress: float, final: float) -> float:
    if progress <= _PLATEAU:
        return 1.0
    falling = min((progress - _PLATEAU) / (1 - _PLATEAU), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * falling))


def _frame_seed(seed: int, frame: int) -> int:
    # Any injective map will do; 2^20 frames is more than half a day of video at 24 frames a second.
    return (seed << 20) + frame
