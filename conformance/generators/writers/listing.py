"""Lines of annex E: bytes, values and tables in Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from writers.package_writer import Array


def dump(data: bytes) -> str:
    """Return bytes as lines of offset, 16 bytes in base 16, and their ASCII."""
    lines = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in part)
        lines.append(f"{at:04x}  {part.hex(' '):<47}  |{text}|")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def elements(array: Array) -> str:
    """Return the values of an object of the manifest, as in E.7."""
    if array.dtype.kind == "S":
        return ", ".join(f"`{text.decode()}`" if text else "(empty)" for text in array.reshape(-1))
    if array.dtype == np.uint8 and array.shape[-1:] == (32,):
        return "<br>".join(f"`{row.tobytes().hex()}`" for row in array.reshape(-1, 32))
    return "`" + json.dumps(array.tolist()) + "`"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def extents(array: Array) -> str:
    """Return the extents of an object of the manifest."""
    return " x ".join(map(str, array.shape)) or "scalar"


def header_note(data: bytes) -> str:
    """Return what is said of the header of a segment."""
    size = int.from_bytes(data[:8], "little")
    return f"The header has {size} bytes (`{data[:8].hex(' ')}`), so the data begins at {8 + size}."
