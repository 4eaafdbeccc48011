"""Pictures to judge a chain by: truth, rendering and error side by side, and a contact sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from nmc_framework.evaluation.held_out import ViewScore
from nmc_framework.evaluation.page import Figure
from nmc_framework.evaluation.panel import above, beside, captioned, enlarged
from nmc_framework.whole_files import write_picture

Picture = npt.NDArray[np.uint8]
Item = TypeVar("Item")

#: The error that is drawn white: mean absolute difference of the channels, in 0..1.
FULL_SCALE = 0.25
#: Sides by side are enlarged to this width at least, pixels, so that their captions fit.
_LEAST = 170
#: A contact sheet has at most so many frames and views, each so many pixels wide.
_SHEET, _THUMB = 6, 150


def error_picture(image: Picture, truth: Picture) -> Picture:
    """Return how far an image is off at each pixel: black 0, white a mean difference of 0.25."""
    error = np.abs(image.astype(np.float32) - truth).mean(axis=2) / 255
    shade = np.clip(error / FULL_SCALE, 0, 1)
    colours = mpl.colormaps["inferno"](shade)[..., :3]
    # The colour map ends in a pale yellow; what is off the scale is white.
    colours[error > FULL_SCALE] = 1
    return np.asarray(np.round(255 * colours), dtype=np.uint8)


def side_by_side(image: Picture, truth: Picture, decibels: float, *, width: int = 0) -> Picture:
    """Return truth, rendering and error with captions; each ``width`` wide, or as it is.

    Small pictures are enlarged by a whole number, so that each pixel stays one colour.
    """
    error = error_picture(image, truth)
    score = f"rendered, {decibels:.2f} dB" if np.isfinite(decibels) else "rendered, the same"
    parts = [(truth, "truth"), (image, score), (error, f"error, white is {FULL_SCALE:g}")]
    return beside([captioned(_fitted(picture, width), text) for picture, text in parts])


def film_frame(image: Picture, truth: Picture, text: str) -> Picture:
    """Return rendering and truth beside each other, for a film of one view."""
    return beside([captioned(_fitted(truth, 0), "truth"), captioned(_fitted(image, 0), text)])


def spread(names: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many of a sequence, evenly apart, the first and the last among them."""
    if len(names) <= most:
        return list(names)
    return [names[round(k * (len(names) - 1) / (most - 1))] for k in range(most)]


class Gallery:
    """Writes a picture of each view and frame as it is scored, and in the end a contact sheet.

    Parameters
    ----------
    folder
        Made if need be. A picture is ``<view>_<frame>.png``; ``contact.png`` is the sheet: a row a
        frame, a column a view.
    views, frames
        What is to come; of many, the sheet shows some, evenly apart.
    every
        Whether every view and frame has a picture of its own, or only those of the sheet.
    """

    def __init__(
        self, folder: Path, views: Sequence[str], frames: Sequence[int], *, every: bool = True
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._names = file_names(views)
        self._views = spread(views, _SHEET)
        self._frames = spread(frames, _SHEET)
        self._every = every
        self._cells: dict[int, dict[str, Picture]] = {}
        #: The pictures that were written, by frame and view.
        self.written: dict[tuple[int, str], Path] = {}

    def add(self, frame: int, view: str, image: Picture, truth: Picture, decibels: float) -> None:
        """Take a scored view; both pictures are (height, width, 3) uint8."""
        shown = frame in self._frames and view in self._views
        if self._every or shown:
            path = self.folder / f"{self._names[view]}_{frame:08d}.png"
            write_picture(path, side_by_side(image, truth, decibels))
            self.written[frame, view] = path
        if shown:
            text = f"{view}, frame {frame}: {decibels:.1f} dB"
            strip = side_by_side(image, truth, decibels, width=_THUMB)
            self._cells.setdefault(frame, {})[view] = captioned(strip, text)

    def figures(self, scores: Sequence[ViewScore], most: int = _SHEET) -> list[Figure]:
        """Return some of the pictures for a page, evenly apart, with captions."""
        decibels = {(score.frame, score.view): score.psnr for score in scores}
        chosen = spread(sorted(self.written, key=lambda key: (key[0], self._order(key[1]))), most)
        return [
            Figure(self.written[key], f"{key[1]}, frame {key[0]}: {decibels[key]:.2f} dB")
            for key in chosen
        ]

    def _order(self, view: str) -> int:
        return list(self._names).index(view)

    def contact_sheet(self) -> Path | None:
        """Write the sheet of what was added; None where that was nothing."""
        rows = [beside(list(views.values())) for _, views in sorted(self._cells.items())]
        if not rows:
            return None
        width = max(row.shape[1] for row in rows)
        path = self.folder / "contact.png"
        filled = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
        write_picture(path, above(filled))
        return path


def file_names(views: Sequence[str]) -> dict[str, str]:
    """Return a name for files for each view: names come from packages, and may hold anything."""
    names: dict[str, str] = {}
    for view in views:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", view).strip("_")[:60] or "view"
        taken = {name.lower() for name in names.values()} | {"contact"}
        name, number = plain, 2
        while name.lower() in taken:
            name, number = f"{plain}-{number}", number + 1
        names[view] = name
    return names


def _fitted(picture: Picture, width: int) -> Picture:
    if width:
        height = max(1, round(picture.shape[0] * width / picture.shape[1]))
        return enlarged(picture, width, height)
    times = -(-_LEAST // picture.shape[1])
    return picture.repeat(times, axis=0).repeat(times, axis=1)
