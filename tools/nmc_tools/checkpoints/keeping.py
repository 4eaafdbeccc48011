"""Keeps all that a PyTorch checkpoint holds: every tensor, and the tree of `nesting`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_tools.checkpoints.checkpoint import plain
from nmc_tools.checkpoints.containers import Walk, name_of
from nmc_tools.checkpoints.nesting import scalar_node
from nmc_tools.checkpoints.numpy_objects import NumpyArray, is_array, number_of
from nmc_tools.checkpoints.pickle_values import Elements, Global, Object, Ordered, TupleKey
from nmc_tools.checkpoints.torch_tensors import Tensor, UnreadableTensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nmc_tools.checkpoints.budget import Budget

_MAX_DEPTH = 28
"""Nesting of what is kept: a dict is nested 3 deep as JSON, a configuration 100 (clause 5.4.2)."""

_MANY = 32


Numbers: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class Kept:
    """All of a checkpoint.

    Attributes
    ----------
    tree : JSON
        Nesting and scalars.
    tensors : dict of str to Tensor, NumpyArray or array
        The weights by their names, then all other tensors by their paths.
    buffers : frozenset of str
        Names of all that are no weights.
    lost : list of str
        What could not be kept, and why.
    """

    tree: Any
    tensors: dict[str, Tensor | NumpyArray | Numbers]
    buffers: frozenset[str]
    lost: list[str]


@dataclass
class _Keeper:
    walk: Walk
    tensors: dict[str, Tensor | NumpyArray | Numbers]
    names: dict[int, str]
    lost: list[str] = field(default_factory=list)

    def node(self, value: Any, path: str, depth: int = 0) -> Any:
        self.walk.step(0, path)
        number = number_of(value)
        value = value if number is None else number
        if value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
            return self.scalar(value, path)
        if isinstance(value, Tensor) or is_array(value):
            return self.leaf(value, path)
        if depth < _MAX_DEPTH:
            return self.container(value, path, depth)
        return self.gone(path, f"it is nested over {_MAX_DEPTH} deep")

    def container(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, Elements | set):
            return {"set": self.parts(value, path, depth)}
        if isinstance(value, list | tuple) and (numbers := _numbers(value)) is not None:
            more = {"tuple": True} if isinstance(value, tuple) else {}
            return {"numbers": self.name(value, numbers, path)} | more
        if isinstance(value, list):
            return self.parts(value, path, depth)
        if isinstance(value, tuple | TupleKey):
            entries = value.value if isinstance(value, TupleKey) else value
            return {"tuple": self.parts(entries, path, depth)}
        if isinstance(value, dict):
            return self.mapping(value, path, depth)
        if isinstance(value, Global):
            return {"name": value.name}
        if isinstance(value, Object) and not isinstance(value, NumpyArray):
            return self.other(value, path, depth)
        why = value.why if isinstance(value, UnreadableTensor) else "it holds no plain numbers"
        return self.gone(path, why)

    def scalar(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return self.gone(path, "it is not valid text")
        if isinstance(value, int) and value.bit_length() > 4096:
            return self.gone(path, "it is a number of over 4096 bits")
        if isinstance(value, str | bytes | bytearray):
            self.walk.budget.spend(2 * len(value))
        return scalar_node(value)

    def name(self, value: Any, tensor: Tensor | NumpyArray | Numbers, path: str) -> str:
        if id(value) not in self.names:
            name, count = path or "tensor", 1
            while name in self.tensors:
                count += 1
                self.walk.step(0, path)
                name = f"{path}~{count}"
            self.names[id(value)] = name
            self.tensors[name] = tensor
        return self.names[id(value)]

    def leaf(self, value: Tensor | NumpyArray, path: str) -> Any:
        name = self.name(value, value, path)
        if isinstance(value, NumpyArray):
            return {"array": name}
        flags = {"parameter": value.parameter, "requires_grad": value.requires_grad}
        return {"tensor": name} | {flag: True for flag, is_set in flags.items() if is_set}

    def parts(self, values: Iterable[Any], path: str, depth: int) -> list[Any]:
        prefix = f"{path}." if path else ""
        return [self.node(v, f"{prefix}{i}", depth + 1) for i, v in enumerate(values)]

    def pairs(self, values: Mapping[Any, Any], path: str, depth: int) -> list[Any]:
        prefix = f"{path}." if path else ""
        return [
            [self.node(k, path, depth + 1), self.node(v, prefix + name_of(k), depth + 1)]
            for k, v in values.items()
        ]

    def mapping(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        entries = self.pairs(value, path, depth)
        if not isinstance(value, Ordered):
            return {"dict": entries}
        state = value.state if isinstance(value.state, dict) else {}
        metadata = state.get("_metadata")
        more = {} if metadata is None else {"metadata": self.node(metadata, path, depth + 1)}
        return {"ordered": entries} | more

    def other(self, value: Object, path: str, depth: int) -> Any:
        node: dict[str, Any] = {"object": value.kind}
        if value.args:
            node["args"] = self.parts(value.args, path, depth)
        if value.state is not None:
            node["state"] = self.node(value.state, path, depth + 1)
        if value.items:
            node["items"] = self.pairs(value.items, path, depth)
        if value.elements:
            node["elements"] = self.parts(value.elements, path, depth)
        return node

    def gone(self, path: str, why: str) -> Any:
        self.lost.append(f"{plain(path)}: lost, {plain(why)}")
        return {"lost": why}


def _numbers(values: list[Any] | tuple[Any, ...]) -> Numbers | None:
    """Return a long list of ints or of floats as an array: the state of a random generator."""
    if len(values) < _MANY:
        return None
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values, np.float64)
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return np.array(values, np.int64)
    return None


def keep_all(root: Any, weights: Mapping[str, Tensor | NumpyArray], budget: Budget) -> Kept:
    """Return all of a checkpoint.

    Parameters
    ----------
    root : object
        What the file holds.
    weights : mapping of str to Tensor or NumpyArray
        Its weights, which keep their names.
    budget : Budget
        Of the file.

    Raises
    ------
    Refusal
        If containers are shared so often that the tree exceeds the budget.
    """
    names = {id(tensor): name for name, tensor in weights.items()}
    keeper = _Keeper(Walk(budget), dict(weights), names)
    tree = keeper.node(root, "")
    return Kept(
        tree, keeper.tensors, frozenset(keeper.tensors.keys() - weights.keys()), keeper.lost
    )
