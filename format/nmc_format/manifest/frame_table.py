"""The frames, their sources and how they were trained (clauses 5.4.4, 5.4.5 and 5.5).

N is the number of frames, T of tensor rows, P of training views.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from nmc_format.manifest.json_object import parse_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Texts: TypeAlias = NDArray[np.bytes_]


MOST_REFINEMENTS: Final = 8
"""Refinements that a frame can have (clause 5.4.7)."""


class Coding(StrEnum):
    """How a frame is coded (clause 5.4.4): alone, or by its differences from the frame before."""

    KEY = "key"
    DELTA = "delta"

    @property
    def number(self) -> int:
        """Its number in the column ``coding``."""
        return 0 if self is Coding.KEY else 1


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames and their sources (clauses 5.4.4 and 5.4.5).

    Attributes
    ----------
    timescale : int
        Ticks of the presentation time in a second.
    coding : numpy.ndarray of uint8, shape (N,)
        The number of each :class:`Coding`.
    presentation_time : numpy.ndarray of int64, shape (N,)
        In ticks.
    segment_length : numpy.ndarray of uint64, shape (N,)
        Bytes of each segment.
    segment_sha256, state_digest : numpy.ndarray of uint8, shape (N, 32)
        Digests of each segment and of each state.
    state_bytes : numpy.ndarray of uint64, shape (N,)
        Bytes of all tensors of each state.
    source_name, extras : numpy.ndarray of bytes, shape (N,), or None
        UTF-8, empty where nothing was recorded of a frame; None where the column is left out.
    declared_psnr : numpy.ndarray of float64, shape (N,), or None
        In dB (clause 5.4.6); -1.0 where nothing was recorded.
    """

    timescale: int
    coding: NDArray[np.uint8]
    presentation_time: NDArray[np.int64]
    segment_length: NDArray[np.uint64]
    segment_sha256: NDArray[np.uint8]
    state_bytes: NDArray[np.uint64]
    state_digest: NDArray[np.uint8]
    source_name: Texts | None = None
    extras: Texts | None = None
    declared_psnr: Floats | None = None

    def __len__(self) -> int:
        return len(self.coding)

    @cached_property
    def _key_frames(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.coding == Coding.KEY.number)

    def is_key(self, index: int) -> bool:
        """Whether a frame is a key frame."""
        return bool(self.coding[index] == Coding.KEY.number)

    def key_frame_before(self, index: int) -> int:
        """Return the last key frame at or before a frame."""
        return int(self._key_frames[np.searchsorted(self._key_frames, index, side="right") - 1])


@dataclass(frozen=True, eq=False)
class Refinements:
    """The refinements of all frames (clause 5.4.7); S of each frame.

    Attributes
    ----------
    start : numpy.ndarray of uint64, shape (N, S)
        The byte of the segment at which the streams of each refinement begin.
    state_digest : numpy.ndarray of uint8, shape (N, S, 32)
        Digest of the state with this refinement and those before it.
    declared_psnr : numpy.ndarray of float64, shape (N, S), or None
        In dB; -1.0 where nothing was recorded.
    """

    start: NDArray[np.uint64]
    state_digest: NDArray[np.uint8]
    declared_psnr: Floats | None = None

    @property
    def count(self) -> int:
        """How many each frame has."""
        return int(self.start.shape[1])

    def frame(self, index: int) -> tuple[Refined, ...]:
        """Return those of one frame."""
        psnr = self.declared_psnr
        return tuple(
            Refined(
                int(self.start[index, k]),
                self.state_digest[index, k].tobytes(),
                None if psnr is None or psnr[index, k] < 0 else float(psnr[index, k]),
            )
            for k in range(self.count)
        )


@dataclass(frozen=True)
class Refined:
    """One refinement of one frame (clause 5.4.7).

    Attributes
    ----------
    start : int
        The byte of the segment at which its streams begin.
    state_digest : bytes
        32 bytes.
    declared_psnr : float or None
        As of :class:`FrameRecord`, of the state with this refinement.
    """

    start: int
    state_digest: bytes
    declared_psnr: float | None = None


@dataclass(frozen=True, eq=False)
class Colour:
    """Exposure and white balance of the training views (clause 5.5).

    Attributes
    ----------
    views : sequence of str
        Names of the P training views.
    affine : numpy.ndarray of float64, shape (N, P, 3, 4)
        From rendered colour to that of the picture: ``picture = A @ rgb + b``, in linear display
        values; the identity where nothing was recorded.
    """

    views: Sequence[str]
    affine: Floats

    def frame(self, index: int) -> dict[str, Floats]:
        """Return the maps of one frame, view → array of shape (3, 4)."""
        return dict(zip(self.views, self.affine[index], strict=True))


@dataclass(frozen=True, eq=False)
class Training:
    """The training record (clause 5.5); a column is None where it is left out.

    Attributes
    ----------
    trained_from, iterations : numpy.ndarray of int64, shape (N,), or None
        -1 where nothing was recorded.
    seconds : numpy.ndarray of float64, shape (N,), or None
        Training time; -1.0 where nothing was recorded.
    requires_grad : numpy.ndarray of uint8, shape (N, B), or None
        One bit for each row of the tensor table, the least significant first: B = ceil(T / 8).
    requires_grad_known : numpy.ndarray of uint8, shape (N,), or None
        1 where ``requires_grad`` is recorded.
    exclude_layers : numpy.ndarray of int32, shape (E,), or None
        The lists of frozen layers of all frames, one after the other.
    exclude_layers_count : numpy.ndarray of int32, shape (N,), or None
        Length of each list; -1 where nothing was recorded.
    colour : Colour or None
        Colour of the training views.
    """

    trained_from: NDArray[np.int64] | None = None
    iterations: NDArray[np.int64] | None = None
    seconds: Floats | None = None
    requires_grad: NDArray[np.uint8] | None = None
    requires_grad_known: NDArray[np.uint8] | None = None
    exclude_layers: NDArray[np.int32] | None = None
    exclude_layers_count: NDArray[np.int32] | None = None
    colour: Colour | None = None

    def flags(self, index: int, rows: int) -> tuple[bool, ...] | None:
        """Return ``requires_grad`` of one frame for so many rows, or None."""
        if self.requires_grad is None or self.requires_grad_known is None:
            return None
        if not self.requires_grad_known[index]:
            return None
        bits = np.unpackbits(self.requires_grad[index], bitorder="little")
        return tuple(bool(b) for b in bits[:rows])

    def frozen_layers(self, index: int) -> tuple[int, ...] | None:
        """Return ``exclude_layers`` of one frame, or None."""
        counts, listed = self.exclude_layers_count, self.exclude_layers
        if counts is None or listed is None or counts[index] < 0:
            return None
        end = int(self._ends[index])
        return tuple(int(v) for v in listed[end - int(counts[index]) : end])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where the list of each frame ends in the lists of all frames, shape (N,)."""
        assert self.exclude_layers_count is not None
        ends: NDArray[np.int64] = np.maximum(self.exclude_layers_count, 0).cumsum(dtype=np.int64)
        return ends


@dataclass(frozen=True)
class FrameRecord:
    """One frame as the manifest describes it (clauses 5.4.4, 5.4.5 and 5.5).

    Attributes
    ----------
    index : int
        Position in the sequence.
    coding : Coding
        ``"key"`` or ``"delta"``.
    presentation_time : int
        In ticks of the timescale.
    segment_length : int
        Bytes of the segment on disk.
    segment_sha256, state_digest : bytes
        32 bytes each.
    state_bytes : int
        Bytes of all tensors of the decoded state.
    trained_from : int or None
        The frame whose weights training began with; None where it began with none, or is unknown.
    iterations : int or None
        Training iterations.
    seconds : float or None
        Training time in seconds.
    requires_grad : tuple of bool or None
        One for each row of the tensor table; False for buffers. None where it was not recorded.
    exclude_layers : tuple of int or None
        Indices of the frozen layers. None where it was not recorded.
    source_name : str
        Name of the file that it came from; empty where it was not recorded.
    extras_text : str
        What else the source said of it, as JSON; empty where nothing was recorded.
    declared_psnr : float or None
        The PSNR in dB that renderings have at least against those of the original (clause 5.4.6).
    refinements : tuple of Refined
        Those of the frame, the coarsest first.
    """

    index: int
    coding: Coding
    presentation_time: int
    segment_length: int
    segment_sha256: bytes
    state_digest: bytes
    state_bytes: int
    trained_from: int | None = None
    iterations: int | None = None
    seconds: float | None = None
    requires_grad: tuple[bool, ...] | None = None
    exclude_layers: tuple[int, ...] | None = None
    source_name: str = ""
    extras_text: str = ""
    declared_psnr: float | None = None
    refinements: tuple[Refined, ...] = ()

    @property
    def base_length(self) -> int:
        """Bytes of the segment before its refinements."""
        return self.refinements[0].start if self.refinements else self.segment_length

    @property
    def extras(self) -> dict[str, Any]:
        """What else the source said of the frame, such as an epoch; empty where nothing."""
        return parse_object(self.extras_text) if self.extras_text else {}


def record_of(
    frames: Frames, refinements: Refinements | None, training: Training, index: int, rows: int
) -> FrameRecord:
    """Return the record of one frame, 0 ≤ index < N, of a table of so many rows."""
    return FrameRecord(
        index=index,
        coding=Coding.KEY if frames.coding[index] == Coding.KEY.number else Coding.DELTA,
        presentation_time=int(frames.presentation_time[index]),
        segment_length=int(frames.segment_length[index]),
        segment_sha256=frames.segment_sha256[index].tobytes(),
        state_digest=frames.state_digest[index].tobytes(),
        state_bytes=int(frames.state_bytes[index]),
        trained_from=_known(training.trained_from, index),
        iterations=_known(training.iterations, index),
        seconds=_known(training.seconds, index),
        requires_grad=training.flags(index, rows),
        exclude_layers=training.frozen_layers(index),
        source_name=_text(frames.source_name, index),
        extras_text=_text(frames.extras, index),
        declared_psnr=_known(frames.declared_psnr, index),
        refinements=() if refinements is None else refinements.frame(index),
    )


def _text(column: Texts | None, index: int) -> str:
    return "" if column is None else column[index].decode("utf-8")


def _known(column: NDArray[Any] | None, index: int) -> Any:
    return None if column is None or column[index] < 0 else column[index].item()
