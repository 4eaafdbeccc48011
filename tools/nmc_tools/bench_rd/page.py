"""The points as one HTML file: a plot, and for each chain a table of every point."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_tools.bench_rd.presentation import Chains, speed

if TYPE_CHECKING:
    from nmc_tools.bench_rd.points import Point

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #2b3440; max-width: 1200px; margin: 2em auto;
       padding: 0 1em; }
img { width: 100%; } h2 { margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #e6eaee; }
td { white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.ours td, tr.trained td { font-weight: 600; color: #c1272d; }
tr.estimate td { font-style: italic; }
"""
_HEAD = (
    "codec", "setting", "bytes a frame", "key frame", "delta frame", "beside", "fidelity dB",
    "held-out dB", "encode MB/s", "decode MB/s",
)  # fmt: skip


def write_page(path: Path, chains: Chains, notes: Sequence[str], plot: Path) -> None:
    """Write the page; the plot is put into it where it is there."""
    parts = ["<h1>Rate and distortion</h1>"]
    if plot.exists():
        data = base64.b64encode(plot.read_bytes()).decode()
        parts.append(f'<img alt="Fidelity over bytes" src="data:image/png;base64,{data}">')
    parts += [f"<p>{escape(note)}</p>" for note in notes]
    for chain, points in chains:
        parts.append(f"<h2>{escape(chain.name)}</h2>")
        parts.append(f"<p>Judged by {escape(chain.seen)}.</p>")
        parts.append(_table(points))
    text = "\n".join(parts)
    path.write_text(
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        f"<title>Rate and distortion</title><style>{_STYLE}</style>\n{text}\n</html>\n",
        encoding="utf-8",
    )


def _table(points: Sequence[Point]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "\n".join(_row(point) for point in points)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _row(point: Point) -> str:
    cells = [
        escape(point.codec),
        escape(point.setting),
        f"{point.rate:,.0f}",
        f"{point.key:,.0f}",
        f"{point.delta:,.0f}",
        f"{point.rest:,.0f}",
        point.shown_fidelity,
        "" if point.held_out is None else f"{point.held_out:+.4f}",
        speed(point.encode),
        speed(point.decode),
    ]
    return f'<tr class="{point.kind}">' + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
