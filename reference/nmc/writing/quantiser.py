"""Quantises the states of one writer, frame after frame (chapter 12): an encoder's business.

It keeps nothing from one frame to the next but
:class:`nmc.writing.remembered.Remembered`, which is in the journal. So a
writer that was resumed makes the bytes that one in one go would have made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nmc.coding.state import arrays_of
from nmc.writing.aim import aimed, measured
from nmc.writing.measured_steps import steps_by_distortion
from nmc.writing.remembered import Remembered
from nmc.writing.trial import Place, Trial
from nmc_format.manifest.check.refinements import SAME_PSNR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.coding.encode import CodedFrame
    from nmc.coding.state import State, Tensor
    from nmc.writing.quantisation import Quantisation
    from nmc_format.manifest.tensor_table import TensorRow


@dataclass(frozen=True)
class Outcome:
    """A frame as a decoder will have it.

    Attributes
    ----------
    tensors : dict of int to Tensor
        The state.
    coded : CodedFrame
        Its bytes.
    remembered : Remembered or None
        For the next frame.
    notes : mapping of str to str
        What the caller may not expect, by the name of a tensor or of the frame.
    psnr : float or None
        Its declared PSNR in dB (clause 5.4.6); None where nothing measured it.
    """

    tensors: dict[int, Tensor]
    coded: CodedFrame
    remembered: Remembered | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    psnr: float | None = None


def unchanged(
    tensors: dict[int, Tensor], before: State, remembered: Remembered | None
) -> dict[int, Tensor]:
    """Return a state in which what was given again is the very tensor of the frame before.

    What is given is compared with what was given: a quantised tensor that nobody trained stays as
    it is therefore.

    Parameters
    ----------
    tensors : dict of int to Tensor
        The state as it was given.
    before : State
        The frame before, as it is decoded.
    remembered : Remembered or None
        Of the frame before.
    """
    known = remembered.originals if remembered else {}
    return {
        row: before[row]
        if row in known and row in before and known[row] == tensor.digest
        else tensor
        for row, tensor in tensors.items()
    }


def are_known(before: State, remembered: Remembered | None) -> bool:
    """Whether it is known of each tensor what was given for it in the frame before."""
    known = remembered.originals if remembered else {}
    return all(row in known for row, tensor in before.items() if tensor.quantised is not None)


def grids_of(state: State, rows: Sequence[TensorRow]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Return rows and scale of each part of the tensors that lie on a grid, by name."""
    return {
        rows[row].name: tuple((part.rows, part.scale) for part in tensor.quantised.grid)
        for row, tensor in state.items()
        if tensor.quantised is not None
    }


def quantised(asked: Quantisation | None, given: dict[int, Tensor], place: Place) -> Outcome:
    """Return a frame as a decoder will have it.

    Parameters
    ----------
    asked : Quantisation or None
        How finely; None leaves everything as it is.
    given : dict of int to Tensor
        The state of :func:`unchanged`.
    place : Place
        Where the frame goes.

    Raises
    ------
    ValueError
        If parts do not add up to the rows of a tensor.
    FormatError
        If the caller's function of distortion fails.
    """
    before, known = place.before.state, place.remembered or Remembered()
    if asked is None:
        originals = _originals(given, given, before, known)
        kept = Remembered(originals) if originals else None
        return Outcome(given, place.encode(given), kept)
    trial = Trial(asked, given, place)
    magnitudes = trial.magnitudes({} if place.key else known.magnitudes)
    seen = steps_by_distortion(asked, place, trial.changed, known.steps)
    steps = trial.steps(magnitudes, seen)
    if not asked.has_target:
        tensors = trial.made(steps, 1.0)
        originals = _originals(given, tensors, before, known)
        remembered = Remembered(originals, magnitudes)
        psnr = declared_psnr(asked, tensors, place)
        notes = trial.notes(tensors, steps)
        return Outcome(tensors, place.encode(tensors), remembered, notes, psnr)
    found = aimed(asked, place, lambda factor: trial.made(steps, factor))
    notes = trial.notes(found.tensors, trial.scaled(steps, found.factor))
    if found.missed:
        notes[f"frame {place.frame}"] = found.missed
    remembered = Remembered(
        _originals(given, found.tensors, before, known),
        magnitudes,
        found.factor,
        found.factor if place.key else known.key_factor,
        seen,
    )
    psnr = declared_psnr(asked, found.tensors, place, found.psnr)
    return Outcome(found.tensors, found.coded, remembered, notes, psnr)


def declared_psnr(
    asked: Quantisation,
    tensors: State,
    place: Place,
    seen: float | None = None,
) -> float | None:
    """Return the declared PSNR of a state, measured unless it was seen; None where nothing can.

    It is rounded down to hundredths: another machine may render a little differently.
    """
    if asked.distortion is None:
        return None
    if seen is None:
        decoded, original = arrays_of(tensors, place.rows), arrays_of(place.originals, place.rows)
        seen = measured(asked, decoded, original, place.frame)
    if seen < 0:
        return None
    return float(min(math.floor(100 * min(seen, SAME_PSNR)) / 100, SAME_PSNR))


def _originals(given: State, made: State, before: State, known: Remembered) -> dict[int, bytes]:
    """Return the digests of what was given for the tensors that are quantised."""
    return {
        row: known.originals.get(row, tensor.digest)
        if tensor is before.get(row)
        else given[row].digest
        for row, tensor in made.items()
        if tensor.quantised is not None
    }
