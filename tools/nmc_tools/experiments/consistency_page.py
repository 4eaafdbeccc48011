"""Table, plots, film and page of the experiment ``consistency``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nmc_framework.evaluation.page import Figure, Page, Table, write_page
from nmc_framework.rendering import write_video
from nmc_tools.experiments.consistency import Consistency, answer

#: What rows tell: attribute, heading, and how it is written.
_COLUMNS = (
    ("psnr", "PSNR dB", "{:.2f}"),
    ("ssim", "SSIM", "{:.4f}"),
    ("moving", "moving dB", "{:.2f}"),
    ("flicker", "flicker", "{:.4f}"),
    ("static_flicker", "static flicker", "{:.4f}"),
    ("warped", "warped error", "{:.4f}"),
    ("size", "bytes", "{:,}"),
)
_COLOURS = ("#c1272d", "#1f6f78", "#e8743b", "#5b6b8c", "#7b5ea7")
#: Pixels that a picture of the page is high at least.
_SHOWN = 160


def table(found: Consistency) -> str:
    """Return the answer and a table of methods and views as Markdown."""
    head = " | ".join(heading for _, heading, _ in _COLUMNS)
    lines = [
        found.setting,
        "",
        answer(found),
        "",
        f"| method | view | {head} |",
        "|---" * (2 + len(_COLUMNS)) + "|",
    ]
    lines += [f"| {row.method} | {row.view} | {' | '.join(_texts(row))} |" for row in found.rows]
    return "\n".join(lines) + "\n"


def _texts(row: Any) -> list[str]:
    values = ((getattr(row, name), form) for name, _, form in _COLUMNS)
    return ["" if value is None else form.format(value) for value, form in values]


def write_consistency(folder: Path, found: Consistency) -> list[Path]:
    """Write figures (.json), table (.md), plot, pictures, film and page; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    text, told = folder / "consistency.md", folder / "consistency.json"
    text.write_text(table(found), encoding="utf-8")
    told.write_text(json.dumps(found.as_json(), indent=1), encoding="utf-8")
    plot, film = (folder / f"consistency.{kind}" for kind in ("png", "mp4"))
    _plot(plot, found)
    sheet = folder / "reconstructed.png"
    Image.fromarray(_sheet(found)).save(sheet, format="PNG")
    films = []
    if len(found.film.views) > 1:
        write_video(film, _beside(found), found.film.footage.rate)
        names = ", ".join(["truth", *found.pictures])
        films = [Figure(film, f"{found.film.held_out[0]}: {names}", wide=True)]
    methods = list(found.pictures)
    page = Page(
        title="Consistency: frame-wise, shared, and sequence-wise",
        subtitle=f"{answer(found)} {found.setting}",
        numbers={
            f"{method}: static flicker": f"{value:.4f}"
            for method in methods
            if (value := found.mean(method, "static_flicker")) is not None
        },
        films=films,
        pictures=[
            Figure(sheet, "first, middle and last frame: truth, then each method", wide=True)
        ],
        curves=[Figure(plot, "PSNR by frame, and how steady each method is", wide=True)],
        tables=[
            Table(f"{row.method}, {row.view}", dict(zip(_headings(), _texts(row), strict=True)))
            for row in found.rows
        ],
    )
    return [*write_page(folder / "consistency.html", page), text, told, plot, sheet]


def _headings() -> list[str]:
    return [heading for _, heading, _ in _COLUMNS]


def _beside(found: Consistency) -> list[Any]:
    """Return frames of the film: the first held-out view of the truth and of each method."""
    columns = [found.film.truth[:, 0], *(pictures[:, 0] for pictures in found.pictures.values())]
    return [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]


def _sheet(found: Consistency) -> Any:
    """Return first, middle and last frame below each other, truth and methods side by side."""
    frames = _beside(found)
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    whole = np.concatenate([frames[k] for k in chosen])
    times = max(1, _SHOWN // found.film.truth.shape[2])
    return whole.repeat(times, axis=0).repeat(times, axis=1)


def _plot(path: Path, found: Consistency) -> None:
    """Draw PSNR by frame, and bars of flicker and warped error."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    methods = list(found.pictures)
    with mpl.rc_context({"text.color": "#2b3440", "font.size": 9}):
        figure = Canvas(figsize=(14, 4.5), layout="constrained", dpi=110)
        left, right = figure.subplots(1, 2)
        for method, colour in zip(methods, _COLOURS, strict=False):
            rows = [row.by_frame for row in found.rows if row.method == method]
            mean = np.mean(np.minimum(rows, 100.0), axis=0)
            left.plot(range(len(mean)), mean, "o-", ms=3, lw=1.3, color=colour, label=method)
        left.set_xlabel("frame")
        left.set_ylabel("PSNR (dB)")
        left.legend(frameon=False)
        for offset, (what, label) in enumerate(
            (("static_flicker", "static flicker"), ("warped", "warped error"))
        ):
            heights = [found.mean(method, what) or 0.0 for method in methods]
            places = np.arange(len(methods)) + 0.4 * offset - 0.2
            right.bar(places, heights, width=0.38, color=_COLOURS[offset], label=label)
        right.set_xticks(range(len(methods)), methods)
        right.set_ylabel("mean absolute change")
        right.legend(frameon=False)
        for axes in (left, right):
            axes.grid(color="#e6eaee")
            axes.set_axisbelow(True)
        figure.savefig(path)
