"""Encoder and decoder of one delta frame's payload (clause 8.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from nmc.arithmetic.history import History
from nmc.arithmetic.planes import CoderError, Plane, Words, check_current, check_planes

Effort = Literal["fast", "strong", "max"]

VARIANT_STORED = 0


def encode(
    planes: Sequence[Plane], current: Sequence[Words], history: History, effort: Effort = "strong"
) -> bytes:
    """Encode the words of one delta frame."""
    check_planes(planes)
    check_current(planes, current)
    del history, effort
    return bytes([VARIANT_STORED]) + b"".join(
        words.astype(words.dtype.newbyteorder("<")).tobytes() for words in current
    )


def decode(
    payload: bytes | memoryview, planes: Sequence[Plane], history: History
) -> list[Words]:
    """Decode the words of one delta frame."""
    check_planes(planes)
    del history
    data = memoryview(payload).cast("B")
    expected = 1 + sum(plane.reference.nbytes for plane in planes)
    if len(data) != expected or data[0] != VARIANT_STORED:
        raise CoderError(f"payload of {len(data)} bytes, expected {expected}")
    out: list[Words] = []
    offset = 1
    for plane in planes:
        size = plane.reference.nbytes
        dtype = plane.reference.dtype
        out.append(np.frombuffer(data[offset : offset + size], dtype.newbyteorder("<")).astype(dtype))
        offset += size
    return out
