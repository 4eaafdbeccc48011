"""Decodes one frame (clause 7.2): a plan, a segment and the state before make the state after."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nmc.coding import arithmetic, streams
from nmc.coding.quantised.reconstruct import decode_quantised, with_bounds
from nmc.coding.state import Tensor, digest_of, taken
from nmc.coding.threads import in_threads
from nmc_format.dtypes import word_dtype
from nmc_format.issues import FormatError, refuse
from nmc_format.manifest.columns import (
    REFINED_DIGEST,
    STATE_DIGEST,
    frame_pointer,
    refined_pointer,
)
from nmc_format.package.members import segment_name
from nmc_format.plan import plan_frame
from nmc_format.segment import INTEGER, QUANTISED, RAW, SKIP, UPDATE
from nmc_format.state_digest import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer

    from nmc.coding.arithmetic import History
    from nmc.coding.state import State
    from nmc_format.dtypes import Dtype, Words
    from nmc_format.manifest.frame_table import FrameRecord
    from nmc_format.manifest.record import Manifest
    from nmc_format.manifest.tensor_table import TensorRow
    from nmc_format.plan import FramePlan, PlannedTensor
    from nmc_format.segment import Segment, Stream

    Blocks: TypeAlias = Callable[[Stream], Iterable[Buffer]]


def coded_tensor(row: int, table: Sequence[TensorRow], reference: Tensor) -> arithmetic.CodedTensor:
    """Return what the lossless coder needs to know of a tensor (clause 8.1)."""
    dtype = reference.dtype
    shape = reference.shape
    if reference.words.size != np.prod(shape, dtype=np.int64):
        # complex numbers are two words an element; packed elements are words of whole bytes
        shape = (*shape, 2) if table[row].dtype.name == "C64" else (reference.words.size,)
    return arithmetic.CodedTensor(
        row, 8 * dtype.word_bytes, dtype.exponent_bits, dtype.mantissa_bits, shape, reference.words
    )


def decode_frame(
    manifest: Manifest,
    index: int,
    segment: Segment,
    before: dict[int, Tensor],
    history: History,
    threads: int = 1,
    blocks: Blocks | None = None,
) -> State:
    """Decode one frame.

    Parameters
    ----------
    manifest : Manifest
        The checked manifest.
    index : int
        The frame.
    segment : Segment
        The parsed segment.
    before : dict of int to Tensor
        The state of the frame before; empty for a key frame. What is not needed any more is taken
        out, so that its memory can be used again.
    history : History
        What the lossless coder remembers in this group; changed by this call.
    threads : int
        Parts of the frame that are decoded at the same time; the state is the same.
    blocks : callable or None
        Returns the bytes of a stream piece by piece, for streams of zstd that are not at hand.

    Returns
    -------
    mapping of int to Tensor
        The state; skipped tensors are the very objects of ``before``. Its digest is not verified.

    Raises
    ------
    FormatError
        If the segment does not fit the manifest or the frame before, or a stream is malformed.
    """
    layout = {row: tensor.shape for row, tensor in before.items()}
    grids = {row for row, tensor in before.items() if tensor.quantised}
    plan = plan_frame(manifest, index, layout, segment, grids)
    table = manifest.tensors
    made: dict[int, Tensor] = {t.row: before[t.row] for t in plan.of_mode(SKIP)}
    history.keep({t.row for t in plan.of_mode(SKIP, INTEGER) if t.slices is None})
    before.update({t.row: taken(before[t.row], t.slices) for t in plan.tensors if t.slices})
    history.quantised.keep(set(plan.quantised) - {t.row for t in plan.of_mode(QUANTISED)})
    raw = plan.of_mode(RAW)
    for tensor, words in zip(raw, _raw(raw, table, segment, threads, blocks), strict=True):
        made[tensor.row] = Tensor(table[tensor.row].dtype, tensor.shape, words)
    changed = plan.of_mode(INTEGER)
    words_after = _integer(changed, table, segment, before, history, threads, blocks)
    for tensor, words in zip(changed, words_after, strict=True):
        made[tensor.row] = Tensor(table[tensor.row].dtype, tensor.shape, words)
    quantised = plan.of_mode(QUANTISED, UPDATE)
    made |= decode_quantised(quantised, table, segment, before, history, threads)
    _take_digests(made, plan, segment)
    return with_bounds({t.row: made[t.row] for t in plan.tensors}, plan.quantised, segment.bounds)


def _take_digests(made: dict[int, Tensor], plan: FramePlan, segment: Segment) -> None:
    """Note for each tensor that the segment brings which digest it says (clause 6.2.5)."""
    if segment.digests is None:
        return
    stored = bytes(segment.digests.data)
    for k, tensor in enumerate(plan.coded):
        digest = stored[DIGEST_BYTES * k : DIGEST_BYTES * (k + 1)]
        made[tensor.row] = replace(made[tensor.row], stored_digest=digest)


def _like(tensors: Sequence[PlannedTensor], table: Sequence[TensorRow]) -> list[tuple[Dtype, int]]:
    return [(table[t.row].dtype, t.size) for t in tensors]


def _empty(tensors: Sequence[PlannedTensor], table: Sequence[TensorRow]) -> list[Words]:
    return [np.empty(0, word_dtype(table[t.row].dtype)) for t in tensors]


def _raw(
    tensors: Sequence[PlannedTensor],
    table: Sequence[TensorRow],
    segment: Segment,
    threads: int,
    blocks: Blocks | None,
) -> list[Words]:
    stream = segment.raw
    if stream is None:
        return _empty(tensors, table)
    if stream.coding == "zstd":
        return streams.decompress(
            stream,
            _like(tensors, table),
            segment.file,
            differences=False,
            threads=threads,
            blocks=None if blocks is None else blocks(stream),
        )
    if stream.coding == "none":
        words = streams.split(stream.data, _like(tensors, table))
        return [np.require(w, requirements="A") for w in words]
    raise refuse(
        "segment/stream-unknown", file=segment.file, offset=stream.offset, stream=stream.name
    )


def _integer(
    tensors: Sequence[PlannedTensor],
    table: Sequence[TensorRow],
    segment: Segment,
    before: dict[int, Tensor],
    history: History,
    threads: int,
    blocks: Blocks | None,
) -> list[Words]:
    stream = segment.integer
    if stream is None:
        return _empty(tensors, table)
    if stream.coding == "nmc":
        return _coded(tensors, table, segment, stream, before, history, threads)
    if stream.coding == "zstd":
        differences = streams.decompress(
            stream,
            _like(tensors, table),
            segment.file,
            differences=True,
            threads=threads,
            blocks=None if blocks is None else blocks(stream),
        )
    else:
        differences = streams.split(stream.data, _like(tensors, table))
    in_place = stream.coding == "zstd"  # the differences lie in memory of their own
    made: list[Words] = list(differences)

    def add(k: int) -> None:
        old, difference = before[tensors[k].row].words, differences[k]
        made[k] = np.add(old, difference, out=difference if in_place else None)  # modulo 2^w

    in_threads([partial(add, k) for k in range(len(tensors))], threads)
    return made


def _coded(
    tensors: Sequence[PlannedTensor],
    table: Sequence[TensorRow],
    segment: Segment,
    stream: Stream,
    before: dict[int, Tensor],
    history: History,
    threads: int,
) -> list[Words]:
    def release(i: int) -> None:
        del before[tensors[i].row]

    try:
        return arithmetic.decode(
            stream.data,
            [coded_tensor(t.row, table, before[t.row]) for t in tensors],  # held there alone
            history,
            threads,
            release,
        )
    except arithmetic.CoderError as error:
        raise coder_refused(segment, stream, error) from None


def coder_refused(segment: Segment, stream: Stream, error: arithmetic.CoderError) -> FormatError:
    """Return the error for a payload that the lossless coder refuses."""
    return refuse(
        "segment/coder",
        file=segment.file,
        offset=stream.offset,
        stream=stream.name,
        reason=str(error),
    )


def check_segment(frame: FrameRecord, data: bytes) -> None:
    """Check the bytes of a segment against their SHA-256 (clause 6.1.1).

    Raises
    ------
    FormatError
        If they differ.
    """
    actual = hashlib.sha256(data).digest()
    if actual != frame.segment_sha256:
        raise refuse(
            "segment/sha256",
            file=segment_name(frame.index),
            offset=0,
            actual=actual.hex(),
            expected=frame.segment_sha256.hex(),
        )


def check_links(manifest: Manifest, index: int, segment: Segment) -> None:
    """Check that a segment belongs where it is: digests, and its refinements (clause 7.2.1).

    Raises
    ------
    FormatError
        If it does not.
    """
    made = [segment.state, *(refined.state for refined in segment.refinements)]
    if len(made) != manifest.stops:
        raise refuse(
            "segment/refinement",
            file=segment.file,
            refinement=len(made) - 1,
            reason=f"the segment has {len(made) - 1}, each frame has {manifest.stops - 1}",
        )
    for stop, digest in enumerate(made):
        state = manifest.state_digest(index, stop)
        if digest != state:
            raise refuse(
                "decoding/segment-state-mismatch",
                file=segment.file,
                offset=8,
                actual=digest.hex(),
                expected=state.hex(),
            )
    expected = None if manifest.frames.is_key(index) else manifest.state_digest(index - 1)
    if segment.parent != expected:
        raise refuse(
            "decoding/parent-digest-mismatch",
            file=segment.file,
            offset=8,
            actual=expected.hex() if expected else "a key frame, without parent",
            expected=segment.parent.hex() if segment.parent else "none",
        )
    declared = manifest.frame(index).refinements
    for k, (refined, said) in enumerate(zip(segment.refinements, declared, strict=True), 1):
        if refined.start != said.start:
            raise refuse(
                "segment/refinement",
                file=segment.file,
                refinement=k,
                reason=f"it begins at byte {refined.start}, the manifest says {said.start}",
            )


def check_state(
    manifest: Manifest, index: int, state: State, stop: int = 0, threads: int = 1
) -> None:
    """Check a decoded state against its digest, and tensors against theirs (clause 7.2.3).

    Raises
    ------
    FormatError
        If they differ.
    """
    actual = digest_of(state, manifest.tensors, threads)
    expected = manifest.state_digest(index, stop)
    if actual != expected:
        place = frame_pointer(index, STATE_DIGEST)
        if stop:
            place = refined_pointer(index, stop - 1, REFINED_DIGEST)
        raise refuse(
            "decoding/state-digest-mismatch",
            pointer=place,
            actual=actual.hex(),
            expected=expected.hex(),
        )
    for row, tensor in state.items():
        if tensor.stored_digest is not None and tensor.stored_digest != tensor.digest:
            raise refuse(
                "decoding/tensor-digest-mismatch",
                file=segment_name(index),
                name=manifest.tensors[row].name,
                actual=tensor.digest.hex(),
                expected=tensor.stored_digest.hex(),
            )
