"""``nmc unpack``: a package to checkpoints."""

from __future__ import annotations

import filecmp
import fnmatch
import os
import stat
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nmc
from nmc.coding.scratch import memory_limit
from nmc.coding.state import arrays_of
from nmc.reading.ahead import in_order, shared
from nmc.reading.manifest import DEFAULT_MAX_LEVEL
from nmc_format.host import host_errors
from nmc_format.issues import refuse, refuse_with
from nmc_tools import checkpoints
from nmc_tools.checkpoints import Target, restoring
from nmc_tools.checkpoints.checkpoint import Refusal
from nmc_tools.checkpoints.naming import Names, file_names
from nmc_tools.checkpoints.noted import usable
from nmc_tools.checkpoints.spz_files import BOUNDS, columns_of
from nmc_tools.checkpoints.writing import KINDS, write_objects
from nmc_tools.commands.media_files import OTHER, UnpackMediaOption, write_media
from nmc_tools.commands.shared_options import (
    DecryptKeyOption,
    ForceOption,
    FramesOption,
    JobsOption,
    MaxLevelOption,
    PackageSource,
    StopOption,
    opened,
)
from nmc_tools.frame_selection import parse_frames
from nmc_tools.terminal import counted, progress_bar, say, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUFFIXES = {
    "safetensors": ".safetensors",
    "pt": ".pt",
    "npz": ".npz",
    "ply": ".ply",
    "spz": ".spz",
    "gltf": ".glb",
}
_SHARE = 4
"""The part of the memory that a state may take; a larger one is decoded and written in parts."""


def unpack(
    package: PackageSource,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the files.")],
    frames: FramesOption = None,
    to: Annotated[Target, typer.Option(help="Format of the files.")] = "safetensors",
    names: Annotated[
        Names,
        typer.Option(
            help="frame_00000003, or the name of the file that was packed, where it is known."
        ),
    ] = "frame",
    flat: Annotated[
        bool,
        typer.Option(
            "--flat", help="Only the tensors, even where the package keeps whole checkpoints."
        ),
    ] = False,
    tensor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only tensors of this name, such as 'layers.0.*'; may be repeated. Only what "
            "they need is decoded.",
        ),
    ] = None,
    media: UnpackMediaOption = False,
    refinements: StopOption = None,
    decrypt_key: DecryptKeyOption = None,
    max_level: MaxLevelOption = DEFAULT_MAX_LEVEL,
    jobs: JobsOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep files that are finished. Each is compared with what it has to be.",
        ),
    ] = False,
    force: ForceOption = False,
) -> None:
    """Write each frame of a package as a checkpoint: frame_00000000.safetensors and so on.

    Every state is compared with its digest before its file appears. A state that takes more than
    a quarter of the memory is written to safetensors in parts. If the package was made with nmc
    pack --keep all, --to pt writes whole training checkpoints again, with optimizer, nesting and
    scalars, so that the script that wrote them can resume from them.

    Examples
    --------
      nmc unpack scene.nmc -o frames/

      nmc unpack scene.nmc -o frames/ --frames 0,3-5 --to pt

      nmc unpack run.nmc -o run/ --to pt --names source

      nmc unpack scene.nmc -o frames/ --frames 7 --tensor 'layers.0.*'

      nmc unpack layered.nmc -o coarse/ --refinements 0

      nmc unpack film.nmc -o video/ --media    (the video that the package carries)

      nmc unpack https://example.org/scene.nmc -o frames/ --frames 7

      nmc unpack splats.nmc -o web/ --to spz    (rounded; ply and gltf are exact)
    """
    with opened(package, max_level, refinements, decrypt_key) as sequence:
        chosen = range(len(sequence))
        if frames is not None:
            try:
                chosen = parse_frames(frames, len(sequence))  # type: ignore[assignment]
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint="--frames") from None
        if output.exists() and not output.is_dir():
            hint = "the files go into a directory; name one with -o"
            raise refuse_with(hint, "host/exists", file=str(output))
        output.mkdir(parents=True, exist_ok=True)
        if media:
            write_media(sequence, output, resume=resume, force=force)
            return
        extra, malformed = _extra(sequence, to)
        for name in malformed:
            warn(f"what {package} says of {name} is malformed, and left out")
        sources = ((frame.index, frame.source_name) for frame in sequence.frames)
        files = file_names(sources, names, SUFFIXES[to])
        whole = (
            to == "pt" and not flat and not tensor and restoring.has_tree(sequence.configuration)
        )
        notes: list[str] = []
        kept = f"finished files are kept in {output}"
        with progress_bar(f"unpacking {package.name}", kept=kept, resume="--resume") as progress:

            def written(frames: Sequence[int]) -> Iterator[list[str]]:
                with sequence.apart(threads=inner) as alone:
                    for t in frames:
                        path = output / files[t]
                        write = partial(_write, alone, t, to, extra, tensor, whole=whole)
                        if not os.path.lexists(path) or force:
                            yield write(path)
                        elif not resume:
                            raise refuse("host/exists", file=str(path))
                        else:
                            yield _compared(write, path)

            work = [partial(written, frames) for frames in _by_group(sequence, chosen)]
            outer, inner = shared(sequence.manifest, len(work), jobs)
            with closing(in_order(work, outer)) as frames_done:
                for done, noted in enumerate(frames_done, 1):
                    notes += noted
                    progress(done, len(chosen))
    for note in dict.fromkeys(notes):
        say(f"not as it was: {note}")
    say(f"{output}: {counted(len(chosen), 'file')}")


def _by_group(sequence: nmc.ChainSequence, chosen: Sequence[int]) -> list[list[int]]:
    """Return the chosen frames, those that follow each other in one group together."""
    key_of = sequence.manifest.frames.key_frame_before
    return [list(frames) for _, frames in groupby(chosen, key_of)]


def _write(
    sequence: nmc.ChainSequence,
    t: int,
    to: Target,
    extra: Any,
    patterns: list[str] | None,
    path: Path,
    *,
    whole: bool,
) -> list[str]:
    """Write one frame; return notes of what is not as it was in the file it came from."""
    most = memory_limit() // _SHARE
    large = sequence.frames[t].state_bytes > most
    if large and to == "safetensors" and patterns is None:
        read = partial(_named, sequence, t)
        checkpoints.write_in_parts(path, sequence.outlines(t), read, most, extra)
        return []
    if not whole:
        state = sequence[t] if patterns is None else _some(sequence, t, patterns)
        checkpoints.write(path, state, to=to, extra=extra)
        return [BOUNDS] if to == "spz" and columns_of(state) is None else []
    try:
        made, notes = restoring.restored(
            sequence.configuration, sequence.frames[t].extras, sequence[t]
        )
    except Refusal as refusal:
        raise checkpoints.CheckpointError(path, refusal.reason, refusal.hint) from None
    write_objects(path, made)
    return notes


def _compared(write: Callable[[Path], list[str]], path: Path) -> list[str]:
    """Compare a file that is there with the one that would be written, which goes again.

    Raises
    ------
    FormatError
        If it is another one, or no regular file.
    """
    other = refuse_with(OTHER, "host/exists", file=str(path))
    if not stat.S_ISREG(path.lstat().st_mode):
        raise other
    fresh = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")
    try:
        notes = write(fresh)
        with host_errors(path):
            same = filecmp.cmp(fresh, path, shallow=False)
    finally:
        fresh.unlink(missing_ok=True)
    if not same:
        raise other
    return notes


def _some(sequence: nmc.ChainSequence, t: int, patterns: list[str]) -> dict[str, Any]:
    """Return the tensors of a frame that a pattern names.

    Raises
    ------
    FormatError
        If a pattern names none.
    """
    there = sequence.names(t)
    chosen = [n for n in there if any(fnmatch.fnmatchcase(n, p) for p in patterns)]
    for pattern in patterns:
        if not fnmatch.filter(chosen, pattern):
            hint = f"it has {', '.join(there[:8])}{', …' * (len(there) > 8)}"
            reason = f"frame {t} has no tensor {pattern!r}"
            raise refuse("input/unsupported", file=str(sequence.path), reason=reason, hint=hint)
    return _named(sequence, t, chosen)


def _named(sequence: nmc.ChainSequence, t: int, names: Sequence[str]) -> dict[str, Any]:
    return arrays_of(sequence.state(t, names=names), sequence.manifest.tensors)


def _extra(sequence: nmc.ChainSequence, to: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Return what the importer noted for the exporter, where the format is the same.

    Of Gaussians all writers need it: it says what their numbers stand for. What is malformed is
    left out, and its names are returned.
    """
    configuration = sequence.configuration
    noted = configuration.get("checkpoint") if isinstance(configuration, dict) else None
    if not isinstance(noted, dict) or not isinstance(noted.get("extra"), dict):
        return None, []
    same = noted.get("format") == to
    gaussians = to in ("ply", "spz", "gltf") and KINDS & noted["extra"].keys()
    return usable(noted["extra"]) if same or gaussians else (None, [])
