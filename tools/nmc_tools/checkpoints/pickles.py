"""Reads pickles without running them: a stack machine, and a table of what it may build.

The `pickle` module calls whatever a file names. Here a name is text: the few in the table of the
caller (rebuild a tensor, make an ordered dict) have a meaning, every other becomes an inert
`Object` that remembers its name, its arguments and its state. The opcodes are those of PEP 3154
and earlier, as `pickletools` of the standard library decodes and documents them.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.pickle_values import (
    ENTRY_BYTES,
    MAX_NAME,
    Global,
    Object,
    Ordered,
    as_key,
    global_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_OPERATIONS = 8_000_000
"""Opcodes of one pickle; a tensor takes about 30, so this is 250,000 tensors and 10 seconds."""

_OPERATION = 32
_POINTER = 8
_COSTS = {"EMPTY_DICT": 64, "EMPTY_LIST": 64, "EMPTY_SET": 216, "FROZENSET": 216, "MARK": 64}
"""Bytes that an operation, an entry of a dict or set, and one of a list or tuple take in memory
(CPython 3.11, sys.getsizeof); `Budget` bounds their sum."""
_OBJECT = 400


class Stream(Protocol):
    """What the machine reads from: a file within bounds."""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes."""

    def readline(self) -> bytes:
        """Return the bytes to the next line feed."""

    def tell(self) -> int:
        """Return the position."""


@dataclass
class _Machine:
    builders: Mapping[str, Callable[..., Any]]
    persistent: Callable[[Any], Any]
    budget: Budget
    stack: list[Any] = field(default_factory=list)
    marked: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def call(self, callee: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise Refusal("the pickle calls something with arguments that are not a tuple")
        self.budget.spend(_OBJECT + sum(map(_copied, args)))
        if not isinstance(callee, Global):
            return Object("computed function", args)
        build = self.builders.get(callee.name)
        return build(*args) if build else Object(callee.name, args)


def _copied(argument: Any) -> int:
    """Return the bytes that a builder takes if it copies an argument."""
    if isinstance(argument, str | bytes | bytearray):
        return len(argument)
    return ENTRY_BYTES * len(argument) if isinstance(argument, dict | list | tuple | set) else 0


def load(
    stream: Stream,
    builders: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any],
    budget: Budget,
) -> Any:
    """Return the value of one pickle, built from plain containers, numbers, text and Objects.

    Parameters
    ----------
    stream : Stream
        Positioned at the pickle; left behind its last byte.
    builders : mapping of str to callable
        What the few known names build.
    persistent : callable
        What a persistent identifier stands for.
    budget : Budget
        Of the file; all that is allocated, copied, compared or hashed is taken off.

    Raises
    ------
    Refusal
        If the pickle is malformed, too long, exhausts the budget, or names something that runs
        commands.
    """
    machine = _Machine(builders, persistent, budget)
    count = 0
    try:
        for opcode, arg, _ in islice(pickletools.genops(cast("IO[bytes]", stream)), MAX_OPERATIONS):
            if opcode.name == "STOP":
                return machine.stack.pop()
            count += 1
            budget.spend(_OPERATION + _COSTS.get(opcode.name, 0))
            _OPERATIONS[opcode.name](machine, arg)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Refusal(
            f"its pickle is malformed at operation {count}: {plain(repr(error))}",
            "the file is damaged, or no checkpoint",
        ) from None
    raise Refusal(f"its pickle has more than {MAX_OPERATIONS} operations")


def _set_items(machine: _Machine, pairs: list[Any]) -> None:
    target = machine.stack[-1]
    items = target.items if isinstance(target, Object) else target
    if not isinstance(items, dict) or len(pairs) % 2:
        raise Refusal("its pickle sets items of something that is not a dict")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        items[as_key(key, machine.budget)] = value


def _append(machine: _Machine, values: list[Any]) -> None:
    target = machine.stack[-1]
    elements = target.elements if isinstance(target, Object) else target
    if not isinstance(elements, list):
        raise Refusal("its pickle appends to something that is not a list")
    machine.budget.spend(_POINTER * len(values))
    elements.extend(values)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine, [key, value])


def _build(machine: _Machine, _: Any) -> None:
    state = machine.stack.pop()
    # Other targets carry nothing of interest.
    target = machine.stack[-1]
    if isinstance(target, Object | Ordered):
        target.state = state


def _reduce(machine: _Machine, _: Any) -> None:
    args = machine.stack.pop()
    machine.stack.append(machine.call(machine.stack.pop(), args))


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    machine.stack.pop()
    _reduce(machine, None)


def _instance(machine: _Machine, arg: Any) -> None:
    args = machine.pop_mark()
    machine.budget.spend(_POINTER * len(args))
    callee = args.pop(0) if arg is None else global_of(arg.replace(" ", "."))
    machine.stack.append(machine.call(callee, tuple(args)))


def _stack_global(machine: _Machine, _: Any) -> None:
    attribute, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(attribute, str) or not isinstance(module, str):
        raise Refusal("its pickle names a global by something that is not text")
    if max(len(module), len(attribute)) > MAX_NAME:
        raise Refusal(f"its pickle names a class by more than {MAX_NAME} characters")
    machine.stack.append(global_of(f"{module}.{attribute}"))


def _tuple_of(machine: _Machine, count: int) -> None:
    if len(machine.stack) < count:
        raise IndexError("the stack is too short")
    machine.budget.spend(_POINTER * count)
    machine.stack[-count:] = [tuple(machine.stack[-count:])]


def _dict_of_mark(machine: _Machine, _: Any) -> None:
    pairs = machine.pop_mark()
    machine.push({})
    _set_items(machine, pairs)


def _tuple_of_mark(machine: _Machine, _: Any) -> None:
    items = machine.pop_mark()
    machine.budget.spend(_POINTER * len(items))
    machine.push(tuple(items))


def _set_of_mark(machine: _Machine, _: Any) -> None:
    machine.push({as_key(value, machine.budget) for value in machine.pop_mark()})


def _add_items(machine: _Machine, _: Any) -> None:
    values = machine.pop_mark()
    if not isinstance(machine.stack[-1], set):
        raise Refusal("its pickle adds elements to something that is not a set")
    machine.stack[-1].update(as_key(value, machine.budget) for value in values)


def _mark(machine: _Machine, _: Any) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _pop(machine: _Machine, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _put(machine: _Machine, arg: Any) -> None:
    machine.memo[len(machine.memo) if arg is None else arg] = machine.stack[-1]


def _persistent(machine: _Machine, arg: Any) -> None:
    machine.stack.append(machine.persistent(machine.stack.pop() if arg is None else arg))


_NUMBERS = "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT"
_TEXTS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8"
_BYTES = "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"

_OPERATIONS: Mapping[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(f"{_NUMBERS} {_TEXTS} {_BYTES}".split(), _Machine.push),
    "PROTO": lambda _m, _a: None,
    "FRAME": lambda _m, _a: None,
    "NONE": lambda m, _a: m.push(None),
    "NEWTRUE": lambda m, _a: m.push(True),
    "NEWFALSE": lambda m, _a: m.push(False),
    "EMPTY_DICT": lambda m, _a: m.push({}),
    "EMPTY_LIST": lambda m, _a: m.push([]),
    "EMPTY_SET": lambda m, _a: m.push(set()),
    "EMPTY_TUPLE": lambda m, _a: m.push(()),
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda m, _a: m.pop_mark(),
    "DUP": lambda m, _a: m.push(m.stack[-1]),
    "LIST": lambda m, _a: m.push(m.pop_mark()),
    "TUPLE": _tuple_of_mark,
    "TUPLE1": lambda m, _a: _tuple_of(m, 1),
    "TUPLE2": lambda m, _a: _tuple_of(m, 2),
    "TUPLE3": lambda m, _a: _tuple_of(m, 3),
    "FROZENSET": _set_of_mark,
    "DICT": _dict_of_mark,
    "ADDITEMS": _add_items,
    "APPEND": lambda m, _a: _append(m, [m.stack.pop()]),
    "APPENDS": lambda m, _a: _append(m, m.pop_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda m, _a: _set_items(m, m.pop_mark()),
    "GLOBAL": lambda m, a: m.push(global_of(a.replace(" ", "."))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "INST": _instance,
    "OBJ": _instance,
    "BUILD": _build,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": lambda m, a: m.push(m.memo[a]),
    "BINGET": lambda m, a: m.push(m.memo[a]),
    "LONG_BINGET": lambda m, a: m.push(m.memo[a]),
    "PERSID": _persistent,
    "BINPERSID": _persistent,
}
