"""What ``nmc train`` says of a chain when it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_framework.frame_rate import plain
from nmc_tools.commands.chain_run import Subject
from nmc_tools.commands.framework import say_doubt
from nmc_tools.terminal import counted, print_json, say, size_text

if TYPE_CHECKING:
    from nmc_framework.training import CheckpointFolder


def package_sizes(output: Path) -> dict[str, int]:
    """Return the frames of a package, and the bytes of its models and of itself."""
    import nmc

    with nmc.open(output) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        return {"frames": len(sequence), "raw_bytes": raw, "bytes": sequence.size}


def folder_sizes(store: CheckpointFolder) -> dict[str, int]:
    """Return the frames of a folder of checkpoints, and the bytes of models and of files."""
    count = len(store)
    raw = count * sum(array.nbytes for array in store[0].values()) if count else 0
    size = sum(path.stat().st_size for path in store.folder.glob("frame_*.safetensors"))
    return {"frames": count, "raw_bytes": raw, "bytes": size}


def train_summary(
    output: Path,
    records: list[dict[str, Any]],
    done: int,
    subject: Subject,
    sizes: dict[str, int],
    *,
    as_json: bool,
) -> None:
    """Say what was trained, and where held-out views make doubtful what came of it."""
    if as_json:
        whole = {"path": str(output), **sizes, "resumed_at": done or None}
        print_json(whole | {"rate": plain(subject.rate), "trained": records})
        return
    of = "" if subject.clips else " on held-out views"
    scored = [record["psnr"] for record in records if "psnr" in record]
    quality = f", {sum(scored) / len(scored):.2f} dB{of}" if scored else ""
    went_on = f" ({done} of them before)" if done else ""
    told = f"{size_text(sizes['raw_bytes'])} of models in {size_text(sizes['bytes'])}"
    say(f"{output}: {counted(sizes['frames'], 'frame')}{went_on}, {told}{quality}")
    if scored and not subject.clips:
        loss = sum(record["loss"] for record in records) / len(records)
        say_doubt(output, loss, sum(scored) / len(scored))
