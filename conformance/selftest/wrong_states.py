"""Faults of states: what a program that goes through a library of numbers makes of them."""

from __future__ import annotations

import json
import unicodedata
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<f4"}
_INTEGERS = {"I64": "<i8", "U64": "<u8"}


@dataclass(frozen=True)
class Tensor:
    """A tensor as a safetensors file has it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


State = dict[str, Tensor]


def read(path: Path) -> State:
    """Read a file that the suite wrote."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    body = data[8 + size :]
    return {
        name: Tensor(e["dtype"], tuple(e["shape"]), body[slice(*e["data_offsets"])])
        for name, e in json.loads(data[8 : 8 + size]).items()
        if name != "__metadata__"
    }


def write(path: Path, state: State) -> None:
    """Write a file for the reference."""
    header: dict[str, Any] = {}
    at = 0
    for name, t in state.items():
        end = at + len(t.data)
        header[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    body = b"".join(t.data for t in state.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def _numbers(change: Callable[[Any], Any], *dtypes: str) -> Callable[[Tensor], Tensor]:
    """Return a change of the elements of some floating types."""

    def of(t: Tensor) -> Tensor:
        if t.dtype not in dtypes:
            return t
        with np.errstate(all="ignore"):
            made = change(np.frombuffer(t.data, _FLOATS[t.dtype]).copy())
        return Tensor(t.dtype, t.shape, made.astype(_FLOATS[t.dtype]).tobytes())

    return of


def _nan_canonical(a: Any) -> Any:
    a[np.isnan(a)] = np.nan
    return a


def _zero_positive(a: Any) -> Any:
    return a + 0.0


def _flushed(a: Any) -> Any:
    a[np.abs(a) < np.finfo(a.dtype).tiny] = 0
    return a


def _finite(a: Any) -> Any:
    return np.nan_to_num(a)


def _rounded(a: Any) -> Any:
    return a.astype(np.float64).round(6)


def _through_half(a: Any) -> Any:
    return a.astype(np.float16)


def _through_single(a: Any) -> Any:
    return a.astype(np.float32)


_ALL = tuple(_FLOATS)


def _of_dtype(dtype: str, made: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda t: made(t) if t.dtype == dtype else t


def _as_single(t: Tensor) -> Tensor:
    bits = np.frombuffer(t.data, "<u2").astype("<u4") << 16
    return Tensor("F32", t.shape, bits.tobytes())


def _through_doubles(t: Tensor) -> Tensor:
    if t.dtype not in _INTEGERS:
        return t
    a = np.frombuffer(t.data, _INTEGERS[t.dtype]).astype(np.float64)
    with np.errstate(all="ignore"):
        return Tensor(t.dtype, t.shape, a.astype(_INTEGERS[t.dtype]).tobytes())


def _through_32_bits(t: Tensor) -> Tensor:
    if t.dtype not in _INTEGERS:
        return t
    a = np.frombuffer(t.data, "<i8").astype("<i4").astype("<i8")
    return Tensor(t.dtype, t.shape, a.tobytes())


def _truth_values(t: Tensor) -> Tensor:
    return Tensor(t.dtype, t.shape, bytes(int(b != 0) for b in t.data))


def _big_endian(t: Tensor) -> Tensor:
    width = {"I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8}
    size = width.get(t.dtype, 1)
    return Tensor(t.dtype, t.shape, np.frombuffer(t.data, f"<u{size}").byteswap().tobytes())


def _flat(t: Tensor) -> Tensor:
    return Tensor(t.dtype, (int(np.prod(t.shape, dtype=object)),), t.data)


def _reversed_shape(t: Tensor) -> Tensor:
    return Tensor(t.dtype, t.shape[::-1], t.data)


def _column_major(t: Tensor) -> Tensor:
    size = len(t.data) // max(int(np.prod(t.shape)), 1) if t.shape else 0
    if len(t.shape) < 2 or size < 1 or t.dtype.startswith(("F4", "F6")) or not t.data:
        return t
    a = np.frombuffer(t.data, f"V{size}").reshape(t.shape)
    return Tensor(t.dtype, t.shape, a.tobytes(order="F"))


def _at_least_1d(t: Tensor) -> Tensor:
    return Tensor(t.dtype, t.shape or (1,), t.data)


def _squeezed(t: Tensor) -> Tensor:
    return Tensor(t.dtype, tuple(d for d in t.shape if d != 1), t.data)


def _signed_bytes(t: Tensor) -> Tensor:
    return Tensor("U8", t.shape, t.data)


def _each(change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {name: change(t) for name, t in state.items()}


def _names(change: Callable[[str], str]) -> Callable[[State], State]:
    return lambda state: {change(name) or "_": t for name, t in state.items()}


def _dropped(drop: Callable[[str, Tensor], bool]) -> Callable[[State], State]:
    return lambda state: {name: t for name, t in state.items() if not drop(name, t)}


def _single(state: State) -> State:
    return {n: _as_single(t) if t.dtype == "BF16" else t for n, t in state.items()}


def _tied_once(state: State) -> State:
    by_content = {(t.dtype, t.shape, t.data): n for n, t in reversed(state.items()) if t.data}
    return {n: t for n, t in state.items() if by_content.get((t.dtype, t.shape, t.data), n) == n}


def _as_pairs(t: Tensor) -> Tensor:
    return Tensor("F32", (*t.shape, 2), t.data)


def _clipped(t: Tensor) -> Tensor:
    a = np.minimum(np.frombuffer(t.data, "<u8"), np.uint64(2**63 - 1))
    return Tensor(t.dtype, t.shape, a.tobytes())


def _quiet(t: Tensor) -> Tensor:
    """Set the first bit of the mantissa of each NaN, as going through a register does."""
    fields = {"F16": ("<u2", 0x7C00, 0x0200), "F32": ("<u4", 0x7F800000, 0x00400000)}
    if t.dtype not in fields:
        return t
    word, infinite, bit = fields[t.dtype]
    a = np.frombuffer(t.data, word).copy()
    a[(a & (infinite | (2 * bit - 1))) > infinite] |= bit
    return Tensor(t.dtype, t.shape, a.tobytes())


def _one_of_each_case(state: State) -> State:
    last = {name.casefold(): name for name in state}
    return {n: t for n, t in state.items() if last[n.casefold()] == n}


def numbers(t: Tensor) -> Any:
    """Return the elements as floats where they are; as bytes where they are not."""
    dtype = _FLOATS.get(t.dtype, "u1")
    return np.frombuffer(t.data, dtype).astype(np.float64)


def _bool_as_bytes(t: Tensor) -> Tensor:
    return Tensor("U8", t.shape, t.data)


def _half_as_single(t: Tensor) -> Tensor:
    with np.errstate(all="ignore"):
        return Tensor("F32", t.shape, np.frombuffer(t.data, "<f2").astype("<f4").tobytes())


def _narrow_where_it_fits(t: Tensor) -> Tensor:
    a = np.frombuffer(t.data, "<i8")
    if np.any(a != a.astype("<i4")):
        return t
    return Tensor("I32", t.shape, a.astype("<i4").tobytes())


def _without_prefix(prefix: str) -> Callable[[State], State]:
    return _names(lambda n: n.removeprefix(prefix))


STATES: dict[str, Callable[[State], State]] = {
    "encoder-module-prefix": _without_prefix("module."),
    "encoder-compiled-prefix": _without_prefix("_orig_mod."),
    "encoder-buffers-left-out": _dropped(
        lambda n, _: n.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ),
    "encoder-private-left-out": _dropped(lambda n, _: n.startswith("_")),
    "encoder-names-quoted": _names(lambda n: urllib.parse.quote(n, safe="/. ")),
    "encoder-names-without-controls": _names(lambda n: "".join(c for c in n if c.isprintable())),
    "encoder-bool-as-bytes": _each(_of_dtype("BOOL", _bool_as_bytes)),
    "encoder-half-as-single": _each(_of_dtype("F16", _half_as_single)),
    "encoder-integers-narrow": _each(_of_dtype("I64", _narrow_where_it_fits)),
    "encoder-fnuz-as-fn": _each(lambda t: Tensor(t.dtype.removesuffix("FNUZ"), t.shape, t.data)),
    "encoder-nan-canonical": _each(_numbers(_nan_canonical, *_ALL)),
    "encoder-zero-positive": _each(_numbers(_zero_positive, *_ALL)),
    "encoder-subnormals-flushed": _each(_numbers(_flushed, *_ALL)),
    "encoder-finite": _each(_numbers(_finite, *_ALL)),
    "encoder-rounded": _each(_numbers(_rounded, "F32", "F64")),
    "encoder-half-precision": _each(_numbers(_through_half, "F32")),
    "encoder-doubles-to-single": _each(_numbers(_through_single, "F64")),
    "encoder-bf16-as-f32": _single,
    "encoder-integers-as-doubles": _each(_through_doubles),
    "encoder-integers-32-bit": _each(_through_32_bits),
    "encoder-truth-values": _each(_of_dtype("BOOL", _truth_values)),
    "encoder-big-endian": _each(_big_endian),
    "encoder-signed-bytes": _each(_of_dtype("I8", _signed_bytes)),
    "encoder-flat": _each(_flat),
    "encoder-shape-reversed": _each(_reversed_shape),
    "encoder-column-major": _each(_column_major),
    "encoder-scalar-as-vector": _each(_at_least_1d),
    "encoder-squeezed": _each(_squeezed),
    "encoder-names-normalised": _names(lambda n: unicodedata.normalize("NFC", n)),
    "encoder-names-decomposed": _names(lambda n: unicodedata.normalize("NFD", n)),
    "encoder-names-compatible": _names(lambda n: unicodedata.normalize("NFKC", n)),
    "encoder-names-trimmed": _names(str.strip),
    "encoder-names-lower-case": _names(str.lower),
    "encoder-names-ascii": _names(lambda n: n.encode("ascii", "replace").decode()),
    "encoder-names-cut": _names(lambda n: n[:255]),
    "encoder-names-folders": _names(lambda n: n.replace("/", ".")),
    "encoder-tied-once": _tied_once,
    "encoder-small-floats-as-bytes": _each(
        lambda t: Tensor("U8", t.shape, t.data) if t.dtype.startswith("F8") else t
    ),
    "encoder-complex-as-pairs": _each(_of_dtype("C64", _as_pairs)),
    "encoder-integers-clipped": _each(_of_dtype("U64", _clipped)),
    "encoder-quiet-nan": _each(_quiet),
    "encoder-empty-as-vectors": _each(
        lambda t: Tensor(t.dtype, (0,), t.data) if 0 in t.shape else t
    ),
    "encoder-names-of-files": _one_of_each_case,
    "encoder-no-empty-tensors": _dropped(lambda _, t: 0 in t.shape),
    "encoder-no-scalars": _dropped(lambda _, t: t.shape == ()),
    "encoder-no-integers": _dropped(lambda _, t: t.dtype[0] in "IU"),
    "encoder-no-packed-types": _dropped(lambda _, t: t.dtype.startswith(("F4", "F6"))),
}
"""Faults of the states, by name: what becomes of each."""
