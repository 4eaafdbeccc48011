"""Digests of tensors and states, from the bytes that a program wrote (clause 4.5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes
    ----------
    dtype : str
        Element type, a name of table 4-1.
    shape : tuple of int
        Its shape.
    data : bytes
        Its elements in row-major order, little-endian.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _framed(text: str) -> bytes:
    raw = text.encode("utf-8")
    return len(raw).to_bytes(4, "little") + raw


def tensor_digest(tensor: Tensor) -> bytes:
    """Return the digest of a tensor (clause 4.5.1)."""
    h = hashlib.sha256(b"nmc tensor 1\0" + _framed(tensor.dtype))
    h.update(len(tensor.shape).to_bytes(4, "little"))
    for dimension in tensor.shape:
        h.update(dimension.to_bytes(8, "little"))
    h.update(blake3(tensor.data).digest())
    return h.digest()


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Return the digest of a state in hexadecimal (clause 4.5.2)."""
    return digest_of_tensors({name: tensor_digest(tensor) for name, tensor in state.items()})


def digest_of_tensors(digests: Mapping[str, bytes]) -> str:
    """Return the digest of a state in hexadecimal, from the digests of its tensors by name."""
    h = hashlib.sha256(b"nmc state 1\0" + len(digests).to_bytes(4, "little"))
    for name in sorted(digests, key=lambda n: n.encode("utf-8")):
        h.update(_framed(name) + digests[name])
    return h.hexdigest()
