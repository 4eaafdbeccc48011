"""Some tensors of a payload: which words they hang on, and these alone (clauses 8.3.2 and 8.3.3).

Chunks of the static variant stand alone, live cells and portions nearly so. The adaptive variants
have one code for all tensors: it is decoded up to the last that is wanted, and to its end where a
later frame goes on with what it learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from nmc.coding.arithmetic.coder import (
    ADAPTIVE,
    DIVIDED,
    MIXED,
    SPARSE,
    STATIC,
    STORED,
    forget_others,
)
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError
from nmc_format.dtypes import Words

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""Words of a tensor: each span from its first word to that before its last, ascending, apart."""

Load: TypeAlias = Callable[[int, int], None]
"""Has so many bytes of a payload at hand, from one on."""

Slots: TypeAlias = tuple[int, bool]
"""Portion, and whether chances are mixed: the slots that a code learns (clause 8.3.3)."""


@dataclass(frozen=True)
class Selection:
    """What of a payload is decoded.

    Attributes
    ----------
    variant : int
        Of the payload.
    words : mapping of int to Spans
        By index of the coded tensor, ascending: the words that are decoded. Old words and memory of
        these have to be right.
    slots : frozenset of Slots
        Those that are learnt on; they have to be right before.
    portions : tuple of int
        Portions of the divided variant.
    """

    variant: int
    words: Mapping[int, Spans]
    slots: frozenset[Slots] = frozenset()
    portions: tuple[int, ...] = ()


def joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Return spans that may overlap as spans that are apart."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if made and first <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        else:
            made.append((first, last))
    return tuple(made)


def _all_of(tensors: Sequence[CodedTensor], indices: Iterable[int]) -> dict[int, Spans]:
    return {i: ((0, tensors[i].count),) for i in sorted(indices)}


def select(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Mapping[int, Spans],
    later: Collection[Slots],
) -> Selection:
    """Return what has to be decoded for some words of a payload; only its heads are read.

    Parameters
    ----------
    reader : Reader
        At the beginning of the payload.
    tensors : sequence of CodedTensor
        The coded tensors; their references are not looked at.
    wanted : mapping of int to Spans
        By index of the coded tensor.
    later : collection of Slots
        Those that later frames go on with.

    Raises
    ------
    CoderError
        If its heads are malformed.
    """
    variant = reader.byte()
    if variant in (STORED, STATIC):
        return Selection(variant, _all_of(tensors, wanted))
    if variant == SPARSE:
        from nmc.coding.arithmetic import cells

        ragged = cells.ragged(reader, tensors) if wanted else []
        return Selection(variant, _all_of(tensors, {*wanted, *ragged}))
    if variant in (ADAPTIVE, MIXED):
        slots = (0, variant == MIXED)
        last = len(tensors) if slots in later else max(wanted, default=-1) + 1
        return Selection(variant, _all_of(tensors, range(last)), frozenset({slots} if last else ()))
    if variant == DIVIDED:
        return _select_portions(reader, tensors, wanted, later)
    raise CoderError(f"byte 0: coder variant {variant}; this decoder knows 0 to 5")


def _select_portions(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Mapping[int, Spans],
    later: Collection[Slots],
) -> Selection:
    from nmc.coding.arithmetic import divided

    portions: list[int] = []
    spans: dict[int, list[tuple[int, int]]] = {i: [] for i in wanted}
    for number, portion in enumerate(divided.read_portions(reader, tensors)):
        if (number, False) in later or any(
            cut.first < last and first < cut.last
            for cut in portion.cuts
            for first, last in wanted.get(cut.index, ())
        ):
            portions.append(number)
            for cut in portion.cuts:
                spans.setdefault(cut.index, []).append((cut.first, cut.last))
    words = {i: joined(spans[i]) for i in sorted(spans)}
    slots = frozenset((number, False) for number in portions)
    return Selection(DIVIDED, words, slots, tuple(portions))


def decode_some(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    selection: Selection,
    history: History,
    load: Load,
    threads: int = 1,
) -> dict[int, Words]:
    """Decode what was selected of a payload.

    Parameters
    ----------
    reader : Reader
        At the beginning of the payload.
    tensors : sequence of CodedTensor
        The coded tensors; of those that are not selected, references are not looked at.
    selection : Selection
        Of :func:`select`.
    history : History
        Of what is selected, in this group; moves on to this frame.
    load : callable
        Has bytes at hand that the reader passes by.
    threads : int
        Chunks or portions that are decoded at the same time.

    Returns
    -------
    dict of int to ndarray
        By index; of the words of a tensor, only the selected ones are right.

    Raises
    ------
    CoderError
        If what is read of the payload is malformed.
    """
    variant, wanted = reader.byte(), list(selection.words)
    found: Mapping[int, Words]
    if variant == STORED:
        found = _stored(reader, tensors, wanted)
    elif variant == STATIC:
        found = _static(reader, tensors, wanted, history, load, threads)
    elif variant == SPARSE:
        from nmc.coding.arithmetic import sparse

        def inner(some: Sequence[CodedTensor], inside: History) -> dict[int, Words]:
            inner_variant = reader.byte()
            if inner_variant == STORED:
                inside.forget_ways(some[i].row for i in wanted)
                return _stored(reader, some, wanted)
            if inner_variant == STATIC:
                return _static(reader, some, wanted, inside, load, threads)
            raise CoderError(f"an inner payload of variant {inner_variant}; it is 0 or 1")

        found = sparse.decode_some(reader, tensors, wanted, history, inner, threads)
    elif variant == DIVIDED:
        from nmc.coding.arithmetic import divided

        portions = selection.portions
        found = divided.decode_some(reader, tensors, portions, history, threads, load)
    else:
        from nmc.coding.arithmetic import adaptive

        mixing = variant == MIXED
        found = adaptive.decode_first(reader, tensors, len(wanted), history, mixing=mixing)
    forget_others(variant, [tensors[i] for i in wanted], history)
    return {i: found.get(i, np.empty(0, tensors[i].reference.dtype)) for i in wanted}


def _stored(
    reader: Reader, tensors: Sequence[CodedTensor], wanted: Collection[int]
) -> dict[int, Words]:
    found = {}
    for i, tensor in enumerate(tensors):
        size = tensor.count * tensor.reference.dtype.itemsize
        if i in wanted:
            words = np.frombuffer(reader.take(size), tensor.reference.dtype.newbyteorder("<"))
            found[i] = words.astype(tensor.reference.dtype)
        else:
            reader.pass_by(size)
    return found


def _static(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Collection[int],
    history: History,
    load: Load,
    threads: int,
) -> dict[int, Words]:
    from nmc.coding.arithmetic import static
    from nmc.coding.arithmetic import static_chunk_kernel as kernels

    found: dict[int, Words] = {}
    for section in static.read_sections(reader, tensors):
        own = [i for i in section.indices if i in wanted]
        if not own:
            continue
        for i in own:
            chunks = section.chunks_of([i])
            start, end = int(chunks[0, kernels.START]), int(chunks[-1, kernels.RAW_END])
            load(start, end - start)
        made = static.parts_of_tensors(own, tensors, history)
        static.decode_section(section, static.payload_of(reader), tensors, made, threads)
        found.update({i: part.words for i, part in made.items()})
        history.ways.update({tensors[i].row: part.after for i, part in made.items()})
    return found
