"""Writes packages frame by frame (clause 5.1): bounded memory, nothing finished is ever lost."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmc.coding.cursor import Cursor
from nmc.coding.encode import encode_frame
from nmc.coding.freezing import Freezing, check_frozen, declared, detected
from nmc.coding.state import arrays_of, owned
from nmc.writing import describe, journal, options, sources, unfinished
from nmc.writing.finish import abandon, finish
from nmc.writing.host import host_errors
from nmc.writing.resume import resumed
from nmc.writing.table import GrowingTable
from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.manifest.write import manifest_bytes
from nmc_format.package.members import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Buffer

    from nmc.coding.encode import CodedFrame, Effort, Entropy
    from nmc.coding.state import State
    from nmc.writing.resume import FinishedPart
    from nmc_format.dtypes import Array
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.objects import RawObjects
    from nmc_format.manifest.record import Cameras, Quality
    from nmc_format.manifest.tensor_table import TensorRow

DEFAULT_KEY_EVERY = 32
"""A seek decodes 16 deltas on average then, and key frames cost about one per cent of the bytes."""


class Writer:
    """Writes a package; a context manager.

    Frames that are finished stay on disk whatever happens: after a crash, an exception or a full
    disk, go on with ``resume=True``, or close what is there with :func:`nmc.recover`. The writer
    keeps one state, beside the one that the caller hands over.

    Parameters
    ----------
    path : str or Path
        The package. While it is written, the file form lies in ``<path>.partial``.
    directory : bool
        Make a directory instead of one file (clause 5.1.1).
    profile : str
        ``"main"``, or ``"baseline"``: no entropy coding.
    entropy : str or None
        ``"none"``, ``"zstd"`` or ``"nmc"``, the lossless coder of chapter 8. None: what the profile
        allows best.
    effort : str
        ``"fast"``, ``"strong"`` or ``"max"``: speed against size; the decoded states are the same.
    key_every : int
        A key frame every so many frames; 0 makes only the first one a key frame.
    key_frames : collection of int
        Further key frames. One is also made where a delta would be larger.
    family : str
        Model family, such as ``"nerf_mlp"``.
    configuration : JSON object, its text, or None
        What building the model takes; a text is kept as it is.
    layers : mapping of str to int or None
        Layer index by parameter name (``exclude_layers`` counts in them).
    buffers : collection of str
        Names of the tensors that are buffers, not parameters.
    timescale : int
        Ticks of the presentation time in a second.
    sequence_id : str or None
        Name of the sequence; None takes 32 hex digits of the first state digest.
    detect_frozen : bool
        Where nobody declares what was frozen, compare with the frame before.
    resume : bool
        Go on with an unfinished package; without one, begin.
    overwrite : bool
        Replace a finished package.

    Raises
    ------
    FormatError
        If the path exists, or cannot be written.
    ValueError
        If an option is unknown or out of its range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        directory: bool = False,
        profile: str = "main",
        entropy: Entropy | None = None,
        effort: Effort = "strong",
        key_every: int = DEFAULT_KEY_EVERY,
        key_frames: Collection[int] = (),
        family: str = "unknown",
        configuration: Mapping[str, Any] | str | None = None,
        layers: Mapping[str, int] | None = None,
        buffers: Collection[str] = (),
        timescale: int = 30,
        sequence_id: str | None = None,
        detect_frozen: bool = False,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._entropy: Entropy = entropy or ("none" if profile == "baseline" else "nmc")
        options.check_coding(profile, self._entropy, effort, key_every, timescale)
        options.check_model(family, sequence_id, layers)
        self._settings = {
            "profile": profile,
            "entropy": self._entropy,
            "effort": effort,
            "key_every": key_every,
            "family": family,
            "configuration": options.configuration_text(configuration),
            "timescale": timescale,
            "sequence_id": sequence_id,
            "directory": directory,
            "replaces": False,
        }
        self._key_every = key_every
        self._key_frames = frozenset(key_frames)
        self._detect_frozen = detect_frozen
        self._directory = directory
        self._room = sources.Room()
        self._table = GrowingTable(layers or {}, buffers)
        self._effort: Effort = effort
        self._cursor = Cursor()
        self._closed = False
        with host_errors(self.path):
            self._begin(resume=resume, overwrite=overwrite)

    def _begin(self, *, resume: bool, overwrite: bool) -> None:
        place = unfinished.place_of(self.path, make=True)
        found = resumed(place, directory=self._directory) if resume else None
        if found is not None:
            self._resume(*found)
            return
        self._settings["replaces"] = place.parent.kind(place.name) != 0
        self._made = unfinished.begin(place, directory=self._directory, overwrite=overwrite)
        if self._made.name == place.name:
            self._settings["replaces"] = False
        try:
            self._journal = journal.Journal(self._made.folder, journal.Content(self._settings))
        except BaseException:
            unfinished.clear(place.parent, self._made.name)
            raise

    def _resume(self, made: unfinished.Unfinished, part: FinishedPart) -> None:
        content = part.content or journal.Content(self._settings)
        for key in ("profile", "timescale"):
            if content.settings[key] != self._settings[key]:
                raise refuse(
                    "input/unsupported",
                    file=str(made.path),
                    reason=f"{key} was {content.settings[key]!r} when the package was begun, "
                    f"and is {self._settings[key]!r} now",
                    hint="go on with the options it was begun with, or begin again",
                )
        self._settings["replaces"] = content.settings["replaces"]
        content.settings = self._settings
        self._made = made
        self._room.add(content.entries)
        self._table.extend(part.rows)
        self._cursor = part.cursor
        made.expect(len(content.entries))
        self._journal = journal.Journal(made.folder, content)
        made.folder.remove(MANIFEST_NAME)

    @property
    def _entries(self) -> list[journal.FrameEntry]:
        return self._journal.content.entries

    def __len__(self) -> int:
        """Return the number of finished frames; where a resumed caller goes on."""
        return len(self._entries)

    @property
    def rows(self) -> tuple[TensorRow, ...]:
        """The tensor table so far."""
        return tuple(self._table.rows)

    @property
    def bytes_written(self) -> int:
        """Bytes of all finished segments."""
        return sum(entry.segment_length for entry in self._entries)

    @property
    def last_state(self) -> dict[str, Array]:
        """The last finished state as read-only arrays, such as training goes on from."""
        return arrays_of(self._cursor.state, self._table.rows)

    def append(
        self,
        state: Mapping[str, Any],
        *,
        key: bool = False,
        presentation_time: int | None = None,
        requires_grad: Mapping[str, bool] | None = None,
        exclude_layers: Sequence[int] | None = None,
        iterations: int | None = None,
        seconds: float | None = None,
        trained_from_previous: bool = True,
        source_name: str | None = None,
        extras: Mapping[str, Any] | str | None = None,
        colour: Mapping[str, Any] | None = None,
    ) -> int:
        """Code one frame and put it on disk.

        Parameters
        ----------
        state : mapping of str to array
            numpy arrays, :class:`nmc.PackedArray` or torch tensors, by name. They are not changed,
            and not needed after this call.
        key : bool
            Make it a key frame.
        presentation_time : int or None
            In ticks of the timescale; None goes one tick on.
        requires_grad : mapping of str to bool or None
            Table 5-1: whether each parameter was trained.
        exclude_layers : sequence of int or None
            Table 5-1: the frozen layers.
        iterations, seconds
            Training effort, where known.
        trained_from_previous : bool
            Whether training began from the weights of the frame before (lineage, clause 9.1).
        source_name : str or None
            Name of the file that the state came from, without folders (clause 5.4.5).
        extras : JSON object, its text, or None
            What else its source said, such as ``{"epoch": 10}``; at most 65,536 bytes of JSON.
        colour : mapping of str to array of shape (3, 4), or None
            Affine map from rendered colour to that of the picture, by training view (clause 5.5).

        Returns
        -------
        int
            Bytes of the segment.

        Raises
        ------
        FormatError
            If the state cannot be stored, a frozen parameter changed, or the disk is full. The
            writer is as before then.
        """
        self._check_open()
        t = len(self._entries)
        time = self._time(presentation_time)
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            place = columns.frame_pointer(t, columns.SECONDS)
            raise refuse("manifest/not-a-number", pointer=place, count=1)
        if iterations is not None and not 0 <= iterations < 2**63:
            reason = f"iterations is {iterations}; it is a count"
            place = columns.frame_pointer(t, columns.ITERATIONS)
            raise refuse("manifest/value", pointer=place, reason=reason)
        kept = self._source(t, source_name, extras, colour)
        known_rows = len(self._table)
        lineage = t - 1 if t and trained_from_previous else -1
        try:
            tensors = self._table.tensors(state, self._cursor.state, t)
            freezing = self._freezing(tensors, requires_grad, exclude_layers, t, lineage)
            coded = self._encode(tensors, forced_key=key)
            entry = journal.FrameEntry(
                delta=coded.delta,
                presentation_time=time,
                segment_length=coded.size,
                segment_sha256=self._store(t, coded.pieces),
                state_digest=coded.state_digest.hex(),
                state_bytes=sum(tensor.words.nbytes for tensor in tensors.values()),
                trained_from=lineage,
                iterations=-1 if iterations is None else int(iterations),
                seconds=-1.0 if seconds is None else float(seconds),
                requires_grad=None if freezing is None else tuple(map(int, freezing.requires_grad)),
                exclude_layers=None if freezing is None else freezing.exclude_layers,
                rows=tuple(map(describe.row_entry, self._table.rows[known_rows:])),
                **kept,
            )
            self._enter(entry)
            self._cursor.follow(owned(tensors, self._cursor.state), coded.history)
        except BaseException:
            self._forget(t, known_rows)
            raise
        return coded.size

    def append_coded(
        self,
        segment: bytes,
        record: FrameRecord,
        rows: Sequence[TensorRow],
        *,
        lineage: bool,
        presentation_time: int | None = None,
        colour: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a segment of another package on disk as it is (for cutting without coding again).

        Parameters
        ----------
        segment : bytes
            The segment; a delta frame follows the very frame that it followed before.
        record : FrameRecord
            What the other manifest says of it.
        rows : sequence of TensorRow
            The rows that its modes are about; those of this package are a beginning of them.
        lineage : bool
            Whether the frame that it was trained from is the frame before, here too.
        presentation_time : int or None
            In ticks of the timescale; None goes one tick on.
        colour : mapping of str to array of shape (3, 4), or None
            As in :meth:`append`; source name and extras are those of ``record``.
        """
        t = len(self._entries)
        kept = self._source(t, record.source_name, record.extras_text, colour)
        known_rows = len(self._table)
        flags = record.requires_grad
        try:
            self._table.extend(replace(row, first_frame=t) for row in rows[known_rows:])
            entry = journal.FrameEntry(
                delta=record.coding == "delta",
                presentation_time=self._time(presentation_time),
                segment_length=len(segment),
                segment_sha256=self._store(t, [segment]),
                state_digest=record.state_digest.hex(),
                state_bytes=record.state_bytes,
                trained_from=t - 1 if lineage else -1,
                iterations=-1 if record.iterations is None else record.iterations,
                seconds=-1.0 if record.seconds is None else record.seconds,
                requires_grad=None if flags is None else tuple(map(int, flags[: len(rows)])),
                exclude_layers=record.exclude_layers,
                rows=tuple(map(describe.row_entry, self._table.rows[known_rows:])),
                **kept,
            )
            self._enter(entry)
        except BaseException:
            self._forget(t, known_rows)
            raise
        self._cursor.forget()

    def _store(self, t: int, pieces: Sequence[Buffer]) -> str:
        with host_errors(self.path):
            if self._made.is_due():
                self._made.sync(self._journal)
            return self._made.store(t, pieces)

    def _enter(self, entry: journal.FrameEntry) -> None:
        with host_errors(self.path):
            self._journal.append(entry)
        self._room.add([entry])

    def _forget(self, t: int, known_rows: int) -> None:
        """Make the writer as it was before frame t; one that is in the journal stays there."""
        if len(self._entries) == t:
            self._table.truncate(known_rows)
        else:  # interrupted just after it: what follows begins with a key frame
            self._cursor.forget()

    def _source(
        self,
        t: int,
        source_name: str | None,
        extras: Mapping[str, Any] | str | None,
        colour: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return what a frame keeps of its source, as fields of its entry in the journal."""
        name, text = sources.source_name_text(source_name, t), sources.extras_text(extras, t)
        maps = sources.colour_entry(colour, t)
        self._room.check(name, text, maps)
        return {"source_name": name, "extras": text, "colour": maps}

    def _time(self, given: int | None) -> int:
        last = self._entries[-1].presentation_time if self._entries else -1
        time = last + 1 if given is None else int(given)
        place = columns.frame_pointer(len(self._entries), columns.PRESENTATION_TIME)
        if not -(2**63) <= time < 2**63:
            raise refuse("manifest/value", pointer=place, reason=f"time {time} is beyond 64 bits")
        if self._entries and time <= last:
            raise refuse("manifest/time-order", pointer=place, time=time, before=last)
        return time

    def _freezing(
        self,
        tensors: State,
        requires_grad: Mapping[str, bool] | None,
        exclude_layers: Sequence[int] | None,
        t: int,
        lineage: int,
    ) -> Freezing | None:
        place = columns.frame_pointer(t)
        record = declared(tensors, self._table.rows, requires_grad, exclude_layers, place)
        if record is None:
            if not self._detect_frozen:
                return None
            return detected(tensors, self._cursor.state, self._table.rows)
        if lineage >= 0 and self._cursor.known:
            check_frozen(record, tensors, self._cursor.state, self._table.rows, t)
        return record

    def _encode(self, tensors: State, *, forced_key: bool) -> CodedFrame:
        t, every = len(self._entries), self._key_every
        key = forced_key or t == 0 or t in self._key_frames or (every > 0 and t % every == 0)
        parent = None if key else bytes.fromhex(self._entries[-1].state_digest)
        rows = self._table.rows
        return encode_frame(tensors, self._cursor, rows, parent, self._entropy, self._effort)

    def set_cameras(self, cameras: Cameras) -> None:
        """Put the cameras into the manifest (clause 5.6); an interruption does not lose them.

        Raises
        ------
        FormatError
            If a manifest cannot hold a number or a name as it is.
        """
        self._check_open()
        self._record("cameras", columns.camera_objects(cameras))

    def set_quality(self, quality: Quality) -> None:
        """Put the quality record into the manifest (clause 5.7); one row for each frame.

        Raises
        ------
        FormatError
            If a manifest has no such metric, or cannot hold a number or a name as it is.
        """
        self._check_open()
        self._record("quality", columns.quality_objects(quality))

    def _record(self, name: str, objects: RawObjects) -> None:
        known = self._journal.content.records.get(name)
        if known is not None and _same(known, objects):
            return
        with host_errors(self.path):
            self._journal.record(name, objects)

    @property
    def last_colour(self) -> dict[str, Any] | None:
        """The colour maps (3, 4) float64 of the last frame by view, if it was given any."""
        maps = self._entries[-1].colour if self._entries else None
        return sources.colour_maps(maps)

    def set_colour(self, views: Sequence[str], colour: Any) -> None:
        """Put the colour record into the manifest (clause 5.5), after the last frame.

        Parameters
        ----------
        views : sequence of str
            Names of the P training views, each once.
        colour : array of float64, shape (N, P, 3, 4)
            For each of the N frames so far, the affine map from rendered colour to that of the
            picture; the identity where nothing was recorded.

        Raises
        ------
        FormatError
            If the shape is another one, a name is there twice, or a number is not finite.
        """
        if self._closed:
            raise ValueError("the writer is closed")
        entries = sources.with_colour(self._entries, views, colour)
        with host_errors(self.path):
            self._journal.content.entries = entries
            self._journal.rewrite()

    def close(self) -> None:
        """Write the manifest, read everything back, and put the package in its place.

        Raises
        ------
        FormatError
            If there is no frame, the disk is full, or what was read back is not what was written.
            What is finished is kept.
        """
        if self._closed:
            return
        if not self._entries:
            self.abandon()
            raise refuse("manifest/value", pointer=columns.FRAMES, reason="no frame was written")
        manifest = describe.described(
            self._settings, self._table.rows, self._entries, self._journal.content.records.values()
        )
        with host_errors(self.path):
            finish(self._made, self._journal, manifest_bytes(columns.objects_of(manifest)))
        self._release()

    def abandon(self) -> None:
        """Remove what was written so far, unless the package is complete."""
        if self._closed:
            return
        self._release()
        with host_errors(self.path):
            abandon(self._made, self._journal)

    def _release(self) -> None:
        self._closed = True
        self._journal.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the writer of {str(self.path)!r} is closed")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif not self._entries:
            self.abandon()
        else:
            self._journal.close()  # what is there can be resumed, by another writer too


def _same(a: RawObjects, b: RawObjects) -> bool:
    return a.keys() == b.keys() and all(
        (x.dtype, x.shape, x.tobytes()) == (b[path].dtype, b[path].shape, b[path].tobytes())
        for path, x in a.items()
    )
