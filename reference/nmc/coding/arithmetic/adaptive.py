"""The adaptive coder: binary decisions with probabilities that learn (clause 8.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import adaptive_kernel as kernels
from nmc.coding.arithmetic import mixing_kernel
from nmc.coding.arithmetic.history import History, Predictor, WordFormat
from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes
from nmc.coding.arithmetic.range_kernel import EVEN, FULL_SPAN, finish
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, widths_of
from nmc_format.dtypes import Words


def first_predictor(mixing: bool) -> Predictor:
    """Return a predictor that has seen nothing; tables and weights only where they are mixed."""
    return Predictor(
        kernels.first_slots(),
        np.full(mixing_kernel.TABLE_SLOTS if mixing else 0, EVEN, np.uint32),
        np.full(mixing_kernel.WEIGHT_COUNT if mixing else 0, mixing_kernel.FIRST_WEIGHT, np.int64),
    )


def first_trend(tensor: CodedTensor) -> NDArray[np.int64]:
    """Return the forecast for a tensor where no tensor of its widths has gone before."""
    octave = tensor.bits >> 1
    if tensor.exponent_bits:
        magnitude = int(tensor.reference[0]) & ((1 << (tensor.bits - 1)) - 1)
        octave += max(magnitude >> tensor.mantissa_bits, 1)
    trend: NDArray[np.int64] = kernels.first_trend(octave)
    return trend


def encode(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, *, mixing: bool
) -> bytes | None:
    """Encode all tensors in order; history moves on to this frame.

    Returns
    -------
    bytes or None
        None where the code is longer than the words themselves.
    """
    stored = sum(tensor.reference.nbytes for tensor in tensors)
    words16 = np.zeros(stored // 2 + SPARE, np.uint16)
    octets = np.zeros(stored + 2 * SPARE, np.uint8)
    registers = np.array([FULL_SPAN, 0, 0, 0], np.int64)
    if not _walk(True, tensors, current, history, words16, octets, registers, mixing):
        return None
    place = int(registers[2])
    if place + 2 > words16.size:
        return None
    finish(words16, registers)
    coded = words16[: place + 2].astype("<u2").tobytes()
    raw = octets[: (int(registers[3]) + 7) // 8].tobytes()
    return count_bytes(len(coded) // 2) + count_bytes(len(raw)) + coded + raw


def decode(
    reader: Reader, tensors: Sequence[CodedTensor], history: History, *, mixing: bool
) -> list[Words]:
    """Decode all tensors in order; history moves on to this frame.

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
    decoded: list[Words] = [np.zeros_like(tensor.reference) for tensor in tensors]
    whole = _walk(False, tensors, decoded, history, words16, octets, registers, mixing)
    if not whole or registers[2] != word_count or (registers[3] + 7) // 8 != raw_size:
        raise CoderError(
            "the code words or raw bits do not end where the tensors do, or a change leaves its "
            "range or is coded the long way"
        )
    check_rest(octets, int(registers[3]))
    return decoded


def _walk(
    encoding: bool,
    tensors: Sequence[CodedTensor],
    current: Sequence[Words],
    history: History,
    words16: NDArray[np.uint16],
    octets: NDArray[np.uint8],
    registers: NDArray[np.int64],
    mixing: bool,
) -> bool:
    latest: dict[WordFormat, NDArray[np.int64]] = {}
    places, inputs, slots = np.zeros((3, mixing_kernel.INPUTS), np.int64)
    for tensor, words in zip(tensors, current, strict=True):
        if tensor.count == 0:
            continue
        widths = widths_of(tensor)
        key = (tensor.bits, tensor.exponent_bits, tensor.mantissa_bits)
        predictor = history.predictors.get((mixing, key))
        if predictor is None:
            predictor = history.predictors[mixing, key] = first_predictor(mixing)
        trend = history.trends.get(tensor.row)
        if trend is None:
            trend = latest[key].copy() if key in latest else first_trend(tensor)
        latest[key] = history.trends[tensor.row] = trend
        entries = history.entries_of(tensor).copy()
        columns = np.empty((kernels.WORK_ROWS, max(int(widths[1]), kernels.CUES)), np.int64)
        wide = np.zeros(tensor.count, np.uint64)
        if encoding:
            wide[:] = words
        done = kernels.code_tensor(
            encoding,
            tensor.row,
            widths,
            tensor.reference.astype(np.uint64),
            wide,
            entries,
            trend,
            columns,
            predictor.slots,
            (predictor.tables, places, predictor.weights, inputs, slots) if mixing else None,
            words16,
            octets,
            registers,
        )
        if done != kernels.OK:
            return False
        history.entries[tensor.row] = entries
        if not encoding:
            words[:] = wide.astype(words.dtype)
    return True
