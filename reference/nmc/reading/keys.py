"""Public keys whose signatures a reader demands (clause 13.2.2), from files as OpenSSH has them.

A file has one key a line: a ``.pub`` file, ``authorized_keys`` (sshd(8)), or ``allowed_signers``
(ssh-keygen(1)). A public key in PEM (RFC 8410) is read too.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, refuse
from nmc_format.signature import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMESPACE: Final = "nmc"
"""What ``namespaces=`` of a line of ``allowed_signers`` has to name."""

_TYPE: Final = "ssh-ed25519"
_LONGEST: Final = 1 << 20
_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before a key of Ed25519 in a SubjectPublicKeyInfo (RFC 8410)."""

_UNSUPPORTED: Final = ("cert-authority", "valid-after", "valid-before", "expiry-time")


@dataclass(frozen=True)
class PublicKey:
    """A public key of Ed25519.

    Attributes
    ----------
    key : bytes
        Its 32 bytes.
    name : str
        Comment or owner, as a file has it; no proof of anything.
    """

    key: bytes
    name: str = ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH prints it: ``SHA256:`` and 43 characters."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def blob(self) -> bytes:
        """The key as OpenSSH writes it (RFC 8709), before base64."""
        name = _TYPE.encode()
        return b"".join(len(part).to_bytes(4, "big") + part for part in (name, self.key))

    def line(self) -> str:
        """Return the line of a ``.pub`` file."""
        text = f"{_TYPE} {base64.b64encode(self.blob).decode()} {self.name}"
        return text.rstrip() + "\n"

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.name})" if self.name else self.fingerprint


AnyKey: TypeAlias = "str | bytes | os.PathLike[str] | PublicKey"


@dataclass(frozen=True)
class Demand:
    """Keys of which one has to have signed; several where a file has several."""

    keys: tuple[PublicKey, ...]
    source: str = ""

    def __str__(self) -> str:
        if len(self.keys) == 1:
            return str(self.keys[0])
        return f"any of the {len(self.keys)} keys of {self.source}"


def demands_of(keys: Sequence[AnyKey]) -> list[Demand]:
    """Return what is demanded, one demand for each key or file of keys.

    Parameters
    ----------
    keys : sequence of str, path, bytes or PublicKey
        A line as OpenSSH writes it, the path of a file of such lines, or 32 bytes.

    Raises
    ------
    FormatError
        If a file cannot be read, or has no key of Ed25519.
    TypeError, ValueError
        If it is none of these.
    """
    if isinstance(keys, str | bytes | os.PathLike | PublicKey):
        raise TypeError("expected a sequence of keys, not a single one; put it into a list")
    return [_demand(key) for key in keys]


def _demand(key: AnyKey) -> Demand:
    if isinstance(key, PublicKey):
        return Demand((key,))
    if isinstance(key, bytes):
        if len(key) != KEY_BYTES:
            raise ValueError(f"a public key of Ed25519 has {KEY_BYTES} bytes, not {len(key)}")
        return Demand((PublicKey(key),))
    if isinstance(key, str) and f"{_TYPE} " in key:
        return Demand(tuple(keys_in(key, "the key")), "the text")
    return Demand(tuple(read_public_keys(Path(key))), str(key))


def read_public_keys(path: Path) -> list[PublicKey]:
    """Return the public keys in a file.

    Raises
    ------
    FormatError
        If it cannot be read, has none, or asks for what is not supported.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise host_refusal(error, path) from None
    except ValueError as error:
        raise refuse("host/path", file=str(path), reason=str(error)) from None
    if len(data) > _LONGEST:
        _unreadable(str(path), f"it has more than {_LONGEST} bytes, too many for keys")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        _unreadable(str(path), "it is not a text file of public keys")
    return keys_in(text, str(path))


def keys_in(text: str, source: str) -> list[PublicKey]:
    """Return the public keys of a text; see :func:`read_public_keys`."""
    if "PRIVATE KEY-----" in text:
        _unreadable(
            source, "it holds a private key", "give the public one, the file ending in .pub"
        )
    if "-----BEGIN PUBLIC KEY-----" in text:
        return [PublicKey(_pem(text, source))]
    found, others = [], set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(_line_key(line, f"line {number}"))
        except _OtherKeyError as error:
            others.add(str(error))
        except ValueError as error:
            _unreadable(source, str(error))
    if not found:
        has = f"it has {', '.join(sorted(others))}" if others else "it is empty"
        _unreadable(source, f"it has no key of Ed25519: {has}", "make one with 'nmc keygen'")
    return found


class _OtherKeyError(Exception):
    """A line has a key of another type."""


def _line_key(line: str, place: str) -> PublicKey:
    words = shlex.shlex(line, posix=True, punctuation_chars=False)
    words.whitespace_split, words.commenters, words.quotes = True, "", '"'
    try:
        tokens = list(words)
    except ValueError as error:
        raise ValueError(f"{place} cannot be read: {error}") from None
    at = next((i for i, token in enumerate(tokens) if token == _TYPE), None)
    if at is None:
        other = next((t for t in tokens if t.startswith(("ssh-", "ecdsa-", "sk-"))), "")
        if other:
            raise _OtherKeyError(other)
        raise ValueError(f"{place} is not a public key as OpenSSH writes it")
    _refuse_options(",".join(tokens[:at]), place)
    if at + 1 >= len(tokens):
        raise ValueError(f"{place} ends before the key")
    try:
        blob = base64.b64decode(tokens[at + 1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{place}: the key is not base64") from None
    key = PublicKey(blob[-KEY_BYTES:], " ".join(tokens[at + 2 :]) or _owner(tokens[:at]))
    if key.blob != blob:
        raise ValueError(f"{place}: the key is damaged: it is not an Ed25519 key")
    return key


def _owner(tokens: Sequence[str]) -> str:
    return tokens[0] if tokens and "@" in tokens[0] else ""


def _refuse_options(options: str, place: str) -> None:
    """Refuse what limits a key in a way that is not looked at here: else it would be trusted."""
    for option in _UNSUPPORTED:
        if option in options.lower():
            raise ValueError(f"{place} has {option}, which is not supported here")
    for names in _values(options, "namespaces="):
        if not any(fnmatch.fnmatchcase(NAMESPACE, name) for name in names):
            raise ValueError(f"{place} is for the namespaces {', '.join(names)}, not {NAMESPACE}")


def _values(options: str, name: str) -> Iterator[list[str]]:
    _, found, rest = options.lower().partition(name)
    if found:
        yield [part for part in rest.split(",") if part and "=" not in part]


def _pem(text: str, source: str) -> bytes:
    body = text.partition("-----BEGIN PUBLIC KEY-----")[2].partition("-----END")[0]
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        _unreadable(source, "the public key is not base64")
    if not data.startswith(_SPKI) or len(data) != len(_SPKI) + KEY_BYTES:
        _unreadable(source, "the public key is not an Ed25519 key", "make one with 'nmc keygen'")
    return data[len(_SPKI) :]


def _unreadable(source: str, reason: str, hint: str = "") -> NoReturn:
    raise FormatError(
        refuse("input/unreadable", file=source, reason=reason, hint=hint).finding
    ) from None
