"""Vectors of clause 8 that wrong programs asked for: variants that are not there."""

from __future__ import annotations

from cases import Case
from chain import Edits

from arithmetic.arithmetic_cases import STREAM
from arithmetic.arithmetic_cases import cases as arithmetic_cases

_UNKNOWN = {"stored": 4, "static": 5, "adaptive": 18, "mixed": 7}
"""By a variant: another number, of which the low bits are its own for some."""


def cases() -> list[Case]:
    """Return the cases."""
    made = []
    for case in arithmetic_cases():
        name = case.id.partition("/")[2]
        if name in _UNKNOWN:
            number = bytes([_UNKNOWN[name]])
            made.append(
                case.reject(
                    f"08-arithmetic/{name}-as-variant-{_UNKNOWN[name]}",
                    f"variant {_UNKNOWN[name]} before a payload of the {name} variant is rejected",
                    "8.3.2",
                    "segment/coder",
                    Edits(
                        streams={1: lambda s, number=number: {**s, STREAM: number + s[STREAM][1:]}}
                    ),
                    stage="frame",
                    frame=1,
                )
            )
    return made
