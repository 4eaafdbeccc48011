"""A page to show others: one HTML file with film, pictures, curves and tables; nothing is fetched.

What it shows is given as plain parts; what comes of packages and footage is escaped.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from nmc_framework.whole_files import whole, write_text

#: A film of more bytes lies beside the page, and a picture of more is embedded as JPEG.
_FILM, _PICTURE = 12_000_000, 400_000


@dataclass(frozen=True)
class Figure:
    """A picture file with what stands below it; ``wide`` ones take the whole width."""

    path: Path
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table of two columns, names and values; a mapping as a value is unfolded."""

    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A judgement in a word, whether it is a good one, and its reasons."""

    title: str
    word: str
    good: bool | None
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """The parts of a page in their order; what is empty is left out.

    ``numbers`` are the few that stand in large figures, label to text; ``films`` are ``.mp4``.
    """

    title: str
    subtitle: str
    numbers: Mapping[str, str]
    films: Sequence[Figure] = ()
    pictures: Sequence[Figure] = ()
    curves: Sequence[Figure] = ()
    rig: Sequence[Figure] = ()
    verdicts: Sequence[Verdict] = ()
    tables: Sequence[Table] = ()


def write_page(path: Path, page: Page) -> list[Path]:
    """Write a page; return what was written: the page, and films too large for it beside it.

    Parameters
    ----------
    path
        Ends in ``.html``; its folder is made if need be.
    page
        Its films and pictures are read now and need not stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside: list[Path] = []
    films = "".join(_film(film, path, beside) for film in page.films)
    sections = [
        ("Film", films),
        ("Truth, rendering, error", "".join(_picture(each) for each in page.pictures)),
        ("Curves", "".join(_picture(each) for each in page.curves)),
        ("Cameras", "".join(map(_verdict, page.verdicts)) + "".join(map(_picture, page.rig))),
        ("Settings", "".join(_table(each) for each in page.tables)),
    ]
    numbers = "".join(
        f"<div><b>{escape(text)}</b><span>{escape(label)}</span></div>"
        for label, text in page.numbers.items()
    )
    body = "".join(
        f'<section><h2>{title}</h2><div class="grid">{inner}</div></section>'
        for title, inner in sections
        if inner
    )
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{style}</style></head><body><main>"
        f"<header><h1>{escape(page.title)}</h1><p>{escape(page.subtitle)}</p></header>"
        f'<div class="numbers">{numbers}</div>{body}</main></body></html>\n'
    )
    write_text(path, text)
    return [path, *beside]


def _film(film: Figure, page: Path, beside: list[Path]) -> str:
    if film.path.stat().st_size > _FILM:
        copy = page.with_name(f"{page.stem}_{film.path.name}")
        if copy.resolve() != film.path.resolve():
            with whole(copy) as partial:
                shutil.copyfile(film.path, partial)
        beside.append(copy)
        source = escape(copy.name, quote=True)
    else:
        source = _data("video/mp4", film.path.read_bytes())
    player = f'<video controls loop muted autoplay playsinline src="{source}"></video>'
    shape = ' class="wide"' if film.wide else ""
    return f"<figure{shape}>{player}<figcaption>{escape(film.caption)}</figcaption></figure>"


def _picture(figure: Figure) -> str:
    data, kind = figure.path.read_bytes(), "image/png"
    if len(data) > _PICTURE:
        packed = io.BytesIO()
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB").save(packed, "JPEG", quality=90)
        data, kind = packed.getvalue(), "image/jpeg"
    text = escape(figure.caption, quote=True)
    shape = ' class="wide"' if figure.wide else ""
    return (
        f'<figure{shape}><img alt="{text}" src="{_data(kind, data)}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _verdict(verdict: Verdict) -> str:
    kind = {True: "good", False: "bad", None: "open"}[verdict.good]
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    return (
        f'<div class="wide verdict {kind}"><p>{escape(verdict.title)}: '
        f"<b>{escape(verdict.word)}</b></p>{listed}</div>"
    )


def _table(table: Table) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _unfolded(table.values, "")
    )
    return f"<table><caption>{escape(table.title)}</caption>{rows}</table>" if rows else ""


def _unfolded(values: Mapping[str, Any], before: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _unfolded(value, f"{before}{name}.")
        elif value is not None:
            rows.append((f"{before}{name}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value)) or "none"
    return str(value)


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
