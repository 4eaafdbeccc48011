"""What ``nmc sr experiment`` found of each variant and film, and its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmc_framework.super_resolution.footage import Footage
from nmc_framework.super_resolution.luma import luma
from nmc_tools.super_resolution.scoring import METRICS

#: Ways to enlarge, in the order of tables.
WAYS = ("bicubic", "pre-trained", "fine-tuned")
#: Metrics beside the PSNR, which has columns of its own, and their formats.
_MORE = {"ssim": ".4f", "ms_ssim": ".4f", "lpips": ".4f", "niqe": ".2f"}


@dataclass(frozen=True)
class Gain:
    """What a variant reached on a film.

    ``scores`` are the means of each metric by way. ``low``, ``first`` and ``networks`` are the
    bytes of the small video, of the network as pre-trained, and of those after it; ``keys`` how
    many of those are key frames.
    """

    video: str
    variant: str
    pictures: int
    scenes: int
    keys: int
    scores: dict[str, dict[str, float]]
    low: int
    first: int
    networks: int
    seconds: float

    @property
    def gain(self) -> float:
        """By how many dB fine-tuning is better than the pre-trained network."""
        return self.scores["fine-tuned"]["psnr"] - self.scores["pre-trained"]["psnr"]


@dataclass(frozen=True)
class Film:
    """What a film is like.

    ``kind`` is what the user calls it. ``motion`` is by how much the brightness of a pixel (0..255)
    changes from one picture to the next, outside of cuts; ``detail`` by how much from one pixel to
    its neighbours.
    """

    name: str
    kind: str
    size: tuple[int, int]
    pictures: int
    seconds: float
    cuts: int
    motion: float
    detail: float


def film_of(name: str, kind: str, footage: Footage) -> Film:
    """Return what a film is like, of all its pictures."""
    motion, detail = [], []
    before = None
    for moment, picture in zip(footage.moments, footage.pictures(), strict=True):
        grey = luma(picture)
        if before is not None and not moment.cut:
            motion.append(float(np.abs(grey - before).mean()))
        changes = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1) if grey.shape[axis] > 1]
        detail.append(float(np.mean([change.mean() for change in changes])) if changes else 0.0)
        before = grey
    return Film(
        name,
        kind,
        footage.size,
        len(footage),
        float(len(footage) / footage.rate),
        sum(moment.cut for moment in footage.moments[1:]),
        float(np.mean(motion)) if motion else 0.0,
        float(np.mean(detail)),
    )


@dataclass(frozen=True)
class Gains:
    """All that fine-tuning gained, and on what films."""

    films: Sequence[Film] = ()
    gains: Sequence[Gain] = field(default_factory=list)


def table(found: Gains, told: str) -> str:
    """Return films and gains as Markdown, below a line that says how they were made."""
    parts = [told, "", "| film | kind | size | pictures | s | cuts | motion | detail |"]
    parts.append("|" + "---|" * 8)
    parts += [
        f"| {f.name} | {f.kind or '-'} | {f.size[0]}x{f.size[1]} | {f.pictures} | {f.seconds:.1f} "
        f"| {f.cuts} | {f.motion:.1f} | {f.detail:.1f} |"
        for f in found.films
    ]
    head = (
        "| film | variant | pictures | networks | key frames | bicubic dB | pre-trained dB | "
        "fine-tuned dB | gain dB |"
    )
    shown = [m for m in _MORE if any(m in g.scores["fine-tuned"] for g in found.gains)]
    head += "".join(f" {METRICS[m][0]} |" for m in shown)
    head += " small video B | first network B | later networks B | s |"
    parts += ["", head, "|" + "---|" * (head.count("|") - 1)]
    for g in found.gains:
        decibels = " | ".join(f"{g.scores[way]['psnr']:.2f}" for way in WAYS)
        more = "".join(f" {_three(g.scores, metric)} |" for metric in shown)
        parts.append(
            f"| {g.video} | {g.variant} | {g.pictures} | {g.scenes} | {g.keys} | {decibels} | "
            f"{g.gain:+.2f} |{more} {g.low:,} | {g.first:,} | {g.networks:,} | {g.seconds:.0f} |"
        )
    return "\n".join(parts) + "\n"


def _three(scores: dict[str, dict[str, Any]], metric: str) -> str:
    values = [scores[way].get(metric, math.nan) for way in WAYS]
    if any(math.isnan(value) for value in values):
        return "-"
    return " / ".join(f"{value:{_MORE[metric]}}" for value in values)
