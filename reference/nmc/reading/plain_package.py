"""Encrypted packages as their plain segments (clause 14): a key before what is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nmc.reading.secret_keys import usual_cipher
from nmc_format.encryption import (
    SALT_BYTES,
    TAG_BYTES,
    SegmentCipher,
    chunk_start,
    chunks_of,
    plain_lengths,
)
from nmc_format.issues import refuse
from nmc_format.package.forwarding import Forwarding
from nmc_format.package.members import segment_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package


def unlocked(manifest: Manifest, cipher: SegmentCipher | None, name: str) -> SegmentCipher | None:
    """Return the cipher of a package once it is known to be the right one (clause 14.2.1).

    An encrypted package takes the key of ``NMC_KEY_FILE`` where none is given.

    Parameters
    ----------
    manifest : Manifest
        The checked manifest.
    cipher : SegmentCipher or None
        What the user gave.
    name : str
        The package, for messages.

    Raises
    ------
    FormatError
        If a key was given and it is not that of the package, or the package has none.
    """
    if not manifest.root.is_encrypted:
        if cipher is not None:
            raise refuse("encryption/not-encrypted", file=name)
        return None
    cipher = usual_cipher() if cipher is None else cipher
    expected = manifest.root.key_digest
    if cipher is not None and cipher.digest != expected:
        raise refuse(
            "encryption/key-wrong", file=name, expected=expected.hex(), actual=cipher.digest.hex()
        )
    return cipher


def plain_manifest(manifest: Manifest) -> Manifest:
    """Return what a manifest would say of the plain segments: their lengths."""
    if not manifest.root.is_encrypted:
        return manifest
    lengths = plain_lengths(manifest.frames.segment_length)
    return replace(manifest, frames=replace(manifest.frames, segment_length=lengths))


def plain_segment(manifest: Manifest, cipher: SegmentCipher, t: int, data: bytes) -> bytes:
    """Return the plain bytes of a segment that is stored, or of its first whole chunks.

    Raises
    ------
    FormatError
        If a tag in it is wrong.
    """
    rest = memoryview(data)[SALT_BYTES:]
    chunks = chunks_of(int(manifest.frames.segment_length[t]))
    return bytes(
        cipher.decrypted(
            t, parent_of(manifest, t), data[:SALT_BYTES], rest, 0, chunks, segment_name(t)
        )
    )


def parent_of(manifest: Manifest, t: int) -> bytes | None:
    """Return the digest that a delta frame builds on; None of a key frame."""
    if manifest.frames.is_key(t):
        return None
    digest: bytes = manifest.frames.state_digest[t - 1].tobytes()
    return digest


class PlainPackage(Forwarding):
    """A package whose segments are those without encryption.

    Parameters
    ----------
    package : Package
        What is stored; closed with this one.
    manifest : Manifest
        Its checked manifest.
    cipher : SegmentCipher or None
        By the right key; without one each segment is refused.
    """

    def __init__(self, package: Package, manifest: Manifest, cipher: SegmentCipher | None) -> None:
        super().__init__(package)
        self.distant = package.distant
        self._manifest = manifest
        self._cipher = cipher
        self._salt: tuple[int, bytes] = (-1, b"")

    def _opened(self) -> SegmentCipher:
        self._check_open()
        if self._cipher is None:
            raise key_missing(self._manifest, str(self.path))
        return self._cipher

    def _length(self, index: int) -> int:
        return int(self._manifest.frames.segment_length[index])

    def segment(self, index: int, limit: int) -> bytes:
        """Return the plain bytes of one segment."""
        del limit
        cipher = self._opened()
        data = self.stored.segment(index, self._length(index))
        return plain_segment(self._manifest, cipher, index, data)

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some plain bytes of one segment: its chunks that have them are decrypted."""
        del limit
        cipher = self._opened()
        if size == 0:
            return b""
        length = self._length(index)
        chunk = chunk_start(1) - SALT_BYTES - TAG_BYTES
        first, last = start // chunk, (start + size - 1) // chunk
        head = 0 if first == 0 else chunk_start(first)
        data = self.stored.part(index, length, head, min(length, chunk_start(last + 1)) - head)
        if first == 0:
            self._salt, data = (index, data[:SALT_BYTES]), data[SALT_BYTES:]
        known, salt = self._salt
        if known != index:
            salt = self.stored.part(index, length, 0, SALT_BYTES)
            self._salt = index, salt
        parent, name = parent_of(self._manifest, index), segment_name(index)
        plain = cipher.decrypted(index, parent, salt, data, first, chunks_of(length), name)
        at = start - first * chunk
        return bytes(plain[at : at + size])

    def expect(self, frames: range, lengths: Sequence[int]) -> None:
        """Hear that these segments are read next; they are asked for as they are stored."""
        del lengths
        self.stored.expect(frames, [self._length(t) for t in frames])


def key_missing(manifest: Manifest, name: str) -> Exception:
    """Return the refusal to decode without a key."""
    digest = manifest.root.key_digest.hex()
    return refuse("encryption/key-missing", file=name, digest=digest)
