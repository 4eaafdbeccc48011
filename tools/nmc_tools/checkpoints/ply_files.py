"""Reads and writes 3D Gaussian splatting models as PLY files, to the same bytes.

Layout of the reference implementation (Kerbl et al. 2023, scene/gaussian_model.py, `save_ply`):
``x y z nx ny nz f_dc_0.. f_rest_0.. opacity scale_0.. rot_0..``, all float. It is grouped into
``xyz normals f_dc f_rest opacity scale rotation``; any other set of properties becomes one tensor
for each property.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nmc_framework.ply_header import (
    MAX_HEADER_BYTES,
    PlyError,
    PlyHeader,
    default_header,
    parse_header,
    split_header,
    vertex_part,
    with_count,
)
from nmc_tools.checkpoints.bounded_zip import read_exactly
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array

_GROUPS = (
    ("xyz", ("x", "y", "z")),
    ("normals", ("nx", "ny", "nz")),
    ("f_dc", "f_dc_"),
    ("f_rest", "f_rest_"),
    ("opacity", ("opacity",)),
    ("scale", "scale_"),
    ("rotation", "rot_"),
)
_REQUIRED = ("xyz", "f_dc", "opacity", "scale", "rotation")
NUMBER_STYLES = ("shortest", "%g", "%.6f", "%.8f", "%.9g", "%.17g", "%e")


def read_ply(file: BinaryIO) -> Checkpoint:
    """Read the vertices of a PLY file.

    Parameters
    ----------
    file : binary file
        Seekable.

    Returns
    -------
    Checkpoint
        Tensors float32 of shape (N, 3), (N, 45), (N, 1)…, or (N,) for each property. ``extra``
        holds the header, and the style of numbers of an ascii file.

    Raises
    ------
    Refusal
        If it is malformed or truncated, or its vertices are no rows of plain numbers.
    """
    file_size = file.seek(0, 2)
    file.seek(0)
    header = _header(file.read(MAX_HEADER_BYTES))
    file.seek(len(header.text))
    left = file_size - len(header.text)
    extra: dict[str, Any] = {"ply_header": vertex_part(header.text)}
    notes = [f"element {plain(other)}: not of the model" for other in header.others]
    if header.encoding == "ascii":
        rows = _ascii_rows(file.read(), header, notes, extra)
    else:
        rows = _binary_rows(file, header, left, notes)
    return Checkpoint(_grouped(rows), frozenset(), "ply", skipped=tuple(notes), extra=extra)


def _header(start: bytes | str) -> PlyHeader:
    """Return what the header at the start of a file says, or that of a note."""
    try:
        return parse_header(start if isinstance(start, str) else split_header(start))
    except PlyError as error:
        raise Refusal(error.reason, error.hint) from None


def _binary_rows(
    file: BinaryIO, header: PlyHeader, left: int, notes: list[str]
) -> np.ndarray[Any, Any]:
    size = header.count * header.row.itemsize
    if size > left:
        raise Refusal(
            f"its header promises {header.count} vertices ({size} bytes), {left} bytes follow",
            "the file is truncated; copy it again",
        )
    if left > size and not header.others:
        notes.append(f"{left - size} bytes after the {header.count} vertices of the header")
    return read_exactly(file, size, "vertices").view(header.row)


def _ascii_rows(
    body: bytes, header: PlyHeader, notes: list[str], extra: dict[str, Any]
) -> np.ndarray[Any, Any]:
    names = header.row.names or ()
    width = len(names)
    # A number and what parts it from the next take two bytes, the last one perhaps one.
    if header.count * width * 2 > len(body) + 1:
        raise Refusal(
            f"its header promises {header.count} rows of {width} numbers, {len(body)} bytes follow",
            "the file is truncated; copy it again",
        )
    words = body.split()
    needed = header.count * width
    if len(words) < needed:
        raise Refusal(f"it holds {len(words)} numbers, its header promises {needed}")
    rows = np.empty(header.count, header.row)
    for i, name in enumerate(names):
        rows[name] = _column(words[i:needed:width], header.row[name], name)
    if len(words) > needed and not header.others:
        notes.append(f"{len(words) - needed} words after the {header.count} vertices of the header")
    for style in NUMBER_STYLES:
        if body.startswith(_ascii_body(rows, style)):
            extra["ply_numbers"] = style
            break
    else:
        notes.append("the spelling of its numbers: an export has the same values in other words")
    return rows


def _column(words: list[bytes], dtype: np.dtype[Any], name: str) -> np.ndarray[Any, Any]:
    try:
        if dtype.kind == "f":
            with np.errstate(over="ignore"):  # beyond float32 is infinity, as in C
                return np.array([float(w) for w in words], np.float64).astype(dtype)
        return np.array([int(w) for w in words], dtype)
    except (ValueError, OverflowError) as error:
        raise Refusal(f"property {plain(name)!r}: {plain(error)}, expected a number") from None


def _ascii_body(rows: np.ndarray[Any, Any], style: str) -> bytes:
    columns = [_spelled(rows[name], style) for name in rows.dtype.names or ()]
    return "".join(f"{' '.join(row)}\n" for row in zip(*columns, strict=True)).encode()


def _spelled(column: np.ndarray[Any, Any], style: str) -> list[str]:
    if column.dtype.kind != "f" or style == "shortest":
        return [str(v) for v in column]
    return [style % v for v in column.tolist()]


def _groups(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the property names of each tensor of a 3DGS model; empty if it is none."""
    known = set(names)
    groups: dict[str, list[str]] = {}
    for tensor, pattern in _GROUPS:
        if isinstance(pattern, str):
            count = sum(bool(re.fullmatch(rf"{pattern}\d+", name)) for name in known)
            members = [f"{pattern}{i}" for i in range(count)]
        else:
            members = [m for m in pattern if m in known]
            members = members if len(members) == len(pattern) else []
        if members:
            groups[tensor] = members
    complete = all(tensor in groups for tensor in _REQUIRED)
    return groups if complete and {m for g in groups.values() for m in g} == known else {}


def _grouped(rows: np.ndarray[Any, Any]) -> dict[str, Array]:
    names = rows.dtype.names or ()
    kinds = {rows.dtype[name].str[1:] for name in names}
    groups = _groups(names) if kinds == {"f4"} else {}
    if not groups:
        return {name: rows[name].astype(rows.dtype[name].newbyteorder("<")) for name in names}
    state: dict[str, Array] = {}
    for tensor, members in groups.items():
        block = np.empty((len(rows), len(members)), "<f4")
        for i, member in enumerate(members):
            block[:, i] = rows[member]
        state[tensor] = block
    return state


def write_ply(file: BinaryIO, state: Mapping[str, Array], extra: Mapping[str, Any]) -> None:
    """Write a 3DGS model, or what `read_ply` read.

    Parameters
    ----------
    file : binary file
        Where to write.
    state : mapping of str to Array
        The tensors, as `read_ply` names them.
    extra : mapping
        Of the checkpoint that was read; without it the order of the reference implementation.

    Raises
    ------
    Refusal
        If the tensors are not those of a 3DGS model, or not those the header in ``extra`` names.
    """
    columns = _columns(state)
    count = len(next(iter(columns.values())))
    if "ply_header" in extra:
        header = _header(str(extra["ply_header"]))
    else:
        names = list(columns)
        if not _groups(tuple(names)) or {c.dtype.str for c in columns.values()} != {"<f4"}:
            raise Refusal(
                f"the state holds {_list(state)}; a 3DGS model has float32 {', '.join(_REQUIRED)} "
                "and perhaps normals and f_rest",
                "write safetensors instead, or pass the extra of the .ply file it came from",
            )
        header = parse_header(default_header(names, count))
    _check_columns(columns, header)
    rows = np.empty(count, header.row)
    for name, column in columns.items():
        rows[name] = column
    file.write(with_count(header.text, count).encode("latin-1"))
    if header.encoding == "ascii":
        file.write(_ascii_body(rows, str(extra.get("ply_numbers", "shortest"))))
    else:
        file.write(rows.tobytes())


def _list(state: Mapping[str, Array]) -> str:
    names = [plain(name) for name in list(state)[:8]]
    return ", ".join(names) + (", …" if len(state) > 8 else "")


def _columns(state: Mapping[str, Array]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the properties of the tensors, those of a 3DGS model in the order of the reference."""
    patterns = dict(_GROUPS)
    grouped = all(name in patterns and len(array.shape) == 2 for name, array in state.items())
    order = [name for name, _ in _GROUPS if name in state] if grouped else list(state)
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for name in order:
        array = state[name]
        if not isinstance(array, np.ndarray) or array.ndim != (2 if grouped else 1):
            raise Refusal(f"tensor {plain(name)!r} has no rows for the vertices of a .ply file")
        pattern = patterns.get(name) if grouped else (name,)
        width = array.shape[1] if grouped else 1
        names = [f"{pattern}{i}" for i in range(width)] if isinstance(pattern, str) else pattern
        if names is None or len(names) != width:
            raise Refusal(f"{plain(name)!r} has {width} columns, expected {len(names or ())}")
        block = array.reshape(len(array), width)
        columns |= {column: block[:, i] for i, column in enumerate(names)}
    if len({len(c) for c in columns.values()}) != 1:
        raise Refusal("the tensors of a .ply file have one row for each vertex, and as many rows")
    return columns


def _check_columns(columns: Mapping[str, np.ndarray[Any, Any]], header: PlyHeader) -> None:
    wanted = {name: header.row[name].str[1:] for name in header.row.names or ()}
    given = {name: column.dtype.str[1:] for name, column in columns.items()}
    if wanted != given:
        unmet = [plain(n) for n in wanted if wanted[n] != given.get(n)]
        names = ", ".join(unmet) or "fewer properties"
        raise Refusal(
            f"the .ply header wants {names}, which the state has not, or in another type",
            "export with the extra of the file the state came from",
        )
