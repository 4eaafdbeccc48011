"""What a caller may give to be opened: paths, addresses of servers, bytes and open files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from nmc_format.issues import refuse

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://|:)")
_LONGEST_PATH = 4096


def scheme_of(target: Any) -> str:
    """Return the scheme of an address such as ``https://…`` or ``memory://…``, else nothing.

    A chain of fsspec's, such as ``zip://a.nmc::s3://…``, has that of its first part.
    """
    match = _SCHEME.match(target) if isinstance(target, str) else None
    return match[1].lower() if match else ""


def local_path(url: str) -> Path:
    """Return the path that a ``file:`` address names.

    Raises
    ------
    FormatError
        If it is one of another host.
    """
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        reason = f"it names a file of {parts.netloc!r}; write file:///"
        raise refuse("host/path", file=shown(url), reason=reason)
    return Path(unquote(parts.path))


def is_content(data: Any) -> bool:
    """Whether bytes are a package themselves: a path begins otherwise, and is short."""
    if isinstance(data, bytearray | memoryview):
        return True
    return isinstance(data, bytes) and (
        data.startswith(b"PK\x03\x04") or b"\0" in data or len(data) > _LONGEST_PATH
    )


def with_digest(url: str, digest: str) -> str:
    """Return the address of the content that has a digest; one that names any stays as it is."""
    parts = urlsplit(url)
    if any(part.startswith("digest=") for part in parts.query.split("&")):
        return url
    query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
    return urlunsplit(parts._replace(query=query))


def shown(url: str) -> str:
    """Return an address as it may be printed: without password, and without what a query grants."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return url.partition("?")[0]
    query = "…" if parts.query else ""
    return urlunsplit(parts._replace(netloc=host, query=query, fragment=""))


def inside(url: str, name: str) -> str:
    """Return the address of a member of the folder that an address names; its query is kept."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))


def name_of(target: Any) -> str:
    """Return what to call in a message what a caller gave."""
    if scheme_of(target):
        return shown(target)
    if is_content(target):
        return "bytes in memory"
    if isinstance(target, str | bytes | os.PathLike):
        return str(target)
    return str(getattr(target, "path", None) or getattr(target, "name", None) or "open file")


def inside_store(path: str, member: str) -> str:
    """Return the path of a member in a store; the object itself without one."""
    return f"{path}/{member}" if member else path


def is_here(target: Any) -> bool:
    """Whether an address is one of this machine itself: its files need no copy on this disk."""
    try:
        host = urlsplit(target).hostname if scheme_of(target) in ("http", "https") else None
    except ValueError:
        return False
    return host in {"localhost", "::1"} or (host or "").startswith("127.")
