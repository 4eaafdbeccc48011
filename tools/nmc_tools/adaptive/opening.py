"""Finds a presentation document or a package, in a file or on a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit

from nmc.remote.address import local_path, scheme_of, shown
from nmc.remote.opening import open_anywhere, store_of, web_objects
from nmc_format.host import host_errors
from nmc_format.issues import refuse
from nmc_tools.adaptive.document import MAX_BYTES, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.remote.remote_object import RemoteObject
    from nmc_format.package.members import Package
    from nmc_tools.adaptive.document import Presentation


def is_document_name(target: str) -> bool:
    """Whether a path or an address is that of a presentation document, by its name."""
    path = urlsplit(target).path if scheme_of(target) else target
    return path.lower().endswith(".json")


def read_document(target: str, options: Mapping[str, Any] | None = None) -> Presentation:
    """Read and check a presentation document.

    Parameters
    ----------
    target : str
        A path or an address.
    options : mapping or None
        Of the server, as for :func:`nmc.open`.

    Raises
    ------
    FormatError
        If it is not there, or is none.
    """
    if is_far(target):
        return parse_document(_fetched(target, options or {}), shown(target))
    path = local_path(target) if scheme_of(target) else Path(target)
    with host_errors(path), path.open("rb") as file:
        return parse_document(file.read(MAX_BYTES + 1), target)


def beside(document: str, url: str, digest: str) -> str:
    """Return where a package of a document lies; of a server, with its digest and what it grants.

    Parameters
    ----------
    document : str
        Path or address of the document.
    url : str
        Of the package, checked by :func:`nmc_tools.adaptive.document.points_inside`.
    digest : str
        With it, a cache on the way can keep the answers for ever.
    """
    if not is_far(document):
        path = local_path(document) if scheme_of(document) else Path(document)
        return str(path.parent / os.fsdecode(unquote_to_bytes(url)))
    if not on_server(document):
        return f"{document.rpartition('/')[0]}/{unquote(url)}"
    parts = urlsplit(document)
    query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
    folder = parts.path.rpartition("/")[0]
    return urlunsplit(parts._replace(path=f"{folder}/{url}", query=query, fragment=""))


def open_target(
    target: str, options: Mapping[str, Any] | None = None, frames: int | None = None
) -> Package:
    """Open the package at a path or an address; how many frames it has need not be known."""
    return open_anywhere(target, options if on_server(target) else None, frames)


def is_far(target: str) -> bool:
    """Whether a target is the address of a server or a store, not a path."""
    return scheme_of(target) not in ("", "file")


def on_server(target: str) -> bool:
    """Whether a target is the address of a server, not a path."""
    return target.lower().startswith(("http://", "https://"))


def _fetched(url: str, options: Mapping[str, Any]) -> bytes:
    from nmc.remote.remote_object import NoObject

    made, close = _document_at(url, options)
    try:
        data = bytearray()
        for piece in made.whole(MAX_BYTES):
            data += piece
            if len(data) > MAX_BYTES:
                break
    except NoObject:
        raise refuse("host/not-found", file=shown(url)) from None
    finally:
        close()
    return bytes(data)


def _document_at(url: str, options: Mapping[str, Any]) -> tuple[RemoteObject, Callable[[], None]]:
    if on_server(url):
        at, close = web_objects(url, options)
        return at(url), close
    from nmc.remote.stored_object import StoredObject

    store, path = store_of(url, None)
    return StoredObject(store, path, shown(url)), lambda: None
