"""Gives tensors of messages other names, so that a list of messages is no decoder (clause 15).

A name has no influence on what a tensor holds. Each is replaced by one of the same length, in the
same order, and what depends on names is computed again: the digests of states, which a message
names, and the digest that closes it. The fault of a message stays what it is.
"""

from __future__ import annotations

import hashlib
import random
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from nmc_conformance.digests import digest_of_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Tensors = Mapping[str, Sequence[str]]

_HEAD, _CLOSING = 32, 32
_ROW_BYTES = 28
_KEPT = "__metadata__"
"""A name that no tensor has: where one is called so, that is the fault (clause 5.4.3)."""
_ONE_BYTE = sorted(string.ascii_letters + string.digits)
_TWO_BYTES = [chr(code) for code in range(0xA1, 0x800)]
"""Characters of one and of two bytes that take the place of others; longer ones stay."""


@dataclass(frozen=True)
class Renamed:
    """Messages with other names of tensors.

    Attributes
    ----------
    messages : tuple of bytes
        In their order.
    states : mapping of str to str
        State digests in base 16: those before, and what they are now.
    """

    messages: tuple[bytes, ...]
    states: Mapping[str, str]


def renamed(messages: Sequence[bytes], tensors: Sequence[Tensors], seal: str) -> Renamed:
    """Return messages with other names.

    Parameters
    ----------
    messages : sequence of bytes
        In their order, with at most one fault.
    tensors : sequence of mapping
        Of each message: the names of the tensors of its state, by digests of tensors in base 16.
    seal : str
        Text of the run; the same one makes the same names.
    """
    names = {name for state in tensors for some in state.values() for name in some}
    other = _names(names, seal)
    states = {_state(state, str): _state(state, lambda n: other.get(n, n)) for state in tensors}
    made = tuple(_message(data, other, states) for data in messages)
    return Renamed(made, states)


def _names(names: Iterable[str], seal: str) -> dict[str, str]:
    """Return another name for each, of the same length and in the same order."""
    chosen = random.Random(seal)  # noqa: S311 - no secret
    letters = {letter for name in names if name != _KEPT for letter in name}
    table: dict[int, str] = {}
    for size, alphabet in ((1, _ONE_BYTE), (2, _TWO_BYTES)):
        old = sorted(c for c in letters if len(c.encode(errors="surrogatepass")) == size)
        if len(old) < len(alphabet):
            new = sorted(chosen.sample(alphabet, len(old)))
            table |= {ord(a): b for a, b in zip(old, new, strict=True)}
    return {name: name.translate(table) for name in names if name != _KEPT}


def _state(tensors: Tensors, name_of: Callable[[str], str]) -> str:
    by_name = {name_of(n): bytes.fromhex(d) for d, some in tensors.items() for n in some}
    return digest_of_tensors(by_name)


def _message(data: bytes, names: Mapping[str, str], states: Mapping[str, str]) -> bytes:
    body, closing = data[:-_CLOSING], data[-_CLOSING:]
    made = _digests(_rows(body, names), states)
    return made + _closed(made, body, closing)


def _rows(body: bytes, names: Mapping[str, str]) -> bytes:
    """Return a message whose rows have other names, as far as there are rows (clause 15.1)."""
    made = bytearray(body)
    said = int.from_bytes(body[_ROW_BYTES:_HEAD], "little")
    count = int.from_bytes(body[_ROW_BYTES - 4 : _ROW_BYTES], "little")
    end = _HEAD + said
    number, at = 0, _HEAD
    while at < min(end, len(body)) and (end <= len(body) or number < count):
        size = int.from_bytes(body[at : at + 4], "little")
        name = body[at + 4 : at + 4 + size]
        new = names.get(name.decode(errors="replace"), "").encode()
        if len(new) == size:
            made[at + 4 : at + 4 + size] = new
        at += 4 + size
        at += 4 + int.from_bytes(body[at : at + 4], "little")
        at += 4 + 8 * int.from_bytes(body[at : at + 4], "little")
        number += 1
    return bytes(made)


def _digests(body: bytes, states: Mapping[str, str]) -> bytes:
    """Return a message that names the states as they are now, with the byte that was wrong."""
    for before, after in states.items():
        at = body.find(before[:-2].encode())
        while at >= 0:
            end = at + len(before)
            wrong = int(body[end - 2 : end], 16) ^ int(before[-2:], 16)
            last = int(after[-2:], 16) ^ wrong
            body = body[:at] + f"{after[:-2]}{last:02x}".encode() + body[end:]
            at = body.find(before[:-2].encode(), end)
    return body


_WAYS: tuple[Callable[[bytes], bytes], ...] = (
    lambda body: blake3(body).digest(),
    lambda body: hashlib.sha256(body).digest(),
    lambda body: blake3(body[64:]).digest(),
)
"""How the digest of a message is made: rightly, and in ways that are wrong."""


def _closed(made: bytes, body: bytes, closing: bytes) -> bytes:
    for way in _WAYS:
        if way(body) == closing:
            return way(made)
    right, now = _WAYS[0](body), _WAYS[0](made)
    return bytes(a ^ b ^ c for a, b, c in zip(now, right, closing, strict=True))
