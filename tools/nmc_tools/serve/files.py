"""Answers that are files: whole or in part, with what lets a cache keep them (RFC 9110, 9111)."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from nmc_format.issues import FormatError
from nmc_format.package.members import JOURNAL_NAME, MANIFEST_NAME
from nmc_tools.serve.facts import Facts, Journals, KnownPackages, Unfinished, manifest_status
from nmc_tools.serve.messages import answer, refusal
from nmc_tools.serve.ranges import Unsatisfiable, one_range, precondition, same_file
from nmc_tools.serve.shelf import Kind, Opened, Shelf

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from nmc_tools.serve.messages import Send

_PIECE = 2**18
"""Bytes that are read and sent at a time."""

_SMALL = 2**14
"""So many bytes are sent with the header."""

_FOREVER = "max-age=31536000, immutable, no-transform"
_ASK = "no-cache, no-transform"
_NEVER = "no-store, no-transform"
"""Coded data does not become smaller: nothing on the way is to compress it."""

_MEDIA = {
    Kind.FILE: "application/octet-stream",
    Kind.MANIFEST: "application/x-hdf5",
    Kind.SEGMENT: "application/octet-stream",
    Kind.JOURNAL: "application/x-ndjson",
    Kind.MEDIUM: "application/octet-stream",
    Kind.SIGNATURE: "text/plain; charset=utf-8",
    Kind.DOCUMENT: "application/json",
}

_ABSENT = "host/not-found"
_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)


@dataclass(frozen=True)
class _Meta:
    """What an answer says of a file: its bytes, its tag, how long it may be kept, its type."""

    size: int
    tag: str | None
    cache: str
    type: str = ""


class Files:
    """Answers requests for what a shelf holds.

    Parameters
    ----------
    shelf : Shelf
        What is served.
    private : bool
        Whether shared caches have to leave the answers alone, since not everybody may read.
    """

    def __init__(self, shelf: Shelf, *, private: bool) -> None:
        self.shelf = shelf
        self.known = KnownPackages()
        self.journals = Journals()
        self.unfinished = Unfinished()
        self._whose = "private" if private else "public"

    async def __call__(self, scope: MutableMapping[str, Any], _receive: Any, send: Send) -> None:
        """Answer one request (ASGI)."""
        opened = self.shelf.open(scope["path"])
        if opened is None and await self._answered_unfinished(scope, send):
            return
        if opened is None:
            await refusal(send, 404, f"there is nothing at {scope['path']!r}", _ABSENT)
            return
        try:
            try:
                meta = await self._meta(opened, scope["query_string"])
            except _Refused as refused:
                await refusal(send, refused.status, str(refused), refused.code)
                return
            await self._send(scope, send, opened, meta)
        finally:
            os.close(opened.handle)

    async def _answered_unfinished(self, scope: MutableMapping[str, Any], send: Send) -> bool:
        """Answer with the manifest of a package that still grows, if that is asked for."""
        folder, _, name = scope["path"].rpartition("/")
        if name != MANIFEST_NAME or b"growing" not in scope["query_string"]:
            return False
        journal = self.shelf.open(f"{folder}/{JOURNAL_NAME}")
        if journal is None:
            return False
        os.close(journal.handle)
        try:
            data, frames = await asyncio.to_thread(self.unfinished.manifest, journal.package)
        except FormatError as error:
            found = error.finding
            await refusal(send, 503, found.message, found.code, headers={"retry-after": "1"})
            return True
        headers = {
            "content-type": _MEDIA[Kind.MANIFEST],
            "cache-control": _NEVER,
            "nmc-growing": str(frames),
            "content-length": str(len(data)),
        }
        await answer(send, 200, headers, b"" if scope["method"] == "HEAD" else data)
        return True

    async def _meta(self, opened: Opened, query: bytes) -> _Meta:
        if opened.kind is Kind.JOURNAL:
            return _Meta(self._sealed(opened.package)[0], None, _NEVER)
        if opened.kind in {Kind.DOCUMENT, Kind.SIGNATURE}:
            status = opened.status
            tag = f'"{status.st_size:x}-{status.st_mtime_ns:x}"'
            return _Meta(status.st_size, tag, f"{self._whose}, {_ASK}")
        whole = opened.kind is Kind.FILE
        manifest = opened.status if whole else manifest_status(opened.package)
        if manifest is None:
            return self._growing(opened)
        facts = self.known.at_hand(opened.package, manifest)
        if facts is None:
            try:
                facts = await asyncio.to_thread(self.known.read, opened.package, manifest)
            except FormatError as error:
                found = error.finding
                raise _Refused(500, f"{found.message}", found.code) from None
        tag, digests, size = facts.tag, {facts.digest}, opened.status.st_size
        if opened.kind is Kind.MEDIUM:
            return self._medium(opened, facts)
        if opened.kind is Kind.SEGMENT:
            if opened.frame >= len(facts.lengths):
                raise _Refused(
                    404, f"frame {opened.frame}: there are {len(facts.lengths)}", _ABSENT
                )
            if size != facts.lengths[opened.frame]:
                expected = facts.lengths[opened.frame]
                words = f"the segment has {size} bytes; the manifest says {expected}"
                raise _Refused(500, words, "segment/length")
            own = facts.segment_digest(opened.frame)
            tag, digests = f'"{own}"', {own, facts.digest}
        wanted = _wanted_digest(query)
        if wanted is None:
            return _Meta(size, tag, f"{self._whose}, {_ASK}")
        if wanted not in digests:
            words = "what lies here now has another digest than the URL says"
            raise _Refused(404, words, "host/changed")
        return _Meta(size, tag, f"{self._whose}, {_FOREVER}")

    def _medium(self, opened: Opened, facts: Facts) -> _Meta:
        if opened.frame >= len(facts.media):
            raise _Refused(404, f"medium {opened.frame}: there are {len(facts.media)}", _ABSENT)
        medium, size = facts.media[opened.frame], opened.status.st_size
        if size != medium.length:
            words = f"the medium has {size} bytes; the manifest says {medium.length}"
            raise _Refused(500, words, "media/length")
        return _Meta(size, f'"{medium.digest}"', f"{self._whose}, {_ASK}", medium.type)

    def _growing(self, opened: Opened) -> _Meta:
        """Return how a segment of an unfinished package is answered: if its journal has it."""
        if opened.kind is Kind.MEDIUM:  # there as a whole, or not at all
            return _Meta(opened.status.st_size, None, _NEVER)
        if opened.kind is not Kind.SEGMENT or opened.frame >= self._sealed(opened.package)[1]:
            words = "the package is not finished, and this is not in its journal yet"
            raise _Refused(404, words, "package/unfinished")
        return _Meta(opened.status.st_size, None, _NEVER)

    def _sealed(self, package: Path) -> tuple[int, int]:
        try:
            return self.journals.sealed(package)
        except OSError:
            raise _Refused(404, "the package has neither manifest nor journal", _ABSENT) from None

    async def _send(
        self, scope: MutableMapping[str, Any], send: Send, opened: Opened, meta: _Meta
    ) -> None:
        modified = opened.status.st_mtime
        headers = {
            "accept-ranges": "bytes",
            "cache-control": meta.cache,
            "content-type": meta.type or _MEDIA[opened.kind],
            "last-modified": formatdate(modified, usegmt=True),
        }
        if meta.tag is not None:
            headers["etag"] = meta.tag
        asked = scope["nmc.headers"]
        ended = precondition(asked, meta.tag, modified)
        if ended is not None:
            await answer(send, ended, headers)
            return
        part, status = range(meta.size), 200
        if scope["method"] == "GET" and same_file(asked.get("if-range"), meta.tag, modified):
            try:
                found = one_range(asked.get("range"), meta.size)
            except Unsatisfiable:
                said = {"content-range": f"bytes */{meta.size}", "accept-ranges": "bytes"}
                words = "no byte of the file is in this range"
                await refusal(send, 416, words, "host/failed", headers=said)
                return
            if found is not None:
                part, status = found, 206
                last = part.stop - 1
                headers["content-range"] = f"bytes {part.start}-{last}/{meta.size}"
        headers["content-length"] = str(len(part))
        if scope["method"] == "HEAD":
            await answer(send, status, headers)
            return
        await _stream(scope, send, status, headers, opened.handle, part)


class _Refused(Exception):  # noqa: N818 - an answer
    """A request that gets no file: the status, the words and a code of the catalogue."""

    def __init__(self, status: int, words: str, code: str) -> None:
        super().__init__(words)
        self.status, self.code = status, code


def _wanted_digest(query: bytes) -> str | None:
    if b"digest=" not in query:
        return None
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=32).get("digest")
    except ValueError:
        return "none"
    return found[-1].lower() if found else None


async def _stream(
    scope: MutableMapping[str, Any],
    send: Send,
    status: int,
    headers: dict[str, str],
    handle: int,
    part: range,
) -> None:
    """Send a part of a file; one that became shorter meanwhile ends the connection."""
    pairs = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    at = part.start
    send_file = scope.get("nmc.send_file")
    if send_file is not None and len(part) > _SMALL:
        await send_file(handle, at, len(part))
        at = part.stop
    if at == part.stop:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    while at < part.stop:
        piece = await _read(handle, at, min(_PIECE, part.stop - at))
        if not piece:
            raise EOFError("a file that is served became shorter")
        at += len(piece)
        more = at < part.stop
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _read(handle: int, at: int, size: int) -> bytes | bytearray:
    """Read bytes, in this thread where the system has them in memory, else in another one."""
    if not size:
        return b""
    if _NO_WAIT:
        data = bytearray(size)
        try:
            got = os.preadv(handle, [data], at, _NO_WAIT)
        except OSError:  # not in memory, or a file system without such reads
            got = 0
        if got == size:
            return data
    return await asyncio.to_thread(os.pread, handle, size, at)
