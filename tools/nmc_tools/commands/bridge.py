"""``nmc bridge``: delta checkpoints of weight synchronisation to a package, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

import nmc
from nmc.reading.manifest import DEFAULT_MAX_LEVEL
from nmc.writing.writer import DEFAULT_KEY_EVERY
from nmc_format.dtypes import to_words
from nmc_format.issues import refuse_with
from nmc_tools import checkpoints
from nmc_tools.bridges.refit import Checksum
from nmc_tools.commands.shared_options import (
    DirectoryOption,
    EffortOption,
    ForceOption,
    FramesOption,
    MaxLevelOption,
    OutputPath,
    PackagePath,
)
from nmc_tools.frame_selection import parse_frames
from nmc_tools.terminal import counted, progress_bar, refuse_input, say, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

app = typer.Typer(
    help="Delta checkpoints of weight synchronisation to a package, and back.",
    no_args_is_help=True,
)

To = Literal["xor", "overwrite", "trl", "messages"]


@app.callback()
def _group() -> None:
    """Delta checkpoints of weight synchronisation to a package, and back."""


@app.command("import")
def import_chain(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Versions, patches or messages.")
    ],
    output: OutputPath,
    base: Annotated[
        Path | None,
        typer.Option(help="The checkpoint that the chain began from: a file or a folder of parts."),
    ] = None,
    key_every: Annotated[
        int, typer.Option(min=0, help="Frames from key frame to key frame; 0: only the first.")
    ] = DEFAULT_KEY_EVERY,
    effort: EffortOption = "strong",
    directory: DirectoryOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a package that was not finished.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Make a package of a chain of delta checkpoints; what kind they are is seen from the files.

    Read are versions with an index (model.safetensors.index.json with version, base_version and
    delta_encoding xor or overwrite, zstd), as miles, slime and ModelExpress write them; sparse
    weight patches of TRL, as files model_version after model_version; and messages of this
    program. Versions are taken in the order in which they build on each other, and every checksum
    is compared.

    Examples
    --------
      nmc bridge import deltas/ --base Qwen3-0.6B/ -o run.nmc

      nmc bridge import patches/ --base model.safetensors -o run.nmc --effort fast
    """
    states = _reader(folder)
    first = None if base is None else _base(base)
    total = _count(folder) + (first is not None)
    with (
        nmc.Writer(
            output,
            key_every=key_every,
            effort=effort,
            detect_frozen=True,
            directory=directory,
            resume=resume,
            overwrite=force,
        ) as writer,
        progress_bar(
            f"packing {folder.name}", kept=f"frames in {output}", resume="--resume"
        ) as progress,
    ):
        there = len(writer)
        for done, (name, state) in enumerate(states(folder, first), 1):
            if done > there:
                writer.append(state, source_name=name)
            progress(done, total)
        count, size = len(writer), writer.bytes_written
    say(f"{output}: {counted(count, 'frame')}, {size_text(size)}")


@app.command("export")
def export_chain(
    package: PackagePath,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder that is not there.")],
    to: Annotated[To, typer.Option(help="What to write; trl: sparse weight patches.")] = "xor",
    frames: FramesOption = None,
    checksum: Annotated[
        Checksum, typer.Option(help="Of each tensor, with --to xor and overwrite.")
    ] = "blake3",
    places: Annotated[
        Literal["gap_delta", "raw"], typer.Option(help="How places are coded, with --to trl.")
    ] = "gap_delta",
    effort: EffortOption = "fast",
    max_level: MaxLevelOption = DEFAULT_MAX_LEVEL,
) -> None:
    """Write a package as a chain of delta checkpoints; what was written is read back and compared.

    The first one is whole, and so is one whose tensors have other names, dtypes or shapes than
    those before it.

    Examples
    --------
      nmc bridge export run.nmc -o deltas/ --to overwrite --checksum adler32

      nmc bridge export run.nmc -o patches/ --to trl --frames 10-

      nmc bridge export run.nmc -o messages/ --to messages
    """
    if output.exists():
        hint = "name a folder that is not there; versions of two chains in one are a mistake"
        raise refuse_with(hint, "host/exists", file=str(output))
    with nmc.open(package, max_level=max_level) as sequence:
        chosen = list(range(len(sequence)))
        if frames is not None:
            try:
                chosen = parse_frames(frames, len(sequence))
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint="--frames") from None
        output.mkdir(parents=True)
        write = _writer(output, to, checksum, places, effort)
        kept = f"finished versions are kept in {output}"
        before: Mapping[str, Any] | None = None
        with progress_bar(f"writing {output.name}", kept=kept) as progress:
            for done, t in enumerate(chosen):
                state = sequence[t]
                write(done, state, before)
                before = state
                progress(done + 1, 2 * len(chosen))
            again = _reader(output)(output, None)
            for done, (t, (name, state)) in enumerate(zip(chosen, again, strict=True)):
                _compare(output / name, sequence[t], state)
                progress(len(chosen) + done + 1, 2 * len(chosen))
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    say(f"{output}: {counted(len(chosen), 'version')}, {size_text(size)}, read back and right")


def _reader(folder: Path) -> Callable[[Path, Any], Iterator[tuple[str, Any]]]:
    """Return what reads the chain of a folder.

    Raises
    ------
    SystemExit
        If it is none.
    """
    from nmc_tools.bridges import message_files, refit, sparse_patches

    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "does not exist"
        refuse_input("input/unreadable", str(folder), reason, "name the folder of the chain")
    kinds = (refit, message_files, sparse_patches)
    kind = next((kind for kind in kinds if kind.is_chain(folder)), None)
    if kind is None:
        refuse_input(
            "input/unreadable",
            str(folder),
            "holds no chain of delta checkpoints",
            "versions are folders with model.safetensors.index.json; patches are safetensors "
            "files of the format sparse_weight_patch; messages end in .nmcmsg",
        )
    states: Callable[[Path, Any], Iterator[tuple[str, Any]]] = kind.states_of
    return states


def _count(folder: Path) -> int:
    from nmc_tools.bridges import message_files, refit

    versions = len(list(folder.glob(f"*/{refit.INDEX}"))) or (folder / refit.INDEX).is_file()
    files = [*folder.glob("*.safetensors"), *folder.glob(f"*{message_files.SUFFIX}")]
    return versions or len(files)


def _base(path: Path) -> dict[str, Any]:
    sources = checkpoints.select([path]).sources
    if len(sources) != 1:
        reason = f"stands for {len(sources)} checkpoints"
        refuse_input("input/unreadable", str(path), reason, "name the one that comes first")
    return checkpoints.read_source(sources[0], checkpoints.read).state


def _writer(
    output: Path, to: To, checksum: Checksum, places: Literal["gap_delta", "raw"], effort: Any
) -> Callable[[int, Any, Any], None]:
    from nmc_tools.bridges import message_files, refit, sparse_patches

    if to == "trl":
        return lambda number, state, before: sparse_patches.write_step(
            output, number, state, before, places
        )
    if to == "messages":
        sender = nmc.Sender(effort=effort)
        return lambda number, state, _: message_files.write_step(output, number, state, sender)
    return lambda number, state, before: refit.write_version(
        output, number, state, before, to, checksum
    )


def _compare(path: Path, wanted: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    same = wanted.keys() == state.keys() and all(
        tuple(array.shape) == tuple(state[name].shape)
        and np.array_equal(to_words(array), to_words(state[name]))
        for name, array in wanted.items()
    )
    if not same:
        raise checkpoints.CheckpointError(path, "does not hold what was written into it")
