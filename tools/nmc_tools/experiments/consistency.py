"""The experiment ``consistency``: how steady models of frames and of sequences are over time.

As the 3D exploration of MPEG INVR, whose table 2 and figure 5 have Instant-NGP, a frame at a time,
beside DyNeRF and MixVoxels, a model a sequence; and what it left open: whether a chain, whose
frames share weights and freeze some, is as steady as those.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_framework.evaluation.held_out import ViewScore, score_view
from nmc_framework.evaluation.warped import BLOCK, warped_error
from nmc_framework.models.views import ViewModel
from nmc_framework.training import FrameViews, Schedule, train_frame
from nmc_tools.experiments.films import (
    Film,
    Pictures,
    Report,
    group_schedule,
    planned,
    seen,
    seen_of_group,
    trained_group,
)
from nmc_tools.experiments.inputs import usual_iterations
from nmc_tools.experiments.kept import Kept, Spent, State, Wanted

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor

FRAMEWISE, SHARED, FROZEN = "frame-wise", "shared", "shared and frozen"
#: The family of single frames; layers of it that are frozen after frame 0, from the end.
_FAMILY, _FROZEN_LAYERS = "hash_grid", 5
SEQUENCES = ("dynerf", "mixvoxels")
METHODS = (FRAMEWISE, SHARED, FROZEN, *SEQUENCES)
_VERSION = 2
#: In what is kept of a frame: what cameras see, and what the names of weights begin with.
_PICTURES, _WEIGHTS = "pictures", "weights:"


@dataclass(frozen=True)
class Request:
    """What is asked for: a film, methods of :data:`METHODS`, a share of the usual iterations.

    ``executor`` trains by several methods at a time, where there is one.
    """

    film: Film
    folder: Path
    methods: Sequence[str] = METHODS
    share: float = 1.0
    executor: Executor | None = None


@dataclass(frozen=True)
class Measured:
    """One method on one held-out view, means over the frames; see the metrics for their units.

    ``moving`` is the PSNR of the pixels that move, None where none does; ``size`` the bytes of the
    models of all frames, coded without loss; ``by_frame`` the PSNR of each frame.
    """

    method: str
    view: str
    psnr: float
    ssim: float | None
    moving: float | None
    flicker: float | None
    static_flicker: float | None
    warped: float | None
    size: int
    by_frame: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Consistency:
    """What the experiment found: a row a method and view, and the pictures of each method."""

    film: Film
    rows: Sequence[Measured]
    pictures: dict[str, Pictures]
    share: float
    spent: Spent

    def mean(self, method: str, what: str) -> float | None:
        """Return a metric of a method, the mean of the views that have it."""
        values = [getattr(row, what) for row in self.rows if row.method == method]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def setting(self) -> str:
        """What was asked for, on which machine, and what it took."""
        film = self.film
        height, width = film.truth.shape[2:4]
        return (
            f"{film.name}, {len(film.views)} frames of {len(film.training)} cameras, "
            f"{width}x{height}, {usual_iterations(self.share)}. "
            f"Measured on {self.spent.machine}. {self.spent}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rows = [{**vars(row), "by_frame": list(row.by_frame)} for row in self.rows]
        return {
            "experiment": "consistency",
            "setting": self.setting,
            "machine": self.spent.machine,
            "seconds": {"cpu": self.spent.cpu, "wall": self.spent.wall},
            "share": self.share,
            "rows": rows,
            "answer": answer(self),
        }


def run(request: Request, report: Report) -> Consistency:
    """Train by every method, and return what held-out cameras see of it and how steady it is."""
    kept = Kept(request.folder / "kept", one_thread=True)
    film = request.film
    rows: list[Measured] = []
    pictures: dict[str, Pictures] = {}
    each = len(film.views)
    total = each * len(request.methods)
    if request.executor is not None:
        _ahead(request, kept, request.executor, report)
    for done, method in enumerate(request.methods):
        report(each * done, total, f"{method} next")

        def told(frame: int, done: int = done, method: str = method) -> None:
            report(each * done + frame + 1, total, f"{method}, frame {frame + 1} of {each}")

        made = _of_sequence if method in SEQUENCES else _of_frames
        pictures[method], size = made(request, kept, method, told)
        rows += _rows(film, method, pictures[method], size)
    report(total, total, "")
    return Consistency(film, rows, pictures, request.share, kept.spent)


_Told = Callable[[int], None]


def _of_sequence(request: Request, kept: Kept, method: str, told: _Told) -> tuple[Pictures, int]:
    """Return what is seen of one model of all frames, and its bytes."""
    wanted = _sequence(request, method)
    found = kept.state(wanted.inputs, wanted.work)
    told(len(request.film.views) - 1)
    return found[_PICTURES], int(found["size"])


def _of_frames(request: Request, kept: Kept, method: str, told: _Told) -> tuple[Pictures, int]:
    """Return what is seen of a model a frame, and the bytes of all; each frame is kept."""
    pictures, states = [], list[State]()
    for index in range(len(request.film.views)):
        wanted = _frame(request, method, index, states[-1] if states else None)
        found = kept.state(wanted.inputs, wanted.work)
        pictures.append(found[_PICTURES])
        states.append(_weights(found))
        told(index)
    work = partial(coded_size, request.film.model(_FAMILY), states)
    last = _frame(request, method, len(states) - 1, None)
    return np.stack(pictures), kept.values(dict(last.inputs) | {"bytes of": method}, work)


def _sequence(request: Request, method: str) -> Wanted:
    schedule = group_schedule(request.film, method, request.share)
    inputs = _inputs(request, method, schedule)
    return Wanted(inputs, partial(_learn_sequence, request.film, method, schedule), state=True)


def _frame(request: Request, method: str, index: int, before: State | None) -> Wanted:
    """Return what is wanted of a frame; the first is the same for all methods."""
    film = request.film
    plan = planned(film, request.share)
    shared = method != FRAMEWISE and index > 0
    if not shared:
        plan = replace(plan, seed=index)
    elif method == FROZEN:
        count = len(film.model(_FAMILY).layers())
        plan = replace(plan, exclude_layers=tuple(range(count - _FROZEN_LAYERS, count)))
    inputs = _inputs(request, _FAMILY, plan) | {"frame": index, "shared": shared}
    work = partial(_learn_frame, film, plan, index, before if shared else None)
    return Wanted(inputs, work, state=True)


def _inputs(request: Request, family: str, schedule: Schedule) -> dict[str, Any]:
    """Return what a model's weights follow from."""
    told = {"experiment": "consistency", "version": _VERSION}
    return told | request.film.learned(family, schedule)


def _ahead(request: Request, kept: Kept, executor: Executor, report: Report) -> None:
    """Have models trained several at a time: all that starts anew, then the chains' next frames."""
    wanted = [_sequence(request, method) for method in request.methods if method in SEQUENCES]
    if FRAMEWISE in request.methods:
        wanted += [_frame(request, FRAMEWISE, k, None) for k in range(len(request.film.views))]
    chains = dict.fromkeys([m for m in request.methods if m in (SHARED, FROZEN)])
    last: dict[str, State | None] = dict(zip(chains, repeat(None)))
    for index in range(len(request.film.views)):
        begun = {method: _frame(request, method, index, last[method]) for method in chains}
        kept.ahead(executor, [*wanted, *begun.values()], report)
        last = {m: _weights(kept.state(one.inputs, one.work)) for m, one in begun.items()}
        wanted = []


def _learn_sequence(film: Film, method: str, schedule: Schedule) -> State:
    """Train one model of all frames; return what is seen, and its bytes."""
    model = film.model(method)
    state = trained_group(film, model, schedule)
    size = coded_size(model, [state])
    return {_PICTURES: seen_of_group(film, model), "size": np.array(size, np.int64)}


def _learn_frame(film: Film, schedule: Schedule, index: int, before: State | None) -> State:
    """Train a frame, from the one before where there is one; return what is seen, and weights."""
    model = film.model(_FAMILY, seed=schedule.seed)
    if before is not None:
        model.load(before)
    views = film.views[index]
    at = FrameViews(index if before is not None else 0, views.time, views.images)
    last = film.views[index - 1] if before is not None else None
    state = train_frame(model, film.cameras, at, schedule, before=last).state
    weights = {f"{_WEIGHTS}{name}": array for name, array in state.items()}
    return {_PICTURES: seen(film, model, index), **weights}


def _weights(found: State) -> State:
    return {n.removeprefix(_WEIGHTS): a for n, a in found.items() if n.startswith(_WEIGHTS)}


def coded_size(model: ViewModel, states: Sequence[State]) -> int:
    """Return the bytes of a package of states, without loss."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.nmc"
        with nmc.Writer(path, **model.in_package()) as writer:
            for state in states:
                writer.append(state)
        return path.stat().st_size


def _rows(film: Film, method: str, pictures: Pictures, size: int) -> list[Measured]:
    rows = []
    for view, name in enumerate(film.held_out):
        scores = _scores(name, pictures[:, view], film.truth[:, view])
        mine = film.of_view(view)
        rows.append(
            Measured(
                method,
                name,
                psnr=float(np.mean([min(score.psnr, 100.0) for score in scores])),
                ssim=_mean(score.ssim for score in scores),
                moving=mine.psnr(pictures[:, [view]], moving=True) if mine.moving.any() else None,
                flicker=_mean(score.flicker for score in scores),
                static_flicker=_mean(score.static_flicker for score in scores),
                warped=_mean(_warped(pictures[:, view], film.truth[:, view])),
                size=size,
                by_frame=tuple(score.psnr for score in scores),
            )
        )
    return rows


def _scores(name: str, seen: Pictures, truth: Pictures) -> list[ViewScore]:
    scores = []
    for index, (image, true) in enumerate(zip(seen, truth, strict=True)):
        before = (seen[index - 1], truth[index - 1]) if index else None
        scores.append(score_view(index, name, image, true, before))
    return scores


def _warped(seen: Pictures, truth: Pictures) -> list[float]:
    if min(truth.shape[1:3]) < BLOCK:
        return []
    return [warped_error(seen[k], seen[k - 1], truth[k], truth[k - 1]) for k in range(1, len(seen))]


def _mean(values: Any) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def answer(found: Consistency) -> str:
    """Return in words whether sharing and freezing mend the flicker of frame-wise training."""
    base = found.mean(FRAMEWISE, "static_flicker")
    if not base:
        return "Nothing stands still, or frame-wise training was left out: no answer."
    parts = [f"Where the scene stands still, frame-wise training changes by {base:.4f} a frame"]
    for method, told in ((SHARED, "sharing"), (FROZEN, "sharing and freezing")):
        value = found.mean(method, "static_flicker")
        if value is not None:
            parts.append(f"{told} by {value:.4f} ({value / base:.2f} times)")
    best = [v for m in SEQUENCES if (v := found.mean(m, "static_flicker")) is not None]
    if best:
        parts.append(f"the steadier model of a sequence by {min(best):.4f}")
    shared = [v for m in (SHARED, FROZEN) if (v := found.mean(m, "static_flicker")) is not None]
    if not shared:
        return ", ".join(parts) + "."
    return f"{', '.join(parts)}. {_verdict(min(shared) / base)}"


def _verdict(left: float) -> str:
    #: Shares of the flicker that are left.
    mended, lessened = 0.33, 0.8
    if left <= mended:
        return "Sharing mends the flicker of frame-wise training."
    if left <= lessened:
        return "Sharing lessens the flicker of frame-wise training and does not end it."
    return "Sharing does not mend the flicker of frame-wise training."
