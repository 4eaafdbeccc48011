"""Who may read: tokens that are compared in constant time, and signed ones that expire.

A signed token is ``<expires>.<scope>.<mac>``: seconds since 1970, the path that it opens in
base64url, and the HMAC-SHA256 (RFC 2104) of ``nmc-token-1``, both and the key in base64url. It
opens the path of its scope and what lies below it; an empty scope opens all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

_SIGNED = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{0,1024})\.([A-Za-z0-9_-]{43})")

LEAST_KEY = 16
"""Bytes of a key that signs: fewer can be guessed."""


@dataclass(frozen=True)
class Access:
    """What opens a server; without tokens and key, everybody may read.

    Attributes
    ----------
    tokens : tuple of str
        Tokens that open everything, for as long as the server runs.
    key : bytes or None
        What signed tokens are signed with.
    """

    tokens: tuple[str, ...] = ()
    key: bytes | None = None

    def __post_init__(self) -> None:
        if any(
            not token.isascii() or not token.isprintable() or not token for token in self.tokens
        ):
            raise ValueError("a token has to be of printable ASCII, and not empty")
        if self.key is not None and len(self.key) < LEAST_KEY:
            raise ValueError(f"the key has {len(self.key)} bytes; it takes {LEAST_KEY} at least")

    @property
    def open(self) -> bool:
        """Whether everybody may read."""
        return not self.tokens and self.key is None

    def refusal(self, path: str, authorization: str | None, query: bytes) -> str | None:
        """Return why a request is refused, None where it is not.

        Parameters
        ----------
        path : str
            The path that is asked for, percent-decoded.
        authorization : str or None
            The header of that name.
        query : bytes
            What follows the question mark.
        """
        if self.open:
            return None
        token = _presented(authorization, query)
        if token is None:
            return "a token is needed: 'Authorization: Bearer TOKEN', or ?token=TOKEN"
        given = token.encode("utf-8", "surrogateescape")
        known = [hmac.compare_digest(given, own.encode("ascii")) for own in self.tokens]
        if any(known):
            return None
        if self.key is None:
            return "the token is not one of this server"
        return _signed_refusal(self.key, token, path)


def signed_token(key: bytes, expires: int, scope: str = "") -> str:
    """Return a token that opens ``scope`` until ``expires``, in seconds since 1970.

    Raises
    ------
    ValueError
        If the key is too short to sign with.
    """
    if len(key) < LEAST_KEY:
        raise ValueError(f"the key has {len(key)} bytes; it takes {LEAST_KEY} at least")
    where = _text(scope.strip("/").encode())
    return f"{expires}.{where}.{_text(_mac(key, str(expires), where))}"


def _signed_refusal(key: bytes, token: str, path: str) -> str | None:
    match = _SIGNED.fullmatch(token)
    if match is None:
        return "the token is not one of this server"
    expires, where, mac = match.groups()
    if not hmac.compare_digest(_text(_mac(key, expires, where)), mac):
        return "the token is not signed by this server"
    if int(expires) <= time.time():
        return "the token expired"
    try:
        scope = base64.urlsafe_b64decode(where + "=" * (-len(where) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "the token is not signed by this server"
    here = path.strip("/")
    if scope and here != scope and not here.startswith(f"{scope}/"):
        return "the token is for another path"
    return None


def _presented(authorization: str | None, query: bytes) -> str | None:
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=32).get("token")
    except ValueError:  # too many fields, or not ASCII
        return None
    return found[-1] if found else None


def _mac(key: bytes, expires: str, where: str) -> bytes:
    return hmac.new(key, f"nmc-token-1\n{expires}\n{where}".encode(), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
