"""A package before another one, which it asks for all that it does not answer itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.package.members import Package

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nmc_format.issues import Finding


class Forwarding(Package):
    """A package before another one.

    Parameters
    ----------
    stored : Package
        The other one; closed with this one.
    """

    def __init__(self, stored: Package) -> None:
        super().__init__(stored.path)
        self.stored = stored

    def manifest(self) -> bytes:
        """Return the bytes of the manifest."""
        return self.stored.manifest()

    def signatures(self, keys: Collection[bytes] = ()) -> list[str]:
        """Return the member names of the signatures, ascending."""
        return self.stored.signatures(keys)

    def signature(self, name: str, limit: int) -> bytes:
        """Return the bytes of one signature."""
        return self.stored.signature(name, limit)

    def medium(self, index: int, length: int, start: int, size: int) -> bytes:
        """Return some bytes of one medium."""
        return self.stored.medium(index, length, start, size)

    def findings(self, frames: int, media: int = 0) -> Iterator[Finding]:
        """Yield what is wrong with the members."""
        return self.stored.findings(frames, media)

    def size(self) -> int:
        """Return the bytes of the package as it is stored."""
        return self.stored.size()

    def close(self) -> None:
        """Close both."""
        super().close()
        self.stored.close()
