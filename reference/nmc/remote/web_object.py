"""Objects over HTTP: ranges of bytes (RFC 9110, chapter 14), answers compared with the request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nmc.remote.address import shown, with_digest
from nmc.remote.patience import PROGRESS_BYTES, Broken, Patience
from nmc.remote.remote_object import Beginning, NoObject, RemoteObject
from nmc_format.issues import FormatError, refuse, refuse_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from nmc.remote.web_client import Answer, WebClient

    _Result = TypeVar("_Result")

MOST_DOWNLOADED: Final = 1 << 30
"""Bytes of a file that are kept in memory where its server knows no ranges."""

_RANGE: Final = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*")
_NOT_FOUND: Final = {404, 410}
_DENIED: Final = {401, 403, 451}
_DENIED_BY_PROXY: Final = 407


class WebObject(RemoteObject):
    """An object over HTTP.

    Parameters
    ----------
    client : WebClient
        How it is asked for.
    url : str
        Its address.
    patience : Patience
        How long, and how often.
    """

    def __init__(self, client: WebClient, url: str, patience: Patience) -> None:
        self.name = shown(url)
        self._client = client
        self._url = url
        self._patience = patience
        self._size: int | None = None
        self._mark: str | None = None
        """What the server calls this version of the object: entity tag or time of change."""

    def tail(self, size: int) -> Beginning:
        """Return the last bytes; all of them where the server knows no ranges."""
        return self._patiently(lambda: self._tail(size))

    def _tail(self, size: int) -> Beginning:
        answer = self._get({"Range": f"bytes=-{size}"})
        if answer.status == 416:
            said = answer.headers.get("Content-Range", "").partition("*/")[2].strip()
            answer.close()
            if not said.isdecimal() or len(said) > 18:
                raise self._lies("it serves no range of the file (416)")
            if int(said) == 0:
                self._size = 0
                return Beginning(0, 0, b"")
            answer = self._get({"Range": f"bytes=0-{min(size, int(said)) - 1}"})
        if answer.status == 206:
            start, end, total = self._range_of(answer, None)
            if total is None:
                answer.close()
                raise self._lies("it does not say how long the file is")
            self._size, self._mark = total, _mark_of(answer)
            if end != total or end - start > size:
                answer.close()
                raise self._lies(f"asked for the last {size} bytes, it sends {start} to {end}")
            return Beginning(total, start, self._bounded(answer, end - start))
        self._mark = _mark_of(answer)
        if answer.length is not None and answer.length > MOST_DOWNLOADED:
            answer.close()
            raise self._too_long(answer.length)
        data = self._bounded(answer, MOST_DOWNLOADED)
        self._size = len(data)
        return Beginning(len(data), 0, data)

    def fetch(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a range; each request goes on where the one before broke off."""
        attempt, at = 0, start
        while at < end:
            before = at
            try:
                answer = self._get({"Range": f"bytes={at}-{end - 1}"})
                if answer.status != 206:
                    answer.close()
                    raise self._refused(answer)
                _, last, total = self._range_of(answer, (at, end))
                self._compare(answer, total)
                for piece in self._exactly(answer, last - at):
                    at += len(piece)
                    yield piece
                if at < end:
                    raise Broken(f"the server sends {at - before} of {end - before} bytes")
            except Broken as error:
                attempt = 1 if at - before >= PROGRESS_BYTES else attempt + 1
                if attempt >= self._patience.tries:
                    raise self._gone(error, attempt) from None
                self._patience.wait(attempt, error.after)

    def whole(self, limit: int) -> Iterator[bytes]:
        """Yield all bytes, not many more than a limit; goes on with a range where it broke off."""
        answer = self._patiently(lambda: self._get({}))
        if answer.status != 200:
            answer.close()
            raise self._lies(f"asked for a whole file, it answers {answer.status}")
        self._mark, length, at = _mark_of(answer), answer.length, 0
        try:
            for piece in answer.pieces():
                at += len(piece)
                yield piece
                if at > limit:
                    return
        except Broken as error:
            if length is None:  # nobody knows where it ends
                raise self._gone(error, 1) from None
            self._size = length
            self._patience.wait(1)
            yield from self.fetch(at, min(length, limit + 1))

    def since(self, start: int, limit: int) -> bytes:
        """Return what follows a place; one request, and another one where it breaks off."""
        return self._patiently(lambda: self._since(start, limit))

    def _since(self, start: int, limit: int) -> bytes:
        answer = self._get({"Range": f"bytes={start}-{start + limit - 1}"} if start else {})
        if answer.status == 416:
            answer.close()
            return b""
        skipped, data = start, bytearray()
        if answer.status == 206:
            self._range_of(answer, (start, start + limit))
            skipped = 0
        for piece in answer.pieces():
            data += piece
            if len(data) > skipped + limit:
                answer.close()
                break
        return bytes(memoryview(data)[skipped : skipped + limit])

    def called(self, digest: str) -> bool:
        """Return whether the entity tag begins with a digest, as those of nmc serve do."""
        return self._mark is not None and self._mark.startswith(f'"{digest}')

    def pin(self, digest: str) -> None:
        """Ask from now on by an address with a digest."""
        self._url = with_digest(self._url, digest)

    def close(self) -> None:
        """Close connections that are kept open."""
        self._client.close()

    def _get(self, headers: dict[str, str]) -> Answer:
        """Ask once; statuses that are errors are raised."""
        answer = self._client.get(self._url, headers)
        if answer.status in (200, 206, 416):
            return answer
        answer.close()
        if answer.status in _NOT_FOUND:
            raise NoObject
        if answer.status in _DENIED:
            hint = "give the right key or token, such as storage_options={'headers': {…}}"
            reason = f"the server answers {answer.status}"
            raise refuse_with(hint, "host/denied", file=self.name, reason=reason)
        if answer.status == _DENIED_BY_PROXY:
            hint = "give user and password in http_proxy, as http://USER:PASSWORD@HOST:PORT"
            reason = f"the proxy answers {answer.status}"
            raise refuse_with(hint, "host/denied", file=self.name, reason=reason)
        raise self._lies(f"it answers {answer.status}")

    def _range_of(
        self, answer: Answer, asked: tuple[int, int] | None
    ) -> tuple[int, int, int | None]:
        """Return start, end and length of the file as an answer says them, if they fit."""
        said = answer.headers.get("Content-Range", "")
        match = _RANGE.fullmatch(said)
        try:
            if match is None:
                raise self._lies(f"the range that it sends is {said!r}")
            start, end = int(match[1]), int(match[2]) + 1
            total = None if match[3] == "*" else int(match[3])
            if start >= end or (total is not None and end > total):
                raise self._lies(f"the range that it sends is {said!r}")
            if asked is not None and (start != asked[0] or end > asked[1]):
                raise self._lies(f"asked for bytes {asked[0]} to {asked[1]}, it sends {said!r}")
            if answer.length is not None and answer.length != end - start:
                raise self._lies(f"it sends {answer.length} bytes as {said!r}")
        except FormatError:
            answer.close()
            raise
        return start, end, total

    def _compare(self, answer: Answer, total: int | None) -> None:
        """Refuse an answer that is about another version of the file."""
        mark = _mark_of(answer)
        for what, actual, expected in (
            ("length", total, self._size),
            ("version", mark, self._mark),
        ):
            if actual is not None and expected is not None and actual != expected:
                answer.close()
                raise refuse(
                    "host/changed", file=self.name, what=what, actual=actual, expected=expected
                )

    def _refused(self, answer: Answer) -> FormatError:
        """Return what is wrong where a range was asked for, and no range came."""
        if answer.status == 416:
            return refuse(
                "host/changed",
                file=self.name,
                what="length",
                actual="less than a part of it that was there",
                expected=self._size,
            )
        return self._lies("it sent ranges of the file before, and does no longer")

    def _exactly(self, answer: Answer, size: int) -> Iterator[bytes]:
        done = 0
        for piece in answer.pieces():
            done += len(piece)
            if done > size:
                answer.close()
                raise self._lies(f"it sends more than the {size} bytes that it says")
            yield piece
        if done < size:
            raise Broken(f"the answer broke off after {done} of {size} bytes")

    def _bounded(self, answer: Answer, limit: int) -> bytes:
        data = bytearray()
        for piece in answer.pieces():
            data += piece
            if len(data) > limit:
                answer.close()
                raise (
                    self._too_long(None)
                    if answer.status == 200
                    else self._lies(f"it sends more than the {limit} bytes that it says")
                )
        if answer.status == 206 and len(data) != limit:
            raise Broken(f"the answer broke off after {len(data)} of {limit} bytes")
        return bytes(data)

    def _too_long(self, length: int | None) -> FormatError:
        size = f"{length} bytes" if length is not None else f"more than {MOST_DOWNLOADED} bytes"
        hint = "download the file, or ask for a server that serves ranges"
        reason = f"it serves no ranges, and the file has {size}"
        return refuse_with(hint, "host/server", file=self.name, reason=reason)

    def _lies(self, reason: str) -> FormatError:
        return refuse("host/server", file=self.name, reason=reason)

    def _gone(self, error: Broken, attempts: int) -> FormatError:
        return refuse("host/connection", file=self.name, reason=str(error), attempts=attempts)

    def _patiently(self, ask: Callable[[], _Result]) -> _Result:
        for attempt in range(1, self._patience.tries + 1):
            try:
                return ask()
            except Broken as error:
                if attempt == self._patience.tries:
                    raise self._gone(error, attempt) from None
                self._patience.wait(attempt, error.after)
        raise AssertionError("tries is at least 1")


def _mark_of(answer: Answer) -> str | None:
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return None if mark is None else mark[:200]
