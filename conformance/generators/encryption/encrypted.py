"""Segments as clause 14.1 encrypts them, and in other ways."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cases import Case
from chain import DELTA, Edits, Objects, state_digest
from columns import scalar_text
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET = hashlib.sha256(b"the key of these vectors").digest()
FEATURE = "aes-256-gcm"
UNDERSTAND, DIGEST = "/@must_understand", "/encryption@key_digest"
CHUNK = 16_384


@dataclass(frozen=True)
class Way:
    """How a segment is encrypted, each part of it in place of what the text says.

    Attributes
    ----------
    key
        Key of a segment from the key of the package and the salt.
    nonce
        Nonce of a chunk from its index and the number of chunks.
    bound
        Associated data from the index of the frame and the digest that it builds on.
    salt
        Salt from the index of the frame.
    chunks
        The chunks of the plain segment.
    """

    key: Callable[[bytes, bytes], bytes] = lambda key, salt: hkdf(key, salt, b"nmc segment 1\0")
    nonce: Callable[[int, int], bytes] = lambda k, n: number(k, 8) + number(k == n - 1, 4)
    bound: Callable[[int, bytes | None], bytes] = lambda t, parent: (
        number(t, 8) + (parent or bytes(32))
    )
    salt: Callable[[int], bytes] = lambda t: hashlib.sha256(b"salt of frame %d" % t).digest()
    chunks: Callable[[bytes], list[bytes]] = lambda data: parted(data)  # noqa: PLW0108 - defined below


def number(value: int, size: int) -> bytes:
    """Return an integer, little-endian."""
    return int(value).to_bytes(size, "little")


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes of RFC 5869."""
    drawn = hmac.digest(salt, key, "sha256")
    return hmac.digest(drawn, info + b"\x01", "sha256")


def parted(data: bytes) -> list[bytes]:
    """Return the chunks of a plain segment."""
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


def encrypted(t: int, parent: bytes | None, data: bytes, way: Way, key: bytes = SECRET) -> bytes:
    """Return an encrypted segment (clause 14.1)."""
    salt, chunks = way.salt(t), way.chunks(data)
    made = AESGCM(way.key(key, salt))
    bound = way.bound(t, parent)
    return salt + b"".join(
        made.encrypt(way.nonce(k, len(chunks)), chunk, bound) for k, chunk in enumerate(chunks)
    )


def key_digest(key: bytes = SECRET) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the object that names a key (clause 14.1.1)."""
    return np.frombuffer(hashlib.sha256(b"nmc key 1\0" + key).digest(), "u1")


def said(objects: Objects) -> Objects:
    """Return the objects of a manifest with what it says of encryption."""
    return {
        **objects,
        UNDERSTAND: scalar_text(FEATURE),
        "/@format_version": scalar_text("1.1"),
        DIGEST: key_digest(),
    }


def edits_of(
    case: Case,
    ways: Mapping[int, Way] | None = None,
    manifest: Callable[[Objects], Objects] = said,
    after: Callable[[int, bytes], bytes] = lambda _, data: data,
    key: bytes = SECRET,
) -> Edits:
    """Return the edits of a case that encrypt it.

    Parameters
    ----------
    case : Case
        Without encryption.
    ways : mapping of int to Way
        Of some frames.
    manifest
        On the objects of the manifest.
    after
        On the encrypted segment of a frame.
    key : bytes
        What the segments are encrypted by.
    """
    made = {}
    for t, frame in enumerate(case.chain.frames):
        parent = state_digest(case.chain, t - 1) if frame.coding == DELTA else None
        way = (ways or {}).get(t, Way())

        def segment(
            data: bytes, t: int = t, parent: bytes | None = parent, way: Way = way
        ) -> bytes:
            return after(t, encrypted(t, parent, data, way, key))

        made[t] = segment
    return replace(case.edits, encrypted=made, objects=manifest)
