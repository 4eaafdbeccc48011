"""Writes the plain streams of a segment: differences, byte planes, shapes (clauses 6.2 and 6.3)."""

from __future__ import annotations

import struct

import numpy as np

BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
}
"""Bits of an element (table 4-1)."""

WORD_BYTES = {name: 4 if name == "C64" else max(1, bits // 8) for name, bits in BITS.items()}
"""Bytes of a word (table 4-1)."""

FLOATING = frozenset(
    {"F8_E5M2", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F16", "BF16", "F32", "C64", "F64"}
)
"""Element types whose words have an exponent (table 4-1)."""


def difference(dtype: str, before: bytes, after: bytes) -> bytes:
    """Return the differences of the words of two tensors, modulo 2^w (clause 8.2.1)."""
    width = f"<u{WORD_BYTES[dtype]}"
    made: bytes = np.subtract(np.frombuffer(after, width), np.frombuffer(before, width)).tobytes()
    return made


def folded(stream: str, dtype: str, data: bytes) -> bytes:
    """Return the words of a tensor folded for Zstandard (clause 6.3.2)."""
    width = WORD_BYTES[dtype]
    bits = 8 * width
    words = [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]
    if stream == "integer":
        words = [2 * y if y < 1 << (bits - 1) else 2 * ((1 << bits) - y) - 1 for y in words]
    elif dtype in FLOATING:
        words = [(x << 1 | x >> (bits - 1)) % (1 << bits) for x in words]
    return b"".join(x.to_bytes(width, "little") for x in words)


def planes(stream: str, tensors: list[tuple[str, bytes]]) -> bytes:
    """Return the byte planes of all tensors of a stream (clause 6.3.2)."""
    words = [(WORD_BYTES[dtype], folded(stream, dtype, data)) for dtype, data in tensors]
    return b"".join(data[k::width] for k in range(7, -1, -1) for width, data in words if width > k)


_RUN = 1 << 12
"""Bytes from which on a block of one byte again and again is stored as a run."""


def stored_zstd(content: bytes) -> bytes:
    """Return a Zstandard frame of blocks that are not compressed, or are runs (RFC 8878, 3.1.1)."""
    head = struct.pack("<IB", 0xFD2FB528, 0b1110_0000) + struct.pack("<Q", len(content))
    size = 1 << 17
    blocks = [content[i : i + size] for i in range(0, len(content), size)] or [b""]
    body = b""
    for i, block in enumerate(blocks):
        run = len(block) >= _RUN and block == block[:1] * len(block)
        descriptor = len(block) << 3 | int(run) << 1 | int(i == len(blocks) - 1)
        body += descriptor.to_bytes(3, "little") + (block[:1] if run else block)
    return head + body


def shape_record(row: int, shape: tuple[int, ...]) -> bytes:
    """Return one record of the stream ``shapes`` (clause 6.2.3)."""
    return struct.pack(f"<{2 + len(shape)}Q", row, len(shape), *shape)
