"""Objects of the stores that fsspec knows: ``s3://``, ``gs://``, ``memory://`` and its others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nmc.remote.remote_object import Beginning, NoObject, RemoteObject
from nmc_format.host import host_refusal
from nmc_format.issues import FormatError, refuse
from nmc_format.package.zip64 import size_of_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    _Result = TypeVar("_Result")

_PIECE: Final = 1 << 23
"""Bytes of one request; a range is asked for in pieces, so that the first can be used early."""


class StoredObject(RemoteObject):
    """An object of a store.

    Parameters
    ----------
    store : fsspec.AbstractFileSystem
        The store; it asks again by itself where a request fails.
    path : str
        The object in it.
    name : str
        Its address, as it may be printed.
    """

    def __init__(self, store: Any, path: str, name: str) -> None:
        self.name = name
        self._store = store
        self._path = path
        self._size: int | None = None

    def tail(self, size: int) -> Beginning:
        """Return the last bytes; their end records say how long a package is.

        A store over a network is not asked for the length before: its answer to a range of the last
        bytes does not come with it, and a second request would.
        """
        if not getattr(self._store, "async_impl", False):
            return self._measured(size)
        try:
            data = self._call(lambda: self._store.cat_file(self._path, start=-size, end=None))
        except FormatError:  # some stores refuse more last bytes than there are
            return self._measured(size)
        total = len(data) if len(data) < size else size_of_tail(data)
        if total is None:
            return self._measured(size)
        self._size = total
        return Beginning(total, total - len(data), data)

    def _measured(self, size: int) -> Beginning:
        info = self._call(lambda: self._store.info(self._path))
        if info.get("type") == "directory":
            raise NoObject
        self._size = info.get("size")
        if self._size is None:
            reason = "it does not say how long the file is"
            raise refuse("host/server", file=self.name, reason=reason)
        start = max(0, self._size - size)
        return Beginning(self._size, start, b"".join(self.fetch(start, self._size)))

    def fetch(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a range in pieces of 8 MiB."""
        for at in range(start, end, _PIECE):
            stop = min(end, at + _PIECE)
            try:
                data = self._call(partial(self._store.cat_file, self._path, start=at, end=stop))
            except NoObject:
                raise self._changed("0 bytes") from None
            if len(data) != stop - at:
                raise self._changed(f"at most {at + len(data)} bytes")
            yield data

    def whole(self, limit: int) -> Iterator[bytes]:
        """Yield all bytes, in one request where a store is far; not many more than a limit."""
        if getattr(self._store, "async_impl", False):
            yield self._call(lambda: self._store.cat_file(self._path, start=0, end=limit + 1))
            return
        info = self._call(lambda: self._store.info(self._path))
        if info.get("type") == "directory":
            raise NoObject
        self._size = int(info.get("size") or 0)
        yield from self.fetch(0, min(self._size, limit + 1))

    def since(self, start: int, limit: int) -> bytes:
        """Return what follows a place; a store may refuse a range that begins at the end."""
        try:
            found = self._call(
                lambda: self._store.cat_file(self._path, start=start, end=start + limit)
            )
            return bytes(found)
        except FormatError:
            info = self._call(lambda: self._store.info(self._path))
            if int(info.get("size") or 0) <= start:
                return b""
            raise

    def close(self) -> None:
        """Do nothing: fsspec shares its stores."""

    def _changed(self, actual: str) -> FormatError:
        expected = f"{self._size} bytes"
        return refuse(
            "host/changed", file=self.name, what="length", actual=actual, expected=expected
        )

    def _call(self, ask: Callable[[], _Result]) -> _Result:
        try:
            return ask()
        except (FileNotFoundError, IsADirectoryError):
            raise NoObject from None
        except FormatError:
            raise
        except PermissionError as error:
            raise refuse("host/denied", file=self.name, reason=str(error)) from None
        except OSError as error:
            if error.errno is None:  # a store's own words
                raise self._failed(error) from None
            raise host_refusal(error, self.name) from None
        except Exception as error:  # each store has errors of its own library
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> FormatError:
        reason = str(error) or type(error).__name__
        return refuse("host/connection", file=self.name, reason=reason, attempts=1)
