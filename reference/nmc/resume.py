"""Finds what of an unfinished package is intact (clause 5.1.5): by digests, not by existence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmc import assemble, journal
from nmc.arithmetic import History
from nmc.decoder import check_state, decode_frame
from nmc.host import host_errors
from nmc.state import EMPTY_STATE, State
from nmc_format.issues import FormatError, refuse
from nmc_format.manifest import Manifest, TensorRow, build
from nmc_format.package import JOURNAL_NAME, segment_name
from nmc_format.segment import parse


@dataclass(frozen=True)
class FinishedPart:
    """The intact frames of an unfinished package, and what coding the next one takes.

    Attributes
    ----------
    settings : dict or None
        The settings of the journal; None where not even they are intact.
    entries : list of FrameEntry
        The intact frames.
    rows : list of TensorRow
        The tensor table so far.
    state : State
        The last state.
    history : History
        What the lossless coder remembers after it.
    """

    settings: dict[str, Any] | None
    entries: list[journal.FrameEntry]
    rows: list[TensorRow]
    state: State
    history: History


def finished_part(folder: Path) -> FinishedPart:
    """Return the longest intact beginning of an unfinished package.

    Every segment is compared with the SHA-256 of the journal; the last group is decoded.
    """
    content = journal.read(folder / JOURNAL_NAME)
    if content is None:
        return FinishedPart(None, [], [], EMPTY_STATE, History())
    settings, entries = content
    intact = []
    for t, entry in enumerate(entries):
        if not _is_intact(folder / segment_name(t), entry):
            break
        intact.append(entry)
    while intact:
        try:
            rows = [assemble.row_of(r, t) for t, entry in enumerate(intact) for r in entry.rows]
            objects = assemble.manifest_objects(settings, rows, intact, None, None)
            state, history = _decode_last(folder, build(objects))
        except (FormatError, KeyError, TypeError, ValueError, OverflowError):
            intact.pop()  # the last three: a journal that no writer of this version wrote
            continue
        return FinishedPart(settings, intact, rows, state, history)
    return FinishedPart(settings, [], [], EMPTY_STATE, History())


def _is_intact(path: Path, entry: journal.FrameEntry) -> bool:
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.segment_sha256
    except OSError:
        return False


def _decode_last(folder: Path, manifest: Manifest) -> tuple[State, History]:
    last = len(manifest) - 1
    state: State = EMPTY_STATE
    history = History()
    for t in range(manifest.key_frame_before(last), last + 1):
        name = segment_name(t)
        segment = parse((folder / name).read_bytes(), name)
        state = decode_frame(manifest, t, segment, state, history)
    check_state(manifest, last, state)
    return state, history


def recover(path: str | Path) -> int:
    """Close an unfinished package with the frames that were finished.

    Returns
    -------
    int
        Frames of the package.

    Raises
    ------
    FormatError
        If there is nothing to recover.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    directory = not partial.is_dir()
    folder = path if directory else partial
    if not (folder / JOURNAL_NAME).is_file():
        raise refuse("host/not-found", file=str(folder / JOURNAL_NAME))
    part = finished_part(folder)
    if part.settings is None or not part.entries:
        raise refuse(
            "package/not-a-package", file=str(folder), reason="no frame of it was finished"
        )
    objects = assemble.manifest_objects(part.settings, part.rows, part.entries, None, None)
    with host_errors(path):
        assemble.finish(folder, objects, None if directory else path)
    return len(part.entries)
