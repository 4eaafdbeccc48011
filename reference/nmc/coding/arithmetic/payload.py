"""Numbers and fields of a payload (clause 8.3.2), read with every bound checked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.tensors import CoderError

SPARE = 16  # octets a kernel may look at beyond the end of a field


def count_bytes(number: int) -> bytes:
    """Encode a count, seven bits a byte, least significant first (clause 8.3.2)."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class Reader:
    """A cursor over a payload."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    @property
    def data(self) -> memoryview:
        """The whole payload."""
        return self._data

    @property
    def position(self) -> int:
        """How many bytes of it were read."""
        return self._at

    def ready(self, size: int) -> int:
        """Have the next so many bytes at hand, or as many as there are; return where they end."""
        return min(self._at + size, len(self._data))

    def pass_by(self, size: int) -> None:
        """Go past so many bytes without having them at hand."""
        self._check(size)
        self._at += size

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def count(self) -> int:
        """Read a count (clause 8.3.2)."""
        number = 0
        for shift in range(0, 63, 7):
            octet = self.byte()
            number |= (octet & 127) << shift
            if octet < 128:
                return number
        raise CoderError(f"byte {self._at}: a count takes more than nine bytes")

    def take(self, size: int) -> memoryview:
        """Read size bytes."""
        self._check(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def _check(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise CoderError(
                f"byte {self._at}: {size} bytes announced, {len(self._data) - self._at} left"
            )

    def octets(self, size: int) -> NDArray[np.uint8]:
        """Read size bytes into an array with room to spare behind them."""
        data = self.take(
            size
        )  # before the allocation: an announced size is bounded by what is left
        out = np.zeros(size + SPARE, np.uint8)
        out[:size] = np.frombuffer(data, np.uint8)
        return out

    def words(self, count: int, spare: int = 0) -> NDArray[np.uint16]:
        """Read count 16-bit words, least significant byte first, with spare zeros behind them."""
        data = self.take(2 * count)
        out = np.zeros(count + spare, np.uint16)
        out[:count] = np.frombuffer(data, "<u2")
        return out

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self._data):
            raise CoderError(f"byte {self._at}: {len(self._data) - self._at} bytes left over")


def check_rest(octets: NDArray[np.uint8], position: int) -> None:
    """Check that the bits left over in the last byte of a field are 0 (clause 8.4.3).

    Raises
    ------
    CoderError
        If one is not.
    """
    if position % 8 and int(octets[position // 8]) >> position % 8:
        raise CoderError("bits left over in the last byte of a field are not 0")


def join(parts: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """Concatenate the fields of a payload."""
    return b"".join(parts)
