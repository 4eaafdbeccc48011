"""Reads the agents of Stable-Baselines3: a zip with the policy as a PyTorch file.

Layout: stable_baselines3/common/save_util.py (`save_to_zip_file`). Of ``data``, which holds pickles
in JSON, only plain numbers are read.
"""

from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.bounded_zip import open_archive
from nmc_tools.checkpoints.checkpoint import Checkpoint, Refusal, capped, narrow
from nmc_tools.checkpoints.torch_files import Keep, read_legacy, read_zip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.bounded_zip import Archive

POLICY = "policy.pth"
_MAX_DATA_BYTES = 16 * 2**20


def read_baselines(archive: Archive, keys: Sequence[str], keep: Keep) -> Checkpoint:
    """Read the policy of an agent, and its further variables.

    Names are those of the policy; a variable beside it (``log_ent_coef``) has the name
    ``pytorch_variables.log_ent_coef``. With ``keep="all"`` optimizers are taken too, as
    ``policy.optimizer.state.0.exp_avg``, each file with a tree of its own.

    Parameters
    ----------
    archive : Archive
        The open zip.
    keys : sequence of str
        Paths to take instead.
    keep : {"weights", "all"}
        What is taken.

    Raises
    ------
    Refusal
        If a file in it is refused.
    """
    names = [n for n in archive.members if n.endswith(".pth")]
    names.sort(key=lambda name: name != POLICY)
    state: dict[str, Array] = {}
    buffers: set[str] = set()
    notes: list[str] = []
    trees: list[list[Any]] = []
    for name in names:
        stem = name.removesuffix(".pth")
        if "optimizer" in stem and keep == "weights":
            notes.append(f"{stem}: optimizer state")
            continue
        part = _part(archive, name, keep)
        if part is None:
            notes.append(f"{stem}: no tensors")
            continue
        prefix = "" if name == POLICY else f"{stem}."
        if clash := {prefix + n for n in part.state} & state.keys():
            raise Refusal(f"two tensors have the name {min(clash)!r}")
        state |= {prefix + n: array for n, array in part.state.items()}
        buffers |= {prefix + n for n in part.buffers}
        if "optimizer" in stem:
            buffers |= {prefix + n for n in part.state}
        trees.append([stem, _renamed(part.tree, prefix)])
    checkpoint = Checkpoint(
        state,
        frozenset(buffers),
        "stable-baselines3",
        skipped=capped(notes),
        scalars=_numbers(archive),
        tree={"dict": trees} if keep == "all" else None,
    )
    return narrow(checkpoint, keys)


def _part(archive: Archive, name: str, keep: Keep) -> Checkpoint | None:
    stream = io.BytesIO(archive.read(name).data)
    try:
        if stream.getvalue()[:2] == b"PK":
            return read_zip(open_archive(stream), (), keep)
        return read_legacy(stream, (), keep)
    except Refusal as refusal:
        if refusal.reason.startswith("no tensor was found") and name != POLICY:
            return None
        raise Refusal(f"{name}: {refusal.reason}", refusal.hint) from None


def _renamed(node: Any, prefix: str) -> Any:
    """Return a tree whose tensors have a prefix."""
    if isinstance(node, list):
        return [_renamed(part, prefix) for part in node]
    if not isinstance(node, dict):
        return node
    for kind in ("tensor", "array", "numbers"):
        if kind in node:
            return node | {kind: prefix + node[kind]}
    return {name: _renamed(part, prefix) for name, part in node.items()}


def _numbers(archive: Archive) -> dict[str, Any]:
    if "data" not in archive.members or archive.members["data"].file_size > _MAX_DATA_BYTES:
        return {}
    try:
        data = json.loads(bytes(archive.read("data")))
    except (ValueError, RecursionError):
        return {}
    entries: Mapping[str, Any] = data if isinstance(data, dict) else {}
    found = {
        name: value
        for name, value in entries.items()
        if isinstance(value, int | float) and (isinstance(value, int) or math.isfinite(value))
    }
    return dict(list(found.items())[:64])
