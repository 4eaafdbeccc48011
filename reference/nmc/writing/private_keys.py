"""Private keys of Ed25519 (RFC 8032): made, kept and read as OpenSSH does, and what they sign."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from nmc.reading.keys import PublicKey, read_public_keys
from nmc.reading.private_files import write_private
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, refuse
from nmc_format.signature import Signature, Statement

if TYPE_CHECKING:
    from collections.abc import Callable

Asked: TypeAlias = "str | Callable[[], str | None] | None"
_LONGEST: Final = 1 << 16
_PUBLIC: Final = b"ssh-ed25519 "
_MISSING: Final = "pip install 'neural-model-chain[trust]'"


@dataclass(frozen=True)
class PrivateKey:
    """A private key of Ed25519; its text does not show it.

    Attributes
    ----------
    public : PublicKey
        The public key that goes with it.
    """

    public: PublicKey
    _key: Any

    @classmethod
    def generate(cls, comment: str | None = None) -> PrivateKey:
        """Return a new key; without a comment, user and host are named as OpenSSH does.

        Raises
        ------
        FormatError
            If the extra ``trust`` is not installed.
        """
        key = _library("asymmetric.ed25519").Ed25519PrivateKey.generate()
        return _with_public(key, _here() if comment is None else comment)

    @classmethod
    def read(cls, path: str | Path, passphrase: Asked = None) -> PrivateKey:
        """Read a key as OpenSSH writes it, or PKCS #8 in PEM.

        Parameters
        ----------
        path : str or Path
            The file. A comment is taken from the public key beside it, ``path`` with ``.pub``.
        passphrase : str, function or None
            Of an encrypted key; a function is called once where the key is encrypted.

        Raises
        ------
        FormatError
            If it cannot be read, is no private key of Ed25519, or the passphrase is not its own.
        """
        path = Path(path)
        data = _content(path)
        key = _loaded(path, data, None)
        if key is None:
            given = passphrase() if callable(passphrase) else passphrase
            key = _loaded(path, data, given.encode()) if given else None
            if key is None:
                wrong = "the passphrase is not that of the key"
                reason = wrong if given else "the key has a passphrase"
                _unreadable(path, reason, "give it with --passphrase-file or NMC_PASSPHRASE")
        if not isinstance(key, _library("asymmetric.ed25519").Ed25519PrivateKey):
            _unreadable(path, "it is a key of another kind than Ed25519", "ssh-keygen -t ed25519")
        return _with_public(key, _comment(path))

    def write(
        self, path: str | Path, *, passphrase: str | None = None, overwrite: bool = False
    ) -> Path:
        """Write the key, which none but its owner may read, and ``.pub`` beside it.

        Returns
        -------
        Path
            The file of the public key.

        Raises
        ------
        FormatError
            If one of them exists, or they cannot be written.
        """
        path = Path(path)
        public = path.with_name(path.name + ".pub")
        for there in (path, public):
            if not overwrite and os.path.lexists(there):
                raise refuse("host/exists", file=str(there))
        try:
            write_private(path, self.to_openssh(passphrase))
            write_private(public, self.public.line().encode(), 0o644)
        except OSError as error:
            raise host_refusal(error, path) from None
        if PrivateKey.read(path, passphrase).public.key != self.public.key:
            reason = "the key is not on the disk as it was written"
            raise refuse("host/failed", file=str(path), reason=reason)
        return public

    def __repr__(self) -> str:
        return f"PrivateKey({self.public})"

    def signed(self, statement: Statement) -> Signature:
        """Return the signature of a statement."""
        value: bytes = self._key.sign(statement.to_bytes())
        return Signature(self.public.key, statement, value)

    def to_openssh(self, passphrase: str | None = None) -> bytes:
        """Return the content of a private key file, encrypted where there is a passphrase."""
        serialization = _library("serialization")
        protection: Any = serialization.NoEncryption()
        if passphrase:
            protection = serialization.BestAvailableEncryption(passphrase.encode())
        made: bytes = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, protection
        )
        return made


def is_public(path: Path) -> bool:
    """Whether a file is that of a public key as OpenSSH writes it."""
    try:
        with path.open("rb") as file:
            return file.read(len(_PUBLIC)) == _PUBLIC
    except OSError:
        return False


def _library(module: str) -> Any:
    """Return a module of cryptography's primitives.

    Raises
    ------
    FormatError
        If it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(f"cryptography.hazmat.primitives.{module}")
    except ImportError:
        reason = "keys take the library cryptography, which is not installed"
        raise refuse("input/unsupported", file="keys", reason=reason, hint=_MISSING) from None


def _here() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container runs as a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _with_public(key: Any, comment: str) -> PrivateKey:
    return PrivateKey(PublicKey(key.public_key().public_bytes_raw(), comment), key)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise host_refusal(error, path) from None
    if b"PRIVATE KEY-----" not in data or len(data) > _LONGEST:
        public = data.startswith((b"ssh-", b"ecdsa-", b"sk-"))
        what = "a public key of another kind than Ed25519" if public else "no private key"
        _unreadable(path, f"it is {what}", "make a key with 'nmc keygen'")
    return data


def _loaded(path: Path, data: bytes, passphrase: bytes | None) -> Any:
    """Return a key, or None where the passphrase is missing or not that of the key."""
    serialization = _library("serialization")
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        return load(data, passphrase)
    except TypeError:  # encrypted and no passphrase
        return None
    except Exception as error:  # the library raises many kinds for what is damaged
        if type(error).__name__ == "UnsupportedAlgorithm":
            _unreadable(path, f"it cannot be read: {error}", _MISSING)
        if passphrase is not None:
            return None
        if "password" in str(error).lower():
            return None
        _unreadable(path, "it is damaged, or no private key")


def _comment(path: Path) -> str:
    try:
        return read_public_keys(path.with_name(path.name + ".pub"))[0].name
    except FormatError:
        return ""


def _unreadable(path: Path, reason: str, hint: str = "") -> NoReturn:
    raise refuse("input/unreadable", file=str(path), reason=reason, hint=hint) from None
