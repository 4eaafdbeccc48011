"""The shortest time and the most memory of a piece of work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ENOUGH_SECONDS = 0.6
_MOST_REPEATS = 7


def restart_peak() -> int:
    """Forget the peak of the resident memory so far; return what is resident now, in bytes.

    Linux only; elsewhere the peak is that of the whole process, and 0 is returned.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return 0
    return _status("VmRSS")


def peak_memory() -> int:
    """Return the peak resident bytes since :func:`restart_peak`; 0 where the system hides it."""
    try:
        return _status("VmHWM")
    except OSError:
        return 0


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest of several runs; one run where it takes long."""

    def timed() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return best_of(timed(), timed)


def best_of(seconds: float, again: Callable[[], float]) -> float:
    """Return the shortest of several rounds, the first of which is over; no more if it was long."""
    total, best = seconds, seconds
    for _ in range(_MOST_REPEATS - 1):
        if total > _ENOUGH_SECONDS:
            break
        seconds = again()
        total, best = total + seconds, min(best, seconds)
    return best
