"""Where an encoder keeps what is large: in memory, or in files that have no name.

Such files are no part of a package. They take what a frame leaves to the next one, and what is
coded before it is written, so that neither counts as memory of the process; where a state is larger
than memory, its tensors too. Their pages are in the memory of the system as long as it has room.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Octets: TypeAlias = bytes | memoryview

_SLAB = 1 << 24
"""Bytes of a file at least: the small arrays in it go when all of them have gone."""
_ALIGNED = 64
_OFTEN = 1 << 22
"""Bytes of arrays after which pages are given back; few beside a state that is large."""


class Scratch:
    """Memory of the process."""

    def empty(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of so many elements, whatever they are."""
        return np.empty(count, dtype)

    def zeros(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of zeros."""
        return np.zeros(count, dtype)

    def kept(self, piece: Octets) -> Octets:
        """Return bytes that stay as they are, whatever becomes of what they were made from."""
        return piece if isinstance(piece, bytes) else bytes(piece)

    def yielded(self, pieces: Iterable[Octets]) -> Iterator[Octets]:
        """Yield what was kept, to be written."""
        yield from pieces

    def holds(self, _array: NDArray[Any]) -> bool:
        """Whether an array was made here, in a file."""
        return False


IN_MEMORY = Scratch()


class ScratchFiles(Scratch):
    """Files without a name, which are gone with the arrays in them; memory where none can be made.

    Parameters
    ----------
    folder : Path
        Where they lie: on the disk of the package, as a temporary folder can be in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._slabs: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._slab: mmap.mmap | None = None
        self._at = self._since = 0

    def empty(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array in a file; what it has is not said."""
        size = count * np.dtype(dtype).itemsize
        with self._lock:
            self._let_go(size)
            place = self._place(size)
        if place is None:
            return np.empty(count, dtype)
        slab, at = place
        return np.frombuffer(slab, dtype, count, at)

    def zeros(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of zeros in a file of its own."""
        size = max(count * np.dtype(dtype).itemsize, 1)
        with self._lock:
            self._let_go(size)
            slab = self._file(size)
        return np.zeros(count, dtype) if slab is None else np.frombuffer(slab, dtype, count)

    def kept(self, piece: Octets) -> Octets:
        """Return a copy in a file."""
        view = memoryview(piece).cast("B")
        copy = self.empty(len(view), np.uint8)
        copy[:] = view
        return copy.data

    def yielded(self, pieces: Iterable[Octets]) -> Iterator[Octets]:
        """Yield what was kept; its pages are given back on the way."""
        for piece in pieces:
            yield piece
            with self._lock:
                self._let_go(len(piece))

    def holds(self, _array: NDArray[Any]) -> bool:
        """Whether an array was made here, in a file."""
        owner: Any = _array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, memoryview):
            owner = owner.obj
        return isinstance(owner, mmap.mmap) and owner in self._slabs

    def _place(self, size: int) -> tuple[mmap.mmap, int] | None:
        if size >= _SLAB:
            own = self._file(size)
            return None if own is None else (own, 0)
        if self._slab is None or self._at + size > _SLAB:
            self._slab, self._at = self._file(_SLAB), 0
        if self._slab is None:
            return None
        at = self._at
        self._at += -(-size // _ALIGNED) * _ALIGNED
        return self._slab, at

    def _file(self, size: int) -> mmap.mmap | None:
        """Return a file of zeros; its bytes are set aside, as a full disk would end the process."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    for start in range(0, size, _SLAB):
                        file.write(bytes(min(_SLAB, size - start)))
                    file.flush()
                slab = mmap.mmap(file.fileno(), size)
        except OSError:
            return None
        self._slabs.add(slab)
        return slab

    def _let_go(self, size: int) -> None:
        """Have the system take pages back from time to time; they are read again where needed."""
        self._since += size
        if self._since >= _OFTEN and hasattr(mmap, "MADV_DONTNEED"):
            self._since = 0
            for slab in list(self._slabs):
                with suppress(OSError, ValueError):
                    slab.madvise(mmap.MADV_DONTNEED)


def memory_limit() -> int:
    """Return the bytes that this process may take: the machine's, or what its bounds leave."""
    limits = [1 << 62]
    with suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    with suppress(ImportError, OSError):  # only Linux tells
        import resource

        bounds = (resource.RLIMIT_DATA, resource.RLIMIT_AS)
        soft = [resource.getrlimit(kind)[0] for kind in bounds]
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
        taken = [int(pages[5]) * mmap.PAGESIZE, int(pages[0]) * mmap.PAGESIZE]
        limits += [
            max(limit - size, 0)
            for limit, size in zip(soft, taken, strict=True)
            if limit != resource.RLIM_INFINITY
        ]
    return min(limits)
