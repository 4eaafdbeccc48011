"""The adaptive coder: binary decisions with probabilities that learn (clause 8.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import adaptive_kernel as kernels
from nmc.coding.arithmetic import mixing_kernel
from nmc.coding.arithmetic.history import History, Layout, Model
from nmc.coding.arithmetic.payload import SPARE, Reader, check_rest, count_bytes
from nmc.coding.arithmetic.planes import CoderError, Plane, Words, layout_of
from nmc.coding.arithmetic.range_kernel import EVEN, FULL_SPAN, finish


def first_model(mixing: bool) -> Model:
    """Return a model that has seen nothing; tables and weights only where they are mixed."""
    return Model(
        kernels.first_model(),
        np.full(mixing_kernel.TABLE_SLOTS if mixing else 0, EVEN, np.uint32),
        np.full(mixing_kernel.WEIGHT_COUNT if mixing else 0, mixing_kernel.FIRST_WEIGHT, np.int64),
    )


def first_trend(plane: Plane) -> NDArray[np.int64]:
    """Return the forecast for a plane where no plane of its layout has gone before."""
    octave = plane.bits >> 1
    if plane.exponent_bits:
        magnitude = int(plane.reference[0]) & ((1 << (plane.bits - 1)) - 1)
        octave += max(magnitude >> plane.mantissa_bits, 1)
    trend: NDArray[np.int64] = kernels.first_trend(octave)
    return trend


def encode(
    planes: Sequence[Plane], current: Sequence[Words], history: History, *, mixing: bool
) -> bytes | None:
    """Encode all planes in order; history moves on to this frame.

    Returns
    -------
    bytes or None
        None where the code is longer than the words themselves.
    """
    stored = sum(plane.reference.nbytes for plane in planes)
    words16 = np.zeros(stored // 2 + SPARE, np.uint16)
    octets = np.zeros(stored + 2 * SPARE, np.uint8)
    state = np.array([FULL_SPAN, 0, 0, 0], np.int64)
    if not _walk(True, planes, current, history, words16, octets, state, mixing):
        return None
    place = int(state[2])
    if place + 2 > words16.size:
        return None
    finish(words16, state)
    coded = words16[: place + 2].astype("<u2").tobytes()
    raw = octets[: (int(state[3]) + 7) // 8].tobytes()
    return count_bytes(len(coded) // 2) + count_bytes(len(raw)) + coded + raw


def decode(
    reader: Reader, planes: Sequence[Plane], history: History, *, mixing: bool
) -> list[Words]:
    """Decode all planes in order; history moves on to this frame.

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
    state = np.array([FULL_SPAN, low, 2, 0], np.int64)
    decoded: list[Words] = [np.zeros_like(plane.reference) for plane in planes]
    whole = _walk(False, planes, decoded, history, words16, octets, state, mixing)
    if not whole or state[2] != word_count or (state[3] + 7) // 8 != raw_size:
        raise CoderError(
            "the code words or raw bits do not end where the planes do, or a change leaves its "
            "range or is coded the long way"
        )
    check_rest(octets, int(state[3]))
    return decoded


def _walk(
    encoding: bool,
    planes: Sequence[Plane],
    current: Sequence[Words],
    history: History,
    words16: NDArray[np.uint16],
    octets: NDArray[np.uint8],
    state: NDArray[np.int64],
    mixing: bool,
) -> bool:
    latest: dict[Layout, NDArray[np.int64]] = {}
    places, inputs, slots = np.zeros((3, mixing_kernel.INPUTS), np.int64)
    for plane, words in zip(planes, current, strict=True):
        if plane.count == 0:
            continue
        layout = layout_of(plane)
        key = (plane.bits, plane.exponent_bits, plane.mantissa_bits)
        model = history.models.get((mixing, key))
        if model is None:
            model = history.models[mixing, key] = first_model(mixing)
        trend = history.trends.get(plane.row)
        if trend is None:
            trend = latest[key].copy() if key in latest else first_trend(plane)
        latest[key] = history.trends[plane.row] = trend
        changes = history.changes_of(plane).copy()
        columns = np.empty((kernels.WORK_ROWS, max(int(layout[1]), kernels.FEATURES)), np.int64)
        wide = np.zeros(plane.count, np.uint64)
        if encoding:
            wide[:] = words
        done = kernels.code_plane(
            encoding,
            mixing,
            plane.row,
            layout,
            plane.reference.astype(np.uint64),
            wide,
            changes,
            trend,
            columns,
            model.slots,
            (model.tables, places, model.weights, inputs, slots),
            words16,
            octets,
            state,
        )
        if done != kernels.OK:
            return False
        history.changes[plane.row] = changes
        if not encoding:
            words[:] = wide.astype(words.dtype)
    return True
