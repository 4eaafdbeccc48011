"""Signatures (clause 13.1): their one form, and Ed25519 over what they state."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nmc_format.issues import FormatError, finding, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIGNATURE_BYTES: Final = 631
MAX_SIGNER_BYTES: Final = 256
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_FIRST = "nmc signature 1\n"
_LAST = b"signature: "
_BEFORE_LAST = b"\n" + _LAST
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_HEX = re.compile(r"([0-9a-fA-F]{2})*")


@dataclass(frozen=True)
class Statement:
    """What a signer says of a package.

    Attributes
    ----------
    manifest_digest : bytes
        Manifest digest of the package (clause 5.3.4).
    manifest_sha256 : bytes
        SHA-256 of the bytes of its manifest.
    time : str
        When it was signed, in UTC, as the signer says: ``2026-11-22T04:00:00Z``.
    signer : str
        Who signed, as the signer says.
    """

    manifest_digest: bytes
    manifest_sha256: bytes
    time: str
    signer: str

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed."""
        return (
            f"{_FIRST}algorithm: ed25519\n"
            f"manifest_digest: {self.manifest_digest.hex()}\n"
            f"manifest_sha256: {self.manifest_sha256.hex()}\n"
            f"time: {self.time}\nsigner: {self.signer}\n"
        ).encode(errors="surrogateescape")


@dataclass(frozen=True)
class Signature:
    """One signature of a package.

    Attributes
    ----------
    key : bytes
        Public key of Ed25519, 32 bytes.
    statement : Statement
        What is signed.
    value : bytes
        The signature of the bytes of the statement, 64 bytes.
    """

    key: bytes
    statement: Statement
    value: bytes

    def to_bytes(self) -> bytes:
        """Return the content of the member."""
        return self.statement.to_bytes() + _LAST + self.value.hex().encode() + b"\n"


def parse_signature(name: str, data: bytes) -> Signature:
    """Return the signature that a member holds; what it states is not compared with anything.

    Parameters
    ----------
    name : str
        Name of the member, which has the key.
    data : bytes
        Its content.

    Raises
    ------
    FormatError
        If it is not in the one form of clause 13.1.2.
    """
    text, _, value = data.partition(_BEFORE_LAST)
    lines = text.decode(errors="surrogateescape").split("\n")
    said = {head: rest for head, _, rest in (line.partition(": ") for line in lines)}
    statement = Statement(
        _digits(said, "manifest_digest"),
        _digits(said, "manifest_sha256"),
        said.get("time", ""),
        said.get("signer", ""),
    )
    key = bytes.fromhex(name[-4 - 2 * KEY_BYTES : -4])
    digits = value[: 2 * SIGNATURE_BYTES].decode("ascii", "replace")
    made = Signature(key, statement, _hex(digits))
    reason = _fault(made, data)
    if reason:
        raise refuse("signature/form", file=name, offset=0, reason=reason)
    return made


def _hex(text: str) -> bytes:
    return bytes.fromhex(text) if _HEX.fullmatch(text) else b""


def _digits(said: Mapping[str, str], name: str) -> bytes:
    return _hex(said.get(name, ""))


def _fault(made: Signature, data: bytes) -> str:
    """Return what is wrong with the form of a signature; empty where nothing is."""
    if len(data) > MAX_SIGNATURE_BYTES:
        return f"it has more than {MAX_SIGNATURE_BYTES} bytes"
    said = made.statement
    digests = {len(said.manifest_digest), len(said.manifest_sha256)}
    if digests != {hashlib.sha256().digest_size} or len(made.value) != SIGNATURE_BYTES:
        return "a digest or the signature has another number of digits, or is not there"
    if not _TIME.fullmatch(said.time):
        return f"the time is {said.time!a}, expected such as 2026-11-22T04:00:00Z"
    if fault := signer_fault(said.signer):
        return fault
    expected = made.to_bytes()
    if data != expected:
        same = zip(data.split(b"\n"), expected.split(b"\n"), strict=False)
        line = next((i for i, (a, b) in enumerate(same, 1) if a != b), 0)
        return f"line {line} is not as it has to be" if line else "there are too few or many lines"
    return ""


def signer_fault(signer: str) -> str:
    """Return what is wrong with the name of a signer; empty where nothing is."""
    if len(signer.encode(errors="surrogateescape")) > MAX_SIGNER_BYTES:
        return f"the signer has more than {MAX_SIGNER_BYTES} bytes"
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in signer):
        return "the signer has a control character"
    if any(0xD800 <= ord(letter) < 0xE000 for letter in signer):
        return "the signer is not UTF-8"
    return ""


def check_signature(name: str, data: bytes, manifest: bytes) -> Signature:
    """Return a signature once it is known to be one by its key of a manifest of those bytes.

    The manifest is not interpreted: see :func:`check_digest` for what its values say.

    Parameters
    ----------
    name : str
        Name of the member.
    data : bytes
        Its content.
    manifest : bytes
        The bytes of the manifest of the package.

    Raises
    ------
    FormatError
        If it is not; ``host/not-verified`` where this installation cannot find out.
    """
    made = parse_signature(name, data)
    actual = hashlib.sha256(manifest).digest()
    if actual != made.statement.manifest_sha256:
        raise _of_another("SHA-256", name, made.statement.manifest_sha256, actual)
    statement = data[: data.find(_BEFORE_LAST) + 1]
    if not verifies(made.key, statement, made.value, name):
        raise refuse("signature/wrong", file=name, offset=len(statement), key=made.key.hex())
    return made


def check_digest(name: str, signature: Signature, digest: bytes) -> None:
    """Compare the manifest digest that a signature states with that of the package.

    Raises
    ------
    FormatError
        If they differ.
    """
    if signature.statement.manifest_digest != digest:
        raise _of_another("digest", name, signature.statement.manifest_digest, digest)


def _of_another(kind: str, name: str, expected: bytes, actual: bytes) -> FormatError:
    facts = {"digest": kind, "expected": expected.hex(), "actual": actual.hex()}
    return refuse("signature/manifest", file=name, offset=0, **facts)


def verifies(key: bytes, message: bytes, value: bytes, name: str) -> bool:
    """Whether a signature is one of Ed25519 by a key (RFC 8032, clause 5.1.7).

    Raises
    ------
    FormatError
        ``host/not-verified``, where there is no library that can tell.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        reason = "the library cryptography is not installed"
        raise FormatError(finding("host/not-verified", file=name, reason=reason)) from None
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value, message)
    except (InvalidSignature, ValueError):
        return False
    return True
