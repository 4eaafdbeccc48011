"""The packages of a presentation as a line: opened when they are needed, compared, and decoded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from nmc.coding.cursor import Cursor
from nmc.coding.decode import check_segment
from nmc.reading.manifest import DEFAULT_MAX_LEVEL, level_refused
from nmc.remote.address import shown
from nmc_format.issues import FormatError, refuse
from nmc_tools.adaptive.describe import Source, presentation_of, taken_bytes
from nmc_tools.adaptive.opening import beside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from nmc_format.manifest.record import Manifest
    from nmc_tools.adaptive.document import Presentation, Representation
    from nmc_tools.adaptive.terms import OpenPackage, Terms


class Packages:
    """Fetches segments of the representations of a presentation (a ``Line``).

    Parameters
    ----------
    presentation : Presentation
        What is played.
    document : str
        Path or address of its document, from which packages are found.
    terms : Terms
        What is asked of each package.
    """

    def __init__(self, presentation: Presentation, document: str, terms: Terms) -> None:
        self.presentation = presentation
        self._document, self._terms = document, terms
        self._stack = ExitStack()
        self._packages: dict[str, OpenPackage] = {}
        self._opening: dict[str, Future[OpenPackage]] = {}
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="nmc-open")
        self._taken: dict[int, NDArray[Any]] = {}

    def now(self) -> float:
        """Return seconds."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def opened(self, quality: int) -> OpenPackage:
        """Return the package of a representation, opened if need be.

        Raises
        ------
        FormatError
            If the package is refused, or is not the one that the document means.
        """
        return self._opened(self.presentation.representations[quality])

    def ready(self, quality: int) -> bool:
        """Whether the package of a representation is open, or refused; opens it beside playing."""
        wanted = self.presentation.representations[quality]
        return wanted.url in self._packages or self._begun(wanted).done()

    def length(self, quality: int, frame: int) -> int:
        """Return how many bytes of a segment a representation takes."""
        if quality not in self._taken:
            stop = self.presentation.representations[quality].stop
            self._taken[quality] = taken_bytes(self.opened(quality).manifest, stop)
        return int(self._taken[quality][frame])

    def expect(self, quality: int, frames: range) -> None:
        """Hear that these segments are fetched next; those of a stop come one by one."""
        opened = self.opened(quality)
        lengths = [int(opened.manifest.frames.segment_length[t]) for t in frames]
        if all(self.length(quality, t) == n for t, n in zip(frames, lengths, strict=True)):
            opened.package.expect(frames, lengths)

    def fetch(self, quality: int, frame: int, start: int, size: int) -> bytes:
        """Return some bytes of a segment."""
        opened = self.opened(quality)
        length = int(opened.manifest.frames.segment_length[frame])
        return opened.package.part(frame, length, start, size)

    def keep(self, url: str, opened: OpenPackage) -> None:
        """Have a package that is open already; it is closed with the others."""
        self._stack.enter_context(opened.package)
        self._packages[url] = opened

    def _opened(self, wanted: Representation) -> OpenPackage:
        if wanted.url not in self._packages:
            opening = self._begun(wanted)
            try:
                self._packages[wanted.url] = opening.result()
            except FormatError:
                self._opening.pop(wanted.url, None)  # it may be there another time
                raise
        opened = self._packages[wanted.url]
        manifest = opened.manifest
        if manifest.root.manifest_digest.hex() != wanted.digest:
            raise refuse(
                "host/changed",
                file=wanted.url,
                what="manifest digest",
                actual=manifest.root.manifest_digest.hex(),
                expected=wanted.digest,
            )
        fault = _unlike(manifest, wanted, self.presentation)
        if fault:
            words = f"the document does not fit this package: {fault}"
            raise refuse("input/unreadable", file=wanted.url, reason=words, hint="")
        if manifest.level > DEFAULT_MAX_LEVEL:
            raise FormatError(level_refused(manifest.level, DEFAULT_MAX_LEVEL))
        return opened

    def _begun(self, wanted: Representation) -> Future[OpenPackage]:
        if wanted.url not in self._opening:
            self._opening[wanted.url] = self._opener.submit(self._open, wanted)
        return self._opening[wanted.url]

    def _open(self, wanted: Representation) -> OpenPackage:
        place = beside(self._document, wanted.url, wanted.digest)
        opened = self._terms.open(place, self.presentation.frames)
        self._stack.push(opened.package)
        return opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opener.shutdown(cancel_futures=True)  # what it opens is closed with the others
        self._stack.__exit__(kind, error, trace)


def of_one_package(target: str, terms: Terms) -> Packages:
    """Return a package by itself as a line; its refinements are its qualities.

    Raises
    ------
    FormatError
        If it is refused.
    """
    opened = terms.open(target)
    url = shown(target).rstrip("/").rpartition("/")[2]
    try:
        made = Packages(
            presentation_of([Source(shown(target), url, opened.manifest)]), target, terms
        )
    except BaseException:
        opened.package.close()
        raise
    made.keep(url, opened)
    return made


def _unlike(manifest: Manifest, wanted: Representation, made: Presentation) -> str:
    if len(manifest) != made.frames:
        return f"{len(manifest)} frames, not {made.frames}"
    if (wanted.stop or 0) >= manifest.stops:
        return f"there is no stop {wanted.stop}"
    if not all(manifest.frames.is_key(t) for t in made.starts):
        return "a group does not begin with a key frame"
    return ""


class Decoder:
    """Decodes groups in a thread of its own, each state compared with its digest.

    Segments are compared with the digest of the manifest before they are accepted; those that are
    not fetched to their end, of a stop, are known by the digest of the state alone.

    Attributes
    ----------
    frames : int
        Frames that were decoded.
    seconds : float
        Time that it took.
    errors : list of FormatError
        What went wrong in the thread.
    """

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._waiting: SimpleQueue[tuple[int, range, Sequence[bytes]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="nmc-decode")
        self._cursors: dict[int, Cursor] = {}
        self.frames, self.seconds = 0, 0.0
        self.errors: list[FormatError] = []

    def compare(self, quality: int, frames: range, segments: Sequence[bytes]) -> None:
        """Compare segments with their digests, as far as they are whole.

        Raises
        ------
        FormatError
            If a segment is not the one that the manifest describes.
        """
        manifest = self._packages.opened(quality).manifest
        for t, data in zip(frames, segments, strict=True):
            if len(data) == int(manifest.frames.segment_length[t]):
                check_segment(manifest.frame(t), data)

    def accept(self, quality: int, frames: range, segments: Sequence[bytes]) -> None:
        """Take a group to be decoded; raises what :meth:`compare` raises."""
        self.compare(quality, frames, segments)
        self._waiting.put((quality, frames, segments))

    def _run(self) -> None:
        while (group := self._waiting.get()) is not None:
            began = time.perf_counter()
            try:
                self._decode(*group)
            except FormatError as error:
                self.errors.append(error)
            self.seconds += time.perf_counter() - began

    def _decode(self, quality: int, frames: range, segments: Sequence[bytes]) -> None:
        wanted = self._packages.presentation.representations[quality]
        opened = self._packages.opened(quality)
        manifest = opened.plain_manifest()
        cursor = Cursor(manifest.stops - 1 if wanted.stop is None else wanted.stop)
        for t, data in zip(frames, segments, strict=True):
            length = int(manifest.frames.segment_length[t])
            cursor.advance(manifest, t, opened.plain(t, data).ljust(length, b"\0"))
            self.frames += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()
