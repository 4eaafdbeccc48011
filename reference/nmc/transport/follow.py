"""Frames of a package as they are sealed, while it is trained (clause 5.1.5): ``nmc.follow``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from nmc.coding.cursor import Cursor
from nmc.coding.state import arrays_of
from nmc.reading.manifest import DEFAULT_MAX_LEVEL, level_refused
from nmc.reading.opening import open_sequence
from nmc.reading.plain_package import PlainPackage, unlocked
from nmc.reading.secret_keys import AnySecret, cipher_of
from nmc.transport.growing import find_growing
from nmc_format.issues import FormatError, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.reading.frames import Arrays
    from nmc.transport.growing import Growing
    from nmc_format.encryption import SegmentCipher
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package

_NOT_YET: Final = {"host/not-found", "package/not-a-package", "package/unfinished"}
_ELSEWHERE: Final = {"package/member-missing", "segment/length", "segment/sha256"}
"""What a segment seems to be while its writer puts the package in its place, or makes it again."""

_MOVING_POLLS: Final = 20
"""So many polls in a row may find that; after them, it is what the segment is."""


def follow(
    target: Any,
    *,
    poll: float = 0.5,
    timeout: float | None = None,
    max_level: int = DEFAULT_MAX_LEVEL,
    storage_options: Mapping[str, Any] | None = None,
    key: AnySecret | None = None,
) -> Follower:
    """Iterate over the frames of a package as they are sealed; the end is that of the package.

    A frame is seen within one poll after its writer has sealed it, whole and compared with its
    digests. Of a package that is finished, all frames come at once.

    Parameters
    ----------
    target : str or path
        The package, as its writer names it: a path, or an address.
    poll : float
        Seconds between two looks at the journal.
    timeout : float or None
        Seconds without a new frame after which it is given up; None: never, once there is a
        package or a part of one.
    max_level : int
        Highest level that is accepted (clause 10.2).
    storage_options : mapping or None
        Of a server or a store, as of :func:`nmc.open`.
    key : SecretKey, bytes, path or None
        Of an encrypted package, as of :func:`nmc.open`.

    Returns
    -------
    Follower
        An iterator of states; close it, or use it as a context manager.

    Raises
    ------
    FormatError
        While iterating: if there is nothing (``host/not-found``), nothing new comes in time
        (``host/connection``), what was sealed changes (``host/changed``), or a frame is refused.
    """
    if poll <= 0:
        raise ValueError("poll is a time above 0")
    return Follower(target, poll, timeout, max_level, storage_options, cipher=cipher_of(key))


class Follower(Iterator["Arrays"]):
    """The frames of a package as they are sealed; see :func:`follow`.

    Attributes
    ----------
    index : int
        The frame that was returned last; -1 before the first.
    manifest : Manifest or None
        What is known of the package so far.
    finished : bool
        Whether the package is complete in its place.
    """

    def __init__(
        self,
        target: Any,
        poll: float,
        timeout: float | None,
        max_level: int,
        options: Mapping[str, Any] | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        cipher: SegmentCipher | None = None,
    ) -> None:
        self._cipher = cipher
        self.index = -1
        self.manifest: Manifest | None = None
        self.finished = False
        self._target = target
        self._poll = poll
        self._timeout = timeout
        self._max_level = max_level
        self._options = options
        self._sleep = sleep
        self._clock = clock
        self._cursor = Cursor()
        self._growing: Growing | None = None
        self._package: Package | None = None
        self._closing: Callable[[], None] = lambda: None
        self._odd = 0
        self._closed = False

    def __next__(self) -> Arrays:
        if self._closed:
            raise StopIteration
        waited = 0.0
        while True:
            began = self._clock()
            state = self._advance()
            if state is not None:
                return state
            if self.finished and self.manifest is not None:
                if self.index + 1 >= len(self.manifest):
                    self.close()
                    raise StopIteration
                continue
            if self._timeout is not None and waited >= self._timeout:
                reason = f"no new frame in {self._timeout:g} s"
                attempts = int(waited / self._poll)
                raise refuse(
                    "host/connection", file=str(self._target), reason=reason, attempts=attempts
                )
            self._sleep(max(0.0, self._poll - (self._clock() - began)))
            waited += self._poll

    def _advance(self) -> Arrays | None:
        """Return the next frame, if it is sealed; else look what there is now."""
        manifest = self.manifest
        if manifest is None or self.index + 1 >= len(manifest):
            if self.finished:
                return None
            self._look()
            manifest = self.manifest
        if manifest is None or self.index + 1 >= len(manifest) or self._package is None:
            return None
        t = self.index + 1
        try:
            data = self._package.segment(t, int(manifest.frames.segment_length[t]))
        except FormatError as error:
            self._odd += 1
            moving = error.finding.code in _ELSEWHERE and not self.finished
            if not moving or self._odd > _MOVING_POLLS:
                raise
            self._look()
            return None
        self._odd = 0
        self._cursor.advance(manifest, t, data)
        self.index = t
        return arrays_of(self._cursor.finest, manifest.tensors)

    def _look(self) -> None:
        """Find out what of the package there is now."""
        if self._growing is None:
            self._growing = find_growing(self._target, self._options)
        elif not self._growing.refresh():
            self._growing.close()
            self._growing = None
        if self._growing is not None and not self._growing.closing:
            self._take(self._growing, self._growing.known)
            return
        found = self._complete()
        if found is not None:
            self._take(*found)
            self.finished = True
        elif self._growing is not None:
            self._take(self._growing, self._growing.known)

    def _complete(self) -> tuple[Package, Manifest] | None:
        """Return the package in its place, if it is there and the one that was followed."""
        try:
            sequence = open_sequence(
                self._target, max_level=4, storage_options=self._options, cache=False
            )
        except FormatError as error:
            waiting = self.manifest is not None or self._growing is not None
            if error.finding.code in _NOT_YET and (waiting or self._timeout is not None):
                return None
            raise
        package, manifest = sequence.detached(), sequence.manifest
        if self._growing is not None:
            digest = hashlib.sha256(package.manifest()).hexdigest()
            if digest != self._growing.closing:  # an older package, which is about to be replaced
                package.close()
                return None
        self._closing = package.close
        return package, manifest

    def _take(self, package: Package, manifest: Manifest | None) -> None:
        self._package = package
        if manifest is None:
            return
        cipher = unlocked(manifest, self._cipher, str(package.path))
        if manifest.root.is_encrypted:
            self._package = PlainPackage(package, manifest, cipher)
        if manifest.level > self._max_level:
            raise FormatError(level_refused(manifest.level, self._max_level))
        seen, now = self.index + 1, manifest.frames.state_digest
        before = None if self.manifest is None else self.manifest.frames.state_digest
        if before is not None and not (len(now) >= seen and (before[:seen] == now[:seen]).all()):
            raise refuse(
                "host/changed",
                file=str(self._target),
                what="chain of frames",
                actual="another one",
                expected=f"one that begins with the {seen} that were seen",
            )
        self.manifest = manifest

    def close(self) -> None:
        """Let go of the package."""
        self._closed = True
        if self._growing is not None:
            self._growing.close()
        self._closing()
        self._cursor.forget()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
