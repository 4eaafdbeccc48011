"""Digests of tensors and states (clause 4.5): SHA-256, over the BLAKE3 of the bytes of tensors."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nmc_format.dtypes import Dtype, Words

DIGEST_BYTES = 32
"""Bytes of every digest (SHA-256, FIPS 180-4)."""

_TENSOR_TAG = b"nmc tensor 1\0"
_STATE_TAG = b"nmc state 1\0"


def framed(text: str) -> bytes:
    """Return a string as its UTF-8 bytes behind their count (u32, little-endian)."""
    data = text.encode("utf-8")
    return len(data).to_bytes(4, "little") + data


def tensor_digest(dtype: Dtype, shape: tuple[int, ...], words: Words, threads: int = 1) -> bytes:
    """Return the digest of one tensor (clause 4.5.1), 32 bytes."""
    head = b"".join(
        (
            _TENSOR_TAG,
            framed(dtype.name),
            len(shape).to_bytes(4, "little"),
            *(d.to_bytes(8, "little") for d in shape),
        )
    )
    return hashlib.sha256(head + content_hash(words, threads)).digest()


def content_hash(words: Words, threads: int = 1) -> bytes:
    """Return the BLAKE3 of the bytes of a tensor (clause 4.5.3), 32 bytes; other threads go on."""
    return blake3(words.view("u1").data, max_threads=threads).digest()


def state_digest(tensors: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the digest of a state (clause 4.5.2), 32 bytes.

    Parameters
    ----------
    tensors : iterable of (name, tensor digest)
        In any order; they are sorted by the UTF-8 bytes of the name.
    """
    entries = sorted((name.encode("utf-8"), digest) for name, digest in tensors)
    parts = [_STATE_TAG, len(entries).to_bytes(4, "little")]
    for name, digest in entries:
        parts += (len(name).to_bytes(4, "little"), name, digest)
    return hashlib.sha256(b"".join(parts)).digest()
