"""Reads the tables in which TensorFlow stores checkpoints, and their checksums.

Layout: tensorflow/core/lib/io/format.cc and block.cc, after LevelDB
(https://github.com/google/leveldb/blob/main/doc/table_format.md); checksums are CRC-32C, masked as
in tensorflow/core/lib/hash/crc32c.h.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.protobuf import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nmc_tools.checkpoints.budget import Budget

MAGIC = bytes.fromhex("57fb808b247547db")
"""Last bytes of a table."""

_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_MAX_KEY = 4096
_ENTRY = 200


def entries(data: memoryview, budget: Budget) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a table in its order.

    Raises
    ------
    Refusal
        If it is damaged, compressed, or exceeds the budget.
    """
    if len(data) < _FOOTER_BYTES or bytes(data[-8:]) != MAGIC:
        raise Refusal("is not a TensorFlow table", "the file is truncated; copy it again")
    footer = data[-_FOOTER_BYTES:]
    at = varint(footer, varint(footer, 0)[1])[1]  # behind the handle of the block of metadata
    index = _block(data, footer[at:], budget)
    for _, handle in _entries(index, budget):
        yield from _entries(_block(data, handle, budget), budget)


def _block(data: memoryview, handle: memoryview, budget: Budget) -> memoryview:
    start, at = varint(handle, 0)
    size, _ = varint(handle, at)
    end = start + size
    if end + _TRAILER_BYTES > len(data):
        raise Refusal("a block of its table lies outside of the file", "copy the file again")
    if data[end]:
        raise Refusal(
            "its table is compressed, which TensorFlow does not do for checkpoints",
            "load it with TensorFlow and save it again",
        )
    budget.spend(size)
    check_sum(data[start : end + 1], bytes(data[end + 1 : end + _TRAILER_BYTES]), "its table")
    return data[start:end]


def _entries(block: memoryview, budget: Budget) -> Iterator[tuple[bytes, memoryview]]:
    if len(block) < 4:
        raise Refusal("a block of its table is too short", "the file is damaged; copy it again")
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise Refusal("a block of its table is too short", "the file is damaged; copy it again")
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or own + size > end - at or shared + own > _MAX_KEY:
            raise Refusal("an entry of its table is malformed", "the file is damaged")
        budget.spend(_ENTRY + shared + own)
        key = key[:shared] + bytes(block[at : at + own])
        at += own
        yield key, block[at : at + size]
        at += size


def check_sum(data: Any, masked: bytes, what: str) -> None:
    """Compare bytes with their masked checksum.

    Raises
    ------
    Refusal
        If they differ.
    """
    found = _crc()(np.frombuffer(data, np.uint8))
    found = ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF
    if found.to_bytes(4, "little") != masked:
        raise Refusal(f"the checksum of {plain(what)} is wrong", "copy the file again")


@cache
def _crc() -> Callable[[Any], int]:
    """Return a function of bytes, compiled: a checkpoint has gigabytes."""
    from nmc.machine_code import compiled

    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)

    crc32c = compiled(nogil=True)(_crc32c)
    return lambda data: int(crc32c(data, table))


def _crc32c(data: Any, table: Any) -> int:
    register = np.uint32(0xFFFFFFFF)
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> np.uint32(8))
    return int(register ^ np.uint32(0xFFFFFFFF))
