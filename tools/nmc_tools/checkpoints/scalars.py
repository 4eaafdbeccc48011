"""What a checkpoint says of its training: epoch, step, losses, and the like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.containers import Walk, children, is_leaf, is_module
from nmc_tools.checkpoints.numpy_objects import NumpyArray, number_of
from nmc_tools.checkpoints.torch_tensors import Tensor
from nmc_tools.checkpoints.trees import is_generator, is_metric, is_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_tools.checkpoints.budget import Budget

MAX_SCALARS = 64
"""Scalars of one checkpoint that are told; they stand in the manifest for every frame."""

_MAX_DEPTH = 3
_MAX_TEXT = 200
_MAX_LIST = 16
_EXACT = 2**53


def scalars_of(
    root: Any, budget: Budget, value_of: Callable[[Tensor], float | None]
) -> dict[str, Any]:
    """Return the scalars of a checkpoint by dotted path, as JSON.

    Taken are numbers, short texts, short lists of both, and tensors of one number that are named
    as a metric is; not those of optimizers, and at most MAX_SCALARS.

    Parameters
    ----------
    root : object
        What the file holds.
    budget : Budget
        Of the file.
    value_of : callable
        Reads the one number of a tensor; None where that is not possible.
    """
    walk = Walk(budget)
    found: dict[str, Any] = {}
    todo: list[tuple[str, Any, int]] = [("", root, 0)]
    while todo and len(found) < MAX_SCALARS:
        path, node, depth = todo.pop()
        walk.step(depth, path)
        value = _scalar(node)
        if value is None and isinstance(node, Tensor) and is_metric(path.rpartition(".")[2], node):
            value = value_of(node)
        if value is not None and path:
            found[path] = value
        elif depth < _MAX_DEPTH and not _is_opaque(node) and not is_generator(path):
            prefix = f"{path}." if path else ""
            todo += [
                (prefix + name, part, depth + 1)
                for name, part in reversed(list(children(node) or ()))
            ]
    return found


def _is_opaque(node: Any) -> bool:
    if isinstance(node, list | tuple) and len(node) > _MAX_LIST:
        return True
    return is_leaf(node) or isinstance(node, NumpyArray) or is_module(node) or is_optimizer(node)


def _scalar(node: Any) -> Any:
    """Return a number, a text or a list of them as JSON, or None for anything else."""
    number = number_of(node)
    node = node if number is None else number
    if isinstance(node, bool):
        return node
    if isinstance(node, int):
        return node if -_EXACT < node < _EXACT else None
    if isinstance(node, float):
        return node if math.isfinite(node) else str(node)
    if isinstance(node, str):
        return node if len(node) <= _MAX_TEXT and _is_text(node) else None
    if isinstance(node, list | tuple) and 0 < len(node) <= _MAX_LIST:
        parts = [_scalar(part) for part in node if not isinstance(part, list | tuple)]
        return parts if len(parts) == len(node) and None not in parts else None
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
