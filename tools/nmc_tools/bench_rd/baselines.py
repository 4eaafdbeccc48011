"""What anybody does without a codec: a uniform quantiser in closed loop, half precision, and zstd.

A uniform quantiser sends level = round(x / step), a delta frame the difference of levels: each
frame's error is at most half a step, whatever the depth of the chain. Tensors that are no numbers
of floating point, or hold what is not finite, are sent as they are. Planes of bytes of the integers
go through ``zstd -19`` each, one file for a frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.bench_rd.coded import Codec, Coded, State, is_key

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]
#: The step of one tensor, or of each of its rows, by its name and its values in a key frame; None
#: where it is to stay as it is.
Steps = Callable[[str, Array], "float | Array | None"]
Grid = Mapping[str, "float | Array"]
#: From a state and its steps to levels, as :func:`levels_of`.
Rounding = Callable[[State, Grid], dict[str, Array]]
_LEVEL = 19
#: Bytes of a tensor's step in the file.
_GRID = 8


def is_quantised(array: Array) -> bool:
    """Say whether a quantiser takes an array: non-empty finite numbers of floating point."""
    return array.dtype.kind == "f" and array.size > 0 and bool(np.isfinite(array).all())


def levels_of(state: State, steps: Grid) -> dict[str, Array]:
    """Return the levels, int64, of the tensors that have a step, and the others as they are."""
    return {
        name: np.rint(array.astype(np.float64) / _along(steps[name], array)).astype(np.int64)
        if name in steps
        else array
        for name, array in state.items()
    }


def restored(levels: Mapping[str, Array], steps: Grid, like: State) -> State:
    """Return the state of some levels, of the dtypes of another state."""
    return {
        name: (array * _along(steps[name], array)).astype(like[name].dtype)
        if name in steps
        else array
        for name, array in levels.items()
    }


def _times(array: Array, step: float | Array) -> Array:
    return np.asarray(array * _along(step, array))


def _along(step: float | Array, array: Array) -> float | Array:
    """Return the steps of rows in a form that goes with the array."""
    if isinstance(step, float):
        return step
    return step.reshape(array.shape if not array.ndim else (-1, *[1] * (array.ndim - 1)))


def chosen_steps(state: State, steps: Steps) -> dict[str, float | Array]:
    """Return the step of each tensor that is quantised."""
    found = {name: steps(name, array) for name, array in state.items() if is_quantised(array)}
    return {name: step for name, step in found.items() if step is not None}


@dataclass(frozen=True)
class Sent:
    """What is sent of one frame: ``integers``, levels or their differences; ``levels`` after it.

    ``steps`` are of the tensors that are quantised; in a ``key`` frame nothing is a difference.
    """

    key: bool
    steps: Grid
    levels: Mapping[str, Array]
    integers: Mapping[str, Array]


def sent_frames(
    states: Sequence[State], steps: Steps, rounding: Rounding | None = None
) -> Iterator[Sent]:
    """Yield what is sent of each frame; a frame with other tensors than the last is a key frame."""
    before: Mapping[str, Array] = {}
    grid: Grid = {}
    for t, state in enumerate(states):
        key = is_key(t) or not _alike(state, states[t - 1])
        grid = chosen_steps(state, steps) if key else grid
        levels = (rounding or levels_of)(state, grid)
        integers = (
            levels if key else {n: a - before[n] if n in grid else a for n, a in levels.items()}
        )
        yield Sent(key, grid, levels, integers)
        before = levels


def _alike(state: State, other: State) -> bool:
    return state.keys() == other.keys() and all(
        array.shape == other[name].shape
        and array.dtype == other[name].dtype
        and is_quantised(array) == is_quantised(other[name])
        for name, array in state.items()
    )


def uniform(
    states: Sequence[State], steps: Steps, _: Path, *, rounding: Rounding | None = None
) -> Coded:
    """Code a chain by a uniform quantiser in closed loop and zstd; it rounds to the nearest."""
    began = time.process_time()
    coded = [(sent, _packed(sent.integers)) for sent in sent_frames(states, steps, rounding)]
    encode = time.process_time() - began
    began = time.process_time()
    found: list[State] = []
    levels: Mapping[str, Array] = {}
    for state, (sent, data) in zip(states, coded, strict=True):
        integers = _unpacked(data, sent.integers)
        levels = {
            name: levels[name] + array if name in sent.steps and not sent.key else array
            for name, array in integers.items()
        }
        found.append(restored(levels, sent.steps, state))
    decode = time.process_time() - began
    sizes = tuple(
        float(sum(map(len, data)) + (_GRID * _grids(sent.steps) if sent.key else 0))
        for sent, data in coded
    )
    return Coded(sizes, 0.0, found, encode, decode)


def _grids(steps: Grid) -> int:
    """Return how many different steps a key frame has to send."""
    return sum(1 if isinstance(step, float) else len(np.unique(step)) for step in steps.values())


def order_0(states: Sequence[State], steps: Steps, _: Path) -> Coded:
    """Estimate what an ideal coder of order 0 takes, one table a tensor, tables not counted."""
    import zstandard

    zstd = zstandard.ZstdCompressor(level=_LEVEL)
    sizes, found = [], []
    for state, sent in zip(states, sent_frames(states, steps), strict=True):
        bits = sum(_entropy(sent.integers[name]) for name in sent.steps)
        others = (a for n, a in sent.integers.items() if n not in sent.steps)
        sizes.append(bits / 8 + sum(len(zstd.compress(a.tobytes())) for a in others))
        found.append(restored(sent.levels, sent.steps, state))
    return Coded(tuple(sizes), 0.0, found)


def _entropy(values: Array) -> float:
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def half(states: Sequence[State], dtype: Any, _: Path) -> Coded:
    """Code a chain in half precision: words XOR those of the frame before, byte planes, zstd."""
    import zstandard

    began = time.process_time()
    words = [{name: _half(a, dtype) for name, a in state.items()} for state in states]
    coder = zstandard.ZstdCompressor(level=_LEVEL)
    frames: list[dict[str, bytes]] = []
    for t, state in enumerate(words):
        before = {} if is_key(t) else words[t - 1]
        frames.append(
            {
                name: coder.compress(_planes(a ^ before[name] if name in before else a))
                for name, a in state.items()
            }
        )
    encode = time.process_time() - began
    began = time.process_time()
    plain, found = zstandard.ZstdDecompressor(), []
    last: dict[str, Array] = {}
    for t, frame in enumerate(frames):
        now = {}
        for name, data in frame.items():
            like = words[t][name]
            array = _unplaned(plain.decompress(data), like.dtype).reshape(like.shape)
            now[name] = array if is_key(t) else array ^ last[name]
        found.append({name: _whole(a, states[t][name], dtype) for name, a in now.items()})
        last = now
    decode = time.process_time() - began
    sizes = tuple(float(sum(map(len, frame.values()))) for frame in frames)
    return Coded(sizes, 0.0, found, encode, decode)


def _half(array: Array, dtype: Any) -> Array:
    if array.dtype.kind == "f":
        return np.asarray(array.astype(dtype).view(np.uint16))
    return np.asarray(np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}"))


def _whole(words: Array, like: Array, dtype: Any) -> Array:
    if like.dtype.kind == "f":
        return np.asarray(words.view(dtype).astype(like.dtype))
    return np.asarray(words.view(like.dtype))


def _planes(array: Array) -> bytes:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).reshape(flat.size, flat.itemsize).T.tobytes()


def _unplaned(data: bytes, dtype: Any) -> Array:
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(data, np.uint8).reshape(size, len(data) // size)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


def _packed(sent: Mapping[str, Array]) -> list[bytes]:
    """Return the tensors of a frame, integers in the narrowest type that holds them, compressed."""
    import zstandard

    coder = zstandard.ZstdCompressor(level=_LEVEL)
    parts = []
    for array in sent.values():
        narrow = _folded(_narrow(array)) if array.dtype == np.int64 else array
        parts.append(bytes([narrow.itemsize]) + coder.compress(_planes(narrow)))
    return parts


def _narrow(array: Array) -> Array:
    most = int(np.abs(array).max(initial=0))
    width = next(w for w in (1, 2, 4, 8) if most < 1 << (8 * w - 1))
    return array.astype(f"<i{width}")


def _folded(array: Array) -> Array:
    """Put the sign last, so that the upper bytes of small integers are zeros."""
    return np.asarray((array << 1) ^ (array >> (8 * array.itemsize - 1)))


def _unfolded(array: Array) -> Array:
    unsigned = array.view(f"u{array.itemsize}")
    return np.asarray((unsigned >> np.uint8(1)).view(array.dtype) ^ -(array & 1))


def _unpacked(data: Sequence[bytes], like: Mapping[str, Array]) -> dict[str, Array]:
    import zstandard

    coder = zstandard.ZstdDecompressor()
    found = {}
    for part, (name, array) in zip(data, like.items(), strict=True):
        plain = coder.decompress(part[1:])
        if array.dtype == np.int64:
            values = _unfolded(_unplaned(plain, f"<i{part[0]}")).astype(np.int64)
        else:
            values = _unplaned(plain, array.dtype)
        found[name] = values.reshape(array.shape)
    return found


def _even(step: float, _: str, __: Array) -> float:
    return step


def of_range(bits: int, _: str, array: Array) -> float | None:
    """Return the step that divides a tensor's own range into 2^bits - 1 parts; None of no range."""
    width = float(array.max()) - float(array.min())
    return width / (2**bits - 1) or None


def _given(steps: Mapping[str, Array], name: str, _: Array) -> Array | None:
    return steps.get(name)


def by_sensitivity(settings: Mapping[str, Mapping[str, Array]]) -> Codec:
    """Return the estimate of order 0 with steps of rows by tensor, for each setting."""
    steps = {label: partial(_given, rows) for label, rows in settings.items()}
    return Codec("uniform by sensitivity, order-0 entropy", steps, order_0, kind="estimate")


def codecs(exponents: Sequence[int]) -> list[Codec]:
    """Return the baselines, those with a step at each power of two."""
    import ml_dtypes

    even = {f"step 2^{e}": partial(_even, 2.0**e) for e in exponents}
    ranges = {f"{bits} bits": partial(of_range, bits) for bits in (8, 7)}
    halves = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}
    return [
        Codec("uniform + zstd -19", even, uniform),
        Codec("uniform, order-0 entropy", even, order_0, kind="estimate"),
        Codec("7 and 8 bits a tensor + zstd -19", ranges, uniform),
        Codec("half precision + zstd -19", halves, half),
    ]
