"""Runs the pseudocode of the standard's text: its notation (clauses 3.2 and 8.1.1) made Python."""

from __future__ import annotations

import re
from typing import Any

_SIGNS = {
    "\N{MINUS SIGN}": "-",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    " div ": " // ",
    " mod ": " % ",
}
_CONDITION = re.compile(r"\b(if|while) (.*?)(:|$| else )")
_FUNCTION = re.compile(r"(\w+)\(([\w, ]+)\) += (.*)")
_PIECE = re.compile(r"(\w+)\((\w+)\) = (.*?)\s{2,}if (.*)")


def clip(a: int, low: int, high: int) -> int:
    """Return a number within bounds."""
    return max(low, min(high, a))


def python(code: str) -> str:
    """Return pseudocode as Python: signs, powers, comparisons, definitions, steps on one line."""
    for sign, other in _SIGNS.items():
        code = code.replace(sign, other)
    code = re.sub(r"(?<=[\w)])\^(?=[\w(])", "**", code)  # a power has no space, an exclusive or has
    lines = []
    for raw in code.splitlines():
        line = raw.partition("#")[0].rstrip()
        line = re.sub(r"repeat (\w+) times:", r"for _ in range(\1):", line)
        line = re.sub(r", (?=[a-z_]\w* = )", "; ", line)
        line = _CONDITION.sub(lambda m: f"{m[1]} {re.sub(r' = ', ' == ', m[2])}{m[3]}", line)
        if whole := _FUNCTION.fullmatch(line):
            line = f"def {whole[1]}({whole[2]}): return {whole[3]}"
        elif re.fullmatch(r"\w+\([\w, ]+\):", line):
            line = f"def {line}"
        lines.append(line)
    return "\n".join(lines)


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run pseudocode; return the names that it defines."""
    scope: dict[str, Any] = {"clip": clip, "bits": int.bit_length, **names}
    exec(python(code), scope)  # the text is our own
    return scope


def pieces(code: str, **names: Any) -> dict[str, Any]:
    """Run a function that is given in two lines, each for one case."""
    (name, arg, first, when), (_, _, second, _) = (
        _PIECE.fullmatch(line.partition("#")[0].rstrip()).groups()  # type: ignore[union-attr]
        for line in code.strip().splitlines()
    )
    return run(f"{name}({arg}) = ({first}) if {when} else ({second})", **names)


class U32(int):
    """A number modulo 2^32."""

    def __add__(self, other: int) -> U32:
        return U32((int(self) + int(other)) % 2**32)

    def __sub__(self, other: int) -> U32:
        return U32((int(self) - int(other)) % 2**32)

    def __xor__(self, other: int) -> U32:
        return U32(int(self) ^ int(other))


def lookup3(code: str, data: bytes) -> int:
    """Run the checksum of clause D.6 over some bytes."""
    for words, call in {
        "more than 12 bytes are left": "left() > 12",
        "no bytes are left": "left() == 0",
        "next u32": "next_u32()",
        "pad the rest with zero bytes to 12": "pad()",
    }.items():
        code = code.replace(words, call)
    rest = bytearray(data)

    def next_u32() -> int:
        value = int.from_bytes(rest[:4], "little")
        del rest[:4]
        return value

    body = "\n".join(f"    {line}" for line in python(code).splitlines())
    scope = {
        "n": U32(len(data)),
        "left": lambda: len(rest),
        "next_u32": next_u32,
        "pad": lambda: rest.extend(bytes(12 - len(rest))),
        "rot": lambda x, k: U32((x << k | x >> (32 - k)) % 2**32),
        "U32": U32,
    }
    exec(f"def checksum():\n{body.replace('0xDEADBEEF', 'U32(0xDEADBEEF)')}", scope)
    value: int = scope["checksum"]()  # type: ignore[operator]
    return value
