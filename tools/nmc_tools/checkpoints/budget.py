"""Keeps the work that a file causes in proportion to its size."""

from __future__ import annotations

from nmc_tools.checkpoints.checkpoint import Refusal

BASE_WORK = 64 * 2**20
WORK_PER_BYTE = 64
"""A reader may allocate, copy, compare and hash 64 MiB + 64 times the bytes of the file. An honest
pickle takes about 20 times its bytes, nearly all of it for the objects of its tensors."""


class Budget:
    """What is left of the work that a file may cause, in bytes."""

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        self.left = BASE_WORK + WORK_PER_BYTE * file_size

    def spend(self, count: int) -> None:
        """Take off the bytes of an operation, before it is done.

        Raises
        ------
        Refusal
            If the file has used up what it may.
        """
        self.left -= count
        if self.left < 0:
            raise Refusal(
                f"its {self.file_size} bytes ask for more than {BASE_WORK // 2**20} MiB and "
                f"{WORK_PER_BYTE} times as many to be copied, compared or hashed",
                "the file is damaged, or made to exhaust its reader",
            )
