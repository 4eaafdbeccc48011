"""Tables, plots and the page of an experiment, from its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nmc_framework.evaluation.page import Figure, Page, Table, write_page
from nmc_tools.experiments.kept import Spent
from nmc_tools.experiments.rows import QUALITIES, Row, differences, hull

_COLOURS = (
    "#c1272d", "#1f6f78", "#e8743b", "#5b6b8c", "#7b5ea7", "#3f7f4c", "#d4a017", "#d16ba5",
    "#2b3440", "#5aa9e6",
)  # fmt: skip
_FLOOR = 0.5


@dataclass(frozen=True)
class Results:
    """What an experiment found, and how it is told.

    ``subtitle`` says what was asked for; ``pictures`` are (height, width, 3) uint8 by the names
    that rows have, and ``captions`` what is said below them; ``anchor`` is the coder that BD-rates
    are against; ``notes`` are what was left out, and why.
    """

    name: str
    title: str
    subtitle: str
    rows: Sequence[Row]
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    anchor: str
    machine: str
    spent: Spent | None = None
    captions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def setting(self) -> str:
        """What was asked for, what was left out, on which machine, and what it took."""
        took = f" {self.spent}." if self.spent else ""
        return f"{' '.join([self.subtitle, *self.notes])} Measured on {self.machine}.{took}"

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "experiment": self.name,
            "setting": self.subtitle,
            "notes": list(self.notes),
            "machine": self.machine,
            "seconds": None if not self.spent else {"cpu": self.spent.cpu, "wall": self.spent.wall},
            "bd_rates": [
                {"picture": name, "coder": coder, "over": over, "percent": percent}
                for (name, coder, over), percent in self.bd_rates().items()
            ],
            "rows": [asdict(row) for row in self.rows],
        }

    def bd_rates(self) -> dict[tuple[str, str, str], float]:
        """Return BD-rates in percent against the anchor, by picture, coder and quality."""
        return {
            (name, coder, over): percent
            for over, quality in QUALITIES.items()
            for (name, coder), percent in differences(self.rows, self.anchor, quality).items()
        }


def write_results(folder: Path, results: Results) -> list[Path]:
    """Write figures (.json), tables (.md), plots (.png) and the page (.html); return the files."""
    text, figures = folder / f"{results.name}.md", folder / f"{results.name}.json"
    text.write_text(tables(results), encoding="utf-8")
    figures.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    plots, shown = [], []
    for number, (name, picture) in enumerate(results.pictures.items()):
        path = folder / f"curves-{number}.png"
        _plot(path, [row for row in results.rows if row.picture == name], name)
        plots.append(Figure(path, f"{name}: quality over bits a pixel", wide=True))
        seen = folder / f"picture-{number}.png"
        Image.fromarray(picture).save(seen, format="PNG")
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        told = results.captions.get(name, f"{name}, {size}")
        shown.append(Figure(seen, told, wide=name in results.captions))
    page = Page(
        title=results.title,
        subtitle=results.setting,
        numbers={
            f"{coder}, {name}: BD-rate of {over} against {results.anchor}": f"{percent:+.1f} %"
            for (name, coder, over), percent in results.bd_rates().items()
        },
        pictures=shown,
        curves=plots,
        tables=_page_tables(results.rows),
    )
    written = write_page(folder / f"{results.name}.html", page)
    return [*written, text, figures, *(plot.path for plot in plots)]


def summary(results: Results) -> str:
    """Return setting, BD-rates and, of each coder, what no other point beats, as Markdown."""
    parts = [results.setting, "", *_bd_lines(results), ""]
    parts += ["| what | coder | bits a pixel: PSNR dB |", "|---|---|---|"]
    for name in dict.fromkeys(row.picture for row in results.rows):
        mine = [row for row in results.rows if row.picture == name]
        for coder in dict.fromkeys(row.coder for row in mine):
            curve = hull([row for row in mine if row.coder == coder])
            points = zip(curve.rate, curve.fidelity, strict=True)
            told = ", ".join(f"{rate:.3g}: {quality:.2f}" for rate, quality in points)
            parts.append(f"| {name} | {coder} | {told} |")
    return "\n".join(parts) + "\n"


def tables(results: Results) -> str:
    """Return all rows as Markdown."""
    parts = [results.setting, "", *_bd_lines(results)]
    head = "| what | model | coder | setting | bytes | bits a pixel | PSNR dB | MS-SSIM |"
    parts += ["", head, "|---|---|---|---|---|---|---|---|"]
    parts += [
        f"| {r.picture} | {r.model} | {r.coder} | {r.setting} | {r.size:.0f} | "
        f"{r.bits_per_pixel:.3f} | {r.psnr:.2f} | {_similarity(r)} |"
        for r in results.rows
    ]
    return "\n".join(parts) + "\n"


def _bd_lines(results: Results) -> list[str]:
    return [
        f"- {name}, {coder}: BD-rate of {over} {percent:+.1f} % against {results.anchor}"
        for (name, coder, over), percent in results.bd_rates().items()
    ]


def _similarity(row: Row) -> str:
    return "" if row.ms_ssim is None else f"{row.ms_ssim:.4f}"


def _page_tables(rows: Sequence[Row]) -> list[Table]:
    found = []
    for name in dict.fromkeys(row.picture for row in rows):
        for coder in dict.fromkeys(row.coder for row in rows):
            values = {
                f"{r.model}, {r.setting}": f"{r.bits_per_pixel:.3f} bits a pixel, {r.psnr:.2f} dB"
                + (f", MS-SSIM {_similarity(r)}" if r.ms_ssim is not None else "")
                for r in rows
                if (r.picture, r.coder) == (name, coder)
            }
            found.append(Table(f"{name}: {coder}", values))
    return found


def _plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw PSNR, and MS-SSIM where it is known, over bits a pixel."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    measured = [row for row in rows if row.ms_ssim is not None]
    with mpl.rc_context({"text.color": "#2b3440", "font.size": 9}):
        figure = Canvas(figsize=(15 if measured else 10, 6), layout="constrained", dpi=110)
        panels = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
        _panel(panels[0], rows, [row.psnr for row in rows], "PSNR (dB)")
        best = max(row.psnr for row in rows)
        panels[0].set_ylim(lowest_shown(rows) - 0.5, best + 0.5)
        if measured:
            _panel(panels[1], measured, [row.ms_ssim for row in measured], "MS-SSIM")
        panels[0].set_title(title, loc="left", fontweight="bold")
        panels[0].legend(frameon=False)
        figure.savefig(path)


def _panel(axes: Any, rows: Sequence[Row], quality: Sequence[float | None], label: str) -> None:
    """Draw each coder's points, those of one model joined where it has several."""
    points = list(zip(rows, quality, strict=True))
    coders = list(dict.fromkeys(row.coder for row in rows))
    for coder, colour in zip(coders, cycle(_COLOURS), strict=False):
        mine = [point for point in points if point[0].coder == coder]
        models = list(dict.fromkeys(row.model for row, _ in mine))
        lines = [[point for point in mine if point[0].model == model] for model in models]
        single = all(len(line) == 1 for line in lines)
        for number, line in enumerate([mine] if single else lines):
            ordered = sorted(line, key=lambda point: point[0].bits_per_pixel)
            axes.plot(
                [row.bits_per_pixel for row, _ in ordered],
                [value for _, value in ordered],
                "s--" if single else "o-",
                color=colour,
                ms=4,
                lw=1.3,
                label=None if number else coder,
            )
    axes.set_xscale("log")
    axes.set_xlabel("bits a pixel (log)")
    axes.set_ylabel(label)
    axes.grid(which="both", color="#e6eaee")


def lowest_shown(rows: Sequence[Row]) -> float:
    """Return the PSNR in dB from which on a plot shows rows.

    What is ruined by a coarse quantiser would hide the rest; what a small model shows at its best
    is not ruined, however much better a large one is.
    """
    best: dict[str, float] = {}
    for row in rows:
        best[row.model] = max(best.get(row.model, row.psnr), row.psnr)
    return max(min(row.psnr for row in rows), _FLOOR * min(best.values()))
