"""The reader for asyncio: the same states, and errors where they are awaited."""

from __future__ import annotations

import asyncio

import pytest
from nmc_samples import chain, write

import nmc


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("p") / "a.nmc", chain(7), key_every=3)


def test_frames_are_the_same(path):
    async def read():
        async with nmc.open_async(path) as sequence:
            assert len(sequence) == 7
            some = [await sequence.frame(t) for t in (5, 0, -1)]
            every = [state async for state in sequence]
            part = [state async for state in sequence.frames(2, 4)]
            at_once = await asyncio.gather(*(sequence.frame(t) for t in range(7)))
            tensor = await sequence.tensor(3, "body.weight")
        return some, every, part, at_once, tensor

    some, every, part, at_once, tensor = asyncio.run(read())
    with nmc.open(path) as local:
        expected = list(local)
    pairs = [
        *zip(some, (expected[t] for t in (5, 0, 6)), strict=True),
        *zip(every, expected, strict=True),
        *zip(part, expected[2:4], strict=True),
        *zip(at_once, expected, strict=True),
    ]
    for a, b in pairs:
        assert all(a[n].tobytes() == b[n].tobytes() for n in b)
    assert tensor.tobytes() == expected[3]["body.weight"].tobytes()


def test_errors_are_raised_where_they_are_awaited(path, tmp_path):
    async def read():
        with pytest.raises(nmc.FormatError, match="host/not-found"):
            async with nmc.open_async(tmp_path / "none.nmc"):
                pass
        sequence = await nmc.open_async(path)
        with pytest.raises(IndexError):
            await sequence.frame(7)
        async for _ in sequence:
            break
        await sequence.aclose()
        await sequence.aclose()
        with pytest.raises(ValueError, match="not open"):
            await sequence.frame(0)

    asyncio.run(read())
