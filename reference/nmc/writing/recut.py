"""Cuts and joins packages without training again (clause 7.4); whole groups are copied."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nmc.reading.opening import open_sequence
from nmc.reading.plain_package import key_missing
from nmc.reading.sequence import ChainSequence
from nmc.writing.carried_media import add_carried, refuse_in_the_clear
from nmc.writing.repack import recorded
from nmc.writing.writer import DEFAULT_KEY_EVERY, Writer
from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.manifest.frame_table import Coding
from nmc_format.manifest.record import Quality
from nmc_format.package.members import segment_name
from nmc_format.segment import parse
from nmc_format.stops import at_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nmc.coding.arithmetic import Effort
    from nmc.reading.secret_keys import AnySecret
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.tensor_table import TensorRow

    Progress = Callable[[int, int], None]


def extract(
    source: str | Path,
    frames: Sequence[int],
    target: str | Path,
    *,
    effort: Effort = "strong",
    directory: bool = False,
    overwrite: bool = False,
    refinements: int | None = None,
    progress: Progress | None = None,
    key: AnySecret | None = None,
    media: bool = True,
) -> None:
    """Write a package of some frames of another one.

    Parameters
    ----------
    source : str or Path
        The package to take them from.
    frames : sequence of int
        Ascending, without duplicates.
    target : str or Path
        The package to make.
    effort : str
        For the frames that have to be coded again: those whose group lost its beginning.
    directory, overwrite
        As in :class:`nmc.Writer`.
    refinements : int or None
        How many refinements of each frame are kept (clause 12.7); None: all.
    progress : callable or None
        Called with (frames done, frames in all).
    key : SecretKey, bytes, path or None
        Of an encrypted source; the package that is made is encrypted by it, too.
    media : bool
        Whether the media of the source are carried on; not into an encrypted package.

    Raises
    ------
    FormatError
        If the source is refused, there is no such frame, or media would lie in an encrypted
        package; nothing is written then.
    """
    with open_sequence(source, key=key) as sequence:
        _check_frames(sequence, frames)
        pieces = [(sequence, t) for t in frames]
        _join(
            pieces,
            target,
            effort=effort,
            directory=directory,
            overwrite=overwrite,
            refinements=refinements,
            progress=progress,
            media=media,
        )


def _check_frames(sequence: ChainSequence, frames: Sequence[int]) -> None:
    last = -1
    for t in frames:
        if not last < t < len(sequence):
            raise refuse(
                "manifest/value",
                pointer=columns.frame_pointer(t),
                reason=f"frames ascend from 0 to {len(sequence) - 1} without duplicates",
            )
        last = t
    if not frames:
        raise refuse("manifest/value", pointer=columns.FRAMES, reason="no frame is chosen")


def concat(
    sources: Sequence[str | Path],
    target: str | Path,
    *,
    effort: Effort = "strong",
    directory: bool = False,
    overwrite: bool = False,
    refinements: int | None = None,
    progress: Progress | None = None,
    key: AnySecret | None = None,
    media: bool = True,
) -> None:
    """Write a package of all frames of several ones, in their order; see :func:`extract`.

    Where one of them is encrypted, what is made is encrypted by its key. With several, all that are
    encrypted are so by that one.
    """
    opened: list[ChainSequence] = []
    try:
        opened.extend(_opened(source, key) for source in sources)
        pieces = [(sequence, t) for sequence in opened for t in range(len(sequence))]
        _join(
            pieces,
            target,
            effort=effort,
            directory=directory,
            overwrite=overwrite,
            refinements=refinements,
            progress=progress,
            media=media,
        )
    finally:
        for sequence in opened:
            sequence.close()


def _opened(source: str | Path, key: AnySecret | None) -> ChainSequence:
    """Open one of several packages, of which not each has to be encrypted."""
    sequence = open_sequence(source)
    if key is None or not sequence.manifest.root.is_encrypted:
        return sequence
    sequence.close()
    return open_sequence(source, key=key)


def _join(
    pieces: Sequence[tuple[ChainSequence, int]],
    target: str | Path,
    *,
    effort: Effort,
    directory: bool,
    overwrite: bool,
    refinements: int | None,
    progress: Progress | None,
    media: bool,
) -> None:
    """Write a package of frames; encrypted, where one that they are from is."""
    for sequence in dict.fromkeys(sequence for sequence, _ in pieces):
        if sequence.manifest.root.is_encrypted and sequence.cipher is None:
            raise key_missing(sequence.manifest, str(sequence.path))
    ciphers = [sequence.cipher for sequence, _ in pieces if sequence.cipher is not None]
    if ciphers and media:
        refuse_in_the_clear(sequence for sequence, _ in pieces)
    first = pieces[0][0]
    kept = _kept({sequence.stop for sequence, _ in pieces}, refinements)
    profiles = {sequence.manifest.profile for sequence, _ in pieces}
    rows = [row for sequence, _ in pieces for row in sequence.manifest.tensors]
    writer = Writer(
        target,
        directory=directory,
        overwrite=overwrite,
        profile=_profile(profiles),
        effort=effort,
        key_every=DEFAULT_KEY_EVERY,
        family=first.family,
        configuration=first.manifest.model.configuration,
        layers={row.name: row.layer for row in rows},
        buffers={row.name for row in rows if row.role},
        timescale=first.manifest.timescale,
        encrypt_key=ciphers[0] if ciphers else None,
    )
    with _abandoned_on_error(writer):
        copied = -1  # index of the piece that was copied as it is last
        clock = _Clock(first.manifest.timescale)
        for i, (sequence, t) in enumerate(pieces):
            follows = i > 0 and pieces[i - 1] == (sequence, t - 1)
            segment, frame = _at_stop(sequence, t, kept)
            table = _active_rows(sequence, t, segment)
            lineage = follows and frame.trained_from is not None
            time = clock.time(sequence, frame)
            whole = frame.coding is Coding.KEY or (follows and copied == i - 1)
            if whole and _fits(writer, table):
                writer.append_coded(
                    segment,
                    frame,
                    table,
                    lineage=lineage,
                    presentation_time=time,
                    colour=_colour(sequence, t),
                )
                copied = i
            else:
                _append_decoded(writer, sequence, frame, kept, lineage=lineage, time=time)
            if progress:
                progress(i + 1, len(pieces))
        if media:
            add_carried(writer, pieces)
        _copy_records(writer, pieces)


def _kept(there: set[int], wanted: int | None) -> int:
    """Return how many refinements each frame keeps.

    Raises
    ------
    FormatError
        If the packages have other numbers of them, or fewer than are wanted.
    """
    if wanted is None and len(there) == 1:
        return there.pop()
    if wanted is not None and 0 <= wanted <= min(there):
        return wanted
    numbers = ", ".join(map(str, sorted(there)))
    raise refuse(
        "manifest/value",
        pointer=columns.REFINEMENT_START,
        reason=f"frames have {numbers} refinements; say how many are kept, {min(there)} at most",
    )


def _at_stop(sequence: ChainSequence, t: int, kept: int) -> tuple[bytes, FrameRecord]:
    """Return the segment of a frame with so many refinements, and what is said of it."""
    segment, frame = sequence.coded(t), sequence.frames[t]
    if len(frame.refinements) == kept:
        return segment, frame
    cut = b"".join(at_stop(segment, kept, segment_name(t)))
    starts = [refined.start for refined in parse(cut, segment_name(t)).refinements]
    refinements = tuple(
        replace(refined, start=start)
        for refined, start in zip(frame.refinements, starts, strict=False)
    )
    return cut, replace(frame, refinements=refinements)


def _profile(profiles: set[str]) -> str:
    """Return the least profile that holds all of them."""
    return max(profiles, key=("baseline", "main", "lossy").index)


@contextmanager
def _abandoned_on_error(writer: Writer) -> Iterator[None]:
    """Close the writer; leave nothing behind where an error ends the block: it is soon repeated."""
    try:
        yield
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class _Clock:
    """Presentation times of the frames that are put together: the gaps of the sources are kept."""

    def __init__(self, timescale: int) -> None:
        self._timescale = timescale
        self._source: ChainSequence | None = None
        self._gap = 1  # ticks from the frame before to the last one
        self._before = 0  # time of the last frame in its source
        self._now = -1

    def time(self, source: ChainSequence, frame: FrameRecord) -> int:
        """Return the time of the next frame."""
        if self._source is source:
            ticks = frame.presentation_time - self._before
            self._gap = max(1, ticks * self._timescale // source.manifest.timescale)
            self._now += self._gap
        elif self._source is None:
            self._now = frame.presentation_time
        else:
            self._now += self._gap
        self._source, self._before = source, frame.presentation_time
        return self._now


def _active_rows(sequence: ChainSequence, t: int, segment: bytes) -> list[TensorRow]:
    count = len(parse(segment, segment_name(t)).modes)
    return list(sequence.manifest.tensors[:count])


def _fits(writer: Writer, table: Sequence[TensorRow]) -> bool:
    """Whether modes about these rows mean the same in the package that is written."""
    known = writer.rows
    same = all(
        (a.name, a.dtype, a.role, a.layer, a.shape) == (b.name, b.dtype, b.role, b.layer, b.shape)
        for a, b in zip(known, table, strict=False)
    )
    return same and len(known) <= len(table)


def _append_decoded(
    writer: Writer,
    sequence: ChainSequence,
    frame: FrameRecord,
    kept: int,
    *,
    lineage: bool,
    time: int,
) -> None:
    rows = sequence.manifest.tensors
    state, *stops = (
        {rows[row].name: tensor for row, tensor in state.items()}
        for state in sequence.states(frame.index)[: kept + 1]
    )
    said = recorded(sequence, frame) | {
        "presentation_time": time,
        "trained_from_previous": lineage,
        "declared_psnr": frame.declared_psnr,
        "stops": stops,
    }
    writer.append(state, key=frame.coding is Coding.KEY, **said)


def _colour(sequence: ChainSequence, t: int) -> Mapping[str, Any] | None:
    record = sequence.colour
    return None if record is None else record.frame(t)


def _copy_records(writer: Writer, pieces: Sequence[tuple[ChainSequence, int]]) -> None:
    """Keep cameras and quality where all frames come from one package."""
    sequence = pieces[0][0]
    if any(other is not sequence for other, _ in pieces):
        return
    cameras, quality = sequence.cameras, sequence.quality
    if cameras is not None:
        writer.set_cameras(cameras)
    if quality is not None:
        chosen = [t for _, t in pieces]
        metrics = {name: values[chosen] for name, values in quality.metrics.items()}
        writer.set_quality(Quality(quality.views, metrics))
