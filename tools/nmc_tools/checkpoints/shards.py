"""Joins a model that lies in several files, as Hugging Face writes them.

Names: ``model-00001-of-00002.safetensors``, and beside them ``model.safetensors.index.json``, which
says in which file each tensor is (huggingface_hub, `split_state_dict_into_shards_factory`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from natsort import natsorted

from nmc_tools.checkpoints.checkpoint import Checkpoint, CheckpointError, capped, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

INDEX_SUFFIX = ".index.json"
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.(?:safetensors|bin|pt|pth|h5))$")
_MAX_INDEX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class FrameSource:
    """What one frame is made of.

    Attributes
    ----------
    name : str
        Name of the file; of several, the part they share.
    paths : tuple of Path
        The files, one except for shards.
    """

    name: str
    paths: tuple[Path, ...]


def grouped(paths: Sequence[Path]) -> list[FrameSource]:
    """Return what the files are, those of one model together, at the place of its first.

    Raises
    ------
    CheckpointError
        If a file of a model is missing.
    """
    groups: dict[tuple[Path, str, str, str], list[Path]] = {}
    sources: list[FrameSource | tuple[Path, str, str, str]] = []
    for path in paths:
        match = _SHARD.match(path.name)
        if match is None:
            sources.append(FrameSource(path.name, (path,)))
            continue
        stem, _, count, suffix = match.groups()
        group = (path.parent, stem, count, suffix)
        if group not in groups:
            sources.append(group)
        groups.setdefault(group, []).append(path)
    return [s if isinstance(s, FrameSource) else _joined(s, groups[s]) for s in sources]


def shards_of(index: Path) -> list[Path]:
    """Return the files that an index names, which lie beside it.

    Raises
    ------
    CheckpointError
        If it is malformed, or names a file outside of its folder.
    """
    names = natsorted(set(_weight_map(index).values()))
    for name in names:
        if "/" in name or "\\" in name or name in ("", ".", ".."):
            raise CheckpointError(index, f"names the file {plain(name)!r}, which is not beside it")
    return [index.with_name(name) for name in names]


def _joined(group: tuple[Path, str, str, str], paths: list[Path]) -> FrameSource:
    folder, stem, count, suffix = group
    numbers = {int(match[2]) for path in paths if (match := _SHARD.match(path.name))}
    first = 0 if 0 in numbers else 1
    missing = set(range(first, first + int(count))) - numbers
    if missing or len(numbers) > int(count):
        lacking = f"{stem}-{min(missing, default=0):05d}-of-{count}{suffix}"
        raise CheckpointError(
            folder / f"{stem}-…-of-{count}{suffix}",
            f"is a model in {int(count)} files, of which {len(numbers)} are here; "
            f"{plain(lacking)} is missing",
            "fetch all of them, and name all or their folder",
        )
    return FrameSource(f"{stem}{suffix}", tuple(natsorted(paths, key=lambda p: p.name)))


def read_source(source: FrameSource, read: Callable[[Path], Checkpoint]) -> Checkpoint:
    """Return the checkpoint of a frame, its shards joined.

    Parameters
    ----------
    source : FrameSource
        The files.
    read : callable
        Reads one of them.

    Raises
    ------
    CheckpointError
        If a file is refused, two hold the same tensor, or the index names one that is not there.
    """
    if len(source.paths) == 1:
        return read(source.paths[0])
    state: dict[str, Any] = {}
    owner: dict[str, str] = {}
    parts = []
    for path in source.paths:
        part = read(path)
        if both := part.state.keys() & state.keys():
            name = min(both)
            raise CheckpointError(
                path,
                f"is named as one of {len(source.paths)} parts of a model, and holds "
                f"{plain(name)!r} as {plain(owner[name])} does",
                "if each file is a model of its own, rename them; frame_00001.pt",
            )
        state |= part.state
        owner |= dict.fromkeys(part.state, path.name)
        parts.append(part)
    index = source.paths[0].with_name(source.name + INDEX_SUFFIX)
    if index.is_file() and not any(part.key for part in parts):
        for name, file in _weight_map(index).items():
            if owner.get(name) != file:
                raise CheckpointError(
                    index,
                    f"says that {plain(name)!r} is in {plain(file)}, where it is not",
                    "fetch all files of the model again",
                )
    first = parts[0]
    return replace(
        first,
        state=state,
        buffers=frozenset().union(*(part.buffers for part in parts)),
        skipped=capped([note for part in parts for note in part.skipped]),
    )


def read_index(path: Path) -> Any:
    """Return the JSON of an index; None where it is too large for one.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is not JSON.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_INDEX_BYTES + 1)
        return json.loads(text) if len(text) <= _MAX_INDEX_BYTES else None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"is not JSON: {plain(error)}") from None


def _weight_map(index: Path) -> dict[str, str]:
    found = read_index(index)
    names = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(names, dict) or not names:
        raise CheckpointError(index, "is not an index of a model in several files")
    if not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(index, "names a file by something that is not text")
    return names
