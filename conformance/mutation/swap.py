"""A mutant put into modules that are imported already: other code for the functions it changes.

To import the implementation anew takes longer than most vectors do. A mutant that lies within
functions needs no import, unless what the import itself calls is changed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType

Place = tuple[str, int, str]
"""File, first line and qualified name of a function."""


def functions() -> dict[Place, list[FunctionType]]:
    """Return the functions of this process by where their code stands."""
    found: dict[Place, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is FunctionType:  # isinstance asks the class of what warns when asked
            found.setdefault(_place(thing.__code__), []).append(thing)
    return found


def changed(old: CodeType, new: CodeType) -> tuple[CodeType, ...] | None:
    """Return the functions, of a module or a class, that differ; None where something else does.

    Parameters
    ----------
    old, new : code
        Of one module, from sources that differ in a place.
    """
    if _without_functions(old) != _without_functions(new):
        return None
    found: list[CodeType] = []
    for before, after in zip(_parts(old), _parts(new), strict=True):
        if before == after:
            continue
        if _is_function(after):
            found.append(after)
            continue
        inner = changed(before, after)
        if inner is None:
            return None
        found += inner
    return tuple(found)


def put(codes: tuple[CodeType, ...], known: Mapping[Place, list[FunctionType]]) -> bool:
    """Have functions run other code; say whether all of them were found."""
    if any(_place(code) not in known for code in codes):
        return False
    for code in codes:
        for function in known[_place(code)]:
            function.__code__ = code
    return True


def _place(code: CodeType) -> Place:
    return code.co_filename, code.co_firstlineno, code.co_qualname


def _parts(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & 0x2)  # CO_NEWLOCALS: a class has no locals of its own


def _without_functions(code: CodeType) -> tuple[object, ...]:
    """Return what a module or a class does itself."""
    constants = [None if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts]
    return code.co_code, constants, code.co_names
