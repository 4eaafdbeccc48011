"""The storages behind the pickles of PyTorch's form before 1.6, one run of elements each.

Layout: torch/serialization.py (`_legacy_save`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from nmc_tools.checkpoints.bounded_zip import Bytes, read_exactly
from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.torch_tensors import Storage, storage_itemsize

if TYPE_CHECKING:
    from collections.abc import Sequence

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of a file before PyTorch 1.6 (torch/serialization.py, MAGIC_NUMBER)."""

LEGACY_PROTOCOL = 1001
"""Its second value."""


class Window:
    """A file whose reads never ask for more than it has left."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.tell = file.tell

    def read(self, n: int, /) -> bytes:
        """Return up to ``n`` bytes."""
        return self.file.read(min(n, self.size - self.file.tell()))

    def readline(self) -> bytes:
        """Return the bytes to the next line feed."""
        return self.file.readline()


def read_runs(
    file: BinaryIO, file_size: int, order: Sequence[Storage], needed: set[str]
) -> dict[str, Bytes]:
    """Read the needed storages; each is its count of elements (i64) and then the elements."""
    runs: dict[str, Bytes] = {}
    for storage in order:
        what = f"storage {plain(storage.key)!r}"
        count = int.from_bytes(bytes(read_exactly(file, 8, what)), "little")
        size = count * storage_itemsize(storage)
        if size > file_size - file.tell():
            raise Refusal(
                f"{what} claims {size} bytes, {file_size - file.tell()} are left in the file",
                "the file is truncated; copy it again",
            )
        if storage.key in needed:
            runs[storage.key] = read_exactly(file, size, what)
        else:
            file.seek(size, 1)
    return runs
