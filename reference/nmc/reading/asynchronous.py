"""Sequences for asyncio: the blocking reader in a thread of its own, one for each sequence.

Decoding takes a core whoever waits for it, so that a second reader on asynchronous sockets would be
a second set of checks and no faster (decision 0070).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nmc.reading.opening import open_sequence

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType

    from nmc.reading.frames import Arrays
    from nmc.reading.sequence import ChainSequence
    from nmc_format.dtypes import Array

    _Result = TypeVar("_Result")


def open_async(target: Any, **options: Any) -> AsyncSequence:
    """Open a package for asyncio; takes what :func:`nmc.open` takes.

    ``async with nmc.open_async(url) as sequence: state = await sequence.frame(7)``; or
    ``sequence = await nmc.open_async(url)``, and ``await sequence.aclose()`` at the end.

    Raises
    ------
    FormatError
        As :func:`nmc.open`, when it is awaited or entered.
    """
    return AsyncSequence(partial(open_sequence, target, **options))


class AsyncSequence:
    """The states of a package for asyncio. Frames are decoded one after the other.

    ``async for state in sequence`` decodes the next frame while the last one is used.
    """

    def __init__(self, opening: Callable[[], ChainSequence]) -> None:
        self._opening = opening
        self._threads = ThreadPoolExecutor(1, "nmc-async")
        self._opened: ChainSequence | None = None

    @property
    def sequence(self) -> ChainSequence:
        """The blocking sequence: manifest, frames, path and whatever else it knows.

        Raises
        ------
        ValueError
            If it is not open.
        """
        if self._opened is None:
            raise ValueError("the sequence is not open; use it with 'async with'")
        return self._opened

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        import asyncio  # takes as long to import as all of nmc

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def __len__(self) -> int:
        return len(self.sequence)

    async def frame(self, index: int) -> Arrays:
        """Return the state of a frame; negative ones count from the end."""
        sequence = self.sequence
        return await self._run(lambda: sequence[index])

    async def tensor(self, index: int, name: str) -> Array:
        """Return one tensor of a frame; see :meth:`nmc.ChainSequence.tensor`."""
        sequence = self.sequence
        return await self._run(lambda: sequence.tensor(index, name))

    async def frames(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Arrays]:
        """Yield the states of frames, the next one being decoded while the last one is used."""
        import asyncio

        chosen = range(len(self))[start:stop]
        following: asyncio.Task[Arrays] | None = None
        try:
            for t in chosen:
                state = await (following or self.frame(t))
                following = None
                if t + 1 in chosen:
                    following = asyncio.ensure_future(self.frame(t + 1))
                yield state
        finally:
            if following is not None:
                following.cancel()

    def __aiter__(self) -> AsyncIterator[Arrays]:
        return self.frames()

    async def _open(self) -> Self:
        if self._opened is None:
            try:
                self._opened = await self._run(self._opening)
            except BaseException:
                self._threads.shutdown(wait=False)
                raise
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    async def aclose(self) -> None:
        """Release files, connections and memory."""
        if self._opened is not None:
            await self._run(self._opened.close)
            self._opened = None
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
