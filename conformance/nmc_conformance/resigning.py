"""Signs vectors again whose manifest was sealed anew, by the keys that everybody has (clause 13.1).

What is wrong with a signature stays wrong in the same way: each way of the vectors is looked for.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from nmc_conformance.ed25519 import ORDER, SEEDS, P, answered, public_key, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LAST = b"\nsignature: "
_DIGITS = 128
_FOLDER = b"signature"
_HEADERS = ((b"PK\x03\x04", 30, 14), (b"PK\x01\x02", 46, 16))
"""Signature of a header, where its name stands, and where its CRC-32 does (clause 5.2.1)."""

_DIGEST = re.compile(rb"manifest_digest: ([0-9A-Fa-f]{64})")


def _with_large_answer(seed: bytes, said: bytes) -> bytes:
    value = signature(seed, said)
    answer = int.from_bytes(value[32:], "little") + ORDER
    return value[:32] + answer.to_bytes(32, "little")


def _with_last_digit(seed: bytes, said: bytes) -> bytes:
    digits = signature(seed, said).hex()
    return bytes.fromhex(digits[:-1] + ("1" if digits[-1] == "0" else "0"))


def _of_digest(seed: bytes, said: bytes) -> bytes:
    found = _DIGEST.search(said)
    return signature(seed, bytes.fromhex(found[1].decode()) if found else b"")


_WAYS: tuple[Callable[[bytes, bytes], bytes], ...] = (
    signature,
    _with_last_digit,
    _with_large_answer,
    lambda seed, said: answered(seed, said, 0, (P + 1).to_bytes(32, "little")),
    lambda seed, said: signature(seed, hashlib.sha256(said).digest()),
    lambda seed, said: signature(seed, said[:-1]),
    _of_digest,
)
"""How a statement is signed: rightly, and in ways that are wrong."""

_BEFORE: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    lambda said: said.replace(b"T05:", b"T04:", 1),
    lambda said: said.replace(b"\r\n", b"\n"),
    lambda said: said.partition(b"\n")[2],
)
"""What a statement was when it was signed: what it is, or without what was changed after that."""


@cache
def _keys() -> dict[str, bytes]:
    return {public_key(seed).hex(): seed for seed in SEEDS}


@cache
def _made(name: str, statement: bytes, value: bytes) -> tuple[bytes, int, int] | None:
    """Return the key by which a signature was made, and how; None where no way is known."""
    named = [seed for key, seed in _keys().items() if key[:60] in name.lower()]
    seeds = dict.fromkeys((*named, *SEEDS))
    for seed, way, before in product(seeds, range(len(_WAYS)), range(len(_BEFORE))):
        said = _BEFORE[before](statement)
        if (not before or said != statement) and _WAYS[way](seed, said) == value:
            return seed, way, before
    return None


def resigned(name: str, data: bytes, changes: Mapping[bytes, bytes]) -> bytes | None:
    """Return a signature with other digests in its statement; None where it cannot be made.

    Parameters
    ----------
    name : str
        Its member name.
    data : bytes
        Its content; where it is empty it stays so.
    changes : mapping of bytes to bytes
        Digests of the manifest before, and those now.
    """
    at = data.find(_LAST)
    if at < 0:
        return None if data else data
    statement, rest = data[: at + 1], data[at + len(_LAST) :]
    digits, tail = rest[:_DIGITS], rest[_DIGITS:]
    try:
        known = _made(name, statement, bytes.fromhex(digits.decode("ascii")))
    except ValueError:
        return None
    if known is None:
        return None
    for old, new in changes.items():
        for form in (str.lower, str.upper):
            statement = statement.replace(form(old.hex()).encode(), form(new.hex()).encode())
    seed, way, before = known
    made = _WAYS[way](seed, _BEFORE[before](statement)).hex().encode()
    if digits != digits.lower():
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
