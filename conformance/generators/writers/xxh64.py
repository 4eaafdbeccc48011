"""The checksum of a Zstandard frame (RFC 8878, 3.1.1)."""

from __future__ import annotations

import struct


def xxh64_low(data: bytes) -> bytes:
    """Return the lower half of XXH64 with seed 0, the checksum of a frame."""
    mask = (1 << 64) - 1
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rot(x: int, r: int) -> int:
        return ((x << r) | (x >> (64 - r))) & mask

    def lane(acc: int, value: int) -> int:
        return rot((acc + value * p2) & mask, 31) * p1 & mask

    at = 0
    if len(data) >= 32:
        v = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while len(data) - at >= 32:
            v = [lane(a, x) for a, x in zip(v, struct.unpack_from("<4Q", data, at), strict=True)]
            at += 32
        h = (rot(v[0], 1) + rot(v[1], 7) + rot(v[2], 12) + rot(v[3], 18)) & mask
        for a in v:
            h = ((h ^ lane(0, a)) * p1 + p4) & mask
    else:
        h = p5
    h = (h + len(data)) & mask
    while len(data) - at >= 8:
        h = (rot(h ^ lane(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & mask
        at += 8
    if len(data) - at >= 4:
        h = (rot(h ^ (struct.unpack_from("<I", data, at)[0] * p1 & mask), 23) * p2 + p3) & mask
        at += 4
    for byte in data[at:]:
        h = rot(h ^ (byte * p5 & mask), 11) * p1 & mask
    h = (h ^ (h >> 33)) * p2 & mask
    h = (h ^ (h >> 29)) * p3 & mask
    return ((h ^ (h >> 32)) & 0xFFFFFFFF).to_bytes(4, "little")
