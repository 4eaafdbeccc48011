"""What ``nmc pack`` says of a package when it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nmc
from nmc_tools import checkpoints
from nmc_tools.commands.lossy_options import Loss
from nmc_tools.terminal import counted, note, print_json, say, size_text


def asked_keys(key_every: int, key_frames: list[int] | None) -> Callable[[int], bool]:
    """Return whether a frame was to be a key frame."""
    asked = frozenset(key_frames or ())
    return lambda t: t == 0 or t in asked or bool(key_every and t % key_every == 0)


def pack_summary(
    output: Path,
    key: Path | None,
    sources: list[checkpoints.FrameSource],
    first: checkpoints.Checkpoint,
    asked: Callable[[int], bool],
    beside: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Say what was packed; ``beside`` are ``slices`` and ``missed``, as ``--json`` has them."""
    with nmc.open(output, max_level=4, key=key) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        size, frames, loss = sequence.size, len(sequence), Loss.of(sequence)
        keys = [t for t, frame in enumerate(sequence.frames) if frame.coding == "key"]
        kept = [name for name in first.scalars if name in sequence.frames[0].extras]
    skipped = [text for text in first.skipped if not _is_of(text, kept)]
    for t in keys:
        if not asked(t) and t < len(sources):
            note(
                f"{sources[t].name}: frame {t} became a key frame, since a delta would be larger; "
                "was it trained from the frame before?"
            )
    if as_json:
        print_json(
            {
                "path": str(output),
                "frames": frames,
                "key_frames": len(keys),
                "raw_bytes": raw,
                "bytes": size,
                "weights": first.key,
                "skipped": skipped,
                "slices": beside["slices"],
                "lossy": None if loss is None else loss.to_json() | {"missed": beside["missed"]},
            }
        )
        return
    for text in skipped:
        say(f"left out of {first.key or 'the file'}: {text}")
    if kept:
        say(f"kept beside the tensors, as extras of each frame: {', '.join(kept)}")
    say(
        f"{output}: {counted(frames, 'frame')} ({len(keys)} key), {size_text(raw)} of models in "
        f"{size_text(size)}, {'lossy ' * (loss is not None)}ratio {raw / size:.3f}"
    )
    if loss is not None:
        say(loss.text())


def _is_of(note_: str, names: list[str]) -> bool:
    """Whether a note of what is no tensor is of one of these names."""
    return note_.endswith("not a tensor") and any(note_.startswith(f"{name}: ") for name in names)
