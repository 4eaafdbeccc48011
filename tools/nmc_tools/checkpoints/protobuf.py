"""Reads the fields of a protobuf message, without its schema.

Format: https://protobuf.dev/programming-guides/encoding/. Fields are views of the data, so that a
message that holds others many times over costs no more than its own bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

from nmc_tools.checkpoints.checkpoint import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_tools.checkpoints.budget import Budget

Value: TypeAlias = "int | memoryview"
_FIELD = 150


def fields(message: memoryview, budget: Budget) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message in its order: a number, and an integer or bytes.

    Fixed-size fields come as their bytes.

    Raises
    ------
    Refusal
        If it is malformed.
    """
    at = 0
    while at < len(message):
        budget.spend(_FIELD)
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Refusal(f"its protobuf has wire type {kind}, expected 0, 1, 2 or 5")
        if size > len(message) - at:
            raise Refusal("a field of its protobuf is longer than the message around it")
        yield tag >> 3, message[at : at + size]
        at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned number of up to 64 bits, and the place behind it.

    Raises
    ------
    Refusal
        If it does not end.
    """
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise Refusal("a number of its protobuf does not end", "the file is truncated")
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value & (2**64 - 1), at + i + 1
    raise Refusal("a number of its protobuf has over 64 bits")


def signed(value: int) -> int:
    """Return a number of type int32 or int64."""
    return value - 2**64 if value >= 2**63 else value


def text(value: Value) -> str:
    """Return a field of type string.

    Raises
    ------
    Refusal
        If it is none.
    """
    if isinstance(value, int):
        raise Refusal("a field of its protobuf is a number, expected text")
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise Refusal("a text of its protobuf is not UTF-8") from None


def inner(value: Value) -> memoryview:
    """Return a field that is a message or bytes.

    Raises
    ------
    Refusal
        If it is none.
    """
    if isinstance(value, int):
        raise Refusal("a field of its protobuf is a number, expected a message")
    return value


def numbers(value: Value) -> list[int]:
    """Return a field of repeated numbers, packed or one by one."""
    if isinstance(value, int):
        return [signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(signed(number))
    return found


def fixed32(value: Value) -> int:
    """Return a field of type fixed32.

    Raises
    ------
    Refusal
        If it is none.
    """
    if isinstance(value, int) or len(value) != 4:
        raise Refusal("a field of its protobuf has no 4 bytes")
    return int(struct.unpack("<I", value)[0])
