"""Tables, plots and the page of an experiment, from its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nmc_framework.evaluation.page import Figure, Page, Table, write_page
from nmc_tools.experiments.rows import Row, differences

_COLOURS = ("#c1272d", "#1f6f78", "#e8743b", "#5b6b8c", "#7b5ea7", "#3f7f4c")
_FLOOR = 0.5


@dataclass(frozen=True)
class Results:
    """What an experiment found, and how it is told.

    ``pictures`` are (height, width, 3) uint8 by the names that rows have; ``anchor`` is the coder
    that BD-rates are against.
    """

    name: str
    title: str
    subtitle: str
    rows: Sequence[Row]
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    anchor: str
    machine: str

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rows = [asdict(row) for row in self.rows]
        return {"experiment": self.name, "machine": self.machine, "rows": rows}


def write_results(folder: Path, results: Results) -> list[Path]:
    """Write figures (.json), tables (.md), plots (.png) and the page (.html); return the files."""
    text, told = folder / f"{results.name}.md", folder / f"{results.name}.json"
    text.write_text(tables(results), encoding="utf-8")
    told.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    plots, shown = [], []
    for number, (name, picture) in enumerate(results.pictures.items()):
        path = folder / f"curves-{number}.png"
        _plot(path, [row for row in results.rows if row.picture == name], name)
        plots.append(Figure(path, f"{name}: quality over bits a pixel", wide=True))
        seen = folder / f"picture-{number}.png"
        Image.fromarray(picture).save(seen, format="PNG")
        shown.append(Figure(seen, f"{name}, {picture.shape[1]}x{picture.shape[0]}"))
    found = differences(results.rows, results.anchor)
    page = Page(
        title=results.title,
        subtitle=f"{results.subtitle} {results.machine}",
        numbers={
            f"{coder}, {name}: BD-rate against {results.anchor}": f"{percent:+.1f} %"
            for (name, coder), percent in found.items()
        },
        pictures=shown,
        curves=plots,
        tables=_page_tables(results.rows),
    )
    written = write_page(folder / f"{results.name}.html", page)
    return [*written, text, told, *(plot.path for plot in plots)]


def tables(results: Results) -> str:
    """Return all rows as Markdown."""
    parts = [f"Measured on {results.machine}.", ""]
    for (name, coder), percent in differences(results.rows, results.anchor).items():
        parts.append(f"- {name}, {coder}: BD-rate {percent:+.1f} % against {results.anchor}")
    head = "| what | model | coder | setting | bytes | bits a pixel | PSNR dB | MS-SSIM |"
    parts += ["", head, "|---|---|---|---|---|---|---|---|"]
    parts += [
        f"| {r.picture} | {r.model} | {r.coder} | {r.setting} | {r.size:.0f} | "
        f"{r.bits_per_pixel:.3f} | {r.psnr:.2f} | {_similarity(r)} |"
        for r in results.rows
    ]
    return "\n".join(parts) + "\n"


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
    for coder, colour in zip(coders, _COLOURS * 2, strict=False):
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
