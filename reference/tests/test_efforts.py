"""Which variant an effort takes: kinds of tensors on which one of them is large or slow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import nmc
from nmc.coding import matching
from nmc.coding.arithmetic import CodedTensor, History, coder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from numpy.typing import NDArray

RNG = np.random.default_rng(12)


def _pair(
    old: list[NDArray[np.float32]], new: list[NDArray[np.float32]]
) -> tuple[list[CodedTensor], list[NDArray[np.uint32]]]:
    words = [np.ascontiguousarray(a).reshape(-1).view(np.uint32) for a in new]
    tensors = [
        CodedTensor(i, 32, 8, 23, a.shape, a.reshape(-1).view(np.uint32).copy())
        for i, a in enumerate(old)
    ]
    return tensors, words


def _weights(*shape: int) -> NDArray[np.float32]:
    return (RNG.standard_normal(shape) * 0.05).astype("<f4")


@pytest.mark.parametrize(
    "after",
    [
        lambda _: _weights(256, 256),
        lambda old: (old * np.float32(20) + np.float32(1)).astype("<f4"),
        lambda old: np.where(old == 0, old, RNG.random(old.shape)).astype("<f4"),
    ],
    ids=["others", "shifted", "uniform"],
)
def test_strong_is_not_larger_than_fast_where_nothing_is_foreseen(
    after: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    old = _weights(256, 256)
    tensors, words = _pair([old], [after(old)])
    fast, strong = (coder.encode(tensors, words, History(), e) for e in ("fast", "strong"))
    assert len(strong) <= len(fast)
    back = coder.decode(strong, tensors, History())
    assert np.array_equal(back[0], words[0])


def _tiny(number: int) -> tuple[list[CodedTensor], list[NDArray[np.uint32]]]:
    old = [_weights(int(n)) for n in RNG.integers(1, 100, number)]
    new = [(a + np.float32(1e-4) * _weights(a.size)).astype("<f4") for a in old]
    return _pair(old, new)


def test_many_small_tensors_have_no_chunk_each() -> None:
    tensors, words = _tiny(400)
    data = coder.encode(tensors, words, History(), "fast")
    assert data[0] == coder.ADAPTIVE
    apart = sum(
        len(coder.encode([t], [w], History(), "fast")) for t, w in zip(tensors, words, strict=True)
    )
    assert len(data) < 0.9 * apart
    back = coder.decode(data, tensors, History())
    assert all(np.array_equal(a, b) for a, b in zip(back, words, strict=True))


def _steps(task: Callable[[], object]) -> int:
    """Return how many operations of this program's Python a task takes."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        if "arithmetic" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        task()
    finally:
        sys.settrace(before)
    return count


def test_work_follows_the_number_of_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each tensor, all tensors were gone through: ten thousand took ten seconds."""
    monkeypatch.setattr(coder, "_variant", lambda *_: coder.STATIC)  # a chunk for each
    few, many = _tiny(40), _tiny(320)
    coder.encode(*few, History(), "fast")
    taken = [
        _steps(lambda case=case: coder.encode(*case, History(), "fast")) for case in (few, many)
    ]
    assert taken[1] < 10 * taken[0]


def test_single_numbers_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each came from takes more bytes than the number: half a million took a second each."""

    def match(*_: object) -> object:
        raise AssertionError("numbers were looked for")

    monkeypatch.setattr(matching, "match", match)
    with nmc.Writer(tmp_path / "n.nmc", effort="fast") as writer:
        for _ in range(2):
            writer.append({"w": RNG.integers(0, 1 << 32, 5000, dtype=np.uint32).view("<f4")})
    assert nmc.check(tmp_path / "n.nmc").accepted
