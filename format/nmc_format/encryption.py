"""Encrypted segments (clause 14): their lengths, keys and nonces, and AES-256-GCM of chunks."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

FEATURE: Final = "aes-256-gcm"
"""What ``/@must_understand`` names (clause 14.1.1)."""

VERSION: Final = "1.1"
"""The lowest version that has it (clause 10.3.1)."""

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
TAG_BYTES: Final = 16
CHUNK_BYTES: Final = 16_384
_STORED_CHUNK: Final = CHUNK_BYTES + TAG_BYTES
_KEY_TAG: Final = b"nmc key 1\0"
_SEGMENT_TAG: Final = b"nmc segment 1\0"


def stored_length(plain: int) -> int:
    """Return the bytes of an encrypted segment of so many plain bytes (clause 14.1.2)."""
    return SALT_BYTES + plain + TAG_BYTES * -(-plain // CHUNK_BYTES)


def plain_length(stored: int) -> int:
    """Return the plain bytes of an encrypted segment; 0 where none has so many (clause 14.1.2)."""
    return int(plain_lengths(np.array([stored], np.uint64))[0])


def plain_lengths(stored: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return :func:`plain_length` of each number of a column."""
    after = np.maximum(stored, np.uint64(SALT_BYTES)) - np.uint64(SALT_BYTES)
    chunks, rest = np.divmod(after, np.uint64(_STORED_CHUNK))
    plain = chunks * np.uint64(CHUNK_BYTES) + np.maximum(rest, np.uint64(TAG_BYTES))
    cut = (rest > 0) & (rest <= TAG_BYTES)
    return np.where(cut, np.uint64(0), plain - np.uint64(TAG_BYTES))


def key_digest(key: bytes) -> bytes:
    """Return the digest of a key, which a manifest has (clause 14.1.1)."""
    return hashlib.sha256(_KEY_TAG + key).digest()


class SegmentCipher:
    """AES-256-GCM over the segments of a package, by one key (clause 14.1.3).

    Parameters
    ----------
    key : bytes
        32 bytes.

    Raises
    ------
    FormatError
        If the library cryptography is not installed.
    ValueError
        If the key has another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self.key = bytes(key)
        self.digest = key_digest(self.key)
        self._library = _library()

    def __repr__(self) -> str:
        return f"SegmentCipher({self.digest.hex()[:16]}…)"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        """Rebuild in another process, which has the key then."""
        return SegmentCipher, (self.key,)

    def encrypted(
        self, index: int, parent: bytes | None, pieces: Iterable[Buffer], plain: int
    ) -> Iterator[bytes]:
        """Yield an encrypted segment, a chunk at a time, under a fresh salt.

        Parameters
        ----------
        index : int
            The frame.
        parent : bytes or None
            State digest that it builds on; None of a key frame.
        pieces : iterable of bytes-like
            The plain segment.
        plain : int
            Its bytes.
        """
        salt = secrets.token_bytes(SALT_BYTES)
        yield salt
        key, bound = segment_key(self.key, salt), associated(index, parent)
        chunks = -(-plain // CHUNK_BYTES)
        for k, chunk in enumerate(_chunks(pieces)):
            made = self._library.encryptor(key, nonce(k, chunks))
            made.authenticate_additional_data(bound)
            yield made.update(chunk)
            yield made.finalize() + made.tag

    def decrypted(
        self,
        index: int,
        parent: bytes | None,
        salt: bytes,
        data: Buffer,
        first: int,
        chunks: int,
        file: str,
    ) -> bytearray:
        """Return the plain bytes of chunks that follow one another; each tag was compared.

        Parameters
        ----------
        index, parent
            As of :meth:`encrypted`.
        salt : bytes
            That of the segment.
        data : bytes-like
            The chunks with their tags, up to the end of one, or of the segment.
        first : int
            Index of the first of them, counted from 0.
        chunks : int
            How many the segment has.
        file : str
            Name for messages.

        Raises
        ------
        FormatError
            If a tag is wrong.
        """
        stored = memoryview(data).cast("B")
        here = -(-len(stored) // _STORED_CHUNK)
        plain = bytearray(len(stored) - TAG_BYTES * here)
        key, bound = segment_key(self.key, salt), associated(index, parent)
        room = memoryview(plain)
        for k in range(here):
            chunk = stored[k * _STORED_CHUNK : (k + 1) * _STORED_CHUNK]
            made = self._library.decryptor(key, nonce(first + k, chunks))
            made.authenticate_additional_data(bound)
            size = made.update_into(chunk[:-TAG_BYTES], room[k * CHUNK_BYTES :])
            try:
                made.finalize_with_tag(bytes(chunk[-TAG_BYTES:]))
            except self._library.invalid:
                at = chunk_start(first + k) + size
                raise refuse("encryption/tag", file=file, offset=at, chunk=first + k) from None
        return plain


def segment_key(key: bytes, salt: bytes) -> bytes:
    """Return the key of one segment: HKDF with SHA-256 (RFC 5869), of one block."""
    drawn = hmac.digest(salt, key, "sha256")
    return hmac.digest(drawn, _SEGMENT_TAG + b"\1", "sha256")


def nonce(k: int, chunks: int) -> bytes:
    """Return the nonce of a chunk of a segment of so many."""
    return k.to_bytes(8, "little") + int(k == chunks - 1).to_bytes(4, "little")


def associated(index: int, parent: bytes | None) -> bytes:
    """Return what each chunk of a segment is bound to: its index, and the state it builds on."""
    return index.to_bytes(8, "little") + (bytes(32) if parent is None else parent)


def chunks_of(stored: int) -> int:
    """Return how many chunks an encrypted segment has."""
    return -(-(stored - SALT_BYTES) // _STORED_CHUNK)


def chunk_start(k: int) -> int:
    """Return the byte of an encrypted segment at which a chunk begins."""
    return SALT_BYTES + k * _STORED_CHUNK


def _chunks(pieces: Iterable[Buffer]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of pieces anew, in chunks."""
    held = bytearray()
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while len(view):
            if not held and len(view) >= CHUNK_BYTES:
                yield view[:CHUNK_BYTES]
                view = view[CHUNK_BYTES:]
                continue
            take = min(len(view), CHUNK_BYTES - len(held))
            held += view[:take]
            view = view[take:]
            if len(held) == CHUNK_BYTES:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


@dataclass(frozen=True)
class _Library:
    """What is used of the library cryptography."""

    encryptor: Callable[[bytes, bytes], Any]
    decryptor: Callable[[bytes, bytes], Any]
    invalid: type[Exception]


def _library() -> _Library:
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        raise refuse(
            "input/unsupported",
            file="keys",
            reason="encrypted segments take the library cryptography, which is not installed",
            hint="pip install 'neural-model-chain[trust]'",
        ) from None

    def cipher(key: bytes, number: bytes) -> Any:
        return Cipher(algorithms.AES256(key), modes.GCM(number))

    return _Library(
        lambda key, number: cipher(key, number).encryptor(),
        lambda key, number: cipher(key, number).decryptor(),
        InvalidTag,
    )
