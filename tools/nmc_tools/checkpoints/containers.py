"""The parts of what a pickle holds: dicts, lists, modules and objects that were not made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nmc_tools.checkpoints.budget import Budget
from nmc_tools.checkpoints.checkpoint import Refusal
from nmc_tools.checkpoints.numpy_objects import NumpyArray, is_array
from nmc_tools.checkpoints.pickle_values import Object, TupleKey
from nmc_tools.checkpoints.torch_tensors import Tensor, UnreadableTensor

MAX_DEPTH = 64
"""Nesting of containers; one may hold itself."""

_VISIT = 256

Leaf: TypeAlias = "Tensor | UnreadableTensor | NumpyArray"


@dataclass
class Walk:
    """Counts the steps of one walk over a file, and remembers which parts hold tensors."""

    budget: Budget
    holding: dict[tuple[int, bool], bool] = field(default_factory=dict)

    def step(self, depth: int, name: str = "") -> None:
        """Count one visit, and the characters of a name that is put together for it.

        Raises
        ------
        Refusal
            If the containers nest too deep, or are visited too often: one may hold another twice,
            64 times over.
        """
        if depth > MAX_DEPTH:
            raise Refusal(
                f"its containers nest over {MAX_DEPTH} deep",
                "the file is damaged, or made to exhaust its reader",
            )
        self.budget.spend(_VISIT + len(name))

    def holds_tensors(self, node: Any, depth: int = 0, *, arrays: bool = True) -> bool:
        """Return whether a tensor lies anywhere below, numpy arrays counted or not."""
        if is_leaf(node):
            return arrays or not isinstance(node, NumpyArray)
        place = (id(node), arrays)
        if place not in self.holding:
            parts = children(node)
            if parts is None:
                return False
            self.step(depth)
            self.holding[place] = False  # until it is known: a container may hold itself
            self.holding[place] = any(
                self.holds_tensors(part, depth + 1, arrays=arrays) for _, part in parts
            )
        return self.holding[place]


def is_leaf(node: Any) -> bool:
    """Return whether something is a tensor, of whatever kind."""
    if isinstance(node, NumpyArray):
        return is_array(node)
    return isinstance(node, Tensor | UnreadableTensor)


def attributes(node: Object) -> Mapping[Any, Any]:
    """Return the attributes of an object that was not made; empty where it has none."""
    state = node.state[0] if isinstance(node.state, tuple) and node.state else node.state
    return state if isinstance(state, dict) else {}


def is_module(node: Any) -> bool:
    """Return whether something was a torch.nn.Module, or a TorchScript one."""
    return isinstance(node, Object) and (
        "_parameters" in attributes(node) or node.kind.startswith("__torch__.")
    )


def children(node: Any) -> Iterator[tuple[str, Any]] | None:
    """Return the named parts of a container, or None for what is none."""
    if isinstance(node, dict):
        return ((name_of(k), v) for k, v in node.items())
    if isinstance(node, list | tuple):
        return ((str(i), v) for i, v in enumerate(node))
    if not isinstance(node, Object) or isinstance(node, NumpyArray):
        return None
    state = attributes(node)
    if "_parameters" in state and "_modules" in state:  # a pickled torch.nn.Module
        groups = [state.get(g) for g in ("_parameters", "_buffers", "_modules")]
        return ((name_of(k), v) for g in groups if isinstance(g, dict) for k, v in g.items())
    parts = [state.items(), node.items.items(), enumerate(node.elements)]
    return ((name_of(k), v) for part in parts for k, v in part)


def name_of(key: Any) -> str:
    """Return the key of a dict as a part of a name."""
    if isinstance(key, str):
        return key
    if isinstance(key, TupleKey):
        return ".".join(name_of(part) for part in key.value)
    return str(key) if isinstance(key, int | float | bytes | None) else type(key).__name__
