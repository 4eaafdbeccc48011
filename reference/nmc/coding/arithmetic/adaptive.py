"""The adaptive coder: binary decisions with probabilities that learn (clause 8.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import adaptive_kernel as kernels
from nmc.coding.arithmetic import mixing_kernel
from nmc.coding.arithmetic.history import History, Predictor
from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes
from nmc.coding.arithmetic.range_kernel import EVEN, FULL_SPAN, finish
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, WordFormat, widths_of
from nmc.coding.scratch import IN_MEMORY, Octets
from nmc_format.dtypes import Words

_LARGE = 1 << 26
"""Bytes of words from which on the room for their code is not of the process."""
_BLOCK = 1 << 16
"""Words that are widened at a time, or those of one line."""


@dataclass(frozen=True)
class Share:
    """Words of one tensor that are coded one after the other: all of them, or some lines.

    Attributes
    ----------
    tensor : CodedTensor
    words : flat array
        All words of the tensor in frame t, which are read, or written.
    entries : uint16[count]
        Of all its words: the change of each in the frame before; replaced by this frame's.
    first, last : int
        The words that are coded; the first one begins a line.
    """

    tensor: CodedTensor
    words: Words
    entries: NDArray[np.uint16]
    first: int
    last: int

    @property
    def nbytes(self) -> int:
        """Bytes of the words that are coded."""
        return (self.last - self.first) * self.words.itemsize


def first_predictor(mixing: bool) -> Predictor:
    """Return a predictor that has seen nothing; tables and weights only where they are mixed."""
    return Predictor(
        kernels.first_slots(),
        np.full(mixing_kernel.TABLE_SLOTS if mixing else 0, EVEN, np.uint32),
        np.full(mixing_kernel.WEIGHT_COUNT if mixing else 0, mixing_kernel.FIRST_WEIGHT, np.int64),
    )


def first_trend(tensor: CodedTensor, word: int = 0) -> NDArray[np.int64]:
    """Return the forecast from a word on, where no tensor of its widths has gone before."""
    octave = tensor.bits >> 1
    if tensor.exponent_bits:
        magnitude = int(tensor.reference[word]) & ((1 << (tensor.bits - 1)) - 1)
        octave += max(magnitude >> tensor.mantissa_bits, 1)
    trend: NDArray[np.int64] = kernels.first_trend(octave)
    return trend


def _shares(
    tensors: Sequence[CodedTensor],
    words_of: Callable[[int], Words],
    history: History,
    done: Callable[[int], None],
    entries_of: Callable[[CodedTensor], NDArray[np.uint16]],
) -> Iterator[Share]:
    """Yield the share that all words of each tensor are; once it is coded, it is remembered."""
    for i, tensor in enumerate(tensors):
        if tensor.count:
            entries = entries_of(tensor)
            yield Share(tensor, words_of(i), entries, 0, tensor.count)
            history.entries[tensor.row] = entries
        done(i)


def encode(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, *, mixing: bool
) -> list[Octets] | None:
    """Encode all tensors in order; history moves on to this frame.

    Returns
    -------
    list of bytes or memoryview, or None
        None where the code is longer than the words themselves.
    """
    shares = _shares(tensors, current.__getitem__, history, lambda _: None, history.entries_of)
    size = sum(tensor.reference.nbytes for tensor in tensors)
    return encode_shares(shares, size, history, mixing=mixing)


def decode(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    done: Callable[[int], None],
    *,
    mixing: bool,
) -> list[Words]:
    """Decode all tensors in order; history moves on to this frame.

    Parameters
    ----------
    done : callable
        Called with the index of each tensor that was decoded: its reference is not needed any more.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    decoded: list[Words] = [np.empty(0, tensor.reference.dtype) for tensor in tensors]

    def words_of(i: int) -> Words:
        decoded[i] = np.empty_like(tensors[i].reference)
        return decoded[i]

    shares = _shares(tensors, words_of, history, done, history.take_entries)
    decode_shares(reader, shares, history, mixing=mixing)
    return decoded


def decode_first(
    reader: Reader, tensors: Sequence[CodedTensor], number: int, history: History, *, mixing: bool
) -> dict[int, Words]:
    """Decode the first so many tensors, by index; history moves on, if not to the next frame.

    Raises
    ------
    CoderError
        If the payload is malformed, as far as it is looked at.
    """
    decoded: dict[int, Words] = {}

    def words_of(i: int) -> Words:
        decoded[i] = np.empty_like(tensors[i].reference)
        return decoded[i]

    if number:
        shares = _shares(tensors[:number], words_of, history, lambda _: None, history.take_entries)
        whole = number == len(tensors)
        decode_shares(reader, shares, history, mixing=mixing, whole=whole)
    return decoded


def encode_shares(
    shares: Iterable[Share],
    size: int,
    history: History,
    portion: int = 0,
    *,
    mixing: bool = False,
) -> list[Octets] | None:
    """Encode some shares (clause 8.5.1); trends and slots move on, entries are in the shares.

    Parameters
    ----------
    size : int
        Bytes of all their words.
    portion : int
        Whose slots are used (clause 8.8.1).

    Returns
    -------
    list of bytes or memoryview, or None
        In pieces; None where the code alone takes more bytes than the words, and some.
    """
    scratch = history.scratch if size >= _LARGE else IN_MEMORY
    words16 = scratch.zeros(size // 2 + size // 8 + SPARE, np.uint16)
    octets = scratch.zeros(size + SPARE, np.uint8)
    registers = np.array([FULL_SPAN, 0, 0, 0], np.int64)
    if not _walk(True, shares, history, portion, words16, octets, registers, mixing):
        return None
    place = int(registers[2])
    if place + 2 > words16.size:
        return None
    finish(words16, registers)
    coded = words16[: place + 2].astype("<u2", copy=False).view(np.uint8).data
    raw = octets[: (int(registers[3]) + 7) // 8].data
    head = count_bytes(len(coded) // 2) + count_bytes(len(raw))
    return [head, history.scratch.kept(coded), history.scratch.kept(raw)]


def decode_shares(
    reader: Reader,
    shares: Iterable[Share],
    history: History,
    portion: int = 0,
    *,
    mixing: bool = False,
    whole: bool = True,
) -> None:
    """Decode some shares (clause 8.5.1); trends and slots move on, entries are in the shares.

    Parameters
    ----------
    whole : bool
        Whether these are all shares of the code, which ends with them.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    word_count, raw_size = reader.count(), reader.count()
    if word_count < 2:
        raise CoderError(f"{word_count} code words, expected 2 or more")
    words16 = reader.words(word_count)
    octets = reader.octets(raw_size)
    low = int(words16[0]) << 16 | int(words16[1])
    if low >= FULL_SPAN:
        raise CoderError("the code begins with FFFF FFFF")
    registers = np.array([FULL_SPAN, low, 2, 0], np.int64)
    right = _walk(False, shares, history, portion, words16, octets, registers, mixing)
    if right and not whole and registers[2] <= word_count and registers[3] <= 8 * raw_size:
        return
    if not right or registers[2] != word_count or (registers[3] + 7) // 8 != raw_size:
        raise CoderError(
            "the code words or raw bits do not end where the tensors do, or a change leaves its "
            "range or is coded the long way"
        )
    check_rest(octets, int(registers[3]))


def _walk(
    encoding: bool,
    shares: Iterable[Share],
    history: History,
    portion: int,
    words16: NDArray[np.uint16],
    octets: NDArray[np.uint8],
    registers: NDArray[np.int64],
    mixing: bool,
) -> bool:
    latest: dict[WordFormat, NDArray[np.int64]] = {}
    places, inputs, slots = np.zeros((3, mixing_kernel.INPUTS), np.int64)
    for share in shares:
        key = share.tensor.word_format
        predictor = history.predictors.get((portion, mixing, key))
        if predictor is None:
            predictor = history.predictors[portion, mixing, key] = first_predictor(mixing)
        net = (predictor.tables, places, predictor.weights, inputs, slots) if mixing else None
        latest[key] = trend = _trend_of(share, history, latest)
        widths = widths_of(share.tensor)
        length = int(widths[1])
        columns = np.zeros((kernels.WORK_ROWS, max(length, kernels.CUES)), np.int64)
        step = max(1, _BLOCK // length) * length
        for first in range(share.first, share.last, step):
            last = min(first + step, share.last)
            widths[0] = -(-(last - first) // length)
            wide = np.zeros(last - first, np.uint64)
            if encoding:
                wide[:] = share.words[first:last]
            done = kernels.code_tensor(
                encoding,
                share.tensor.row,
                widths,
                share.tensor.reference[first:last].astype(np.uint64),
                wide,
                share.entries[first:last],
                trend,
                columns,
                predictor.slots,
                net,
                words16,
                octets,
                registers,
            )
            if done != kernels.OK:
                return False
            if not encoding:
                share.words[first:last] = wide.astype(share.words.dtype)
    return True


def _trend_of(
    share: Share, history: History, latest: dict[WordFormat, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the trend that a share begins with (clauses 8.5.4 and 8.8.1)."""
    row, key = share.tensor.row, share.tensor.word_format
    if share.first == 0 and row in history.trends:
        return history.trends[row]
    trend = latest[key].copy() if key in latest else first_trend(share.tensor, share.first)
    if share.first == 0:
        history.trends[row] = trend
    return trend
