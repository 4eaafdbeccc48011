"""The pseudo-code of chapter 14 is run: it decrypts the vectors, and refuses lengths."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import pseudocode
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from programs import VECTORS
from text_decoder import ELSEWHERE, members_of, objects_of

from nmc_conformance.vectors import load

if TYPE_CHECKING:
    from nmc_conformance.vectors import Vector

SOUND = ["one", "groups", "seek", "chunk-full", "chunks-two", "signed", "version-1-0", "refined"]
STORED = 16_384 + 16


def _hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(key)


def text(**given: Any) -> dict[str, Any]:
    made: dict[str, Any] = pseudocode.program("encryption", **ELSEWHERE, HKDF=_hkdf, **given)
    return made


def decrypted(vector: Vector, t: int, data: bytes) -> bytes:
    """Return the plain segment of frame t as the text says."""
    objects = objects_of(members_of(vector.input)["manifest.h5"])
    digests = [bytes(row) for row in objects["/frames/state_digest"]]
    said = text(coding=objects["/frames/coding"], state_digest=digests, zero_bytes=bytes)
    key, salt = bytes.fromhex(vector.key), data[:32]
    aes = AESGCM(said["segment_key"](key, salt))
    chunks = [data[at : at + STORED] for at in range(32, len(data), STORED)]
    plain = b"".join(
        aes.decrypt(said["nonce"](k, len(chunks)), chunk, said["associated"](t))
        for k, chunk in enumerate(chunks)
    )
    assert len(plain) == said["plain_length"](len(data))
    return plain


@pytest.mark.parametrize("name", SOUND)
def test_the_text_decrypts(name: str) -> None:
    vector = load(VECTORS / "14-encryption" / name)
    segments = [d for n, d in members_of(vector.input).items() if n.startswith("segments/")]
    for t, data in enumerate(segments):
        assert decrypted(vector, t, data)[8:24] == b'{"__metadata__":'


def test_a_key_is_known_by_its_digest() -> None:
    key = bytes(range(32))
    assert text()["key_digest"](key) == hashlib.sha256(b"nmc key 1\0" + key).digest()


def test_lengths_that_no_segment_has() -> None:
    plain_length = text()["plain_length"]
    lengths: dict[int, int | None] = {}
    edges = [range(at + 20, at + 60) for at in (0, STORED, 2 * STORED)]
    for n in [*range(20), *itertools.chain(*edges)]:
        try:
            lengths[n] = plain_length(n)
        except pseudocode.Refused:
            lengths[n] = None
    whole = {32 + plain + 16 * -(-plain // 16384): plain for plain in range(1, 60_000)}
    assert lengths == {n: whole.get(n) for n in lengths}
