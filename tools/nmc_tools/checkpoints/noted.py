"""What a package says of the files its tensors came from: used by writers where it is well-formed.

It comes out of the configuration of a package, which a stranger may have written.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nmc_framework.ply_header import MAX_HEADER_BYTES, PlyError, parse_header
from nmc_tools.checkpoints.ply_files import NUMBER_STYLES
from nmc_tools.checkpoints.spz_files import MAX_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_PROPERTIES = 1 << 16


def usable(extra: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the notes that writers can use, and the names of those that are malformed.

    Parameters
    ----------
    extra : mapping
        `Checkpoint.extra`, as a package has it.
    """
    known = {name: value for name, value in extra.items() if name in _SOUND}
    good = {name: value for name, value in known.items() if _SOUND[name](value)}
    return good, [name for name in known if name not in good]


def _is_text(value: Any, encoding: str = "utf-8") -> bool:
    try:
        return isinstance(value, str) and value.encode(encoding) is not None
    except UnicodeEncodeError:
        return False


def _metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, [*value, *value.values()]))


def _header(value: Any) -> bool:
    if not _is_text(value, "latin-1") or len(value) > MAX_HEADER_BYTES:
        return False
    try:
        parse_header(value)
    except PlyError:
        return False
    return bool(value.startswith("ply") and value.endswith("\n"))


def _spz(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    extensions = value.get("extensions", "")
    if not isinstance(extensions, str) or len(extensions) > 2 * MAX_EXTENSIONS:
        return False
    try:
        bytes.fromhex(extensions)
    except ValueError:
        return False
    return True


def _gltf(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    properties, node = value.get("properties"), value.get("node", {})
    normalised = value.get("normalised", [])
    return (
        isinstance(properties, dict)
        and len(properties) <= _MOST_PROPERTIES
        and isinstance(normalised, list)
        and all(map(_is_text, normalised))
        and isinstance(node, dict)
        and node.keys() <= {"rotation", "translation", "scale", "matrix"}
        and all(map(_numbers, node.values()))
    )


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 16
        and all(type(v) in (int, float) and abs(v) < 1e300 and math.isfinite(v) for v in value)
    )


_SOUND: dict[str, Callable[[Any], bool]] = {
    "metadata": _metadata,
    "ply_header": _header,
    "ply_numbers": lambda value: value in NUMBER_STYLES,
    "spz": _spz,
    "gltf": _gltf,
}
"""What makes each note sound."""
