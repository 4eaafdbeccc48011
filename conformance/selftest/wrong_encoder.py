"""Encoders with a fault: the states or the wishes are changed before the reference encodes them.

``wrong_encoder.py FAULT REQUEST …``. The faults are those of programs that go through a library of
numbers, a dictionary, or a file system on the way.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from wrong_requests import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


STATES: dict[str, Callable[[State], State]] = {
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


def _string_order(folder: Path) -> None:
    files = sorted(folder.glob("frame_*"), key=lambda p: str(int(p.name[6:14])))
    data = [path.read_bytes() for path in files]
    for t, content in enumerate(data):
        (folder / f"frame_{t:08d}.safetensors").write_bytes(content)


def _still_frames_dropped(folder: Path) -> None:
    kept: list[bytes] = []
    for path in sorted(folder.glob("frame_*")):
        if not kept or path.read_bytes() != kept[-1]:
            kept.append(path.read_bytes())
        path.unlink()
    for t, data in enumerate(kept):
        (folder / f"frame_{t:08d}.safetensors").write_bytes(data)


def _table_of_first_frame(folder: Path) -> None:
    files = sorted(folder.glob("frame_*"))
    first = read(files[0]).keys()
    for path in files:
        write(path, {name: t for name, t in read(path).items() if name in first})


def _union_of_frames(folder: Path) -> None:
    before: State = {}
    for path in sorted(folder.glob("frame_*")):
        before = {**before, **read(path)}
        write(path, before)


def _shapes_of_first_frame(folder: Path) -> None:
    files = sorted(folder.glob("frame_*"))
    first = read(files[0])
    for path in files:
        made = {
            n: t
            if n not in first or len(first[n].data) != len(t.data)
            else first[n].__class__(t.dtype, first[n].shape, t.data)
            for n, t in read(path).items()
        }
        write(path, made)


def _dtypes_of_first_frame(folder: Path) -> None:
    files = sorted(folder.glob("frame_*"))
    first = read(files[0])
    for path in files:
        made = {
            n: Tensor(first[n].dtype, t.shape, t.data)
            if n in first and first[n].shape == t.shape and len(first[n].data) == len(t.data)
            else t
            for n, t in read(path).items()
        }
        write(path, made)


def _vanished_stay_away(folder: Path) -> None:
    gone: set[str] = set()
    seen: set[str] = set()
    for path in sorted(folder.glob("frame_*")):
        state = read(path)
        gone |= seen - state.keys()
        seen |= state.keys()
        write(path, {n: t for n, t in state.items() if n not in gone})


def _first_twice(folder: Path) -> None:
    files = sorted(folder.glob("frame_*"))
    for t in range(len(files), 0, -1):
        (folder / f"frame_{t:08d}.safetensors").write_bytes(files[t - 1].read_bytes())


FOLDERS: dict[str, Callable[[Path], None]] = {
    "encoder-string-order": _string_order,
    "encoder-still-frames-dropped": _still_frames_dropped,
    "encoder-table-of-first-frame": _table_of_first_frame,
    "encoder-union-of-frames": _union_of_frames,
    "encoder-shapes-of-first-frame": _shapes_of_first_frame,
    "encoder-dtypes-of-first-frame": _dtypes_of_first_frame,
    "encoder-vanished-stay-away": _vanished_stay_away,
    "encoder-first-twice": _first_twice,
    "encoder-first-frame-alone": lambda f: (
        [p.unlink() for p in sorted(f.glob("frame_*"))[1:]] and None
    ),
    "encoder-last-frame-left-out": lambda f: (
        [p.unlink() for p in sorted(f.glob("frame_*"))[1:][-1:]] and None
    ),
}
"""Faults of the sequence, by name."""

WISHES: dict[str, dict[str, Any]] = {
    "encoder-always-main": {"profile": "main"},
    "encoder-always-baseline": {"profile": "baseline"},
}


def _crc_zero(package: Path) -> None:
    data = bytearray(package.read_bytes())
    for signature, place in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
        at = data.find(signature)
        while at >= 0:
            data[at + place : at + place + 4] = bytes(4)
            at = data.find(signature, at + 1)
    package.write_bytes(data)


def _comment(package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-2] + b"\x03\0nmc")


def _byte_more(package: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\n")


def _creator_later(package: Path) -> None:
    data = package.read_bytes()
    package.write_bytes(data.replace(b"nmc", b"nmx", 1))


PACKAGES: dict[str, Callable[[Path], None]] = {
    "encoder-crc-zero": _crc_zero,
    "encoder-zip-comment": _comment,
    "encoder-line-feed-behind": _byte_more,
    "encoder-edited-after-digest": _creator_later,
}
"""Faults of what is done with the package afterwards."""


def encode(fault: str, source: Path, output: Path, wishes: dict[str, Any]) -> int:
    """Encode the states of a folder, wrongly; return the exit code."""
    from nmc_tools.commands import codec

    with tempfile.TemporaryDirectory(dir=output.parent) as made:
        folder = Path(made) / "states"
        shutil.copytree(source, folder)
        if fault in STATES:
            for path in folder.glob("frame_*"):
                write(path, STATES[fault](read(path)))
        FOLDERS.get(fault, lambda _: None)(folder)
        try:
            codec.run_encode(folder, output, {**wishes, **WISHES.get(fault, {})})
        except Exception as error:
            print(error, file=sys.stderr)
            return 1
    PACKAGES.get(fault, lambda _: None)(output)
    return 0


def _once(fault: str, options: Sequence[str]) -> int:
    values = dict(zip(options[::2], options[1::2], strict=True))
    wishes = json.loads(Path(values["--options"]).read_bytes())
    return encode(fault, Path(values["--input"]), Path(values["--output"]), wishes)


def _each(fault: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    wishes = asked.get("options") or {}
    return {"exit": encode(fault, Path(asked["input"]), Path(asked["output"]), wishes)}


def main(arguments: list[str]) -> int:
    """Carry out one request, or those of the persistent mode."""
    return carry_out(arguments, ["encode"], _once, _each)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
