"""Signs vectors again whose manifest was sealed anew, by the keys that everybody has (clause 13.1).

What is wrong with a signature stays wrong: only one that is right but for its form is made again.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING

from nmc_conformance.ed25519 import SEEDS, public_key, signature

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAST = b"\nsignature: "
_DIGITS = 128
_FOLDER = b"signatures/"
_HEADERS = ((b"PK\x03\x04", 30, 14), (b"PK\x01\x02", 46, 16))
"""Signature of a header, where its name stands, and where its CRC-32 does (clause 5.2.1)."""


@cache
def _keys() -> dict[str, bytes]:
    return {public_key(seed).hex(): seed for seed in SEEDS}


def resigned(name: str, data: bytes, changes: Mapping[bytes, bytes]) -> bytes | None:
    """Return a signature with other digests in its statement; None where it cannot be made.

    Parameters
    ----------
    name : str
        Its member name.
    data : bytes
        Its content.
    changes : mapping of bytes to bytes
        Digests of the manifest before, and those now.
    """
    seed = _keys().get(name[-4 - 64 : -4].lower())
    at = data.find(_LAST)
    if seed is None or at < 0:
        return None
    statement, rest = data[: at + 1], data[at + len(_LAST) :]
    value, tail = rest[:_DIGITS], rest[_DIGITS:]
    right = signature(seed, statement).hex().encode()
    if value.lower() != right:
        return None
    for old, new in changes.items():
        for form in (str.lower, str.upper):
            statement = statement.replace(form(old.hex()).encode(), form(new.hex()).encode())
    made = signature(seed, statement).hex().encode()
    if value != right:
        made = made.upper()
    again = tail.replace(data[at + 1 :][: len(_LAST) - 1 + _DIGITS], _LAST[1:] + made)
    return statement + _LAST[1:] + made + again


def resigned_file(data: bytes, start: int, changes: Mapping[bytes, bytes]) -> bytes | None:
    """Return a package file whose signatures, all behind ``start``, are made again."""
    whole = bytearray(data)
    header, name_at, _ = _HEADERS[0]
    at = data.find(header, start)
    while at >= 0:
        name_size, extra = struct.unpack_from("<HH", data, at + 26)
        name = data[at + name_at : at + name_at + name_size]
        if name.startswith(_FOLDER):
            (size,) = struct.unpack_from("<Q", data, at + name_at + name_size + 4)
            begin = at + name_at + name_size + extra
            content = data[begin : begin + size]
            made = resigned(name.decode("latin-1"), content, changes)
            if made is None or len(made) != size:
                return None
            whole[begin : begin + size] = made
            _put_crc(whole, name, zlib.crc32(made), start)
        at = data.find(header, at + 1)
    return bytes(whole)


def _put_crc(whole: bytearray, name: bytes, crc: int, start: int) -> None:
    for header, name_at, crc_at in _HEADERS:
        at = whole.find(header, start)
        while at >= 0:
            if whole[at + name_at : at + name_at + len(name)] == name:
                struct.pack_into("<I", whole, at + crc_at, crc)
            at = whole.find(header, at + 1)
