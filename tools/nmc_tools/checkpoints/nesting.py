"""What a checkpoint holds besides its weights, as JSON: nesting, scalars, where each tensor stands.

``nmc pack --keep all`` puts every tensor of a checkpoint into the state of its frame, optimizer
moments included, and the rest into JSON; ``nmc unpack --to pt`` makes the same objects of it again,
so that the script that wrote the checkpoint can go on from it. The layout:

- ``configuration["checkpoint"]`` gains ``"keep": "all"`` and ``"tree": NODE``, that of frame 0.
- ``extras`` of frame t gains ``"tree_changes": [[PATH, NODE], …]`` where its tree is another: what
  to put in which place of the tree of frame 0. Without it the trees are the same.
- Weights keep the names they have without ``--keep all``. Other tensors are buffers, named by their
  path from the top of the file, ``optimizer.state.0.exp_avg``; ``~2`` and so on is appended where
  the name is taken.

A NODE is JSON, and stands for

===================================  ===========================================================
``null true 12 0.5 "text"``          None, a bool, an int below 2**53, a finite float, text
``[NODE, …]``                        a list
``{"tuple": [NODE, …]}``             a tuple
``{"set": [NODE, …]}``               a set
``{"dict": [[NODE, NODE], …]}``      a dict, in its order; the first of each pair is the key
``{"ordered": …, "metadata": NODE}`` an OrderedDict, as ``"dict"``; ``"metadata"``, which may be
                                     missing, is its attribute ``_metadata``
``{"tensor": NAME}``                 a tensor of the frame; with ``"parameter": true`` an
                                     nn.Parameter, with ``"requires_grad": true`` one that has it
``{"array": NAME}``                  a tensor of the frame that was a numpy array
``{"numbers": NAME}``                a tensor of the frame that was a list of 32 ints or more, or of
                                     as many floats; with ``"tuple": true`` a tuple
``{"int": "…"}``                     another int, in decimal digits
``{"float": "nan"}``                 ``nan``, ``inf`` or ``-inf``
``{"bytes": "…"}``                   bytes, in base64
``{"name": "torch.float32"}``        an element type or a device type of torch, or a class or
                                     function that only its name is known of
``{"object": "a.B", …}``             an object of a class that was not loaded. With it, each missing
                                     where empty: ``"args"`` and ``"elements"``, lists of nodes;
                                     ``"state"``, a node; ``"items"``, pairs. Of these only what a
                                     reader knows for harmless is made again.
``{"lost": "why"}``                  what could not be kept, such as a sparse tensor
===================================  ===========================================================

A PATH is a list of positions in the JSON: numbers in lists, texts in objects, from the top.
"""

from __future__ import annotations

import base64
import math
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EXACT = 2**53
"""Integers up to here survive every JSON reader."""


def scalar_node(value: Any) -> Any:
    """Return the node of None, a number, text or bytes."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_EXACT < value < _EXACT else {"int": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    return {"bytes": base64.b64encode(bytes(value)).decode("ascii")}


def changes(first: Any, other: Any) -> list[list[Any]]:
    """Return what turns one tree into another: pairs of a place, and what to put there."""
    found: list[list[Any]] = []
    todo: list[tuple[list[Any], Any, Any]] = [([], first, other)]
    while todo:
        path, a, b = todo.pop()
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            todo += [([*path, i], x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
        elif isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
            todo += [([*path, name], a[name], b[name]) for name in a]
        elif type(a) is not type(b) or a != b:
            found.append([path, b])
    return found[::-1]


def tree_of(configuration: Any, extras: Any) -> Any:
    """Return the tree of a frame, by the configuration of its package and its own extras.

    Raises
    ------
    ValueError
        If the package was not made with ``--keep all``, or a change has no place in the tree.
    """
    noted = configuration.get("checkpoint") if isinstance(configuration, dict) else None
    if not isinstance(noted, dict) or "tree" not in noted:
        raise ValueError("the package holds weights only; it was made without --keep all")
    tree = deepcopy(noted["tree"])
    for path, node in (extras or {}).get("tree_changes", ()):
        try:
            if not path:
                tree = node
                continue
            place = tree
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = node
        except (KeyError, IndexError, TypeError):
            raise ValueError("a change of the tree has no place in it") from None
    return tree


def restore(
    node: Any,
    tensors: Mapping[str, Any],
    *,
    make_tensor: Callable[[Any, bool, bool], Any],
    make_other: Callable[[dict[str, Any]], Any],
) -> Any:
    """Return the objects that a tree stands for.

    Parameters
    ----------
    node : JSON
        From `tree_of`.
    tensors : mapping of str to array
        The state of the frame.
    make_tensor : callable
        Of an array, whether it is a parameter, and whether it requires a gradient. It is called
        once for each name, so that tensors that were one are one again; arrays and lists of numbers
        are made once as well, however often the tree names them.
    make_other : callable
        Of the nodes ``name``, ``object`` and ``lost``, whose parts are restored already.

    Raises
    ------
    ValueError
        If a node is none of the documented kinds, or names a tensor that the frame has not.
    """
    return _Builder(tensors, make_tensor, make_other).build(node)


@dataclass
class _Builder:
    tensors: Mapping[str, Any]
    make_tensor: Callable[[Any, bool, bool], Any]
    make_other: Callable[[dict[str, Any]], Any]
    made: dict[tuple[str, str], Any] = field(default_factory=dict)  # by kind and name

    def build(self, entry: Any) -> Any:
        if isinstance(entry, list):
            return [self.build(part) for part in entry]
        if not isinstance(entry, dict):
            return entry
        kind = next((kind for kind in _KINDS if kind in entry), "")  # JSON has no order of names
        value = entry.get(kind)
        if kind in _SIMPLE:
            return _SIMPLE[kind](value)
        if kind in ("tensor", "array", "numbers"):
            return self.leaf(kind, value, entry)
        if kind in ("tuple", "set"):
            return (tuple if kind == "tuple" else set)(self.build(part) for part in value or ())
        if kind == "dict":
            return self.pairs(value)
        if kind == "ordered":
            return _ordered(self.pairs(value), self.build(entry.get("metadata")))
        if kind in ("name", "object", "lost"):
            parts = {k: self.build(entry[k]) for k in ("args", "state", "elements") if k in entry}
            items = {"items": self.pairs(entry["items"])} if "items" in entry else {}
            return self.make_other({kind: value} | parts | items)
        raise ValueError(f"the tree holds {sorted(entry)[:3]}, which is not a known kind of node")

    def leaf(self, kind: str, name: Any, entry: dict[str, Any]) -> Any:
        if name not in self.tensors:
            raise ValueError(f"the tree names {kind} {name!r}, which the frame has not")
        # Once for each name: a tree of a few bytes for each mention must not take a copy for each.
        if kind == "numbers" and entry.get("tuple"):
            kind = "numbers of a tuple"
        if (kind, name) not in self.made:
            self.made[kind, name] = self.make(kind, self.tensors[name], entry)
        return self.made[kind, name]

    def make(self, kind: str, array: Any, entry: dict[str, Any]) -> Any:
        if kind == "array":
            return array.copy()
        if kind == "tensor":
            flags = bool(entry.get("parameter")), bool(entry.get("requires_grad"))
            return self.make_tensor(array, *flags)
        numbers = array.tolist()
        return numbers if kind == "numbers" else tuple(numbers)

    def pairs(self, entries: Any) -> dict[Any, Any]:
        return {self.build(key): self.build(value) for key, value in entries or ()}


_KINDS = (
    "tensor", "array", "numbers", "int", "float", "bytes", "tuple", "set", "dict", "ordered",
    "object", "name", "lost",
)  # fmt: skip
_SIMPLE: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "bytes": lambda text: base64.b64decode(text, validate=True),
}


def _ordered(values: dict[Any, Any], metadata: Any) -> Any:
    from collections import OrderedDict

    made = OrderedDict(values)
    if metadata is not None:
        setattr(made, "_metadata", metadata)  # noqa: B010 - as torch names it
    return made
