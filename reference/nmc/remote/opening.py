"""Opens a package wherever it lies: a path, an address, an open file, or bytes."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from nmc.remote.address import inside, is_content, local_path, scheme_of, shown
from nmc.remote.patience import Patience
from nmc.remote.ranged_source import RangedSource
from nmc.remote.remote_folder import RemoteFolder
from nmc.remote.remote_object import NoObject, RemoteObject
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, refuse, refuse_with
from nmc_format.package.byte_source import BytesSource, FileObjectSource
from nmc_format.package.file import FilePackage
from nmc_format.package.form import open_package
from nmc_format.package.members import JOURNAL_NAME, MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc_format.package.members import Package

Target: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes] | Any"
"""A path, an address (``https://…``, ``s3://…``), the bytes of a package, or a binary file."""

_LOCAL = ("file", ("file", "local"))
"""What fsspec calls its store of the file system, in its older versions and now."""

_NEEDED = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
}


def open_anywhere(
    target: Target, options: Mapping[str, Any] | None = None, frames: int | None = None
) -> Package:
    """Open a package wherever it lies.

    Parameters
    ----------
    target : path, str, bytes or binary file
        What to open.
    options : mapping or None
        Of a server: ``headers``, ``timeout``, ``tries``, ``pause``. Of a store: those of fsspec.
    frames : int or None
        How many frames there are, where that is known: a server is asked for less then.

    Raises
    ------
    FormatError
        If there is nothing, it cannot be read, or it is not a package.
    TypeError
        If it is none of these, or a server has no such option.
    """
    scheme = scheme_of(target)
    if scheme in ("http", "https"):
        return _open_form(str(target), *web_objects(str(target), options), frames)
    if scheme and scheme != "file":
        store, path = store_of(str(target), options)
        return _open_stored(store, path, shown(str(target)), frames)
    if hasattr(target, "fs") and hasattr(target, "path"):  # fsspec.OpenFile, UPath
        return _open_stored(target.fs, target.path, shown(str(target)), frames)
    if options:
        raise TypeError("storage_options go with an address of a server or a store")
    if scheme:
        return open_package(local_path(str(target)))
    content: Any = target
    if is_content(content):
        return FilePackage("bytes in memory", BytesSource(content))
    if isinstance(target, str | bytes | os.PathLike):
        return open_package(target)
    if hasattr(target, "read") and hasattr(target, "seek"):
        name = getattr(target, "name", None)
        name = name if isinstance(name, str) else "open file"
        return FilePackage(name, FileObjectSource(target, name))
    raise TypeError(
        f"expected str, bytes, os.PathLike or a binary file, not {type(target).__name__}"
    )


def web_objects(
    url: str, options: Mapping[str, Any] | None
) -> tuple[Callable[[str], RemoteObject], Callable[[], None]]:
    """Return what makes objects of addresses of a server, and what closes their connections.

    Raises
    ------
    FormatError
        If it is not the address of a server.
    TypeError
        If a server has no such option.
    """
    from nmc.remote.web_client import WebClient
    from nmc.remote.web_object import WebObject

    given = dict(options or {})
    unknown = set(given) - {"headers", "timeout", "tries", "pause"}
    if unknown:
        raise TypeError(f"no such option of a server: {', '.join(sorted(unknown))}")
    try:
        hostname = urlsplit(url).hostname
    except ValueError as error:
        raise refuse("host/path", file=shown(url), reason=str(error)) from None
    if not hostname or not url.isprintable() or " " in url:
        raise refuse("host/path", file=shown(url), reason="it is not the address of a server")
    patience = Patience.of(given)
    client = WebClient(given.get("headers") or {}, patience)
    return lambda address: WebObject(client, address, patience), client.close


def _open_form(
    url: str,
    at: Callable[[str], RemoteObject],
    close: Callable[[], None],
    frames: int | None,
) -> Package:
    """Open the file, or the folder, of an address of a server: at most two requests."""
    from nmc.remote.web_client import Redirected

    folder = url.rpartition("/")[0] if urlsplit(url).path.endswith("/" + MANIFEST_NAME) else url
    try:
        if folder == url and not urlsplit(url).path.endswith("/"):
            with suppress(NoObject, Redirected):
                return FilePackage(shown(url), RangedSource(at(url), frames))
        try:
            return RemoteFolder(shown(folder), lambda name: at(inside(folder, name)))
        except (NoObject, Redirected):
            raise _nothing(shown(url), lambda: at(inside(folder, JOURNAL_NAME))) from None
    except BaseException:
        close()
        raise


def _nothing(name: str, journal: Callable[[], RemoteObject]) -> FormatError:
    """Return the refusal of an address where no package is; an unfinished one is named."""
    frames = 0
    try:
        for piece in journal().whole(1 << 26):
            frames += piece.count(b'"state_digest":')
    except Exception:
        return refuse("host/not-found", file=name)
    hint = "read it as it grows with nmc.follow, or what there is with nmc.open_unfinished"
    return refuse_with(hint, "package/unfinished", file=name, frames=frames)


def store_of(url: str, options: Mapping[str, Any] | None) -> tuple[Any, str]:
    """Return the store of fsspec that an address names, and the path in it.

    Raises
    ------
    FormatError
        If fsspec, or what it needs for this kind of store, is not installed, or the store cannot
        be reached.
    """
    scheme = scheme_of(url)
    try:
        from fsspec.core import url_to_fs

        store, path = url_to_fs(url, **(options or {}))
    except ImportError:
        needed = _NEEDED.get(scheme, "fsspec")
        hint = f"pip install 'neural-model-chain[remote]' {needed}".removesuffix(" fsspec")
        reason = f"{scheme}:// needs a library that is not installed"
        raise refuse("input/unsupported", file=shown(url), reason=reason, hint=hint) from None
    except ValueError as error:
        raise refuse("host/path", file=shown(url), reason=str(error)) from None
    except OSError as error:  # some stores ask the server at once
        error.filename = None
        raise host_refusal(error, shown(url)) from None
    return store, str(path)


def _open_stored(store: Any, path: str, name: str, frames: int | None) -> Package:
    from nmc.remote.stored_object import StoredObject

    if store.protocol in _LOCAL:  # nothing of it is read behind a link (clause 5.1.4)
        return open_package(path)
    base = path.removesuffix("/" + MANIFEST_NAME).rstrip("/")
    if base == path:
        with suppress(NoObject):
            return FilePackage(name, RangedSource(StoredObject(store, path, name), frames))

    def member(part: str) -> RemoteObject:
        return StoredObject(store, f"{base}/{part}", f"{name.rstrip('/')}/{part}")

    try:
        return RemoteFolder(name, member)
    except NoObject:
        raise _nothing(name, lambda: member(JOURNAL_NAME)) from None
