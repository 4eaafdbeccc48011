"""Steps that the caller's function of distortion says: where a target in dB is all that is given.

An encoder's business: what is seen of noise in a part of a model says how coarse its step may be
(:mod:`nmc.writing.sensitivity`). It is measured at the first frame, and remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmc.coding.state import arrays_of
from nmc.writing.aim import measured
from nmc.writing.sensitivity import Sensitivity

_FAR = -300.0
"""Decibels below which nothing is told apart."""

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nmc.writing.quantisation import Quantisation
    from nmc.writing.trial import Place

    Parts = Mapping[int, Sequence[tuple[int, float]]]
    """By row, rows and step of each part."""


def steps_by_distortion(
    asked: Quantisation, place: Place, changed: Collection[int], known: Parts
) -> Parts:
    """Return the steps of the tensors that are to be quantised, for the target of a frame.

    Nothing where the caller says how the steps are to each other. They are measured anew at a key
    frame that has a tensor which was not there, or has another number of rows.

    Parameters
    ----------
    asked : Quantisation
    place : Place
        Where the frame goes.
    changed : collection of int
        The rows that can be quantised.
    known : mapping of int to sequence of (int, float)
        Those of the frame before.

    Raises
    ------
    FormatError
        If the caller's function fails.
    """
    if not asked.is_measured:
        return {}
    assert asked.target_psnr is not None
    known = {row: parts for row, parts in known.items() if _fit(parts, place, row)}
    if known and not (place.key and any(row not in known for row in changed)):
        return known
    original = arrays_of(place.originals, place.rows)
    names = {place.rows[row].name: row for row in changed}
    found = Sensitivity.measured(
        {name: a for name in names if isinstance(a := original[name], np.ndarray)},
        lambda state: max(measured(asked, {**original, **state}, original, place.frame), _FAR),
    )
    steps = found.joined().steps(float(asked.target_psnr))
    return {names[name]: parts for name, parts in steps.items()}


def _fit(parts: Sequence[tuple[int, float]], place: Place, row: int) -> bool:
    tensor = place.originals.get(row)
    return tensor is None or sum(rows for rows, _ in parts) == (tensor.shape or (1,))[0]
