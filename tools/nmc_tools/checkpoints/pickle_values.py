"""What pickles are made of here: names that are text, objects that are never made, and keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import Refusal, plain

if TYPE_CHECKING:
    from nmc_tools.checkpoints.budget import Budget

MAX_NAME = 1024
"""Characters of the name of a class or function."""

MAX_KEY = 2**16
"""Characters of a key of a dict, or of a part of one that is a tuple."""

MAX_KEY_PARTS = 64
_KEY_PARTS = (str, bytes, int, float, type(None))

ENTRY_BYTES = 100
"""Bytes that an entry of a dict or set takes in memory."""

_RUNS_CODE = re.compile(
    r"(os|posix|nt|subprocess|sys|pty|socket|shutil|runpy|importlib|ctypes|_?pickle|marshal|codeop"
    r"|commands|webbrowser|pip|pdb|bdb|timeit|cProfile)\..*"
    r"|(__builtin__|builtins)\."
    r"(eval|exec|execfile|compile|open|__import__|apply|breakpoint|input|globals)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Global:
    """A name that a pickle refers to; nothing is ever imported for it."""

    name: str


class Ordered(dict[Any, Any]):
    """The entries of an OrderedDict.

    Attributes
    ----------
    state : object
        Its attributes; of a state dict of torch, ``{"_metadata": …}``.
    """

    state: Any = None


class Elements(list[Any]):
    """The elements of a set, which are not hashed to find the same one twice."""


@dataclass(frozen=True)
class TupleKey:
    """A tuple as a key of a dict.

    Hashes of tuples of numbers can be made to collide, which makes a dict of them quadratic; that
    of a text depends on a secret of the process.

    Attributes
    ----------
    text : str
        What the tuple looks like, by which it is compared.
    value : tuple
        The tuple.
    """

    text: str
    value: tuple[Any, ...] = field(compare=False)


@dataclass(eq=False)
class Object:
    """What would have been made by a call that is not carried out.

    Attributes
    ----------
    kind : str
        Dotted name of the class or function.
    args : tuple
        Arguments of the call.
    state : object
        State set on the result, commonly a dict of attributes.
    items : dict
        Items set on the result, where it is a kind of dict.
    elements : list
        Elements appended to the result, where it is a kind of list.
    """

    kind: str
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


def global_of(name: str) -> Global:
    """Return a name of a pickle as text.

    Raises
    ------
    Refusal
        If the name is one that runs commands or code. This protects nobody, as nothing is ever
        called here; it tells the user what the file is.
    """
    if len(name) > MAX_NAME:
        raise Refusal(f"its pickle names a class by {len(name)} characters, expected {MAX_NAME}")
    if _RUNS_CODE.fullmatch(name):
        raise Refusal(
            f"its pickle would run {plain(name)} when loaded by Python; nothing was run",
            "do not load this file with any other program",
        )
    return Global(name)


def as_key(value: Any, budget: Budget) -> Any:
    """Return a dict key or set element, or an inert object for one that is not safe to hash.

    A tuple nested a million deep would overflow the stack of the interpreter when hashed, and one
    that holds a tuple many times over, many times over, would take forever.

    Raises
    ------
    Refusal
        If it is too long to be compared and hashed again and again.
    """
    budget.spend(ENTRY_BYTES)
    if isinstance(value, tuple):
        if len(value) > MAX_KEY_PARTS or not all(isinstance(e, _KEY_PARTS) for e in value):
            return Object("tuple of other things than a few numbers and texts", ())
        budget.spend(sum(map(_key_size, value)))
        return TupleKey(repr(value), value)
    budget.spend(_key_size(value))
    return value


def _key_size(value: Any) -> int:
    """Return the bytes of a part of a key."""
    size = 8
    if isinstance(value, str | bytes):
        size = len(value)
    elif isinstance(value, int):
        size = value.bit_length() // 8
        if size > 8:
            raise Refusal(f"its pickle has a number of {size} bytes as a key, expected at most 8")
    elif isinstance(value, list | dict | set | bytearray):
        raise Refusal(f"its pickle has a {type(value).__name__} as a key, which Python refuses too")
    if size > MAX_KEY:
        raise Refusal(f"its pickle has a key of {size} bytes, expected at most {MAX_KEY}")
    return size
