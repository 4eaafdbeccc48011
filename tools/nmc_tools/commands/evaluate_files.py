"""Files that ``nmc evaluate`` is to write or to show, refused before anything is rendered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from nmc_tools.terminal import refuse_input


def refuse_unwritable(paths: Iterable[Path]) -> None:
    """Make the folders of what is to be written, and refuse now what could not be at the end."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under another name if there is none: what is killed here leaves no empty file.
        tried = path if path.exists() else path.with_name(f".partial-{path.name}")
        with tried.open("ab"):
            pass
        if tried != path:
            tried.unlink()


#: Bytes 4 to 7 of an MP4 file (ISO/IEC 14496-12, 4.3).
_MP4 = b"ftyp"


def check_files(pictures: dict[str, Path | None], html: Path | None, films: list[Path]) -> None:
    """Refuse now what would fail after everything was rendered."""
    wanted = {hint: (path, ".png") for hint, path in pictures.items()} | {"--html": (html, ".html")}
    for hint, (path, suffix) in wanted.items():
        if path is not None and path.suffix.lower() != suffix:
            raise typer.BadParameter(f"the file is {suffix}", param_hint=hint)
    if films and html is None:
        raise typer.BadParameter("a film is for the page: --html", param_hint="--film")
    for film in films:
        if not film.is_file():
            refuse_input("host/not-found", str(film), "")
        with film.open("rb") as file:
            if file.read(8)[4:] != _MP4:
                refuse_input("input/unreadable", str(film), "it is not an MP4 video")
