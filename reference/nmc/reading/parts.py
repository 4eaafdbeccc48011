"""Some tensors of a frame alone (clause 7.3): what they are coded by is read, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmc.coding import streams
from nmc.coding.arithmetic import History
from nmc.coding.decode import check_links
from nmc.coding.state import Tensor, taken
from nmc.reading import coded_parts
from nmc.reading.dependence import Frame, Needed, heads, last_coded, needed_of
from nmc.reading.segment_parts import SegmentParts
from nmc_format.dtypes import word_dtype
from nmc_format.issues import refuse
from nmc_format.segment import INTEGER, RAW, SKIP
from nmc_format.state_digest import state_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nmc.coding.state import State
    from nmc_format.dtypes import Words
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package
    from nmc_format.plan import PlannedTensor
    from nmc_format.segment import Stream


def some_tensors(
    package: Package,
    manifest: Manifest,
    t: int,
    rows: Collection[int],
    *,
    verify: bool,
    threads: int = 1,
) -> State | None:
    """Decode some tensors of frame t.

    Parameters
    ----------
    package, manifest
        The package and its checked manifest.
    t : int
        The frame.
    rows : collection of int
        Rows of the tensor table; those that are absent from the frame are left out.
    verify : bool
        Compare the state's digest, made of theirs and of stored ones; decode the others whose
        digests are not stored.
    threads : int
        Parts of a tensor that are decoded at the same time.

    Returns
    -------
    mapping of int to Tensor, or None
        By row. None where this way does not lead to them: their coding takes other tensors, too, or
        the digest is another one. Whoever decodes the whole state finds out why.

    Raises
    ------
    FormatError
        If a segment is malformed, or is not the one of the manifest.
    """
    frames = heads(package, manifest, t)
    last = {row: last_coded(frames, t, row) for row in (p.row for p in frames[t].plan.tensors)}
    stored = {row: frames[s].stored_digests.get(row) for row, s in last.items() if verify}
    chosen = set(rows)
    wanted = [row for row in last if row in chosen or (verify and stored[row] is None)]
    needed = needed_of(manifest, frames, t, wanted)
    if needed is None:
        return None
    made: dict[int, Tensor] = {}
    memory = History()
    for s, what in needed.items():
        _decode(manifest, frames[s], what, made, memory, threads)
    if verify:
        names = manifest.tensors
        digests = {row: made[row].digest for row in wanted}
        found = {row: digests.get(row) or stored[row] or b"" for row in last}
        if any(stored[row] not in (None, digest) for row, digest in found.items()):
            return None
        actual = state_digest((names[row].name, digest) for row, digest in found.items())
        if actual != manifest.frames.state_digest[t].tobytes():
            return None
    return {row: made[row] for row in wanted if row in chosen}


def present_rows(package: Package, manifest: Manifest, t: int) -> list[int]:
    """Return the rows of the tensors that a frame has, ascending.

    Raises
    ------
    FormatError
        If its segment is malformed, or is not the one of the manifest.
    """
    segment = SegmentParts(package, t, int(manifest.frames.segment_length[t])).segment
    check_links(manifest, t, segment)
    known = sum(row.first_frame <= t for row in manifest.tensors)
    if len(segment.modes) != known:
        raise refuse(
            "segment/stream-length",
            file=segment.file,
            stream="modes",
            actual=len(segment.modes),
            expected=known,
        )
    return [int(row) for row in np.flatnonzero(segment.modes)]


def _decode(
    manifest: Manifest,
    frame: Frame,
    needed: Needed,
    made: dict[int, Tensor],
    memory: History,
    threads: int,
) -> None:
    """Decode some tensors of one frame from those of the frame before, which are replaced."""
    known = {p.row for p in frame.plan.of_mode(SKIP, INTEGER) if not p.slices}
    memory.keep(known)
    for mode, stream in ((RAW, frame.segment.raw), (INTEGER, frame.segment.integer)):
        tensors = frame.plan.of_mode(mode)
        wanted = [p for p in tensors if p.row in needed.rows]
        if not wanted:
            continue
        if mode == INTEGER and needed.coded is not None:
            references = {p.row: _reference(p, made[p.row]) for p in wanted}
            words_of = coded_parts.decode(
                manifest.tensors,
                frame.segment,
                frame.parts,
                tensors,
                needed.coded,
                references,
                memory,
                threads,
            )
            for p in wanted:
                made[p.row] = Tensor(manifest.tensors[p.row].dtype, p.shape, words_of[p.row])
            continue
        for planned, words in zip(
            wanted, _words(manifest, frame, tensors, wanted, stream), strict=True
        ):
            dtype = manifest.tensors[planned.row].dtype
            if mode == INTEGER:
                old = _reference(planned, made[planned.row])
                words = np.add(old.words, words)  # noqa: PLW2901 - clause 8.2.1
            made[planned.row] = Tensor(dtype, planned.shape, words)
    for row in made.keys() - needed.after:
        del made[row]


def _reference(planned: PlannedTensor, before: Tensor) -> Tensor:
    """Return what a tensor is a difference from."""
    return taken(before, planned.slices) if planned.slices else before


def _words(
    manifest: Manifest,
    frame: Frame,
    tensors: Sequence[PlannedTensor],
    wanted: Sequence[PlannedTensor],
    stream: Stream | None,
) -> list[Words]:
    """Return the words of some of the tensors that a stream has."""
    table, rows = manifest.tensors, {p.row for p in wanted}
    if stream is None:
        return [np.empty(0, word_dtype(table[p.row].dtype)) for p in wanted]
    like = [(table[p.row].dtype, p.size) for p in tensors]
    if stream.coding == "zstd":
        some = [k for k, p in enumerate(tensors) if p.row in rows]
        made = streams.decompress_some(
            stream,
            like,
            frame.segment.file,
            some,
            differences=stream.name.startswith("integer"),
            blocks=frame.parts.blocks(stream),
        )
        return [made[k] for k in some]
    found, start = [], 0
    for p, (dtype, size) in zip(tensors, like, strict=True):
        if p.row in rows:
            frame.parts.read(stream, start, size)
            words = np.frombuffer(stream.data, word_dtype(dtype), size // dtype.word_bytes, start)
            found.append(np.require(words, requirements="A"))
        start += size
    return found
