"""A remote package whose segments are taken from the cache where it has them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from nmc_format.package.forwarding import Forwarding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.remote.cache import SegmentCache
    from nmc_format.package.members import Package

_WHOLE_BYTES: Final = 1 << 25


class CachedPackage(Forwarding):
    """A remote package, with a cache before it.

    Parameters
    ----------
    package : Package
        Where segments come from that the cache does not have; closed with this one.
    digests : sequence of bytes
        SHA-256 of each segment, as the manifest says.
    cache : SegmentCache
        The cache.
    """

    def __init__(self, package: Package, digests: Sequence[bytes], cache: SegmentCache) -> None:
        super().__init__(package)
        self._digests = digests
        self._cache = cache
        self._last: tuple[int, bytes] = (-1, b"")

    def segment(self, index: int, limit: int) -> bytes:
        """Return the bytes of one segment."""
        self._check_open()
        known, data = self._last
        if known == index and len(data) == limit:
            return data
        found = self._cache.get(self._digests[index], limit)
        if found is None:
            found = self.stored.segment(index, limit)
            self._cache.put(self._digests[index], found)
        self._last = index, found
        return found

    def part(self, index: int, limit: int, start: int, size: int) -> bytes:
        """Return some bytes of one segment."""
        if limit <= _WHOLE_BYTES or self._cache.holds(self._digests[index]):
            return self.segment(index, limit)[start : start + size]
        return self.stored.part(index, limit, start, size)

    def expect(self, frames: range, lengths: Sequence[int]) -> None:
        """Ask for the segments that the cache does not have."""
        missing = [t for t in frames if not self._cache.holds(self._digests[t])]
        for _, run in groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
            some = [t for _, t in run]
            span = range(some[0], some[-1] + 1)
            self.stored.expect(span, [lengths[t - frames.start] for t in span])

    def close(self) -> None:
        """Close the package; what was fetched is in the cache then."""
        super().close()
        self._last = (-1, b"")
        self._cache.finish()
