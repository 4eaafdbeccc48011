"""Encoder and decoder of one delta frame's payload (clause 8.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.arithmetic.planes import (
    CoderError,
    Plane,
    Words,
    check_current,
    check_planes,
    layout_of,
    settle,
    settled,
)

Effort = Literal["fast", "strong", "max"]

STORED, STATIC, ADAPTIVE, MIXED = 0, 1, 2, 3
_VARIANTS: dict[str, int] = {"fast": STATIC, "strong": ADAPTIVE, "max": MIXED}


def encode(
    planes: Sequence[Plane],
    current: Sequence[Words],
    history: History,
    effort: Effort = "strong",
) -> bytes:
    """Encode the words of one delta frame.

    Parameters
    ----------
    planes : sequence of Plane
        The tensors to code; one that is skipped in this frame is left out.
    current : sequence of ndarray
        Flat words of frame t, of the dtype and size of each plane's reference.
    history : History
        Of the group; moves on to this frame.
    effort : {"fast", "strong", "max"}
        Static, adaptive or mixed coding. The payload falls back to stored words where that is
        smaller.

    Returns
    -------
    bytes
        The payload; the same on every machine.

    Raises
    ------
    CoderError
        If planes and words do not fit together.
    """
    check_planes(planes)
    check_current(planes, current)
    planes, current = settle(planes), [settled(words) for words in current]
    variant = _VARIANTS[effort]
    stored = sum(plane.reference.nbytes for plane in planes)
    body: bytes | None = None
    if stored:
        next_history = history.copy()
        if variant == STATIC:
            from nmc.coding.arithmetic import static

            body = static.encode(planes, current, next_history)
        else:
            from nmc.coding.arithmetic import adaptive

            body = adaptive.encode(planes, current, next_history, mixing=variant == MIXED)
        if body is not None and len(body) < stored:
            history.adopt(next_history)
            return bytes([variant]) + body
    _remember_stored(planes, current, history)
    return bytes([STORED]) + b"".join(
        words.astype(words.dtype.newbyteorder("<")).tobytes() for words in current
    )


def decode(payload: bytes | memoryview, planes: Sequence[Plane], history: History) -> list[Words]:
    """Decode the words of one delta frame.

    Parameters
    ----------
    payload : bytes or memoryview
        What encode returned.
    planes : sequence of Plane
        As they were for encode.
    history : History
        Of the group; moves on to this frame, or stays as it was where an error is raised.

    Returns
    -------
    list of ndarray
        Flat words of frame t, of the dtype and size of each plane's reference.

    Raises
    ------
    CoderError
        If the payload is malformed. A damaged payload may also decode to wrong words: the state
        digest tells.
    """
    check_planes(planes)
    planes = settle(planes)
    reader = Reader(memoryview(payload).cast("B"))
    variant = reader.byte()
    next_history = history.copy()
    if variant == STORED:
        decoded = _read_stored(reader, planes)
        reader.end()
        _remember_stored(planes, decoded, next_history)
    elif variant == STATIC:
        from nmc.coding.arithmetic import static

        decoded = static.decode(reader, planes, next_history)
        reader.end()
    elif variant in (ADAPTIVE, MIXED):
        from nmc.coding.arithmetic import adaptive

        decoded = adaptive.decode(reader, planes, next_history, mixing=variant == MIXED)
        reader.end()
    else:
        raise CoderError(f"byte 0: coder variant {variant}; this decoder knows 0 to 3")
    history.adopt(next_history)
    return decoded


def _read_stored(reader: Reader, planes: Sequence[Plane]) -> list[Words]:
    decoded: list[Words] = []
    for plane in planes:
        dtype = plane.reference.dtype
        data = reader.take(plane.reference.nbytes)
        decoded.append(np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype))
    return decoded


def _remember_stored(planes: Sequence[Plane], current: Sequence[Words], history: History) -> None:
    from nmc.coding.arithmetic.words import remember

    for plane, words in zip(planes, current, strict=True):
        changes = np.empty(plane.count, np.uint16)
        remember(plane.reference, words, layout_of(plane), changes)
        history.changes[plane.row] = changes
