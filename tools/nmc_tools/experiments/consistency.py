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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_framework.evaluation.held_out import ViewScore, score_view
from nmc_framework.evaluation.warped import BLOCK, warped_error
from nmc_framework.models.views import ViewModel
from nmc_tools.experiments.films import (
    Film,
    Pictures,
    Report,
    planned,
    seen_of_frames,
    seen_of_group,
    trained_group,
)
from nmc_tools.experiments.kept import Kept, State, Wanted

if TYPE_CHECKING:
    from nmc_framework.distributed import Executor

FRAMEWISE, SHARED, FROZEN = "frame-wise", "shared", "shared and frozen"
#: The family of single frames; layers of it that are frozen after frame 0, from the end.
_FAMILY, _FROZEN_LAYERS = "hash_grid", 5
SEQUENCES = ("dynerf", "mixvoxels")
METHODS = (FRAMEWISE, SHARED, FROZEN, *SEQUENCES)
_VERSION = 1


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
    machine: str
    share: float

    def mean(self, method: str, what: str) -> float | None:
        """Return a metric of a method, the mean of the views that have it."""
        values = [getattr(row, what) for row in self.rows if row.method == method]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rows = [{**vars(row), "by_frame": list(row.by_frame)} for row in self.rows]
        return {
            "experiment": "consistency",
            "machine": self.machine,
            "share": self.share,
            "rows": rows,
            "answer": answer(self),
        }


def run(request: Request, report: Report, machine: str) -> Consistency:
    """Train by every method, and return what held-out cameras see of it and how steady it is."""
    kept = Kept(request.folder / "kept")
    film = request.film
    rows: list[Measured] = []
    pictures: dict[str, Pictures] = {}
    each = len(film.views)
    total = each * len(request.methods)
    if request.executor is not None:
        wanted = [
            Wanted(
                _inputs(request, m), partial(_made, film, m, request.share, _unheard), state=True
            )
            for m in request.methods
        ]
        kept.ahead(request.executor, wanted)
    for done, method in enumerate(request.methods):
        report(each * done, total, f"{method} next")

        def told(frame: int, done: int = done, method: str = method) -> None:
            report(each * done + frame + 1, total, f"{method}, frame {frame + 1} of {each}")

        inputs = _inputs(request, method)
        found = kept.state(inputs, partial(_made, film, method, request.share, told))
        pictures[method] = found["pictures"]
        rows += _rows(film, method, found["pictures"], int(found["size"]))
    report(total, total, "")
    return Consistency(film, rows, pictures, machine, request.share)


def _inputs(request: Request, method: str) -> dict[str, Any]:
    """Return what the pictures of a method follow from."""
    return {
        "experiment": "consistency",
        "version": _VERSION,
        "film": request.film.content,
        "method": method,
        "share": request.share,
    }


def _unheard(frame: int) -> None:
    """Take no notice of how far training is: nobody hears of it from another process."""


def _made(film: Film, method: str, share: float, told: Callable[[int], None]) -> State:
    """Train by a method; return what is seen, and the bytes of the models."""
    if method in SEQUENCES:
        model = film.model(method)
        states = [trained_group(film, model, share)]
        pictures = seen_of_group(film, model)
    else:
        model = film.model(_FAMILY)
        plan = planned(film, share)
        if method == FROZEN:
            count = len(model.layers())
            plan = replace(plan, exclude_layers=tuple(range(count - _FROZEN_LAYERS, count)))
        shared = method != FRAMEWISE
        pictures, states = seen_of_frames(film, _FAMILY, plan, shared=shared, report=told)
    size = coded_size(model, states)
    return {"pictures": pictures, "size": np.array(size, np.int64)}


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
