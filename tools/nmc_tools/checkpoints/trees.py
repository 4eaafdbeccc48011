"""Finds the weights among what a training checkpoint holds, and names them.

The rule, from the top of the file down, at each level of nested containers:

1. Left out where anything else holds tensors: optimizer state (recognised by its `state` and
   `param_groups`, or by name), scheduler, gradient scaler, random generator, callback and loop
   state; and averaged copies (`ema`, `swa`) beside the weights they average.
2. Metrics (`loss`, `psnr`, …) that are tensors without dimensions are left out.
3. If one container remains, and it has company or one of the names in `WRAPPERS`, the search goes
   on inside it, and its name is dropped.
4. Else all that remains is taken, each tensor named by its path, joined with dots: a coarse and a
   fine network are both weights, and nothing is lost by default.

``key="a.b"`` takes exactly what lies there instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import Refusal, buffers_by_convention, plain
from nmc_tools.checkpoints.containers import Leaf, Walk, attributes, children, is_leaf, is_module
from nmc_tools.checkpoints.numpy_objects import NumpyArray
from nmc_tools.checkpoints.pickle_values import Object
from nmc_tools.checkpoints.torch_tensors import Tensor, UnreadableTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_tools.checkpoints.budget import Budget

WRAPPERS = re.compile(
    r"(model_|network_|network_fn_)?state_dict|model(_state|_ema)?|net|network(_fn)?|weights"
    r"|params(_ema)?|module|ema|pipeline|splats"
)
"""Names that say no more than "here are the weights", and so are dropped."""

_GENERATOR = (r"(^|_)rng(_|$)|random_state|^np_random|^numpy_random", "random generator state")
_NOT_WEIGHTS = (
    (r"optim", "optimizer state"),
    (r"sched", "scheduler state"),
    (r"(^|_)(grad_|amp_|loss_)?scalers?$|^amp$", "gradient scaler state"),
    _GENERATOR,
    (r"^(callbacks|loops)$", "training loop state"),
)
_AVERAGED = re.compile(r"(^|_)(ema|swa|averaged)(_|$)")
_COPY = "an averaged copy of the weights"
_METRIC = re.compile(
    r"(^|_)(loss|psnr|ssim|lpips|mse|acc|accuracy|step|iter|iteration|epoch|lr|best|metric|score"
    r"|seed|time)(_|$)"
)


@dataclass(frozen=True)
class Found:
    """The weights of a checkpoint, not yet read.

    Attributes
    ----------
    tensors : dict of str to Tensor or NumpyArray
        In file order.
    buffers : frozenset of str
        Names of the buffers.
    key : str
        The path that was taken.
    notes : list of str
        What was left out, and why.
    """

    tensors: dict[str, Tensor | NumpyArray]
    buffers: frozenset[str]
    key: str
    notes: list[str]


@dataclass
class _Taken:
    """What one walk collects."""

    walk: Walk
    tensors: dict[str, Leaf] = field(default_factory=dict)
    buffers: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def find_weights(root: Any, keys: Sequence[str], budget: Budget) -> Found:
    """Return the tensors of a checkpoint that are its weights.

    Parameters
    ----------
    root : object
        What a PyTorch file holds.
    keys : sequence of str
        Paths to take instead of what the rule finds. One is dropped from the names; several stay,
        so that the parts are told apart.
    budget : Budget
        Of the file.

    Raises
    ------
    Refusal
        If there are none, two have one name, or one cannot be read.
    """
    taken = _Taken(Walk(budget))
    asked = [(key, _at(root, key, taken.walk)) for key in keys]
    nodes = asked or [_search(root, taken)]
    declared = False
    for path, node in nodes:
        part = _Taken(taken.walk)
        _collect(node, part, explicit=bool(keys))
        if not part.tensors:
            where = f"under key {plain(path)!r}" if keys else "in it"
            raise Refusal(f"no tensor was found {where}; {_contents(root)}")
        prefix = f"{path}." if len(keys) > 1 else ""
        for name, leaf in part.tensors.items():
            if prefix + name in taken.tensors:
                raise Refusal(f"key {plain(path)!r} and one before it take the same tensors")
            taken.tensors[prefix + name] = leaf
        taken.buffers |= {prefix + name for name in part.buffers}
        taken.notes += part.notes
        declared = isinstance(node, Object) and "_parameters" in attributes(node)
    tensors = {name: _readable(name, tensor) for name, tensor in taken.tensors.items()}
    buffers = frozenset(taken.buffers)
    if not declared:
        buffers |= buffers_by_convention(tensors)
    return Found(tensors, buffers, ", ".join(path for path, _ in nodes), taken.notes)


def is_optimizer(node: Any) -> bool:
    """Return whether something is the state of a torch optimizer."""
    return isinstance(node, dict) and "param_groups" in node and "state" in node


def _why_no_weights(name: str, node: Any) -> str | None:
    if is_optimizer(node):
        return "optimizer state"
    lower = name.lower()
    return next((why for pattern, why in _NOT_WEIGHTS if re.search(pattern, lower)), None)


def _search(root: Any, taken: _Taken) -> tuple[str, Any]:
    path: list[str] = []
    node = root
    while children(node) is not None and not is_module(node):
        taken.walk.step(len(path))
        inside = _candidates(node, taken, ".".join(path))
        if inside is None:
            break
        name, node = inside
        path.append(name)
    return ".".join(path), node


def _candidates(node: Any, taken: _Taken, path: str) -> tuple[str, Any] | None:
    """Return the one container in which the search goes on, or None to stop here."""
    walk = taken.walk
    entries = list(children(node) or ())
    nested = [(n, v) for n, v in entries if not is_leaf(v) and walk.holds_tensors(v)]
    # Arrays of numpy beside tensors of torch are the history of losses, and the like.
    nested = [(n, v) for n, v in nested if walk.holds_tensors(v, arrays=False)] or nested
    if not nested:
        return None
    weights = [(n, v) for n, v in nested if _why_no_weights(n, v) is None]
    tensors = [(n, v) for n, v in entries if is_leaf(v) and not isinstance(v, NumpyArray)]
    loose = [n for n, v in tensors if _why_left_out(n, v, walk) is None]
    current = [(n, v) for n, v in weights if not _AVERAGED.search(n.lower())]
    weights = current if current or loose else weights
    if len(weights) != 1 or loose or (len(entries) == 1 and not WRAPPERS.fullmatch(weights[0][0])):
        return None
    prefix = f"{path}." if path else ""
    for name, value in entries:
        if name != weights[0][0]:
            why = _why_left_out(name, value, walk) or "not the weights"
            _note(prefix + name, value, taken, why)
    return weights[0]


def is_metric(name: str, node: Any) -> bool:
    """Return whether a tensor is a figure of the training: one number, or a numpy array of them."""
    figure = isinstance(node, NumpyArray) or (isinstance(node, Tensor) and not node.shape)
    return figure and bool(_METRIC.search(name.lower()))


def is_generator(name: str) -> bool:
    """Return whether a name is that of the state of a random generator."""
    return bool(re.search(_GENERATOR[0], name.lower()))


def _why_left_out(name: str, node: Any, walk: Walk) -> str | None:
    """Return why an entry beside weights is none itself, or None if it is."""
    if is_leaf(node):
        if is_metric(name, node):
            return "a metric"
        return _GENERATOR[1] if is_generator(name) else None
    if not walk.holds_tensors(node):
        return "not a tensor"
    why = _why_no_weights(name, node)
    if why is None and _AVERAGED.search(name.lower()):
        return _COPY
    return why


def _note(name: str, node: Any, taken: _Taken, why: str) -> None:
    taken.walk.step(0, name)
    if why == "not a tensor":
        kind = node.kind if isinstance(node, Object) else type(node).__name__
        taken.notes.append(f"{plain(name)}: {plain(kind)}, {why}")
    else:
        more = "" if is_leaf(node) else f"; to take it, key={plain(name)!r}"
        taken.notes.append(f"{plain(name)}: {why}{more}")


def _collect(node: Any, taken: _Taken, *, explicit: bool) -> None:
    """Gather the tensors under a node; on its first level the rule of what is left out holds."""
    walk = taken.walk
    if is_leaf(node):
        taken.tensors["tensor"] = node
        return
    entries = list(children(node) or ())
    flat = explicit or is_module(node)
    bundle = not flat and any(not is_leaf(v) and walk.holds_tensors(v) for _, v in entries)
    left_out = {n: _why_left_out(n, v, walk) if bundle else None for n, v in entries}
    if all(left_out.values()):  # several averaged copies, and nothing else
        left_out = {n: None if why == _COPY else why for n, why in left_out.items()}
    for name, child in entries:
        why = left_out[name]
        if why is None and not flat and not walk.holds_tensors(child):
            why = "not a tensor"
        if why is not None:
            _note(name, child, taken, why)
        else:
            _gather(name, child, taken, 1, explicit=explicit, buffer=_is_buffer(node, name))


def _is_buffer(node: Any, name: str) -> bool:
    if not isinstance(node, Object):
        return False
    buffers = attributes(node).get("_buffers")
    return isinstance(buffers, dict) and name in buffers


def _gather(
    path: str, node: Any, taken: _Taken, depth: int, *, explicit: bool, buffer: bool
) -> None:
    taken.walk.step(depth, path)
    if is_leaf(node):
        if path in taken.tensors:
            raise Refusal(f"two tensors have the name {plain(path)!r}", "take one with key=")
        taken.tensors[path] = node
        if buffer:
            taken.buffers.add(path)
        return
    if is_optimizer(node) and not explicit:
        _note(path, node, taken, "optimizer state")
        return
    if not taken.walk.holds_tensors(node):
        return
    for name, child in children(node) or ():
        is_buffer = _is_buffer(node, name)
        _gather(f"{path}.{name}", child, taken, depth + 1, explicit=explicit, buffer=is_buffer)


def _readable(name: str, tensor: Leaf) -> Tensor | NumpyArray:
    if isinstance(tensor, UnreadableTensor):
        raise Refusal(
            f"{plain(name)!r} is {tensor.why}, expected plain elements",
            "save it as a plain tensor on the CPU, for instance with .to_dense(), .dequantize() or "
            ".resolve_conj().resolve_neg()",
        )
    return tensor


def _at(root: Any, key: str, walk: Walk) -> Any:
    """Return the node at a dotted path; names may themselves hold dots."""
    seen: list[str] = []
    node, rest = root, key
    while rest:
        walk.step(len(seen))
        parts = dict(children(node) or ())
        fitting = [n for n in parts if rest == n or rest.startswith(f"{n}.")]
        inside = {n[len(rest) + 1 :]: v for n, v in parts.items() if n.startswith(f"{rest}.")}
        if inside and not fitting:  # a flat state dict, asked for one of its modules
            return inside
        if not fitting:
            where = f"under {plain('.'.join(seen))!r}" if seen else "at the top"
            names = ", ".join(plain(n) for n in list(parts)[:8]) or "nothing nested"
            raise Refusal(f"has no key {plain(key)!r}: {where} there is {names}")
        name = max(fitting, key=len)
        seen.append(name)
        node, rest = parts[name], rest[len(name) + 1 :]
    return node


def _contents(root: Any) -> str:
    if isinstance(root, Object):
        return f"it holds a {plain(root.kind)}"
    names = [plain(name) for name, _ in children(root) or ()]
    if not names:
        return f"it holds a {type(root).__name__}"
    return "it holds " + ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
