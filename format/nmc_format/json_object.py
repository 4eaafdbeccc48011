"""JSON objects in the texts of a manifest (clause 5.4.2): bounded, the same for every reader."""

from __future__ import annotations

import json
from typing import Any

MAX_NESTING = 100
"""Arrays and objects within each other; more would exhaust a parser."""

_LONGEST_INTEGER = 4000
"""Digits that become an integer; Python refuses to read more than 4300 of them."""


def object_fault(text: str) -> str:
    """Say why a text is no JSON object of the clause; empty where it is one."""
    try:
        value = _parsed(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return "it is no JSON object"
    level: list[Any] = [value]
    for _ in range(MAX_NESTING):
        inner = [v for node in level for v in (node.values() if isinstance(node, dict) else node)]
        texts = [v for v in inner if isinstance(v, str)]
        texts += [name for node in level if isinstance(node, dict) for name in node]
        if not all(map(_is_unicode, texts)):
            return "a surrogate in it is not one of a pair"
        level = [v for v in inner if isinstance(v, dict | list)]
        if not level:
            return ""
    return f"its values are nested more than {MAX_NESTING} deep"


def parse_object(text: str) -> dict[str, Any]:
    """Return the object of a text in which :func:`object_fault` found nothing."""
    value = _parsed(text)
    if not isinstance(value, dict):
        raise TypeError("it is no JSON object")
    return value


def _parsed(text: str) -> Any:
    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse_constant, parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
