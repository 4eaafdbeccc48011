"""Secret keys, which encrypt segments (clause 14): made by chance, kept in files of one line.

What a file looks like is no part of the standard. ``nmc keygen --symmetric`` writes a line of
words; 32 bytes as they are, in base 16 or in base 64, as other programs make them, are read too.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from nmc.reading.private_files import write_private
from nmc_format.encryption import FEATURE, KEY_BYTES, SegmentCipher, key_digest
from nmc_format.host import host_refusal
from nmc_format.issues import refuse

_WORDS: Final = f"nmc-key {FEATURE}"
_LONGEST: Final = 1024
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_HINT: Final = "make one with 'nmc keygen --symmetric'"


@dataclass(frozen=True)
class SecretKey:
    """A key of AES-256 that encrypts segments; its text does not show it.

    Attributes
    ----------
    key : bytes
        Its 32 bytes.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"a secret key has {KEY_BYTES} bytes, not {len(self.key)}")

    @property
    def digest(self) -> bytes:
        """What a manifest says of it (clause 14.1.1), 32 bytes."""
        return key_digest(self.key)

    @classmethod
    def generate(cls) -> SecretKey:
        """Return a new key, from what the system has for that."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, path: str | Path) -> SecretKey:
        """Read a key file.

        Raises
        ------
        FormatError
            If it cannot be read, or is no such file.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                data = file.read(_LONGEST + 1)
        except OSError as error:
            raise host_refusal(error, path) from None
        except ValueError as error:
            raise refuse("host/path", file=str(path), reason=str(error)) from None
        return cls(_key_in(data, str(path)))

    def line(self) -> str:
        """Return the content of a key file."""
        return f"{_WORDS} {self.key.hex()}\n"

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a key file, which none but its owner may read, and read it back.

        Raises
        ------
        FormatError
            If there is one already, or it cannot be written.
        """
        path = Path(path)
        if not overwrite and os.path.lexists(path):
            raise refuse("host/exists", file=str(path))
        try:
            write_private(path, self.line().encode())
        except OSError as error:
            raise host_refusal(error, path) from None
        if SecretKey.read(path) != self:
            reason = "the key is not on the disk as it was written"
            raise refuse("host/failed", file=str(path), reason=reason)


AnySecret: TypeAlias = "SecretKey | SegmentCipher | bytes | str | os.PathLike[str]"
"""A key: itself or its cipher, its 32 bytes, or the path of its file."""

_ENVIRONMENT: Final = "NMC_KEY_FILE"
"""The file of the key that is taken where a package is encrypted, and no other is given."""


def cipher_of(key: AnySecret | None) -> SegmentCipher | None:
    """Return the cipher by a key; None where there is no key.

    Raises
    ------
    FormatError
        If its file is refused, or the library cryptography is not installed.
    ValueError
        If it has another length.
    """
    if key is None or isinstance(key, SegmentCipher):
        return key
    if isinstance(key, SecretKey):
        return SegmentCipher(key.key)
    if isinstance(key, bytes):
        return SegmentCipher(SecretKey(key).key)
    return SegmentCipher(SecretKey.read(Path(key)).key)


def usual_cipher() -> SegmentCipher | None:
    """Return the cipher by the key of ``NMC_KEY_FILE``, where that is set.

    Raises
    ------
    FormatError
        If the file is refused.
    """
    path = os.environ.get(_ENVIRONMENT)
    return cipher_of(path) if path else None


def _key_in(data: bytes, source: str) -> bytes:
    if len(data) == KEY_BYTES:
        return data
    if len(data) > _LONGEST:
        _unreadable(source, f"it has more than {_LONGEST} bytes, too many for a secret key")
    text = data.decode("ascii", "replace").strip()
    if "PRIVATE KEY-----" in text or text.startswith(("ssh-", "ecdsa-", "sk-")):
        _unreadable(source, "it is a key to sign with, and none to encrypt with")
    digits = text.removeprefix(_WORDS).strip()
    if _HEX.fullmatch(digits):
        return bytes.fromhex(digits)
    try:
        key = base64.b64decode(digits, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        _unreadable(source, f"it is not a secret key: {KEY_BYTES} bytes in base 16 or base 64")
    return key


def _unreadable(source: str, reason: str) -> NoReturn:
    raise refuse("input/unreadable", file=source, reason=reason, hint=_HINT) from None
