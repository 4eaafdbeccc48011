"""Segments of remote packages on the disk, by their digest; what is read is compared with it.

A cache is shared by processes and by packages: what an entry holds is what its name says, or it is
not used. Where nothing can be written there is no cache, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nmc_format.issues import refuse

if TYPE_CHECKING:
    from concurrent.futures import Future

DEFAULT_BYTES: Final = 2 << 30
"""What a cache holds at most, unless the environment says otherwise."""

LIMIT_VARIABLE: Final = "NMC_CACHE_BYTES"
"""Says how many bytes a cache holds at most; 0: there is none."""

VARIABLE: Final = "NMC_CACHE"
"""Names the folder of the cache; ``off``: there is none."""

_MOST_WAITING: Final = 1 << 26
_STALE_SECONDS: Final = 3600.0
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for its other end
_NO_PLACE = (OSError, ValueError)
"""What a folder raises that is none, or has a name that none can have."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def default_folder() -> Path | None:
    """Return where segments are kept, or None where the environment says that they are not."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return None if named.lower() in ("", "0", "off", "none") else Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "nmc" / "segments"
    except RuntimeError:  # nobody's home
        return None


def limit_bytes() -> int:
    """Return how many bytes a cache holds at most, by the environment.

    Raises
    ------
    FormatError
        If what it says is no number of bytes.
    """
    said = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not said:
        return DEFAULT_BYTES
    if not said.isascii() or not said.isdecimal() or len(said) > 18:
        reason = f"{said[:40]!r} is no number of bytes"
        hint = f"write such as {DEFAULT_BYTES}, or 0 for no cache"
        raise refuse("input/unreadable", file=LIMIT_VARIABLE, reason=reason, hint=hint)
    return int(said)


class SegmentCache:
    """Segments on the disk by SHA-256; the ones read longest ago go first.

    Parameters
    ----------
    folder : Path
        Made if it is not there, for this user alone.
    limit : int
        Bytes that it holds at most; for a moment, some more while processes write at once.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_BYTES) -> None:
        self.folder = folder
        self.limit = limit
        self._lock = threading.Lock()
        self._writers: dict[int, ThreadPoolExecutor] = {}
        self._waiting: dict[Future[None], int] = {}
        self._added = limit  # what other processes left is counted with the first entry

    def _place(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name

    def holds(self, digest: bytes) -> bool:
        """Whether there is an entry; what it is worth shows when it is read."""
        try:
            return self._place(digest).exists()
        except _NO_PLACE:
            return False

    def get(self, digest: bytes, length: int) -> bytes | None:
        """Return a segment, or None where there is none; a damaged entry is removed."""
        place = self._place(digest)
        try:
            handle = os.open(place, _FLAGS)
        except _NO_PLACE:
            return None
        try:
            facts = os.fstat(handle)
            fits = stat.S_ISREG(facts.st_mode) and facts.st_size == length
            with os.fdopen(handle, "rb") as file:
                data = file.read(length + 1) if fits else b""
        except OSError:  # a folder, or a disk that fails
            return None
        if len(data) == length and hashlib.sha256(data).digest() == digest:
            with suppress(OSError):
                os.utime(place)
            return data
        with suppress(OSError):
            place.unlink()
        return None

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep a segment, if it is the one of its digest; written by a thread of its own."""
        with self._lock:
            for done in [job for job in self._waiting if job.done()]:
                del self._waiting[done]
            if len(data) + sum(self._waiting.values()) > min(_MOST_WAITING, self.limit // 2):
                return
            process = os.getpid()
            if process not in self._writers:
                self._writers = {process: ThreadPoolExecutor(1, "nmc-cache")}
            job = self._writers[process].submit(self._write, digest, data)
            self._waiting[job] = len(data)

    def finish(self) -> None:
        """Wait until what was put is written."""
        with self._lock:
            jobs = list(self._waiting)
        for job in jobs:
            job.result()

    def _write(self, digest: bytes, data: bytes) -> None:
        if hashlib.sha256(data).digest() != digest:
            return
        place = self._place(digest)
        fresh = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(fresh, _NEW, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                fresh.replace(place)
            except OSError:
                with suppress(OSError):
                    fresh.unlink()
                raise
        except _NO_PLACE:
            return
        self._added += len(data)
        if self._added > self.limit // 16:
            self._make_room()
            self._added = 0

    def _make_room(self) -> None:
        """Remove the entries that were read longest ago until the rest is within the limit."""
        found: list[tuple[float, int, Path]] = []
        total = 0
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            try:
                facts = path.lstat()
            except OSError:  # another process removed it
                continue
            total += facts.st_size
            found.append((facts.st_mtime, facts.st_size, path))
        newest = max((mtime for mtime, _, _ in found), default=0.0)
        for mtime, size, path in sorted(found):
            left_behind = path.name.startswith(".") and newest - mtime > _STALE_SECONDS
            if total > self.limit - self.limit // 16 or left_behind:
                with suppress(OSError):
                    path.unlink()
                total -= size


_CACHES: dict[tuple[Path, int], SegmentCache] = {}


def cache_of(wish: bool | str | os.PathLike[str] | SegmentCache | None) -> SegmentCache | None:
    """Return the cache that a caller wishes for: True or None the usual one, False none.

    Raises
    ------
    FormatError
        If the environment bounds it by what is no number.
    """
    if isinstance(wish, SegmentCache):
        return wish
    if wish is False:
        return None
    folder = default_folder() if wish is None or wish is True else Path(wish)
    limit = limit_bytes() if folder is not None else 0
    if folder is None or limit == 0:
        return None
    key = (folder.absolute(), limit)
    return _CACHES.setdefault(key, SegmentCache(*key))
