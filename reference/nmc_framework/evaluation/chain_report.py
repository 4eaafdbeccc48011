"""The report of a chain: what its package says, how it scored and how it looks, on one page."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import nmc
from nmc_framework.cameras.packaged import cameras_in
from nmc_framework.cameras.rig_plot import plot_rig
from nmc_framework.evaluation.chain_plot import ChainPoint, plot_chain
from nmc_framework.evaluation.held_out import METRICS, ViewScore
from nmc_framework.evaluation.page import Figure, Page, Table, Verdict, write_page
from nmc_framework.evaluation.score_plot import plot_scores
from nmc_framework.evaluation.training_plot import plot_training
from nmc_framework.frame_rate import package_rate, plain

_NAMES = {
    "psnr": "PSNR, dB",
    "psnr_aligned": "PSNR after the colours were aligned, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "flicker": "flicker",
    "static_flicker": "flicker where the truth stands still",
}


@dataclass(frozen=True)
class Evidence:
    """What a report shows beside the package itself; all of it may be missing.

    ``trained`` are the views among ``scores`` that the chain was trained with, ``losses`` the last
    losses of frames by number, ``films`` and ``pictures`` files.
    """

    scores: Sequence[ViewScore] = ()
    trained: Sequence[str] = ()
    films: Sequence[Figure] = ()
    pictures: Sequence[Figure] = ()
    losses: Mapping[int, float] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    tables: Sequence[Table] = ()


def write_report(path: Path, package: Path, evidence: Evidence) -> list[Path]:
    """Write the page of a package; return what was written, films beside it included.

    Parameters
    ----------
    path
        Ends in ``.html``.
    package
        A finished package.
    evidence
        What else is known.
    """
    with nmc.open(package) as sequence, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        page = Page(
            title=package.name,
            subtitle=_subtitle(sequence),
            numbers=_numbers(sequence, evidence),
            films=evidence.films,
            pictures=evidence.pictures,
            curves=_curves(sequence, evidence, folder),
            rig=_rig(sequence, evidence, folder),
            verdicts=evidence.verdicts,
            tables=[*_tables(sequence, evidence), *evidence.tables],
        )
        return write_page(path, page)


def _subtitle(sequence: nmc.ChainSequence) -> str:
    count = len(sequence)
    frames = "one model" if count == 1 else f"{count} models, each trained from the one before"
    return f"A chain of {frames}, of the family {sequence.family}"


def _held_out(evidence: Evidence) -> list[ViewScore]:
    """Return the scores of held-out views, or of all where none was held out."""
    known = [score for score in evidence.scores if score.view not in evidence.trained]
    return known or list(evidence.scores)


def _mean(scores: Sequence[ViewScore], metric: str) -> float | None:
    values = [getattr(score, metric) for score in scores]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _numbers(sequence: nmc.ChainSequence, evidence: Evidence) -> dict[str, str]:
    frames = sequence.frames
    raw = sum(frame.state_bytes for frame in frames)
    found: dict[str, str] = {}
    scores = _held_out(evidence)
    told = "training views" if scores and scores[0].view in evidence.trained else "held-out views"
    decibels, aligned = _mean(scores, "psnr"), _mean(scores, "psnr_aligned")
    if decibels is not None:
        found[f"PSNR on {told}"] = f"{decibels:.2f} dB"
    if aligned is not None:
        found["PSNR, colours aligned"] = f"{aligned:.2f} dB"
    if (similarity := _mean(scores, "ssim")) is not None:
        found[f"SSIM on {told}"] = f"{similarity:.3f}"
    found["frames"] = str(len(frames))
    found["package"] = _size(sequence.size)
    found["smaller than the models"] = f"{raw / max(sequence.size, 1):.2f} times"
    deltas = [frame.segment_length for frame in frames if frame.coding == "delta"]
    if deltas:
        found["a delta frame, mean"] = _size(sum(deltas) / len(deltas))
    seconds = [frame.seconds for frame in frames if frame.seconds is not None]
    if seconds:
        found["training"] = _time(sum(seconds))
        if len(seconds) > 1:
            found["training, a later frame"] = _time(float(np.mean(seconds[1:])))
    return found


def _curves(sequence: nmc.ChainSequence, evidence: Evidence, folder: Path) -> list[Figure]:
    figures = []
    scores = _held_out(evidence)
    numbers = sorted({score.frame for score in scores})
    if numbers:
        points = []
        for index in numbers:
            record = sequence.frames[index]
            mean = _mean([score for score in scores if score.frame == index], "psnr")
            sizes = record.state_bytes, record.segment_length
            points.append(
                ChainPoint(index, float("nan") if mean is None else mean, *sizes, record.coding)
            )
        plot_chain(folder / "chain.png", points, "Quality and bytes of each frame")
        plot_scores(folder / "scores.png", scores, "Every metric, by view")
        figures += [
            Figure(folder / "chain.png", "PSNR, and bytes of the raw and of the coded model"),
            Figure(folder / "scores.png", "What was measured, frame by frame"),
        ]
    seconds = [frame.seconds for frame in sequence.frames]
    if any(value is not None for value in seconds) or evidence.losses:
        losses = [evidence.losses.get(index) for index in range(len(sequence))]
        plot_training(folder / "training.png", seconds, losses, "Training of each frame")
        figures.append(Figure(folder / "training.png", "Time and last loss of training"))
    return figures


def _rig(sequence: nmc.ChainSequence, evidence: Evidence, folder: Path) -> list[Figure]:
    cameras = cameras_in(sequence)
    if not cameras:
        return []
    tested = {score.view for score in _held_out(evidence)} - {*evidence.trained}
    title = f"{len(cameras)} cameras"
    plot_rig(folder / "rig.png", cameras, title, marked=frozenset(tested))
    told = "Cameras in scene units" + ("; held-out ones in red" if tested else "")
    return [Figure(folder / "rig.png", told)]


def _tables(sequence: nmc.ChainSequence, evidence: Evidence) -> list[Table]:
    manifest, frames = sequence.manifest, sequence.frames
    raw = sum(frame.state_bytes for frame in frames)
    tables = []
    groups = {"Held-out views": [s for s in evidence.scores if s.view not in evidence.trained]}
    groups["Views that were trained with"] = [
        s for s in evidence.scores if s.view in evidence.trained
    ]
    for title, scores in groups.items():
        means = {_NAMES[metric]: _mean(scores, metric) for metric in METRICS}
        if scores:
            views = list(dict.fromkeys(score.view for score in scores))
            tables.append(Table(f"{title}, mean", {"views": views, **means}))
    facts: dict[str, Any] = {
        "frames": len(frames),
        "key frames": sum(frame.coding == "key" for frame in frames),
        "frames a second": plain(package_rate(sequence)),
        "models": _size(raw),
        "package": _size(sequence.size),
        "tensors": len(manifest.tensors),
        "parameters and buffers of a frame": _size(raw / max(len(frames), 1)),
    }
    tables.append(Table("Package", facts))
    configuration = sequence.configuration
    if isinstance(configuration, Mapping) and configuration:
        tables.append(Table(f"Model: {sequence.family}", configuration))
    steps = [frame.iterations for frame in frames if frame.iterations is not None]
    if steps:
        training: dict[str, Any] = {"iterations, frame 0": steps[0]}
        if len(steps) > 1:
            training["iterations, a later frame"] = round(float(np.mean(steps[1:])), 1)
        last = frames[len(frames) - 1].exclude_layers
        training["frozen layers of the last frame"] = None if last is None else list(last)
        tables.append(Table("Training, as the package records it", training))
    return tables


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
