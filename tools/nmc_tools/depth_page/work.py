"""One thread that computes, and a queue of bounded length before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Full(Exception):  # noqa: N818 - an answer to a client
    """So many wait that another one is not taken."""


class Work:
    """Does one thing after the other, in a thread of its own; at most ``waiting`` wait."""

    def __init__(self, waiting: int) -> None:
        self._most, self._taken = waiting + 1, 0
        self._thread = ThreadPoolExecutor(1, "depth")

    async def do(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, when it is its turn.

        Raises
        ------
        Full
            At once, when too many wait.
        """
        if self._taken >= self._most:
            raise Full
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._taken -= 1
