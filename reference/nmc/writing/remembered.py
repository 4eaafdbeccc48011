"""What quantising a frame takes from the frames before, and how a journal has it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Remembered:
    """What the next frame takes from the originals of those before.

    Attributes
    ----------
    originals : mapping of int to bytes
        By row that is quantised, the digest of the tensor as it was given.
    magnitudes : mapping of int to float
        By row, the root mean square of its elements in the last key frame.
    factor : float
        By what the steps of the last frame were multiplied to meet a target; else 1.
    key_factor : float
        The same of the last key frame.
    steps : mapping of int to sequence of (int, float)
        By row, rows and step of each part, where they were measured by the caller's distortion.
    """

    originals: Mapping[int, bytes] = field(default_factory=dict)
    magnitudes: Mapping[int, float] = field(default_factory=dict)
    factor: float = 1.0
    key_factor: float = 1.0
    steps: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)


def line_of(known: Remembered) -> dict[str, Any]:
    """Return it as JSON."""
    line: dict[str, Any] = {
        "originals": [[row, digest.hex()] for row, digest in known.originals.items()],
        "magnitudes": [[row, size] for row, size in known.magnitudes.items()],
        "factors": [known.factor, known.key_factor],
    }
    if known.steps:
        line["steps"] = [[row, [list(p) for p in parts]] for row, parts in known.steps.items()]
    return line


def is_line(value: Any) -> bool:
    """Whether :func:`line_of` made a value."""
    return (
        isinstance(value, dict)
        and value.keys() - {"steps"} == {"originals", "magnitudes", "factors"}
        and _is_by_row(value["originals"], lambda d: isinstance(d, str) and _HEX64.fullmatch(d))
        and _is_by_row(value["magnitudes"], lambda size: _is_number(size) and size >= 0)
        and isinstance(value["factors"], list)
        and len(value["factors"]) == 2
        and all(_is_number(factor) and factor > 0 for factor in value["factors"])
        and _is_by_row(value.get("steps", []), _are_parts)
    )


def of_line(value: Any) -> Remembered:
    """Return what a line says that :func:`is_line` found sound."""
    originals = {row: bytes.fromhex(digest) for row, digest in value["originals"]}
    steps = {row: [(n, step) for n, step in parts] for row, parts in value.get("steps", [])}
    factor, key_factor = value["factors"]
    return Remembered(originals, dict(value["magnitudes"]), factor, key_factor, steps)


def _is_by_row(value: Any, check: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and type(pair[0]) is int
        and 0 <= pair[0] < 2**32
        and check(pair[1])
        for pair in value
    )


def _are_parts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(part, list)
            and len(part) == 2
            and type(part[0]) is int
            and 0 < part[0] < 2**63
            and _is_number(part[1])
            and part[1] > 0
            for part in value
        )
    )


def _is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)
