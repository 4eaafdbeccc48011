"""Writes packages frame by frame (clause 5.1): bounded memory, nothing finished is ever lost."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmc.coding.scratch import IN_MEMORY, ScratchFiles, memory_limit
from nmc.coding.state import Tensor, owned
from nmc.reading.secret_keys import AnySecret, cipher_of
from nmc.writing import options
from nmc.writing.described import Described
from nmc.writing.draft import Draft
from nmc.writing.frame_coder import FrameCoder, Wanted
from nmc.writing.growing_table import GrowingTable
from nmc.writing.journal import Settings
from nmc.writing.matched_slices import MatchedSlices
from nmc.writing.start import Existing
from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.manifest.frame_table import Coding, FrameRecord
from nmc_format.segment import made as made_pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from nmc.coding.arithmetic import Effort
    from nmc.coding.encode import Entropy
    from nmc.writing.media import Media
    from nmc.writing.quantisation import Distortion, Quantisation
    from nmc_format.manifest.tensor_table import TensorRow

_SHARE = 4
"""The part of the memory that one state may take; the caller may have another one."""
DEFAULT_KEY_EVERY = 32
"""A seek decodes 16 deltas on average then, and key frames cost about one per cent of the bytes."""


class Writer(Described):
    """Writes a package; a context manager.

    Frames that are finished stay on disk whatever happens: after a crash, an exception or a full
    disk, continue with ``resume=True``, or finish what is there with :func:`nmc.recover`. The
    writer keeps one state, beside the one that the caller hands over.

    Parameters
    ----------
    path : str or Path
        The package. While it is written, the file form lies in ``<path>.partial``.
    directory : bool
        Make a directory instead of one file (clause 5.1.1).
    profile : str or None
        ``"main"``, ``"baseline"``: no entropy coding, or ``"lossy"``: tensors may be quantised.
        None: ``"lossy"`` where there is a quantisation, else ``"main"``.
    entropy : str or None
        ``"none"``, ``"zstd"`` or ``"nmc"``, the lossless coder of chapter 8. None: the best
        that the profile allows.
    effort : str
        ``"fast"``, ``"strong"`` or ``"max"``: speed against size; the decoded states are the same.
    key_every : int
        Frames from one key frame to the next; 0 makes only the first one a key frame.
    key_frames : collection of int
        Further key frames. One is also made where a delta would be larger.
    family : str
        Model family, such as ``"nerf_mlp"``.
    configuration : JSON object, its text, or None
        What is needed to build the model; a text is kept as it is.
    layers : mapping of str to int or None
        Layer index by parameter name (``exclude_layers`` counts in them).
    buffers : collection of str
        Names of the tensors that are buffers, not parameters.
    timescale : int
        Ticks of the presentation time in a second.
    sequence_id : str or None
        Name of the sequence; None takes 32 hex digits of the first state digest.
    detect_frozen : bool
        Compare with the frame before where it is not declared what was frozen.
    quantisation : Quantisation or None
        How tensors are quantised; None keeps every bit.
    distortion : callable or None
        That of quantisations which have none: the decoded and the original state to how near they
        are, in dB. See :class:`nmc.Quantisation`.
    threads : int
        Parts of a frame that are coded and hashed at the same time, and segments that are read
        back; the bytes are the same. With
        effort *strong*, bits that are kept are divided from 4,194,304 words a frame on, with *max*
        never; levels of tensors that are quantised are divided by their parts.
    row_id : str or None
        Name of a tensor that names the slices of others: one that no two points share, and that
        each point keeps from frame to frame. Points that were pruned, added or shuffled are found
        again by it; else by their values.
    encrypt_key : SecretKey, bytes, path or None
        Encrypt the segments (clause 14): a key, its 32 bytes, or the file of it. What the manifest
        says is not encrypted. Needs the extra ``trust``.
    memory : int or None
        Bytes of a state that are kept in memory; the rest goes to unnamed files, so a mapping that
        loads its tensors on request can be larger. None: a quarter of the memory.
    media : sequence of Media
        Files that are carried beside the chain (clause 16); see :meth:`add_media`.
    resume : bool
        Continue an unfinished package; begin a new one if there is none.
    overwrite : bool
        Replace a finished package.

    Raises
    ------
    FormatError
        If the path exists, or cannot be written; ``host/denied`` while another process writes it.
    ValueError
        If an option is unknown or out of its range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        directory: bool = False,
        profile: str | None = None,
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
        quantisation: Quantisation | None = None,
        distortion: Distortion | None = None,
        threads: int = 1,
        row_id: str | None = None,
        encrypt_key: AnySecret | None = None,
        memory: int | None = None,
        media: Sequence[Media] = (),
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._distortion = distortion
        quantisation = options.with_distortion(quantisation, distortion)
        profile = profile or ("lossy" if quantisation else "main")
        entropy = entropy or ("none" if profile == "baseline" else "nmc")
        coding = profile, entropy, effort, key_every
        options.check_coding(*coding, timescale)
        options.check_model(family, sequence_id, layers)
        options.check_quantisation(quantisation, profile)
        options.check_threads(threads)
        cipher = cipher_of(encrypt_key)
        settings = Settings(
            profile=profile,
            entropy=entropy,
            effort=effort,
            key_every=key_every,
            family=family,
            configuration=options.configuration_text(configuration),
            timescale=timescale,
            sequence_id=sequence_id,
            directory=directory,
            quantisation=quantisation.text if quantisation else "",
            key_digest=cipher.digest.hex() if cipher else "",
        )
        coder = FrameCoder(
            *coding, frozenset(key_frames), detect_frozen, quantisation, threads, row_id
        )
        self._closed = False
        table = GrowingTable(layers or {}, buffers)
        existing = Existing.of(resume=resume, overwrite=overwrite)
        draft = Draft(self.path, settings, existing, table, cipher)
        draft.cursor.scratch = ScratchFiles(draft.folder)
        self._memory = memory_limit() // _SHARE if memory is None else operator.index(memory)
        super().__init__(draft, table, coder)
        try:
            for medium in media:
                self.add_media(medium)
        except BaseException:
            if self._draft.entries:
                self._draft.close()
            else:
                self.abandon()
            raise

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
        quantisation: Quantisation | None = None,
        declared_psnr: float | None = None,
        stops: Sequence[Mapping[str, Tensor]] = (),
    ) -> int:
        """Code one frame and put it on disk.

        Parameters
        ----------
        state : mapping of str to array
            numpy arrays, :class:`nmc.PackedArray` or torch tensors, by name. They are not changed,
            and not needed after this call. They are asked for one after the other.
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
        quantisation : Quantisation or None
            That of this frame, in place of the writer's own.
        declared_psnr : float or None
            What is known of the state as it is given: the PSNR in dB, 0 to 1000, that its
            renderings have against those of an original (clause 5.4.6). Where the quantisation has
            a function of distortion, that measures it.
        stops : sequence of mapping of str to Tensor
            Of a state that was decoded: its states at the stops above, which are kept as they are
            (clause 12.7). Otherwise the quantisation says which refinements there are.

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
        time = self._time(presentation_time)
        options.check_effort(iterations, seconds, len(self))
        options.check_psnr(declared_psnr, len(self))
        name, text, maps = self._draft.room.checked(source_name, extras, colour)
        cursor = self._draft.cursor
        with self._draft.frame() as t:
            lineage = t - 1 if t and trained_from_previous else None
            tensors = self._table.tensors(state, cursor.state, t, self._memory, cursor.scratch)
            rows = self._table.rows
            known = [{i: stop[rows[i].name] for i in tensors} for stop in stops]
            own = options.with_distortion(quantisation, self._distortion)
            wanted = Wanted(key, lineage, requires_grad, exclude_layers, own, known)
            made, layers, freezing = self._coder.coded(self._draft, rows, tensors, wanted)
            coded, is_key = made.coded, made.coded.coding is Coding.KEY
            pieces = made_pieces(layers.pieces)
            size, digest = self._draft.store(
                t, pieces, layers.size, is_key=is_key, threads=self._coder.threads
            )
            record = FrameRecord(
                index=t,
                coding=coded.coding,
                presentation_time=time,
                segment_length=size,
                segment_sha256=digest,
                state_digest=coded.state_digest,
                state_bytes=sum(tensor.words.nbytes for tensor in made.tensors.values()),
                trained_from=lineage,
                iterations=None if iterations is None else int(iterations),
                seconds=None if seconds is None else float(seconds),
                requires_grad=None if freezing is None else freezing.requires_grad,
                exclude_layers=None if freezing is None else freezing.exclude_layers,
                source_name=name,
                extras_text=text,
                declared_psnr=options.known_psnr(made.psnr, declared_psnr),
                refinements=layers.records,
            )
            self._draft.enter(record, maps, made.remembered)
            coded.pieces.clear()  # they hold the state before, whose memory is wanted now
            before = dict(cursor.state)
            cursor.forget()
            large = record.state_bytes > self._memory
            kept = owned(made.tensors, before, cursor.scratch if large else IN_MEMORY)
            cursor.follow(kept, coded.history, layers.with_base(made.tensors, kept).stops)
        for name, note in made.notes.items():
            self._notes.setdefault(name, note)
        self._slices += [MatchedSlices.of(t, each, rows) for each in coded.matchings]
        return record.segment_length

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
        time = self._time(presentation_time)
        self._draft.copy(segment, replace(record, presentation_time=time), rows, lineage, colour)
        self._draft.cursor.forget()

    def _time(self, given: int | None) -> int:
        last = self._draft.entries[-1].record.presentation_time if self._draft.entries else None
        return options.presentation_time(given, last, len(self._draft.entries))

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
        if not self._draft.entries:
            self.abandon()
            raise refuse("manifest/value", pointer=columns.FRAMES, reason="no frame was written")
        self._draft.finish(self._coder.threads)
        self._closed = True

    def abandon(self) -> None:
        """Remove what was written so far, unless the package is complete."""
        if self._closed:
            return
        self._closed = True
        self._draft.abandon()

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
        elif not self._draft.entries:
            self.abandon()
        else:
            self._draft.close()  # what is there can be resumed, by another writer too
