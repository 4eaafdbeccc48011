"""Makes a training checkpoint of a frame again: the inverse of ``nmc pack --keep all``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import Refusal, plain
from nmc_tools.checkpoints.nesting import restore, tree_of
from nmc_tools.checkpoints.writing import torch_tensor, torch_to_write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array

_FIELDS = {"argparse.Namespace", "types.SimpleNamespace"}
"""Classes that are nothing but their fields."""


def has_tree(configuration: Any) -> bool:
    """Whether a package was made with ``--keep all``."""
    noted = configuration.get("checkpoint") if isinstance(configuration, dict) else None
    return isinstance(noted, dict) and "tree" in noted


def restored(
    configuration: Any, extras: Mapping[str, Any], state: Mapping[str, Array]
) -> tuple[Any, list[str]]:
    """Return what the checkpoint of a frame held, and notes of what is not as it was.

    Parameters
    ----------
    configuration, extras : JSON object
        Of the package and of the frame.
    state : mapping of str to Array
        The tensors of the frame.

    Raises
    ------
    Refusal
        If what the package says does not fit its tensors.
    """
    notes: list[str] = []
    torch_to_write()  # the objects are those of torch
    try:
        tree = tree_of(configuration, extras)
        made = restore(
            tree, state, make_tensor=_tensor, make_other=lambda node: _other(node, notes)
        )
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise Refusal(
            f"the package's note of what the checkpoint held is malformed: {plain(error)}",
            "take the tensors alone: --flat",
        ) from None
    return made, list(dict.fromkeys(notes))


def _tensor(array: Array, parameter: bool, requires_grad: bool) -> Any:
    import torch

    tensor = torch_tensor(array, "a tensor")
    if parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor


def _other(node: dict[str, Any], notes: list[str]) -> Any:
    """Return an object of the few harmless classes; of others what they hold, and a note."""
    import torch

    if "lost" in node:
        notes.append(f"left out: {plain(node['lost'])}")
        return None
    if "name" in node:
        value = getattr(torch, str(node["name"]).removeprefix("torch."), None)
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return value
        notes.append(f"{plain(node['name'])} is its name only")
        return node["name"]
    kind = node["object"]
    state, arguments = node.get("state"), node.get("args", [])
    if kind == "torch.Size":
        return torch.Size(arguments[0] if arguments else node.get("elements", ()))
    if kind == "torch.device":
        return torch.device(*arguments)
    if kind in _FIELDS and isinstance(state, dict):
        return _namespace(kind, state)
    if kind == "collections.defaultdict":
        return dict(node.get("items", {}))
    if kind == "collections.Counter" and arguments:
        from collections import Counter

        return Counter(arguments[0])
    notes.append(f"{plain(kind)} is not an object of that class, but what it held")
    held = {k: v for k, v in node.items() if k != "object"}
    return next(iter(held.values()), None) if len(held) == 1 else held


def _namespace(kind: str, fields: dict[str, Any]) -> Any:
    import argparse
    import types

    maker = argparse.Namespace if kind.startswith("argparse") else types.SimpleNamespace
    return maker(**{str(name): value for name, value in fields.items()})
