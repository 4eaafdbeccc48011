"""Encoders with a fault: the states or the wishes are changed before the reference encodes them.

``wrong_encoder.py FAULT REQUEST …``. The faults are those of programs that go through a library of
numbers, a dictionary, or a file system on the way.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from wrong_requests import carry_out
from wrong_states import STATES, State, Tensor, numbers, read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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


def _unchanged(alike: Callable[[Tensor, Tensor], bool]) -> Callable[[Path], None]:
    """Return a change that keeps a tensor of the frame before where a comparison calls it alike."""

    def change(folder: Path) -> None:
        before: State = {}
        for path in sorted(folder.glob("frame_*")):
            before = {
                n: before[n] if n in before and alike(before[n], t) else t
                for n, t in read(path).items()
            }
            write(path, before)

    return change


def _same_kind(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape


FOLDERS: dict[str, Callable[[Path], None]] = {
    "encoder-unchanged-by-value": _unchanged(
        lambda a, b: _same_kind(a, b) and bool(np.all(numbers(a) == numbers(b)))
    ),
    "encoder-unchanged-by-tolerance": _unchanged(
        lambda a, b: _same_kind(a, b) and np.allclose(numbers(a), numbers(b), equal_nan=True)
    ),
    "encoder-unchanged-by-sum": _unchanged(
        lambda a, b: _same_kind(a, b) and float(numbers(a).sum()) == float(numbers(b).sum())
    ),
    "encoder-unchanged-by-ends": _unchanged(
        lambda a, b: (
            _same_kind(a, b) and a.data[:64] == b.data[:64] and a.data[-64:] == b.data[-64:]
        )
    ),
    "encoder-unchanged-by-crc": _unchanged(
        lambda a, b: (
            _same_kind(a, b) and zlib.adler32(a.data) & 0xFFFF == zlib.adler32(b.data) & 0xFFFF
        )
    ),
    "encoder-unchanged-by-bytes": _unchanged(lambda a, b: a.data == b.data and a.dtype == b.dtype),
    "encoder-unchanged-by-memory": _unchanged(lambda a, b: a.data == b.data and a.shape == b.shape),
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
