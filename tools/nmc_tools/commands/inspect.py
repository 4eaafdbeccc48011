"""``nmc inspect``: what a manifest says, without decoding."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

import nmc
from nmc.reading.keys import PublicKey
from nmc.reading.signatures import signature_findings
from nmc_format.encryption import FEATURE
from nmc_format.issues import FormatError
from nmc_format.json_view import json_view
from nmc_format.manifest.frame_table import FrameRecord
from nmc_format.manifest.tensor_table import PARAMETER
from nmc_tools.commands.lossy_options import Loss, psnr_text
from nmc_tools.commands.media_files import media_lines
from nmc_tools.commands.shared_options import JsonOption, PackageSource
from nmc_tools.commands.signature_facts import signature_facts
from nmc_tools.terminal import counted, out, print_json, printable, size_text

if TYPE_CHECKING:
    from nmc_format.issues import Finding
    from nmc_format.signature import Signature

_ROWS_SHOWN = 40
_TEXT_SHOWN = 60


def inspect(
    package: PackageSource,
    tensors: Annotated[bool, typer.Option("--tensors", help="Also list the tensors.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="List all frames, however many there are.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a package holds: model, frames, sizes and how they were trained.

    Examples
    --------
      nmc inspect scene.nmc --tensors

      nmc inspect scene.nmc --json > scene.json

      nmc inspect s3://bucket/scene.nmc
    """
    with nmc.open(package, max_level=4) as sequence:
        if as_json:
            facts = signature_facts(*_signatures(sequence))
            print_json({**json_view(sequence.manifest), "signatures": facts})
            return
        _print_summary(sequence)
        if tensors:
            _print_tensors(sequence)
        _print_frames(sequence, len(sequence) if every else _ROWS_SHOWN)


def _safe(text: object) -> Text:
    """Return untrusted text that a terminal shows and never obeys."""
    return Text(printable(str(text)))


def _print_summary(sequence: nmc.ChainSequence) -> None:
    manifest = sequence.manifest
    raw = sum(frame.state_bytes for frame in sequence.frames)
    segments = int(manifest.frames.segment_length.sum())
    weights = sum(prod(row.shape) for row in manifest.tensors if row.role == PARAMETER)
    tensors_in = counted(len(manifest.tensors), "tensor")
    ratio = "lossy ratio" if manifest.profile == "lossy" else "ratio"
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("package", sequence.path),
        (
            "format",
            (f"{manifest.root.format_version}, {manifest.profile} profile, level {manifest.level}"),
        ),
        ("sequence", manifest.root.sequence_id),
        (
            "model",
            f"{sequence.family}: {tensors_in}, {counted(weights, 'weight')}",
        ),
        ("frames", f"{len(sequence)}, {manifest.timescale} ticks per second"),
        ("models", f"{size_text(raw)} ({raw} bytes)"),
        (
            "on disk",
            (
                f"{size_text(sequence.size)} ({sequence.size} bytes), "
                f"{ratio} {raw / max(1, sequence.size):.3f}, "
                f"container {100 * (sequence.size - segments) / max(1, raw):.3f} %"
            ),
        ),
    ):
        table.add_row(Text(name, style="bold"), _safe(value))
    if manifest.root.is_encrypted:
        key = manifest.root.key_digest.hex()
        table.add_row(Text("encrypted", style="bold"), f"{FEATURE}, by the key of digest {key}")
    for line in media_lines(sequence):
        table.add_row(Text("medium", style="bold"), _safe(line))
    for line in _signature_lines(sequence):
        table.add_row(Text("signature", style="bold"), _safe(line))
    if manifest.profile == "lossy":
        table.add_row(Text("loss", style="bold"), _safe(_loss_text(sequence)))
    if sequence.stops > 1:
        kept = [
            sum(f.refinements[k].start for f in sequence.frames) for k in range(sequence.stops - 1)
        ]
        parts = ", ".join(size_text(size) for size in [*kept, segments])
        table.add_row(
            Text("refinements", style="bold"),
            f"{sequence.stops - 1} of each frame; base and refinements up to each stop: {parts}",
        )
    if sequence.colour is not None:
        views = len(sequence.colour.views)
        table.add_row(Text("colour", style="bold"), f"of {views} training views, frame by frame")
    out.print(table)


def _signature_lines(sequence: nmc.ChainSequence) -> list[str]:
    """Say who signed, and which signatures do not hold; whom a key belongs to is not known here."""
    holding, findings = _signatures(sequence)
    lines = [
        f"holds: {PublicKey(made.key).fingerprint}, who says: "
        f"{made.statement.signer or 'nothing'}, {made.statement.time}"
        for made in holding
    ]
    for found in findings:
        verdict = "not verified" if found.code == "host/not-verified" else "does NOT hold"
        lines.append(f"{verdict}: {found.code}: {found.message}")
    return lines


def _signatures(sequence: nmc.ChainSequence) -> tuple[list[Signature], list[Finding]]:
    package, digest = sequence.stored, sequence.manifest.root.manifest_digest
    return signature_findings(package, package.manifest(), digest)


def _loss_text(sequence: nmc.ChainSequence) -> str:
    """Say what is lost, or why nobody knows: the manifest is shown whatever the segments are."""
    try:
        loss = Loss.of(sequence)
    except FormatError as error:
        return f"lossy; declared errors cannot be read: {error.finding.message}"
    return "" if loss is None else loss.text()


def _print_tensors(sequence: nmc.ChainSequence) -> None:
    loss = Loss.of(sequence)
    declared = ["declared error"] if loss is not None else []
    table = Table("row", "name", "dtype", "shape", "role", "layer", *declared, box=None)
    for i, row in enumerate(sequence.manifest.tensors):
        role = "parameter" if row.role == PARAMETER else "buffer"
        layer = str(row.layer) if row.layer >= 0 else "-"
        shape = "x".join(map(str, row.shape)) or "scalar"
        cells: list[str | Text] = [str(i), _safe(row.name), row.dtype.name, shape, role, layer]
        if loss is not None:
            cells.append(f"{loss.errors[row.name]:.4g}" if row.name in loss.errors else "lossless")
        table.add_row(*cells)
    out.print(table)


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"


def _shown_extras(frame: FrameRecord) -> str:
    """Return the extras without the record of how nesting changes: it is for unpacking alone."""
    if "tree_changes" not in frame.extras_text:
        return frame.extras_text
    shown = {name: value for name, value in frame.extras.items() if name != "tree_changes"}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")) if shown else ""


def _refined_bytes(frame: FrameRecord) -> list[str]:
    """Return the bytes of each refinement, with its PSNR where that is declared."""
    ends = [*(refined.start for refined in frame.refinements[1:]), frame.segment_length]
    return [
        str(end - refined.start)
        + ("" if refined.declared_psnr is None else f" ({psnr_text(refined.declared_psnr)})")
        for refined, end in zip(frame.refinements, ends, strict=False)
    ]


def _declared(decibels: float | None) -> str:
    return "-" if decibels is None else psnr_text(decibels)


def _print_frames(sequence: nmc.ChainSequence, shown: int) -> None:
    names = ["frame", "coding", "time", "bytes", "ratio", "frozen", "steps", "s"]
    columns = sequence.manifest.frames
    further = ["source"] if columns.source_name is not None else []
    further += ["extras"] if columns.extras is not None else []
    psnr = columns.declared_psnr is not None
    names += ["PSNR"] if psnr else []
    names += [f"+{k}" for k in range(1, sequence.stops)]
    table = Table(*names, *further, box=None)
    for frame in sequence.frames[:shown]:
        texts = {"source": frame.source_name, "extras": _shown_extras(frame)}
        frozen = frame.exclude_layers
        table.add_row(
            str(frame.index),
            frame.coding,
            str(frame.presentation_time),
            str(frame.base_length),
            f"{frame.state_bytes / max(1, frame.segment_length):.3f}",
            "-" if frozen is None else ",".join(map(str, frozen)) or "none",
            "-" if frame.iterations is None else str(frame.iterations),
            "-" if frame.seconds is None else f"{frame.seconds:.1f}",
            *([_declared(frame.declared_psnr)] if psnr else []),
            *_refined_bytes(frame),
            *(_safe(_shortened(texts[name]) or "-") for name in further),
        )
    out.print(table)
    if shown < len(sequence):
        out.print(f"… and {len(sequence) - shown} more; --all lists them")
