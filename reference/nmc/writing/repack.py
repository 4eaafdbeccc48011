"""The frames of a package into another one, coded anew: lossless chains become lossy ones.

Unlike :mod:`nmc.writing.recut`, no segment is copied; what the manifest says of the scene and of
the training is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc.writing.carried_media import carry_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc.reading.sequence import ChainSequence
    from nmc.writing.writer import Writer
    from nmc_format.manifest.frame_table import FrameRecord


def described(sequence: ChainSequence) -> dict[str, Any]:
    """Return what a writer is told of the model and of time, as arguments."""
    manifest = sequence.manifest
    first_digest = sequence.frames[0].state_digest.hex()[:32]
    named = manifest.root.sequence_id
    return {
        "family": sequence.family,
        "configuration": manifest.model.configuration,
        "layers": {row.name: row.layer for row in manifest.tensors},
        "buffers": {row.name for row in manifest.tensors if row.role},
        "timescale": manifest.timescale,
        "sequence_id": None if named == first_digest else named,
    }


def repack(
    sequence: ChainSequence, writer: Writer, progress: Callable[[int, int], None] | None = None
) -> None:
    """Append the frames that a writer does not have yet, cameras, media, and what holds of them.

    The quality record is kept where every bit is: else it was measured of other states.

    Raises
    ------
    FormatError
        If a frame is refused, or cannot be written.
    """
    if sequence.cameras is not None:
        writer.set_cameras(sequence.cameras)
    for t in range(len(writer), len(sequence)):
        writer.append(sequence[t], **recorded(sequence, sequence.frames[t]))
        if progress:
            progress(t + 1, len(sequence))
    carry_all(writer, sequence)
    if sequence.quality is not None and not writer.is_lossy:
        writer.set_quality(sequence.quality)


def recorded(sequence: ChainSequence, frame: FrameRecord) -> dict[str, Any]:
    """Return what the manifest says of a frame, as arguments."""
    flags = None
    if frame.requires_grad is not None:
        present = sequence.state(frame.index)
        rows = zip(sequence.manifest.tensors, frame.requires_grad, strict=False)
        flags = {
            row.name: flag for i, (row, flag) in enumerate(rows) if i in present and not row.role
        }
    return {
        "presentation_time": frame.presentation_time,
        "requires_grad": flags,
        "exclude_layers": None if flags is not None else frame.exclude_layers,
        "iterations": frame.iterations,
        "seconds": frame.seconds,
        "trained_from_previous": frame.trained_from is not None,
        "source_name": frame.source_name or None,
        "extras": frame.extras_text or None,
        "colour": None if sequence.colour is None else sequence.colour.frame(frame.index),
    }
