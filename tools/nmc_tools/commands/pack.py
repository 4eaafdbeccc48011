"""``nmc pack``: checkpoints to a package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

import nmc
from nmc.coding.encode import Entropy
from nmc.coding.scratch import memory_limit
from nmc.coding.threads import available_cores, one_ahead
from nmc.writing.writer import DEFAULT_KEY_EVERY
from nmc_tools import checkpoints
from nmc_tools.checkpoints import Keep, Order
from nmc_tools.checkpoints.extras import configuration_of, frame_extras, room_of, source_name
from nmc_tools.commands.lossy_options import (
    DeclarePsnrOption,
    MaxErrorOption,
    MeasureOption,
    QualityOption,
    RefineOption,
    StepOption,
    TargetBytesOption,
    TargetPsnrOption,
    missed_targets,
    quantisation_of,
    show_notes,
)
from nmc_tools.commands.media_files import (
    PackMediaMapOption,
    PackMediaOption,
    PackMediaRoleOption,
    packed_media,
)
from nmc_tools.commands.pack_summary import asked_keys, pack_summary
from nmc_tools.commands.repack import frames_of, pack_package, package_among
from nmc_tools.commands.shared_options import (
    DirectoryOption,
    EffortOption,
    EncryptKeyOption,
    ForceOption,
    FpsOption,
    JsonOption,
    OutputPath,
    PackJobsOption,
    parse_rate,
)
from nmc_tools.commands.slice_notes import show_slices, slices_json
from nmc_tools.terminal import note, progress_bar

Shapes: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]

_SHARE = 8
"""The part of the memory that a state may take if the next one is read meanwhile."""


def pack(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="Checkpoints, directories or globs.")
    ],
    output: OutputPath,
    key_every: Annotated[
        int, typer.Option(min=0, help="Frames from key frame to key frame; 0: only the first.")
    ] = DEFAULT_KEY_EVERY,
    key_frame: Annotated[
        list[int] | None, typer.Option(help="Another key frame; may be repeated.")
    ] = None,
    effort: EffortOption = "strong",
    entropy: Annotated[
        Entropy | None, typer.Option(help="Entropy coding; by default the best of the profile.")
    ] = None,
    profile: Annotated[
        Literal["main", "baseline", "lossy"] | None,
        typer.Option(help="Profile; by default main, or lossy if an option allows loss."),
    ] = None,
    quality: QualityOption = None,
    step: StepOption = None,
    max_error: MaxErrorOption = None,
    target_bytes: TargetBytesOption = None,
    target_psnr: TargetPsnrOption = None,
    refine: RefineOption = None,
    declare_psnr: DeclarePsnrOption = None,
    measure: MeasureOption = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the weights are in the files, such as model.state_dict; may be repeated, "
            "and is then part of the names."
        ),
    ] = None,
    keep: Annotated[
        Keep, typer.Option(help="The weights, or all to resume from: optimizer, scalars, nesting.")
    ] = "weights",
    order: Annotated[
        Order,
        typer.Option(
            help="Of the inputs: as given, natural (frame2 before frame10) or by the time of their "
            "last change. auto: as given, but natural where a shell sorted them."
        ),
    ] = "auto",
    unrelated: Annotated[
        bool,
        typer.Option("--unrelated", help="Accept models without a tensor of the one before."),
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option(help="Layer of each parameter: 0=NAME,1=GLOB or a JSON file; else by module."),
    ] = None,
    buffer: Annotated[
        list[str] | None, typer.Option(help="A tensor that is a buffer; may be repeated.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Model family; by default unknown.")] = None,
    configuration: Annotated[
        Path | None, typer.Option(help="JSON file that says how the model is built.")
    ] = None,
    fps: FpsOption = None,
    detect_frozen: Annotated[
        bool, typer.Option(help="Record unchanged parameters as frozen.")
    ] = True,
    row_id: Annotated[
        str | None,
        typer.Option(
            help="A tensor that gives each point a name of its own, such as an id: points that "
            "were pruned, added or shuffled are matched by it; by default, by their values."
        ),
    ] = None,
    directory: DirectoryOption = False,
    encrypt_key: EncryptKeyOption = None,
    media: PackMediaOption = None,
    media_role: PackMediaRoleOption = None,
    media_map: PackMediaMapOption = None,
    jobs: PackJobsOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue after an interruption.")
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a package of checkpoints, one for each frame, in the order of the inputs.

    A package may be given instead: its frames are coded again, and its record of the model, the
    cameras and the training is kept. The files of a folder are taken in natural order of their
    names; a model in several files is one frame. Whatever is left out or looks wrong is reported.

    Examples
    --------
      nmc pack run/ -o scene.nmc

      nmc pack 'run/frame_*.pth' -o scene.nmc --key model.state_dict --effort max

      nmc pack run/ -o scene.nmc --effort fast --jobs 4    (each frame in four threads)

      nmc pack run/ -o scene.nmc --key-every 16 --layers '0=pts_linears.0,1=pts_linears.1'

      nmc pack last.pt best.pt first.pt -o scene.nmc --order given

      nmc pack splats/ -o scene.nmc --row-id id    (points that come and go, matched by their ids)

      nmc pack run/ -o scene.nmc --quality 50    (lossy: some ten times smaller)

      nmc pack run/ -o scene.nmc --max-error 1e-3    (no weight is farther from its original)

      nmc pack run/ -o scene.nmc --target-bytes 20000 --key-every 10

      nmc pack run/ -o scene.nmc --quality 30 --refine 2    (a base, and a refinement of 12 dB)

      nmc pack scene.nmc -o lossy.nmc --target-psnr 40    (between renderings; needs cameras)

      nmc pack scene.nmc -o lossy.nmc --quality 40 --no-measure    (without the cameras)

      nmc pack run/ -o scene.nmc --encrypt-key scene.key    (cannot be decoded without the key)

      nmc pack run/ -o film.nmc --media low.mp4 --media sound.opus    (carried beside the frames)

      nmc pack run/ -o film.nmc --media low.mp4 --media-role low-resolution --media-map 0:0,48:1

      nmc pack run/ -o scene.nmc --keep all    (optimizer, epochs and nesting too, to resume from)
    """
    lossy: dict[str, Any] = {
        "quality": quality,
        "step": step,
        "max_error": max_error,
        "target_bytes": target_bytes,
        "target_psnr": target_psnr,
        "refine": refine,
    }
    options: dict[str, Any] = {
        "directory": directory,
        "profile": profile,
        "entropy": entropy,
        "effort": effort,
        "key_every": key_every,
        "key_frames": key_frame or (),
        "threads": jobs or available_cores(),
        "row_id": row_id,
        "encrypt_key": encrypt_key,
        "resume": resume,
        "overwrite": force,
    }
    package = package_among(inputs)
    if package is not None:
        _refuse_of_a_package(
            {
                "--key": key,
                "--keep": keep == "all",
                "--order": order != "auto",
                "--unrelated": unrelated,
                "--layers": layers,
                "--buffer": buffer,
                "--family": family,
                "--configuration": configuration,
                "--fps": fps,
                "--no-detect-frozen": not detect_frozen,
            }
        )
        options["media"] = packed_media(media, media_role, media_map, frames_of(package))
        pack_package(
            package,
            output,
            lossy,
            options,
            declare=declare_psnr,
            measure=measure,
            as_json=as_json,
        )
        return
    for option, wanted in (("--declare-psnr", declare_psnr), ("--measure", measure)):
        if wanted:
            raise typer.BadParameter(
                "pictures are needed: give a package with cameras", param_hint=option
            )
    selection = checkpoints.select(inputs, order)
    sources = selection.sources
    options["media"] = packed_media(media, media_role, media_map, len(sources))
    quantisation = quantisation_of(len(sources), **lossy)
    rate = parse_rate(fps) or Fraction(30)
    for text in selection.notes:
        note(text)
    load = partial(_load, keys=key or [], keep=keep)
    first = load(sources[0])
    buffers = first.buffers | set(buffer or ())
    if keep == "all" and len(sources) > 1:  # an optimizer has no state before its first step
        buffers |= load(sources[-1]).buffers
    rules = checkpoints.parse_layers(layers) if layers else None
    try:
        writer = nmc.Writer(
            output,
            **options,
            family=family or "unknown",
            configuration=_configuration(configuration, first),
            layers=checkpoints.layers_of([n for n in first.state if n not in buffers], rules),
            buffers=buffers,
            timescale=rate.numerator,
            detect_frozen=detect_frozen,
            quantisation=quantisation,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    kept, room = "finished frames are kept", room_of(len(sources))
    with writer, progress_bar(f"packing {output.name}", kept=kept, resume="--resume") as progress:
        start = len(writer)
        before = checkpoints.shape_of(writer.last_state) if start else None
        if start:
            progress(start, len(sources))
        reads = (partial(load, s) if t else lambda: first for t, s in enumerate(sources))
        threads = options["threads"] if _has_room(first) else 1
        with closing(one_ahead(islice(reads, start, None), threads)) as frames:
            for t, checkpoint in enumerate(frames, start):
                before = _follows(sources[t], before, checkpoint, unrelated=unrelated)
                writer.append(
                    checkpoint.state,
                    presentation_time=t * rate.denominator,
                    source_name=source_name(sources[t]),
                    extras=frame_extras(checkpoint, sources[t], first, room),
                )
                first = replace(first, state={})  # its memory is wanted for the next ones
                progress(t + 1, len(sources))
    show_notes(writer.notes)
    show_slices(writer.slices)
    asked = asked_keys(key_every, key_frame)
    beside = {"slices": slices_json(writer.slices), "missed": missed_targets(writer.notes)}
    pack_summary(output, encrypt_key, sources, first, asked, beside, as_json=as_json)


def _refuse_of_a_package(options: Mapping[str, object]) -> None:
    """Refuse options about checkpoints where a package is given: none is taken and not obeyed."""
    given = [name for name, value in options.items() if value]
    if given:
        raise typer.BadParameter(
            "a package says itself what its frames and tensors are; this is of checkpoints "
            "(unpack it, and pack the files)",
            param_hint=", ".join(given),
        )


def _load(source: checkpoints.FrameSource, keys: list[str], keep: Keep) -> checkpoints.Checkpoint:
    return checkpoints.read_source(source, lambda path: checkpoints.read(path, key=keys, keep=keep))


def _has_room(checkpoint: checkpoints.Checkpoint) -> bool:
    """Whether states are so small that one can be read while another is coded."""
    arrays = checkpoint.state.values()
    size = sum((a.data if isinstance(a, nmc.PackedArray) else a).nbytes for a in arrays)
    return _SHARE * size <= memory_limit()


def _follows(
    source: checkpoints.FrameSource,
    before: Shapes | None,
    checkpoint: checkpoints.Checkpoint,
    *,
    unrelated: bool,
) -> Shapes:
    """Return the shapes of a frame, after it was compared with the one before."""
    after = checkpoints.shape_of(checkpoint.state)
    if before is not None:
        is_other, why = checkpoints.doubt(before, after)
        if is_other and not unrelated:
            raise checkpoints.CheckpointError(
                source.paths[0],
                f"is another model than the one before it: {why}",
                "name the models of one chain, or say --unrelated to make it a key frame",
            )
        if why:
            note(f"{source.name}: {why}; is it of the same chain?")
    return after


def _configuration(path: Path | None, first: checkpoints.Checkpoint) -> Any:
    """Return what the manifest says of the model: the user's word, and how to export it again."""
    given = None
    if path is not None:
        hint = 'give a file with one JSON object, such as {"layers": 8}'
        try:
            given = json.loads(path.read_bytes())
        except OSError as error:
            why = f"cannot be read: {error.strerror or error}"
            raise checkpoints.CheckpointError(path, why, hint) from None
        except (ValueError, RecursionError) as error:
            raise checkpoints.CheckpointError(path, f"is not JSON: {error}", hint) from None
        if not isinstance(given, dict):
            raise checkpoints.CheckpointError(path, "is not a JSON object", hint)
    return configuration_of(first, given)
