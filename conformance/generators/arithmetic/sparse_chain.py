"""Chains whose delta frames are sparse payloads, with faults on request (clause 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row

from arithmetic import coder_sparse
from arithmetic.arithmetic_cases import SPARSE, STREAM
from arithmetic.coder_sparse import Body
from arithmetic.coder_words import CodedTensor, History, coded_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIVE = (3, 4, 11, 20, *range(30, 110, 9))


def weights(count_: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return words of many exponents."""
    rng = np.random.default_rng(seed)
    exponents = rng.integers(-12, 2, count_)
    return np.ldexp(rng.integers(64, 128, count_), exponents - 6).astype("<f4")


def moved_words(
    words: np.ndarray[tuple[int], np.dtype[np.float32]], live: Sequence[int], seed: int
) -> bytes:
    """Return the words with some of them moved by a few units of the last place."""
    rng = np.random.default_rng(seed)
    made = words.view("<u4").copy()
    for i in live:
        step = int(rng.integers(1, 9))
        made[i] = int(made[i]) + (step if rng.integers(2) else -step)
    return made.tobytes()


def sparse_chain(
    rows: Sequence[Row],
    states: Sequence[Sequence[bytes]],
    bodies: Sequence[Callable[[list[CodedTensor], History], Body]],
) -> Chain:
    """Return a key frame, and delta frames whose payloads are made by bodies."""
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in states[0]), raw="zstd")]
    history = History()
    for before, after, body in zip(states[:-1], states[1:], bodies, strict=True):
        tensors = [
            coded_tensor(i, row.dtype, row.shape, x, z)
            for i, (row, x, z) in enumerate(zip(rows, before, after, strict=True))
        ]
        data = bytes([SPARSE]) + body(tensors, history).serialize()
        cells = tuple(Cell(INTEGER, d) for d in after)
        frames.append(Frame(DELTA, cells, integer="nmc", payloads={STREAM: data}))
    return Chain(tuple(rows), tuple(frames), profile="main")


def one_tensor(
    live: Sequence[int] = LIVE, count_: int = 120, **options: object
) -> tuple[Chain, Callable[[Callable[[Body], Body | None]], Chain]]:
    """Return a chain of two frames, and a way to make it with a fault in its body."""
    words = weights(count_, 41)
    rows = [Row("a", "F32", (count_,))]
    states = [[words.tobytes()], [moved_words(words, live, 42)]]

    def make(change: Callable[[Body], Body | None]) -> Chain:
        def body(tensors: list[CodedTensor], history: History) -> Body:
            made = coder_sparse.body(tensors, history, **options)  # type: ignore[arg-type]
            return change(made) or made

        return sparse_chain(rows, states, [body])

    return make(lambda made: made), make
