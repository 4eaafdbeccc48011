"""The divided variant: portions of a large payload, each coded apart (clause 8.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import adaptive
from nmc.coding.arithmetic.adaptive import Share
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.payload import Reader, count_bytes, join
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError, lines_of
from nmc.coding.scratch import Octets
from nmc.coding.threads import in_threads
from nmc_format.dtypes import Words

_PORTION = 1 << 19
"""Words from which on a portion that is written ends."""
LEAST = 1 << 16
"""Words that every portion has, but for the last one."""


@dataclass(frozen=True)
class Cut:
    """Words of one tensor that belong to a portion.

    Attributes
    ----------
    index : int
        The tensor.
    first, last : int
        The words, from the first one to that before the last.
    """

    index: int
    first: int
    last: int


@dataclass(frozen=True)
class Portion:
    """A portion of a payload.

    Attributes
    ----------
    cuts : tuple of Cut
        Its words.
    start, size : int
        Where its body lies in the payload, and the bytes of it.
    """

    cuts: tuple[Cut, ...]
    start: int
    size: int


def divide(tensors: Sequence[CodedTensor]) -> list[list[Cut]]:
    """Return the portions that a writer makes: of whole tensors, or of lines of large ones."""
    portions: list[list[Cut]] = [[]]
    words = 0
    for i, tensor in enumerate(tensors):
        _, length = lines_of(tensor.shape)
        first = 0
        while first < tensor.count:
            if words >= _PORTION:
                portions.append([])
                words = 0
            last = tensor.count
            if last - first > _PORTION:
                last = min(last, first + -(-(_PORTION - words) // length) * length)
            portions[-1].append(Cut(i, first, last))
            words += last - first
            first = last
    return portions


def encode(
    tensors: Sequence[CodedTensor], current: Sequence[Words], history: History, threads: int = 1
) -> list[Octets] | None:
    """Encode all tensors, so many portions at the same time; history moves on to this frame.

    Returns
    -------
    list of bytes or memoryview, or None
        The body of the payload, in pieces; None where the code of a portion takes more bytes than
        its words, and some.
    """
    portions = divide(tensors)
    bodies: list[list[Octets] | None] = [None] * len(portions)

    def code(number: int, shares: Sequence[Share]) -> None:
        size = sum(share.nbytes for share in shares)
        bodies[number] = adaptive.encode_shares(shares, size, history, number)

    numbered = list(enumerate(portions))
    entries_of = history.entries_of
    _code_portions(code, numbered, tensors, current.__getitem__, entries_of, history, threads)
    coded = [body for body in bodies if body is not None]
    if len(coded) < len(portions):
        return None
    sizes = [
        count_bytes(sum(cut.last - cut.first for cut in cuts)) + count_bytes(sum(map(len, body)))
        for cuts, body in zip(portions, coded, strict=True)
    ]
    return [join([count_bytes(len(portions)), *sizes]), *chain.from_iterable(coded)]


def read_portions(reader: Reader, tensors: Sequence[CodedTensor]) -> list[Portion]:
    """Read the sizes of all portions, and pass by their bodies; nothing is decoded yet.

    Raises
    ------
    CoderError
        If they are not those of all words, or not of whole lines, or there are fewer bytes.
    """
    rest = sum(tensor.count for tensor in tensors)
    sizes: list[tuple[int, int]] = []
    for number in range(reader.count()):
        words = reader.count()
        if words > rest or words < min(rest, LEAST) or words == 0:
            raise CoderError(f"portion {number} has {words} words, and {rest} are left")
        rest -= words
        sizes.append((words, reader.count()))
    if rest:
        raise CoderError(f"{rest} words are in no portion")
    portions: list[Portion] = []
    place = (0, 0)
    for words, size in sizes:
        cuts, place = _cuts(tensors, place, words)
        portions.append(Portion(cuts, reader.position, size))
        reader.pass_by(size)
    return portions


def _cuts(
    tensors: Sequence[CodedTensor], place: tuple[int, int], words: int
) -> tuple[tuple[Cut, ...], tuple[int, int]]:
    """Return the next words, from a tensor and a word of it on, and where those after them are."""
    index, first = place
    cuts = []
    while words:
        tensor = tensors[index]
        last = min(first + words, tensor.count)
        if last > first:
            if first % lines_of(tensor.shape)[1]:
                raise CoderError(f"row {tensor.row}: a portion begins with word {first}, in a line")
            cuts.append(Cut(index, first, last))
        words -= last - first
        index, first = (index + 1, 0) if last == tensor.count else (index, last)
    return tuple(cuts), (index, first)


def decode(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    history: History,
    threads: int,
    done: Callable[[int], None],
) -> list[Words]:
    """Decode all tensors, so many portions at the same time; history moves on to this frame.

    Parameters
    ----------
    done : callable
        Called with the index of each tensor that was decoded: its reference is not needed any more.

    Raises
    ------
    CoderError
        If the payload is malformed.
    """
    portions = list(enumerate(read_portions(reader, tensors)))
    decoded = _decode_portions(reader, portions, tensors, history, threads, done)
    return [decoded.get(i, np.empty(0, tensor.reference.dtype)) for i, tensor in enumerate(tensors)]


def decode_some(
    reader: Reader,
    tensors: Sequence[CodedTensor],
    wanted: Sequence[int],
    history: History,
    threads: int,
    load: Callable[[int, int], None],
) -> dict[int, Words]:
    """Decode some portions, by their numbers; history moves on as far as they go.

    Parameters
    ----------
    load : callable
        Has so many bytes of the payload at hand, from one on.

    Returns
    -------
    dict of int to ndarray
        By index, the tensors that they have words of; the other words are not made.

    Raises
    ------
    CoderError
        If the payload is malformed, as far as it is looked at.
    """
    portions = read_portions(reader, tensors)
    for number in wanted:
        load(portions[number].start, portions[number].size)
    some = [(number, portions[number]) for number in wanted]
    return _decode_portions(reader, some, tensors, history, threads, lambda _: None)


def _decode_portions(
    reader: Reader,
    portions: Sequence[tuple[int, Portion]],
    tensors: Sequence[CodedTensor],
    history: History,
    threads: int,
    done: Callable[[int], None],
) -> dict[int, Words]:
    decoded: dict[int, Words] = {}
    by_number = dict(portions)

    def words_of(i: int) -> Words:
        decoded[i] = np.empty_like(tensors[i].reference)
        return decoded[i]

    def code(number: int, shares: Sequence[Share]) -> None:
        start, size = by_number[number].start, by_number[number].size
        body = Reader(reader.data[start : start + size])
        adaptive.decode_shares(body, shares, history, number)
        body.end()

    cuts = [(number, portion.cuts) for number, portion in portions]
    entries_of = history.take_entries
    _code_portions(code, cuts, tensors, words_of, entries_of, history, threads, done)
    return decoded


def _code_portions(
    code: Callable[[int, Sequence[Share]], None],
    portions: Sequence[tuple[int, Sequence[Cut]]],
    tensors: Sequence[CodedTensor],
    words_of: Callable[[int], Words],
    entries_of: Callable[[CodedTensor], NDArray[np.uint16]],
    history: History,
    threads: int,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Code all portions, some at a time; words and entries are held until a tensor's last portion.

    Parameters
    ----------
    code : callable
        Called with the number of each portion and its shares.
    words_of : callable
        Returns the words of a tensor in frame t, or room for them.
    entries_of : callable
        Returns the entries of a tensor, which are changed.
    done : callable
        Called with the index of each tensor that was coded.
    """
    at_work: dict[int, Share] = {}

    def share(cut: Cut) -> Share:
        i = cut.index
        if i not in at_work:
            entries = entries_of(tensors[i])
            at_work[i] = Share(tensors[i], words_of(i), entries, 0, tensors[i].count)
        return replace(at_work[i], first=cut.first, last=cut.last)

    some = 1 if threads <= 1 else 2 * threads
    for begin in range(0, len(portions), some):
        batch = portions[begin : begin + some]
        jobs = [partial(code, number, [share(cut) for cut in cuts]) for number, cuts in batch]
        in_threads(jobs, threads)
        jobs.clear()  # they hold references that are not needed any more
        for cut in chain.from_iterable(cuts for _, cuts in batch):
            i = cut.index
            if cut.last == tensors[i].count:
                history.entries[tensors[i].row] = at_work.pop(i).entries
                done(i)
    for share_of in at_work.values():  # tensors of which only some portions were asked for
        history.entries[share_of.tensor.row] = share_of.entries
