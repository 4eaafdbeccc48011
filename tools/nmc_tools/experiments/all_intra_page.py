"""Tables, plots and the page of the experiment ``all-intra``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nmc_framework.evaluation.page import Figure, Page, Table, write_page
from nmc_tools.bench_rd.curves import Curve, bd_rate
from nmc_tools.experiments.all_intra import NAMES, Request, Result, Row, as_json

_COLOURS = ("#c1272d", "#1f6f78", "#e8743b", "#5b6b8c", "#7b5ea7", "#3f7f4c")
_FLOOR = 0.5


def write_all(request: Request, result: Result, machine: str) -> list[Path]:
    """Write figures (.json), tables (.md), a plot a picture (.png) and the page (.html)."""
    folder = request.folder
    text = tables(result, machine)
    (folder / "all-intra.md").write_text(text, encoding="utf-8")
    told = as_json(result) | {"machine": machine}
    (folder / "all-intra.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    plots, shown = [], []
    for number, (name, picture) in enumerate(request.pictures.items()):
        path = folder / f"curves-{number}.png"
        _plot(path, [row for row in result.rows if row.picture == name], name)
        plots.append(Figure(path, f"{name}: PSNR over bits a pixel", wide=True))
        seen = folder / f"picture-{number}.png"
        Image.fromarray(picture).save(seen, format="PNG")
        shown.append(Figure(seen, f"{name}, {picture.shape[1]}x{picture.shape[0]}"))
    page = Page(
        title="All-intra: pictures as networks",
        subtitle=f"INRIC models of five sizes, {request.iterations} iterations. {machine}",
        numbers={label: f"{value:+.1f} %" for label, value in differences(result.rows).items()},
        pictures=shown,
        curves=plots,
        tables=_page_tables(result.rows),
    )
    written = write_page(folder / "all-intra.html", page)
    files = [folder / name for name in ("all-intra.md", "all-intra.json")]
    return [*written, *files, *(plot.path for plot in plots)]


def hull(rows: Sequence[Row]) -> Curve:
    """Return the best of all models: what another has fewer bits *and* more dB of goes."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: (r.bits_per_pixel, -r.psnr)):
        last = found[-1] if found else None
        if last is None or (row.psnr > last.psnr and row.bits_per_pixel > last.bits_per_pixel):
            found.append(row)
    return Curve(tuple(r.psnr for r in found), tuple(r.bits_per_pixel for r in found))


def differences(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean BD-rate in percent of each coder against 8 learned bits, over pictures."""
    anchor = "8 bits, AdaRound and QAT"
    found: dict[str, list[float]] = {}
    for name in dict.fromkeys(row.picture for row in rows):
        mine = [row for row in rows if row.picture == name]
        base = hull([row for row in mine if row.coder == anchor])
        for coder in dict.fromkeys(row.coder for row in mine):
            if coder in {anchor, NAMES["none"]}:
                continue
            difference = bd_rate(base, hull([row for row in mine if row.coder == coder]))
            if difference is not None:
                found.setdefault(f"{coder}: BD-rate against {anchor}", []).append(
                    difference.percent
                )
    return {label: sum(each) / len(each) for label, each in found.items()}


def tables(result: Result, machine: str) -> str:
    """Return all rows as Markdown."""
    parts = [f"Measured on {machine}.", ""]
    for label, value in differences(result.rows).items():
        parts.append(f"- {label}: {value:+.1f} %")
    head = ["", "| picture | model | coder | setting | bytes | bits a pixel | PSNR dB |"]
    parts += [*head, "|---|---|---|---|---|---|---|"]
    parts += [
        f"| {r.picture} | {r.model} | {r.coder} | {r.setting} | {r.size:.0f} | "
        f"{r.bits_per_pixel:.3f} | {r.psnr:.2f} |"
        for r in result.rows
    ]
    return "\n".join(parts) + "\n"


def _page_tables(rows: Sequence[Row]) -> list[Table]:
    found = []
    for name in dict.fromkeys(row.picture for row in rows):
        for coder in dict.fromkeys(row.coder for row in rows):
            values = {
                f"{r.model}, {r.setting}": f"{r.bits_per_pixel:.3f} bits a pixel, {r.psnr:.2f} dB"
                for r in rows
                if (r.picture, r.coder) == (name, coder)
            }
            found.append(Table(f"{name}: {coder}", values))
    return found


def _plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw each coder's points, those of one model joined where it has several."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"text.color": "#2b3440", "font.size": 9}):
        figure = Canvas(figsize=(10, 6), layout="constrained", dpi=110)
        axes = figure.subplots()
        coders = list(dict.fromkeys(row.coder for row in rows))
        for coder, colour in zip(coders, _COLOURS * 2, strict=False):
            models = list(dict.fromkeys(row.model for row in rows))
            of_each = {m: [r for r in rows if (r.model, r.coder) == (m, coder)] for m in models}
            single = all(len(points) <= 1 for points in of_each.values())
            lines = list(of_each.values())
            if single:
                lines = [[row for points in lines for row in points]]
            for number, points in enumerate(lines):
                ordered = sorted(points, key=lambda r: r.bits_per_pixel)
                axes.plot(
                    [r.bits_per_pixel for r in ordered],
                    [r.psnr for r in ordered],
                    "s--" if single else "o-",
                    color=colour,
                    ms=4,
                    lw=1.3,
                    label=coder if not number else None,
                )
        best = max(row.psnr for row in rows)
        # What is ruined by a coarse quantiser would hide the rest.
        axes.set_ylim(max(min(r.psnr for r in rows), _FLOOR * best) - 0.5, best + 0.5)
        axes.set_xscale("log")
        axes.set_xlabel("bits a pixel (log)")
        axes.set_ylabel("PSNR (dB)")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.grid(which="both", color="#e6eaee")
        axes.legend(frameon=False)
        figure.savefig(path)
