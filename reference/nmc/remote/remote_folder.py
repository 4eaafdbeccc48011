"""Packages as directories on a server (clause 5.1.1): each member is one request."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from nmc.remote.ranged_source import MOST_AHEAD, RangedSource, Window
from nmc.remote.remote_object import NoObject
from nmc_format.issues import refuse
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.members import (
    MANIFEST_NAME,
    Package,
    medium_name,
    segment_name,
    signature_name,
)
from nmc_format.signature import MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from nmc.remote.remote_object import RemoteObject
    from nmc_format.issues import Finding

_MOST_WINDOWS: Final = 16


class _Windows:
    """The segments that one process has fetched last, by frame."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.windows: dict[int, tuple[int, Window]] = {}

    def make_room(self, length: int) -> None:
        """Forget the oldest segments until another one has room."""
        while self.windows and (
            len(self.windows) >= _MOST_WINDOWS
            or sum(size for size, _ in self.windows.values()) + length > MOST_AHEAD
        ):
            _, window = self.windows.pop(next(iter(self.windows)))
            window.leave()


class RemoteFolder(Package):
    """A package as a directory on a server. Its members cannot be listed: surplus ones go unseen.

    Parameters
    ----------
    name : str
        Its address, as it may be printed.
    member : callable
        Returns the object of a member by name.

    Raises
    ------
    NoObject
        If there is no manifest.
    FormatError
        If the server does not answer, or answers wrongly.
    """

    def __init__(self, name: str, member: Callable[[str], RemoteObject]) -> None:
        super().__init__(name)
        self.distant = True
        self._member = member
        self._by_process: dict[int, _Windows] = {}
        self._opened: list[RemoteObject] = []
        self._manifest = bytearray()
        self._signatures: dict[str, bytes] = {}
        self._media: dict[tuple[int, int], RangedSource] = {}
        self._digest = ""
        self._described = self._object(MANIFEST_NAME)
        for piece in self._described.whole(MAX_MANIFEST_BYTES):
            self._manifest += piece
            if len(self._manifest) > MAX_MANIFEST_BYTES:
                size = len(self._manifest)
                raise refuse("manifest/too-large", pointer="/", size=size, limit=MAX_MANIFEST_BYTES)

    def _object(self, name: str) -> RemoteObject:
        made = self._member(name)
        self._opened = [made]  # they share their connections
        return made

    def pin(self, digest: str) -> None:
        """Ask from now on for segments of a manifest digest, if the server knows it by that."""
        if self._described.called(digest):
            self._digest = digest

    @property
    def _mine(self) -> _Windows:
        return self._by_process.setdefault(os.getpid(), _Windows())

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        self._check_open()
        return bytes(self._manifest)

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        return self.part(index, limit, 0, limit)

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment, of which all is fetched: one request."""
        self._check_open()
        name = segment_name(index)
        window = self._window(index, limit)
        try:
            data = window.read(0, limit + 1)
        except NoObject:
            self._forget(index)
            raise refuse("package/member-missing", file=str(self.path), member=name) from None
        except BaseException:
            self._forget(index)
            raise
        if len(data) != limit:
            self._forget(index)
            raise refuse("segment/length", file=name, actual=len(data), expected=limit)
        return data if size == limit else data[start : start + size]

    def expect(self, frames: range, lengths: Sequence[int]) -> None:
        """Fetch these segments at the same time, some of them ahead."""
        room = MOST_AHEAD
        for t, length in list(zip(frames, lengths, strict=True))[:_MOST_WINDOWS]:
            room -= length
            if room < 0:
                return
            self._window(t, length)

    def _window(self, index: int, length: int) -> Window:
        mine = self._mine
        with mine.lock:
            known = mine.windows.get(index)
            if known is not None:
                return known[1]
            remote = self._object(segment_name(index))
            if self._digest:
                remote.pin(self._digest)
            mine.make_room(length)
            made = Window(0, length + 1, lambda: remote.whole(length))
            mine.windows[index] = (length, made)
            return made

    def _forget(self, index: int) -> None:
        mine = self._mine
        with mine.lock:
            mine.windows.pop(index, None)

    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return the names of the signatures by these keys: there is no list of all."""
        self._check_open()
        self._signatures = {}
        for name in sorted(map(signature_name, keys)):
            data = bytearray()
            try:
                for piece in self._object(name).whole(MAX_SIGNATURE_BYTES + 1):
                    data += piece
                    if len(data) > MAX_SIGNATURE_BYTES:
                        break
            except NoObject:
                continue
            self._signatures[name] = bytes(data)
        return list(self._signatures)

    def signature(self, name: str, limit: int) -> bytes:
        """Return the bytes of one signature."""
        return self._signatures[name][: limit + 1]

    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium, by a range of it."""
        self._check_open()
        name = medium_name(index)
        source = self._media.get((os.getpid(), index))
        if source is None:
            try:
                source = RangedSource(self._member(name))
            except NoObject:
                raise refuse("package/member-missing", file=str(self.path), member=name) from None
            self._media[os.getpid(), index] = source
        if source.size != length:
            raise refuse("media/length", file=name, actual=source.size, expected=length)
        return source.read_at(start, size)

    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield nothing: what else lies there cannot be asked of every server."""
        del frames, media
        yield from ()

    def size(self) -> int:
        """Return the bytes of manifest, segments and media."""
        manifest, _ = parse_manifest(bytes(self._manifest))
        if manifest is None:
            return len(self._manifest)
        segments = int(manifest.frames.segment_length.sum())
        media = sum(medium.length for medium in manifest.media_records)
        return len(self._manifest) + segments + media

    def close(self) -> None:
        """Forget all, and close connections."""
        super().close()
        mine = self._mine
        with mine.lock:
            for _, window in mine.windows.values():
                window.leave()
            mine.windows.clear()
        for source in self._media.values():
            source.close()
        for remote in self._opened:
            remote.close()
