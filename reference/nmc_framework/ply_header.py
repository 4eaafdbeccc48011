"""The header of a PLY file: its encoding, and the elements and properties that follow it.

Format: G. Turk, The PLY Polygon File Format, 1994.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

MAX_HEADER_BYTES = 64 * 2**10
"""Bytes of a header; one of a 3DGS file with 62 properties has 1.5 kB."""

_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_VERTEX_LINE = re.compile(r"(\s*element\s+vertex\s+)\d+")
_END = re.compile(rb"^end_header[ \t]*\r?\n", re.MULTILINE)


_LONGEST_LINE = 160
"""Characters of a line that a message quotes."""


class PlyError(ValueError):
    """A header that cannot be read.

    Attributes
    ----------
    reason, hint : str
        What is wrong, and what to do; the hint may be empty.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason} ({hint})" if hint else reason)
        self.reason, self.hint = reason, hint


@dataclass(frozen=True)
class PlyHeader:
    """What a PLY header says about its vertices.

    Attributes
    ----------
    text : str
        The header as it stands, through the line ``end_header``; Latin-1.
    encoding : str
        ``"ascii"``, ``"binary_little_endian"`` or ``"binary_big_endian"``.
    count : int
        Vertices.
    row : numpy.dtype
        One vertex: a field for each property, without padding.
    others : tuple of str
        Elements that follow the vertices.
    """

    text: str
    encoding: str
    count: int
    row: np.dtype[np.void]
    others: tuple[str, ...]


def split_header(start: bytes) -> str:
    """Return the header at the start of a file.

    Raises
    ------
    PlyError
        If it does not end within the bounds.
    """
    end = _END.search(start[:MAX_HEADER_BYTES])
    if not start.startswith(b"ply") or end is None:
        raise PlyError(
            'its header does not begin with "ply" and end with "end_header" within '
            f"{MAX_HEADER_BYTES} bytes",
            "the file is truncated, or no PLY file",
        )
    return start[: end.end()].decode("latin-1")


def parse_header(text: str) -> PlyHeader:
    """Return what a header says.

    Raises
    ------
    PlyError
        If it is malformed, or its first element is not a vertex of plain numbers.
    """
    encoding = ""
    elements: list[tuple[str, int]] = []
    fields: list[tuple[str, str]] = []
    for line in text.split("\n")[1:]:
        words = line.split()
        match words:
            case ["format", kind, "1.0"] if kind in _ORDERS:
                encoding = kind
            case ["element", name, count] if count.isascii() and count.isdigit():
                elements.append((name, int(count[:19])))
            case ["property", kind, name] if kind in _TYPES and elements:
                if len(elements) == 1:
                    fields.append((name, _TYPES[kind]))
            case ["property", "list", _, _, _] if len(elements) > 1:
                pass
            case [] | ["comment", *_] | ["obj_info", *_] | ["end_header"]:
                pass
            case _:
                raise PlyError(
                    f"header line {line[:_LONGEST_LINE]!r} is not understood; expected a format, "
                    "an element, or a property of one number"
                )
    if not encoding or not elements or elements[0][0] != "vertex" or not fields:
        raise PlyError("its header needs a format, and vertices with properties as first element")
    if len({name for name, _ in elements}) != len(elements):
        raise PlyError(
            "its header has an element twice, such as two lists of vertices, of which one model "
            "cannot be made",
            "write the parts as files of their own, or merge them into one element",
        )
    if len({name for name, _ in fields}) != len(fields):
        raise PlyError("its header names a property twice")
    row = np.dtype([(name, _ORDERS[encoding] + kind) for name, kind in fields])
    others = tuple(f"{name} ({count} rows)" for name, count in elements[1:])
    return PlyHeader(text, encoding, elements[0][1], row, others)


def vertex_part(text: str) -> str:
    """Return a header without the elements after the vertices."""
    lines, elements = [], 0
    for line in re.findall(r"[^\n]*\n", text):
        elements += line.split()[:1] == ["element"]
        if elements <= 1 or line.split()[:1] == ["end_header"]:
            lines.append(line)
    return "".join(lines)


def with_count(text: str, count: int) -> str:
    """Return a header with another number of vertices; the same text where it is the same."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        match = _VERTEX_LINE.match(line)
        if match:
            lines[i] = f"{match[1]}{count}{line[match.end() :]}"
            break
    return "\n".join(lines)


def default_header(names: Iterable[str], count: int, kind: str = "float") -> str:
    """Return a header of vertices in little-endian order, with properties of one kind.

    With ``float`` it is that which the reference implementation of 3DGS writes, by way of plyfile.
    """
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    lines += [f"property {kind} {name}" for name in names]
    return "\n".join([*lines, "end_header", ""])
