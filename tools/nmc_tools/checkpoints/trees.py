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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import Refusal, buffers_by_convention, plain
from nmc_tools.checkpoints.pickles import Object
from nmc_tools.checkpoints.torch_tensors import Tensor, UnreadableTensor

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 64
MAX_VISITS = 2_000_000
"""Bounds of the walk: a container may hold itself, or hold another twice, 64 times over."""

WRAPPERS = re.compile(
    r"(model_|network_|network_fn_)?state_dict|model(_state|_ema)?|net|network(_fn)?|weights"
    r"|params(_ema)?|module|ema|pipeline|splats"
)
"""Names that say no more than "here are the weights", and so are dropped."""

_NOT_WEIGHTS = (
    (r"optim", "optimizer state"),
    (r"sched", "scheduler state"),
    (r"(^|_)(grad_|amp_|loss_)?scalers?$|^amp$", "gradient scaler state"),
    (r"(^|_)rng(_|$)|random_state", "random generator state"),
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
    tensors : dict of str to Tensor
        In file order.
    buffers : frozenset of str
        Names of the buffers.
    key : str
        The path that was taken.
    notes : list of str
        What was left out, and why.
    """

    tensors: dict[str, Tensor]
    buffers: frozenset[str]
    key: str
    notes: list[str]


@dataclass
class _Walk:
    """Counts the steps of one walk, and collects what it meets."""

    tensors: dict[str, Tensor | UnreadableTensor] = field(default_factory=dict)
    buffers: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    visits: int = 0
    holding: dict[int, bool] = field(default_factory=dict)

    def step(self, depth: int) -> None:
        self.visits += 1
        if depth > MAX_DEPTH or self.visits > MAX_VISITS:
            raise Refusal(
                f"its containers nest over {MAX_DEPTH} deep, or hold over {MAX_VISITS} entries",
                "the file is damaged, or made to exhaust its reader",
            )


def find_weights(root: Any, key: str | None = None) -> Found:
    """Return the tensors of a checkpoint that are its weights.

    Parameters
    ----------
    root : object
        What a PyTorch file holds.
    key : str, optional
        Path to take instead of what the rule finds.

    Raises
    ------
    Refusal
        If there are none, two have one name, or one cannot be read.
    """
    walk = _Walk()
    if key:
        path, node = key, _at(root, key)
    else:
        path, node = _search(root, walk)
    _collect(node, walk, explicit=bool(key))
    if not walk.tensors:
        where = f"under key {plain(key)!r}" if key else "in it"
        raise Refusal(f"no tensor was found {where}; {_contents(root)}")
    tensors = {name: _readable(name, tensor) for name, tensor in walk.tensors.items()}
    declared = isinstance(node, Object) and "_parameters" in attributes(node)
    buffers = frozenset(walk.buffers)
    if not declared:
        buffers |= buffers_by_convention(tensors)
    return Found(tensors, buffers, path, walk.notes)


def attributes(node: Object) -> Mapping[Any, Any]:
    """Return the attributes of an object that was not made; empty where it has none."""
    state = node.state[0] if isinstance(node.state, tuple) and node.state else node.state
    return state if isinstance(state, dict) else {}


def _children(node: Any) -> Iterator[tuple[str, Any]] | None:
    """Return the named parts of a container, or None for what is none."""
    if isinstance(node, dict):
        return ((_name(k), v) for k, v in node.items())
    if isinstance(node, list | tuple):
        return ((str(i), v) for i, v in enumerate(node))
    if not isinstance(node, Object):
        return None
    state = attributes(node)
    if "_parameters" in state and "_modules" in state:  # a pickled torch.nn.Module
        groups = [state.get(g) for g in ("_parameters", "_buffers", "_modules")]
        return ((_name(k), v) for g in groups if isinstance(g, dict) for k, v in g.items())
    parts = [state, node.items, dict(enumerate(node.elements))]
    return ((_name(k), v) for part in parts for k, v in part.items())


def _name(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, tuple):
        return ".".join(_name(part) for part in key)
    return str(key) if isinstance(key, int | float | bytes | None) else type(key).__name__


def _is_tensor(node: Any) -> bool:
    return isinstance(node, Tensor | UnreadableTensor)


def _holds_tensors(node: Any, walk: _Walk, depth: int = 0) -> bool:
    if _is_tensor(node):
        return True
    if id(node) not in walk.holding:
        walk.step(depth)
        walk.holding[id(node)] = False  # until it is known: a container may hold itself
        walk.holding[id(node)] = any(
            _holds_tensors(child, walk, depth + 1) for _, child in _children(node) or ()
        )
    return walk.holding[id(node)]


def _is_optimizer(node: Any) -> bool:
    return isinstance(node, dict) and "param_groups" in node and "state" in node


def _why_no_weights(name: str, node: Any) -> str | None:
    if _is_optimizer(node):
        return "optimizer state"
    lower = name.lower()
    return next((why for pattern, why in _NOT_WEIGHTS if re.search(pattern, lower)), None)


def _search(root: Any, walk: _Walk) -> tuple[str, Any]:
    path: list[str] = []
    node = root
    while _children(node) is not None and not _is_module(node):
        walk.step(len(path))
        inside = _candidates(node, walk, ".".join(path))
        if inside is None:
            break
        name, node = inside
        path.append(name)
    return ".".join(path), node


def _is_module(node: Any) -> bool:
    return isinstance(node, Object) and (
        "_parameters" in attributes(node) or node.kind.startswith("__torch__.")
    )


def _candidates(node: Any, walk: _Walk, path: str) -> tuple[str, Any] | None:
    """Return the one container in which the search goes on, or None to stop here."""
    entries = list(_children(node) or ())
    nested = [(n, v) for n, v in entries if not _is_tensor(v) and _holds_tensors(v, walk)]
    if not nested:
        return None
    weights = [(n, v) for n, v in nested if _why_no_weights(n, v) is None]
    loose = [n for n, v in entries if _is_tensor(v) and not _is_metric(n, v)]
    current = [(n, v) for n, v in weights if not _AVERAGED.search(n.lower())]
    weights = current if current or loose else weights
    if len(weights) != 1 or loose or (len(entries) == 1 and not WRAPPERS.fullmatch(weights[0][0])):
        return None
    prefix = f"{path}." if path else ""
    for name, value in entries:
        if name != weights[0][0]:
            _note(prefix + name, value, walk, _why_left_out(name, value, walk) or "not the weights")
    return weights[0]


def _is_metric(name: str, node: Any) -> bool:
    return isinstance(node, Tensor) and not node.shape and bool(_METRIC.search(name.lower()))


def _why_left_out(name: str, node: Any, walk: _Walk) -> str | None:
    """Return why an entry beside weights is none itself, or None if it is."""
    if _is_tensor(node):
        return "a metric" if _is_metric(name, node) else None
    if not _holds_tensors(node, walk):
        return "not a tensor"
    why = _why_no_weights(name, node)
    if why is None and _AVERAGED.search(name.lower()):
        return _COPY
    return why


def _note(name: str, node: Any, walk: _Walk, why: str) -> None:
    if why == "not a tensor":
        kind = node.kind if isinstance(node, Object) else type(node).__name__
        walk.notes.append(f"{plain(name)}: {plain(kind)}, {why}")
    else:
        more = "" if _is_tensor(node) else f"; to take it, key={plain(name)!r}"
        walk.notes.append(f"{plain(name)}: {why}{more}")


def _collect(node: Any, walk: _Walk, *, explicit: bool) -> None:
    """Gather the tensors under a node; on its first level the rule of what is left out holds."""
    if _is_tensor(node):
        walk.tensors["tensor"] = node
        return
    entries = list(_children(node) or ())
    flat = explicit or _is_module(node)
    bundle = not flat and any(not _is_tensor(v) and _holds_tensors(v, walk) for _, v in entries)
    left_out = {n: _why_left_out(n, v, walk) if bundle else None for n, v in entries}
    if all(left_out.values()):  # several averaged copies, and nothing else
        left_out = {n: None if why == _COPY else why for n, why in left_out.items()}
    for name, child in entries:
        why = left_out[name]
        if why is None and not flat and not _holds_tensors(child, walk):
            why = "not a tensor"
        if why is not None:
            _note(name, child, walk, why)
        else:
            _gather(name, child, walk, 1, explicit=explicit, buffer=_is_buffer(node, name))


def _is_buffer(node: Any, name: str) -> bool:
    if not isinstance(node, Object):
        return False
    buffers = attributes(node).get("_buffers")
    return isinstance(buffers, dict) and name in buffers


def _gather(path: str, node: Any, walk: _Walk, depth: int, *, explicit: bool, buffer: bool) -> None:
    walk.step(depth)
    if _is_tensor(node):
        if path in walk.tensors:
            raise Refusal(f"two tensors have the name {plain(path)!r}", "take one with key=")
        walk.tensors[path] = node
        if buffer:
            walk.buffers.add(path)
        return
    if _is_optimizer(node) and not explicit:
        _note(path, node, walk, "optimizer state")
        return
    if not _holds_tensors(node, walk):
        return
    for name, child in _children(node) or ():
        is_buffer = _is_buffer(node, name)
        _gather(f"{path}.{name}", child, walk, depth + 1, explicit=explicit, buffer=is_buffer)


def _readable(name: str, tensor: Tensor | UnreadableTensor) -> Tensor:
    if isinstance(tensor, UnreadableTensor):
        raise Refusal(
            f"{plain(name)!r} is {tensor.why}, expected plain elements",
            "save it as a dense tensor, for instance with .to_dense() or .dequantize(), on the CPU",
        )
    return tensor


def _at(root: Any, key: str) -> Any:
    """Return the node at a dotted path; names may themselves hold dots."""
    seen: list[str] = []
    node, rest = root, key
    while rest:
        children = dict(_children(node) or ())
        fitting = [n for n in children if rest == n or rest.startswith(f"{n}.")]
        inside = {n[len(rest) + 1 :]: v for n, v in children.items() if n.startswith(f"{rest}.")}
        if inside and not fitting:  # a flat state dict, asked for one of its modules
            return inside
        if not fitting:
            where = f"under {plain('.'.join(seen))!r}" if seen else "at the top"
            names = ", ".join(plain(n) for n in list(children)[:8]) or "nothing nested"
            raise Refusal(f"has no key {plain(key)!r}: {where} there is {names}")
        name = max(fitting, key=len)
        seen.append(name)
        node, rest = children[name], rest[len(name) + 1 :]
    return node


def _contents(root: Any) -> str:
    if isinstance(root, Object):
        return f"it holds a {plain(root.kind)}"
    names = [plain(name) for name, _ in _children(root) or ()]
    if not names:
        return f"it holds a {type(root).__name__}"
    return "it holds " + ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
