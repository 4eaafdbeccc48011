"""Runs the pseudo-code of the standard's text: its notation (clause 3.2.1) made Python.

Pseudo-code and Python have nearly the same form. What differs are the signs, `=` in a condition,
ranges, a few verbs, and names that functions share.
"""

from __future__ import annotations

import copy
import itertools
import re
import symtable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNS = {
    "\N{MINUS SIGN}": "-",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "‖": "+",
    " div ": " // ",
    " mod ": " % ",
}
_PHRASES = (
    (r"(?<=[\w)])\^(?=[\w(])", "**"),  # a power has no space, an exclusive or has
    (r"\bnumber of (\w+) in (\S+) \.\. (\S+) with ([^,]+)", r"number_of(\2, \3, lambda \1: \4)"),
    (r"\bin (.+?) \.\. (.+?):", r"in range(\1, (\2) + 1):"),
    (r"\brepeat (.+?) times:", r"for _ in range(\1):"),
    (r"\bappend (.+) to (\S+)$", r"\2.append(\1)"),
    (r"\badd (.+) to (\S+)$", r"\2.add(\1)"),
    (r"\bremove (.+) from (\S+)$", r"\2.pop(\1, None)"),
    (r"(^\s*|: )refuse$", r"\1raise Refused"),
    (r"(^\s*|: )error (\S+)$", r"\1errors.append('\2')"),
)
_CONDITION = re.compile(r"\b(if|elif|while) (.*?)(:(?=\s|$)|\s+else\b|$)")
_SHARED = re.compile(r"shared (.+)")
_FUNCTION = re.compile(r"(\w+)\(([\w, ]*)\)( *=|:)(.*)")


class Refused(Exception):
    """The pseudo-code refuses what it was given."""


class Array:
    """Elements of so many dimensions, each made when it is first looked at; indices are checked."""

    def __init__(self, *size: Any) -> None:
        *self._size, self._make = size
        self._made: dict[int, Any] = {}

    def __getitem__(self, index: int) -> Any:
        assert 0 <= index < self._size[0], f"index {index} of {self._size[0]}"
        if index not in self._made:
            inner = self._size[1:]
            self._made[index] = Array(*inner, self._make) if inner else self._make()
        return self._made[index]

    def __setitem__(self, index: int, value: Any) -> None:
        assert 0 <= index < self._size[0], f"index {index} of {self._size[0]}"
        self._made[index] = value


def number_of(first: int, last: int, holds: Callable[[int], bool]) -> int:
    """Return how many numbers a condition holds for: those up to some number, and no other."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if holds(middle) else (low, middle)
    return low - first


NOTATION: dict[str, Any] = {
    "Refused": Refused,
    "array": Array,
    "bits": int.bit_length,
    "clip": lambda a, low, high: max(low, min(high, a)),
    "copy": copy.deepcopy,
    "equal": "equal",
    "flip": "flip",
    "grow": "grow",
    "integer_at": lambda data, at, n: int.from_bytes(data[at : at + n], "little"),
    "shrink": "shrink",
    "length": len,
    "new": SimpleNamespace,
    "none": None,
    "number_of": number_of,
    "zeros": lambda n: [0] * n,
}
"""Names of clause 3.2.1, and words for what a function answers."""


def _line(line: str) -> str:
    for pattern, by in _PHRASES:
        line = re.sub(pattern, by, line)
    equals = re.compile(r"(?<![<>!=]) = ")
    return _CONDITION.sub(lambda m: f"{m[1]} {equals.sub(' == ', m[2])}{m[3]}", line)


def python(code: str) -> str:
    """Return pseudo-code as Python.

    A name is global in every function where a line ``shared`` has it, and else belongs to the
    function that gives it a value.
    """
    for sign, other in _SIGNS.items():
        code = code.replace(sign, other)
    raw = [line.partition("#")[0].rstrip() for line in code.splitlines()]
    shared = {
        name.strip() for line in raw if (m := _SHARED.match(line)) for name in m[1].split(",")
    }
    lines = []
    for line in raw:
        head = _FUNCTION.fullmatch(line)
        if _SHARED.match(line):
            continue
        if not head:
            lines.append(_line(line))
            continue
        name, given, sign, rest = head.groups()
        if sign == ":":
            lines.append(f"def {name}({given}):{_line(rest)}")
            names = shared - {p.strip() for p in given.split(",")}
            lines += [f"    global {', '.join(sorted(names))}"] if names and not rest else []
        else:
            lines.append(f"def {name}({given}): return {_line(rest.strip())}")
    return "\n".join(lines) + "\n"


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run pseudo-code; return the names that it defines."""
    scope: dict[str, Any] = {**NOTATION, "errors": [], **names}
    exec(python(code), scope)  # the text is our own
    return scope


def code_of(subject: str) -> str:
    """Return all blocks of the text that are run under a name, in their order."""
    return "\n".join(b.text for b in prose.BLOCKS if (b.mark, b.subject) == ("run", subject))


def program(*subjects: str, **names: Any) -> dict[str, Any]:
    """Run all blocks of the text under some names as one program."""
    return run("\n".join(map(code_of, subjects)), **names)


def undefined(code: str, **names: Any) -> set[str]:
    """Return the names that pseudo-code looks at and nobody gives a value."""

    def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
        yield table
        for child in table.get_children():
            yield from tables(child)

    top = symtable.symtable(python(code), "text", "exec")
    symbols = [*itertools.chain.from_iterable(t.get_symbols() for t in tables(top))]
    given = {s.get_name() for s in symbols if s.is_assigned() and (s.is_global() or s.is_local())}
    known = {*given, *NOTATION, *names, "errors", "abs", "max", "min", "range"}
    return {s.get_name() for s in symbols if s.is_referenced() and s.is_global()} - known


class U32(int):
    """A number modulo 2^32."""

    def __new__(cls, value: int) -> U32:
        return super().__new__(cls, value % 2**32)

    def __add__(self, other: int) -> U32:
        return U32(int(self) + int(other))

    def __sub__(self, other: int) -> U32:
        return U32(int(self) - int(other))

    def __xor__(self, other: int) -> U32:
        return U32(int(self) ^ int(other))
