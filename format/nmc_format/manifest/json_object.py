"""JSON objects in the texts of a manifest (clause 5.4.2): bounded, the same for every reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NESTING = 100
"""Arrays and objects within each other; more would exhaust a parser."""

MAX_CONFIGURATION = 2**24
"""Characters of a model configuration; as objects of a program they take twenty times as much."""

_LONGEST_INTEGER = 4000
"""Digits that become an integer; Python refuses to read more than 4300 of them."""


class _Members(list[tuple[str, Any]]):
    """Names and values of an object, in their order: those of a name that occurs twice as well."""


def object_fault(text: str) -> str:
    """Say why a text is not a JSON object of the clause; empty where it is one."""
    try:
        value = _parsed(text, _Members)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, _Members):
        return "it is not a JSON object"
    level: list[list[Any]] = [value]
    for _ in range(MAX_NESTING):
        objects = [node for node in level if isinstance(node, _Members)]
        inner = [v for node in level if not isinstance(node, _Members) for v in node]
        inner += [v for node in objects for _, v in node]
        texts = [v for v in inner if isinstance(v, str)]
        texts += [name for node in objects for name, _ in node]
        if not all(map(_is_unicode, texts)):
            return "a surrogate in it is not one of a pair"
        level = [v for v in inner if isinstance(v, list)]
        if not level:
            return ""
    return f"its values are nested more than {MAX_NESTING} deep"


def configuration_fault(text: str) -> str:
    """Say why a text is not a model configuration (clause 5.4.2); empty where it is one."""
    if len(text) > MAX_CONFIGURATION:
        return f"it has {len(text)} characters, more than {MAX_CONFIGURATION}"
    return object_fault(text)


def parse_object(text: str) -> dict[str, Any]:
    """Return the object of a text in which :func:`object_fault` found nothing.

    Raises
    ------
    TypeError, ValueError
        If it finds something.
    """
    value = _parsed(text)
    if not isinstance(value, dict):
        raise TypeError("it is not a JSON object")
    return value


def _parsed(text: str, members: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(
        text, parse_constant=refuse_constant, parse_int=_integer, object_pairs_hook=members
    )


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
