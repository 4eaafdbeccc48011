"""Memory that is freed stays with the process, to be used again by the next batch.

glibc gives large blocks back to the system when they are freed, and the system fills the next ones
with zeros, page by page: a third of the time of a rendering. Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import functools

#: malloc.h of glibc: how much free memory is kept, and the size from which blocks are mapped.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30


@functools.lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let malloc keep what is freed, where it is glibc's; once a process."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        mallopt(option, _LARGEST)
