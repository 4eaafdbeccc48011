"""Members of a folder that another program may still be writing: here, on a server, in a store."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc.remote.address import inside, local_path, scheme_of, shown
from nmc.remote.opening import store_of, web_objects
from nmc.remote.remote_object import NoObject, RemoteObject
from nmc_format.host import host_refusal
from nmc_format.issues import refuse
from nmc_format.package.positioned import PositionedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Members(ABC):
    """Read access to the members of a folder by name.

    Attributes
    ----------
    name : str
        The folder, as it may be printed.
    """

    name: str

    @abstractmethod
    def read(self, name: str, start: int, limit: int) -> bytes | None:
        """Return the bytes of a member from a place on, not many more than a limit.

        Returns
        -------
        bytes or None
            Nothing where it ends there or before; None where there is no such member.

        Raises
        ------
        FormatError
            If it cannot be read.
        """

    def close(self) -> None:
        """Let go of connections."""
        return


class LocalMembers(Members):
    """The members of a folder of this host; no link in it is followed."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder.absolute()

    def read(self, name: str, start: int, limit: int) -> bytes | None:
        """Return the bytes of a member from a place on."""
        place = self._folder / name
        if place.parent != self._folder and place.parent.is_symlink():
            raise refuse("package/not-a-file", file=self.name, member=name)
        try:
            with closing(PositionedFile(place, follow=False)) as file:
                if not file.is_regular:
                    raise refuse("package/not-a-file", file=self.name, member=name)
                return file.read_at(start, max(0, min(limit, file.size - start)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if place.is_symlink():
                raise refuse("package/not-a-file", file=self.name, member=name) from None
            raise host_refusal(error, place) from None


class RemoteMembers(Members):
    """The members of a folder on a server or in a store."""

    def __init__(self, name: str, member: Callable[[str], RemoteObject]) -> None:
        self.name = name
        self._member = member
        self._used: RemoteObject | None = None

    def read(self, name: str, start: int, limit: int) -> bytes | None:
        """Return the bytes of a member from a place on."""
        self._used = self._member(name)
        try:
            return self._used.since(start, limit)
        except NoObject:
            return None

    def close(self) -> None:
        """Close connections."""
        if self._used is not None:
            self._used.close()


def members_at(target: Any, suffix: str, options: Mapping[str, Any] | None) -> Members:
    """Return the members of a folder, by its path or address and what follows its name.

    Raises
    ------
    FormatError
        If it is no address, or what reads such a store is not installed.
    """
    scheme = scheme_of(target)
    if not scheme or scheme == "file":
        path = local_path(target) if scheme else Path(os.fsdecode(target))
        return LocalMembers(path.with_name(path.name + suffix) if suffix else path)
    url = str(target)
    if scheme in ("http", "https"):
        at, _ = web_objects(url, options)
        base = _suffixed(url, suffix)
        return RemoteMembers(shown(base), lambda name: at(inside(base, name)))
    from nmc.remote.stored_object import StoredObject

    store, path_in = store_of(url, options)
    folder = path_in.rstrip("/") + suffix
    label = shown(url).rstrip("/") + suffix
    return RemoteMembers(
        label, lambda name: StoredObject(store, f"{folder}/{name}", f"{label}/{name}")
    )


def _suffixed(url: str, suffix: str) -> str:
    head, mark, query = url.partition("?")
    return head.rstrip("/") + suffix + mark + query
