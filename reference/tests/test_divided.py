"""The divided variant: portions of a large payload, coded apart (clause 8.8)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from nmc.coding.arithmetic import CodedTensor, CoderError, History, coder, divided
from nmc.coding.arithmetic.divided import LEAST
from nmc.coding.arithmetic.payload import Reader, count_bytes
from nmc.coding.arithmetic.tensors import lines_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = ((40_000, 2), (0, 3), (77,), (200, 333), ())
"""Lines of two words, no word, one line, lines that a portion does not end with, one word."""


def _frames(number: int) -> list[list[NDArray[np.uint32]]]:
    rng = np.random.default_rng(11)
    states = [[(rng.standard_normal(shape) * 0.05).astype("<f4") for shape in SHAPES]]
    for _ in range(number - 1):
        last = states[-1]
        noise = [1e-4 * rng.standard_normal(array.shape) for array in last]
        states.append([(a + n).astype("<f4") for a, n in zip(last, noise, strict=True)])
    return [[np.ascontiguousarray(a).reshape(-1).view(np.uint32) for a in s] for s in states]


def _tensors(words: list[NDArray[np.uint32]]) -> list[CodedTensor]:
    pairs = zip(SHAPES, words, strict=True)
    return [CodedTensor(i, 32, 8, 23, shape, w.copy()) for i, (shape, w) in enumerate(pairs)]


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide what is as small as a test."""
    monkeypatch.setattr(coder, "LARGE", 1 << 10)
    monkeypatch.setattr(divided, "_PORTION", LEAST)


@pytest.mark.usefixtures("small_portions")
def test_bytes_are_the_same_for_any_number_of_threads() -> None:
    states = _frames(3)
    made = {}
    for threads in (1, 2, 5):
        written, read, made[threads] = History(), History(), []
        for old, new in itertools.pairwise(states):
            tensors = _tensors(old)
            data = coder.encode(tensors, new, written, "strong", threads)
            assert data[0] == coder.DIVIDED
            released: list[int] = []
            back = coder.decode(data, tensors, read, threads, released.append)
            assert all(np.array_equal(a, b) for a, b in zip(back, new, strict=True))
            assert sorted(released) == [i for i, t in enumerate(tensors) if t.count]
            made[threads].append(data)
    assert made[1] == made[2] == made[5]


@pytest.mark.usefixtures("small_portions")
def test_a_frame_goes_on_from_undivided_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    states = _frames(4)
    written, read = History(), History()
    for large, old, new in zip((1 << 10, 1 << 30, 1 << 10), states, states[1:], strict=False):
        monkeypatch.setattr(coder, "LARGE", large)
        tensors = _tensors(old)
        data = coder.encode(tensors, new, written, "strong")
        assert data[0] == (coder.ADAPTIVE if large == 1 << 30 else coder.DIVIDED)
        back = coder.decode(data, tensors, read)
        assert all(np.array_equal(a, b) for a, b in zip(back, new, strict=True))


@pytest.mark.usefixtures("small_portions")
def test_portions_of_a_writer_begin_lines_and_hold_every_word() -> None:
    tensors = _tensors(_frames(1)[0])
    portions = divided.divide(tensors)
    assert len(portions) == 3
    words = [sum(cut.last - cut.first for cut in portion) for portion in portions]
    assert min(words[:-1]) >= LEAST
    cuts = [cut for portion in portions for cut in portion]
    assert any(cut.first for cut in cuts)
    assert all(cut.first % lines_of(SHAPES[cut.index])[1] == 0 for cut in cuts)
    covered = [(cut.index, i) for cut in cuts for i in range(cut.first, cut.last)]
    assert covered == [(k, i) for k, tensor in enumerate(tensors) for i in range(tensor.count)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((LEAST - 2,), "portion 0 has"),
        ((80_000, 66_600), "in no portion"),
        ((80_077 + 66_601, 0), "portion 1 has 0 words"),
        ((LEAST + 1, 80_077 + 66_601 - LEAST - 1), "in a line"),
        ((80_077 + 66_602,), "portion 0 has"),
    ],
)
def test_wrong_portions_are_refused(words: tuple[int, ...], reason: str) -> None:
    sizes = b"".join(count_bytes(number) + count_bytes(0) for number in words)
    reader = Reader(memoryview(count_bytes(len(words)) + sizes))
    with pytest.raises(CoderError, match=reason):
        divided.read_portions(reader, _tensors(_frames(1)[0]))


def test_a_number_of_portions_is_no_promise() -> None:
    """More of them than there are words are refused at the first one that has none."""
    total = 80_077 + 66_601
    data = b"\xff" * 8 + b"\x7f" + count_bytes(total) + count_bytes(0) + b"\0\0"
    with pytest.raises(CoderError, match="portion 1 has 0 words"):
        divided.read_portions(Reader(memoryview(data)), _tensors(_frames(1)[0]))
