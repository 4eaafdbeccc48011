"""Chains whose delta frames are sparse payloads, with faults on request (clause 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from chain import Chain, Row

from arithmetic import coder_sparse
from arithmetic.arithmetic_cases import SPARSE, payload_chain
from arithmetic.coder_sparse import Body
from arithmetic.coder_words import CodedTensor, History

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arithmetic.arithmetic_cases import Make

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

    def payload_of(body: Callable[[list[CodedTensor], History], Body]) -> Make:
        return lambda tensors, history: bytes([SPARSE]) + body(tensors, history).serialize()

    return payload_chain(rows, states, [payload_of(body) for body in bodies])


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
