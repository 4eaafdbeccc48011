"""YAML that need not be trusted, as plain values and the lines they stand in.

Only what JSON has: mappings with text keys, lists, texts, numbers, booleans, null. Aliases are
refused, and with them documents that unfold without end; size and depth are bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

#: A configuration is a page or two; what is much larger is none.
MAX_BYTES = 1 << 17
MAX_DEPTH = 20
#: YAML's names of what JSON has.
_KINDS = frozenset({"map", "seq", "str", "int", "float", "bool", "null"})

Place = tuple[str | int, ...]


class ConfigurationError(ValueError):
    """A configuration that is none; names the line and what is allowed there."""


@dataclass(frozen=True)
class Document:
    """Plain values, and for each place in them the line it stands in, counted from 1."""

    label: str
    values: Any
    lines: Mapping[Place, int]

    def where(self, place: Place) -> str:
        """Return file, line and place for a message."""
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        path = path_text(place)
        line = f"{self.label}, line {self.lines.get(known, 1)}"
        return f"{line}: {path}" if path else line


def path_text(place: Place) -> str:
    """Return a place as people write it: ``source.videos[0]``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_document(data: bytes, label: str) -> Document:
    """Read a YAML document.

    Parameters
    ----------
    data
        The file's bytes, UTF-8.
    label
        Its name, for messages.

    Raises
    ------
    ConfigurationError
        When it is too large or too deep, is not YAML, has aliases, tags or repeated keys, or holds
        something that JSON has not; the line is named.
    """
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{label}: {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        text = data.decode("utf-8-sig")
        _refuse_unbounded(text, label)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{label} is not UTF-8 text: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{label}, line {line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{label} is not YAML: {error}") from None
    if node is None:
        raise ConfigurationError(f"{label} is empty; nmc run --example prints one to start from")
    lines: dict[Place, int] = {}
    constructor = yaml.SafeLoader("")
    values = _plain(node, (), lines, constructor, label)
    return Document(label, values, lines)


def _refuse_unbounded(text: str, label: str) -> None:
    """Walk the events, which takes no more memory than the text, before a tree is built."""
    depth = documents = 0
    for event in _events(text):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigurationError(f"{label}, line {line}: aliases (*{event.anchor}) are refused")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"{label}, line {line}: nested deeper than {MAX_DEPTH}")
        if documents > 1:
            raise ConfigurationError(f"{label}, line {line}: one document is read, not several")


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=yaml.SafeLoader)


def _plain(
    node: yaml.Node, place: Place, lines: dict[Place, int], constructor: Any, label: str
) -> Any:
    line = node.start_mark.line + 1
    lines[place] = line
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in _KINDS:
        shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else "it"
        raise ConfigurationError(
            f"{label}, line {line}: {shown} is taken for a {kind}; write a text in quotes"
        )
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigurationError(f"{label}, line {at}: a key is a text")
            key = key_node.value
            if key in found:
                raise ConfigurationError(f"{label}, line {at}: {key!r} is there twice")
            found[key] = _plain(value_node, (*place, key), lines, constructor, label)
            lines[*place, key] = at
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, (*place, k), lines, constructor, label)
            for k, item in enumerate(node.value)
        ]
    try:
        value = constructor.construct_object(node)
    except (ValueError, yaml.YAMLError):
        raise ConfigurationError(f"{label}, line {line}: {node.value!r} is no {kind}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{label}, line {line}: {node.value!r} is not a finite number")
    return value
