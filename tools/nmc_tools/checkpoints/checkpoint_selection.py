"""Turns directories, globs and lists into the checkpoints of a sequence, in their order.

Of a directory, what only looks like a frame is left out and told, and what is in doubt is refused:
a chain is written by one program under one kind of name.
"""

from __future__ import annotations

import glob
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from natsort import natsorted, ns

from nmc_tools.checkpoints.checkpoint import CheckpointError, plain
from nmc_tools.checkpoints.reading import READABLE_SUFFIXES
from nmc_tools.checkpoints.shards import INDEX_SUFFIX, FrameSource, grouped, shards_of
from nmc_tools.checkpoints.unreadable import foreign_folder, refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

Order: TypeAlias = Literal["auto", "given", "natural", "time"]

_GLOB_CHARACTERS = frozenset("*?[")
_UNPACKED = re.compile(r"frame_\d{8}\.(safetensors|pt|npz|ply)")
_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|training_args|rng_state(_\d+)?|random_states(_\d+)?)\.\w+"
    r"|\w*optim_states\.pt"
)
"""Files of a training beside its models (transformers, accelerate, DeepSpeed)."""

_RANK = re.compile(r"(.+)_rank(\d+)\.pt")
_UNSURE = frozenset({".zip", ".bin", ".tar", ".msgpack", ".onnx", ".splat", ".spz"})
"""Endings under which other things lie too: beside surer ones they do not count."""

_GAUSSIANS = "iteration_*/point_cloud.ply"


@dataclass
class Selection:
    """The frames of a sequence.

    Attributes
    ----------
    sources : list of FrameSource
        In order; at least one.
    notes : list of str
        What was left out or sorted, and why.
    """

    sources: list[FrameSource] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def expand(inputs: Sequence[str | Path]) -> list[Path]:
    """Return the files that directories, globs and file names stand for; see `select`."""
    return [path for source in select(inputs).sources for path in source.paths]


def select(inputs: Sequence[str | Path], order: Order = "auto") -> Selection:
    """Return the frames that directories, globs and file names stand for.

    A directory stands for the checkpoints directly in it, a glob (``**`` included) for what it
    matches, both in natural order, ``frame2`` before ``frame10``. Of a folder of 3D Gaussian
    splatting the iterations are taken, or of each model in it the last one; of a SavedModel its
    variables. A file name stands for itself, an index of a model in several files for all of them.

    Parameters
    ----------
    inputs : sequence of str or Path
        What the user named.
    order : {"auto", "given", "natural", "time"}
        Of the inputs. ``"auto"`` takes them as they are given, but where they come in alphabetical
        order, as a shell puts a glob, in natural order; ``"time"`` is that of their last change.

    Raises
    ------
    CheckpointError
        If an input stands for nothing, two for the same file, a model in several files is not
        whole, or it is in doubt which files of a directory are meant.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    found = Selection()
    for given in _ordered([Path(path) for path in inputs], order, found):
        part = _expand_one(given)
        found.sources += part.sources
        found.notes += part.notes
    if not found.sources:
        raise CheckpointError("selection", "names no files", "name files, a directory or a glob")
    found.sources = _regrouped(found.sources)
    if order == "natural":
        found.sources = natsorted(found.sources, key=_path_text, alg=ns.PATH)
    elif order == "time":
        found.sources.sort(key=lambda s: max(path.stat().st_mtime_ns for path in s.paths))
    seen: dict[Path, Path] = {}
    for path in (path for source in found.sources for path in source.paths):
        other = seen.setdefault(path.resolve(), path)
        if other is not path:
            same = "twice" if other == path else f"also as {other}"
            raise CheckpointError(path, f"is selected {same}", "name each file once")
    return found


def _path_text(source: FrameSource) -> str:
    return source.paths[0].as_posix()


def _text(path: Path) -> str:
    return path.as_posix()


def _regrouped(sources: list[FrameSource]) -> list[FrameSource]:
    """Return the sources, shards joined that were named one by one."""
    regrouped: list[FrameSource] = []
    run: list[Path] = []
    for source in sources:
        if len(source.paths) == 1 and source.name == source.paths[0].name:
            run.append(source.paths[0])
            continue
        regrouped += [*grouped(run), source]
        run = []
    return regrouped + grouped(run)


def _ordered(paths: list[Path], order: Order, found: Selection) -> list[Path]:
    if order != "auto" or len(paths) < 2:
        return paths
    texts = [path.as_posix() for path in paths]
    natural: list[str] = natsorted(texts, alg=ns.PATH)
    if texts == natural or not _is_alphabetical(texts):
        return paths
    found.notes.append(
        "the files come in the order of the alphabet, as a shell sorts them, and are taken in that "
        "of their numbers; --order given takes them as they come"
    )
    return [Path(text) for text in natural]


def _is_alphabetical(texts: list[str]) -> bool:
    """Return whether a shell could have sorted the texts, in whatever language."""
    return any(texts == sorted(texts, key=key) for key in (str, str.casefold))


def _expand_one(path: Path) -> Selection:
    if path.name.endswith(INDEX_SUFFIX) and path.is_file():
        name = path.name.removesuffix(INDEX_SUFFIX)
        return Selection([FrameSource(name, tuple(shards_of(path)))])
    if path.is_file():
        return Selection([FrameSource(path.name, (path,))])
    if (path / "saved_model.pb").is_file():
        return Selection([FrameSource(path.name or path.resolve().name, (path,))])
    if (path / "manifest.h5").is_file():  # the package is refused, and none of its segments taken
        return Selection([FrameSource(path.name or path.resolve().name, (path,))])
    if path.is_dir():
        return _directory(path)
    index = path.with_name(f"{path.name}.index")
    if index.is_file():  # TensorFlow names a checkpoint by what its files have in common
        return Selection([FrameSource(index.name, (index,))])
    if _GLOB_CHARACTERS & set(str(path)):
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207
        where = f"among the {len(matches)} matches of this glob"
        return _known(matches, path, where, strict=False)
    if what := _no_file(path):
        raise CheckpointError(path, f"is {what}, not a file", "name the file itself")
    raise CheckpointError(
        path, "is not a file, directory or glob that matches", "check the spelling"
    )


def _no_file(path: Path) -> str:
    """Return what there is where a file was expected; empty where it is a file, or nothing."""
    try:
        mode = path.lstat().st_mode
        target = plain(path.readlink()) if stat.S_ISLNK(mode) else ""
    except OSError:
        return ""
    if target and not path.exists():
        return f"a link that leads to nothing ({target})"
    mode = path.stat().st_mode
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    named = [name for is_kind, name in (*kinds, (stat.S_ISBLK, "a device")) if is_kind(mode)]
    return named[0] if named else ""


def _directory(folder: Path) -> Selection:
    models = _gaussians(folder) or _folders(folder)
    if models:
        others = [p.name for p in folder.iterdir() if _is_known(p)]
        notes = [f"{plain(name)}: not of the models in the folders beside it" for name in others]
        return Selection(models, notes)
    inner = folder / "nerfstudio_models"
    paths = list((inner if inner.is_dir() else folder).iterdir())
    return _known(paths, folder, "in this directory", strict=True)


def _gaussians(folder: Path) -> list[FrameSource]:
    """Return the iterations of one model of 3D Gaussian splatting."""
    paths = [*folder.glob(_GAUSSIANS), *folder.glob(f"point_cloud/{_GAUSSIANS}")]
    paths = natsorted(paths, key=lambda path: path.parent.name)
    return [FrameSource(f"{path.parent.name}.ply", (path,)) for path in paths]


def _folders(folder: Path) -> list[FrameSource]:
    """Return the models of folders in a folder: of each its last iteration, or a SavedModel."""
    found: list[FrameSource] = []
    for inner in natsorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.name):
        if (inner / "saved_model.pb").is_file():
            found.append(FrameSource(inner.name, (inner,)))
        elif iterations := _gaussians(inner):
            found.append(replace(iterations[-1], name=f"{inner.name}.ply"))
    return found


def _is_known(path: Path) -> bool:
    return _is_named_so(path) and path.is_file()


def _is_lost(path: Path) -> bool:
    """Whether a link named as a checkpoint leads nowhere, as those of content not fetched."""
    return _is_named_so(path) and path.is_symlink() and not path.exists()


def _is_named_so(path: Path) -> bool:
    suffixes = {suffix.lower() for suffix in READABLE_SUFFIXES}
    return path.suffix.lower() in suffixes and not path.name.startswith(".")


def _known(paths: list[Path], given: Path, where: str, *, strict: bool) -> Selection:
    known = [path for path in paths if _is_known(path) or _is_lost(path)]
    if not any(map(_is_known, known)):
        foreign = foreign_folder(given) if given.is_dir() else None
        if foreign:
            refusal = refuse_foreign(foreign)
            raise CheckpointError(given, refusal.reason, refusal.hint)
        raise CheckpointError(
            given, f"no checkpoint {where}; looked for {' '.join(READABLE_SUFFIXES)}"
        )
    known = natsorted(known, key=_text, alg=ns.PATH)
    others = [path for path in paths if _is_named_so(path) and path not in known]
    told = ((plain(path.name), _no_file(path)) for path in natsorted(others, key=_text))
    notes = [f"{name}: is {what}, not a file" for name, what in told if what]
    known = _without_training(known, notes)
    _check_unpacked(known, given)
    known = _of_one_kind(known, given, notes, strict=strict)
    _check_ranks(known)
    known = _numbered(known, notes) if strict else known
    for path in filter(_is_lost, known):  # a frame would be missing, and nobody would know
        hint = "fetch what it leads to, or remove it"
        raise CheckpointError(path, f"is {_no_file(path)}", hint)
    return Selection(grouped(known), notes)


def _without_training(paths: list[Path], notes: list[str]) -> list[Path]:
    kept = [path for path in paths if not _TRAINING.fullmatch(path.name)]
    if not kept:
        return paths
    left = [path.name for path in paths if path not in kept]
    notes += [f"{plain(name)}: state of the training, not of the model" for name in left]
    return kept


def _check_unpacked(paths: list[Path], given: Path) -> None:
    unpacked = [path.name for path in paths if _UNPACKED.fullmatch(path.name)]
    others = [path.name for path in paths if not _UNPACKED.fullmatch(path.name)]
    if unpacked and others:
        raise CheckpointError(
            given,
            f"holds {len(unpacked)} files as nmc unpack names them ({plain(unpacked[0])}) beside "
            f"{len(others)} others ({plain(others[0])}), perhaps the same frames twice",
            f"name those that are meant, such as '{given}/*{Path(others[0]).suffix}', or move "
            "the others away",
        )


def _of_one_kind(paths: list[Path], given: Path, notes: list[str], *, strict: bool) -> list[Path]:
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(path.suffix.lower(), []).append(path)
    counts = ", ".join(f"{len(group)} {suffix}" for suffix, group in kinds.items())
    if len(kinds) > 1 and not strict:  # the pattern is the user's word
        notes.append(f"{plain(given)} takes files of several kinds ({counts}), each as a frame")
        return paths
    sure = {suffix: group for suffix, group in kinds.items() if suffix not in _UNSURE}
    if len(sure) == 1 and len(kinds) > 1:
        left = [path.name for s, group in kinds.items() if s not in sure for path in group]
        notes += [f"{plain(name)}: not of the kind of the others" for name in left]
        return next(iter(sure.values()))
    if len(kinds) > 1:
        raise CheckpointError(
            given,
            f"holds checkpoints of several kinds ({counts}), perhaps the same models twice",
            f"name one kind, such as '{given}/*{paths[0].suffix}', or the files one by one",
        )
    return paths


def _check_ranks(paths: list[Path]) -> None:
    ranks = [match for path in paths if (match := _RANK.fullmatch(path.name))]
    if len({match[1] for match in ranks}) < len(ranks):
        stem = ranks[0][1]
        raise CheckpointError(
            paths[0],
            f"is the part that one of several processes held of the model {plain(stem)!r}",
            "join the parts where they were trained, and save the model as one file",
        )


def _numbered(paths: list[Path], notes: list[str]) -> list[Path]:
    """Leave out ``best.pth`` and ``last.ckpt`` beside models with numbers: each is one of those."""
    numbered = [path for path in paths if re.search(r"\d", path.stem)]
    if len(numbered) < 2:
        return paths
    left = [path.name for path in paths if path not in numbered]
    notes += [f"{plain(n)}: has no number as the others have; name it to take it" for n in left]
    return numbered
