"""``nmc pack``: checkpoints to a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import nmc
from nmc.encoder import Entropy
from nmc.writer import DEFAULT_KEY_EVERY
from nmc_tools import checkpoints
from nmc_tools.commands.options import (
    DirectoryOption,
    EffortOption,
    ForceOption,
    JsonOption,
    OutputPath,
)
from nmc_tools.terminal import print_json, progress_bar, say, size_text

EXAMPLES = """
Examples:

  nmc pack run/ -o scene.nmc

  nmc pack 'run/frame_*.pth' -o scene.nmc --key model.state_dict --effort max

  nmc pack run/ -o scene.nmc --key-every 16 --layers '0=pts_linears.0,1=pts_linears.1'
"""


def pack(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="Checkpoints, directories or globs.")
    ],
    output: OutputPath,
    key_every: Annotated[
        int, typer.Option(min=0, help="A key frame every so many frames; 0: the first only.")
    ] = DEFAULT_KEY_EVERY,
    key_frame: Annotated[
        list[int] | None, typer.Option(help="A further key frame; may be repeated.")
    ] = None,
    effort: EffortOption = "strong",
    entropy: Annotated[
        Entropy | None, typer.Option(help="Entropy coding; by default the best of the profile.")
    ] = None,
    profile: Annotated[Literal["main", "baseline"], typer.Option(help="Profile.")] = "main",
    key: Annotated[
        str | None,
        typer.Option(help="Where the weights are in the files, such as model.state_dict."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Layer of each parameter: 0=NAME,1=GLOB or a JSON file; else by module."),
    ] = None,
    buffer: Annotated[
        list[str] | None, typer.Option(help="A tensor that is a buffer; may be repeated.")
    ] = None,
    family: Annotated[str, typer.Option(help="Model family.")] = "unknown",
    configuration: Annotated[
        Path | None, typer.Option(help="JSON file that says how the model is built.")
    ] = None,
    fps: Annotated[int, typer.Option(min=1, help="Frames per second.")] = 30,
    detect_frozen: Annotated[
        bool, typer.Option(help="Record what equals the frame before as frozen.")
    ] = True,
    directory: DirectoryOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a package of checkpoints, one for each frame, in natural order of their names."""
    paths = checkpoints.expand(inputs)
    first = checkpoints.read(paths[0], key=key)
    rules = checkpoints.parse_layers(layers) if layers else None
    try:
        writer = nmc.Writer(
            output,
            directory=directory,
            profile=profile,
            entropy=entropy,
            effort=effort,
            key_every=key_every,
            key_frames=key_frame or (),
            family=family,
            configuration=_configuration(configuration, first),
            layers=checkpoints.layers_of(_parameters(first, buffer), rules),
            buffers=first.buffers | set(buffer or ()),
            timescale=fps,
            detect_frozen=detect_frozen,
            resume=resume,
            overwrite=force,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    kept = "finished frames are kept"
    with writer, progress_bar(f"packing {output.name}", kept=kept, resume="--resume") as progress:
        start = len(writer)
        for t, path in enumerate(paths):
            if t >= start:
                checkpoint = first if t == 0 else checkpoints.read(path, key=key)
                writer.append(checkpoint.state)
            progress(t + 1, len(paths))
    _summary(output, first, as_json=as_json)


pack.__doc__ = f"{pack.__doc__}\n{EXAMPLES}"


def _parameters(checkpoint: checkpoints.Checkpoint, buffers: list[str] | None) -> list[str]:
    return [n for n in checkpoint.state if n not in checkpoint.buffers | set(buffers or ())]


def _configuration(path: Path | None, first: checkpoints.Checkpoint) -> Any:
    """Return what the manifest says of the model: the user's word, and how to export it again."""
    if path is not None:
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise checkpoints.CheckpointError(path, f"no JSON file: {error}") from None
    return {"checkpoint": {"format": first.source_format, "extra": dict(first.extra)}}


def _summary(output: Path, first: checkpoints.Checkpoint, *, as_json: bool) -> None:
    with nmc.open(output, max_level=4) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        size, frames = sequence.size, len(sequence)
        keys = sum(frame.coding == "key" for frame in sequence.frames)
    if as_json:
        print_json(
            {
                "path": str(output),
                "frames": frames,
                "key_frames": keys,
                "raw_bytes": raw,
                "bytes": size,
                "weights": first.key,
                "skipped": list(first.skipped),
            }
        )
        return
    for note in first.skipped:
        say(f"left out of {first.key or 'the file'}: {note}")
    say(
        f"{output}: {frames} frames ({keys} key), {size_text(raw)} of models in {size_text(size)}, "
        f"ratio {raw / size:.3f}"
    )
