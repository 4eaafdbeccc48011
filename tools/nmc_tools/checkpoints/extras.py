"""What a package keeps of the source of a frame: its name, and JSON of what else it said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import Checkpoint, CheckpointError
from nmc_tools.checkpoints.nesting import changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_tools.checkpoints.shards import FrameSource

_MOST = 65_536
_ALL = 2**24
"""Bytes of the extras of one frame, and of all frames together (clause 5.4.5)."""


def room_of(frames: int) -> int:
    """Return the bytes of extras that each of so many frames may have."""
    return min(_MOST, _ALL // max(1, frames)) - 64


def source_name(source: FrameSource) -> str:
    """Return the name of a frame's file as a manifest may hold it (clause 5.4.5)."""
    text = source.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = text.replace("\\", "_").replace("/", "_")
    return "" if text in (".", "..") else text


def frame_extras(
    checkpoint: Checkpoint, source: FrameSource, first: Checkpoint, room: int
) -> dict[str, Any]:
    """Return the extras of a frame: its scalars, and with a tree how it differs from the first.

    Parameters
    ----------
    checkpoint : Checkpoint
        The frame.
    source : FrameSource
        Where it comes from, for the message of an error.
    first : Checkpoint
        Frame 0, whose tree stands in the configuration.
    room : int
        Bytes of JSON that it may have. Scalars are left out from the last one on where they do
        not fit; a tree is whole, or the frame is refused.

    Raises
    ------
    CheckpointError
        If what changes from frame to frame has no room in a manifest.
    """
    extras: dict[str, Any] = {}
    if checkpoint.tree is not None:
        changed = changes(first.tree, checkpoint.tree)
        if changed:
            extras["tree_changes"] = changed
        if _size(extras) > room:
            raise CheckpointError(
                source.paths[0],
                f"says {_size(extras)} bytes of other things than frame 0 beside its tensors; a "
                f"manifest has room for {room} of each frame",
                "pack the weights alone, or fewer frames with --keep all",
            )
    left = room - _size(extras)
    for name, value in checkpoint.scalars.items():
        left -= _size({name: value})
        if left >= 0 and name not in extras:
            extras[name] = value
    return extras


def configuration_of(first: Checkpoint, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the manifest says of the model: the user's word, and how to export it again."""
    noted: dict[str, Any] = {"format": first.source_format, "extra": dict(first.extra)}
    if first.tree is not None:
        noted |= {"keep": "all", "tree": first.tree}
    elif given is not None:
        return dict(given)
    return dict(given or {}) | {"checkpoint": noted}


def _size(extras: Mapping[str, Any]) -> int:
    return len(json.dumps(extras, ensure_ascii=False, separators=(",", ":")).encode())
