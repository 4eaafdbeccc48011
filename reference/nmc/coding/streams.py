"""Coded streams and plain ones (clause 6.3): none, and zstd over byte planes."""

from __future__ import annotations

from functools import cache, partial
from itertools import chain, count
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import zstandard

from nmc.coding.scratch import IN_MEMORY, Octets, Scratch
from nmc.coding.threads import in_threads
from nmc_format.dtypes import Dtype, word_dtype
from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

    from nmc_format.dtypes import Words
    from nmc_format.segment import Stream

Bytes: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint8]]"

_MAX_WINDOW_LOG = 27
"""128 MiB: the window that ``zstd --ultra`` stays within; a larger one is refused (6.3.2)."""


_FEED = 1 << 12
"""Bytes at a time of what is behind the blocks of a frame."""
_BLOCK_HEAD, _PLAIN_BLOCK = 3, 1 << 17
"""Bytes of the head of a block, and those that come of one at most."""
_REPEATED, _COMPRESSED = 1, 2
"""Types of blocks of zstd; another one has its bytes as they are."""
_LARGE = 1 << 23
"""Bytes from which on several threads can code a stream."""
_JOB = 1 << 19
"""Bytes of it that a thread codes at a time: the least, as the library holds a few of them."""
_BLOCK = 1 << 16
"""Words that are worked on at a time, within the cache."""


def split(stream: bytes | memoryview, like: Sequence[tuple[Dtype, int]]) -> list[Words]:
    """Cut a plain stream into the words of its tensors; the results share its memory.

    Parameters
    ----------
    stream : bytes-like
        The plain stream.
    like : sequence of (Dtype, bytes)
        One for each tensor, in order.
    """
    words = []
    start = 0
    for dtype, size in like:
        words.append(np.frombuffer(stream, word_dtype(dtype), size // dtype.word_bytes, start))
        start += size
    return words


class Source(Protocol):
    """A tensor of a stream, whose words are made whenever they are asked for."""

    @property
    def dtype(self) -> Dtype:
        """Element type."""

    @property
    def nbytes(self) -> int:
        """Bytes of the words."""

    def words(self) -> Words:
        """Return the words."""


@cache
def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)


def _large(level: int, size: int, threads: int) -> zstandard.ZstdCompressor:
    """Return a compressor with so many threads of its own, for a stream of so many bytes.

    The last job is never a whole one: whether the library ends with it, or with an empty block
    behind it, would hang on which thread is first.
    """
    asked = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=size,
        write_checksum=False,
        write_content_size=True,
        threads=threads,
        job_size=next(job for job in count(_JOB) if size % job),
    )
    return zstandard.ZstdCompressor(compression_params=asked)


def compress(
    tensors: Sequence[Source],
    level: int,
    *,
    differences: bool,
    threads: int = 1,
    scratch: Scratch = IN_MEMORY,
) -> list[Octets]:
    """Code some tensors with zstd over their byte planes (clause 6.3.2).

    Parameters
    ----------
    tensors : sequence of Source
        In order. The words of one tensor are in memory at a time.
    level : int
        Level of zstd.
    differences : bool
        Whether the words are differences (stream ``integer``), not tensors (stream ``raw``).
    threads : int
        How many of the library's threads code a large stream; the bytes are the same.
    scratch : Scratch
        Where the pieces are kept.

    Returns
    -------
    list of bytes or memoryview
        The stream, in pieces.
    """
    size = sum(tensor.nbytes for tensor in tensors)
    # A large stream is cut into jobs by the library, whatever the number of threads. They are not
    # kept: a process that forks has none of them.
    of = _large(level, size, threads) if size >= _LARGE else _compressor(level)
    compressor = of.compressobj(size=size)
    pieces = [
        scratch.kept(
            compressor.compress(
                _plane(tensor.words(), tensor.dtype, k, differences=differences).data
            )
        )
        for k in range(7, -1, -1)
        for tensor in tensors
        if tensor.dtype.word_bytes > k
    ]
    return [piece for piece in (*pieces, scratch.kept(compressor.flush())) if piece]


def _plane(
    words: Words, dtype: Dtype, k: int, *, differences: bool
) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return one byte of each folded word; folded each time, so that no copy of all is kept."""
    folded = _fold(words, dtype, differences=differences)
    return np.ascontiguousarray(folded.view(np.uint8).reshape(-1, words.itemsize)[:, k])


def _fold(words: Words, dtype: Dtype, *, differences: bool) -> Words:
    one, last = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1)
    if differences:
        return (words << one) ^ -(words >> last)
    if dtype.exponent_bits:
        return (words << one) | (words >> last)
    return words


def _unfold(words: Words, dtype: Dtype, *, differences: bool) -> None:
    """Undo :func:`_fold` in place."""
    one, last = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1)
    for start in range(0, words.size, _BLOCK):
        part = words[start : start + _BLOCK]
        if differences:
            part[:] = (part >> one) ^ -(part & one)
        elif dtype.exponent_bits:
            part[:] = (part >> one) | (part << last)


def decompress(
    stream: Stream,
    like: Sequence[tuple[Dtype, int]],
    file: str,
    *,
    differences: bool,
    threads: int = 1,
    blocks: Iterable[Buffer] | None = None,
) -> list[Words]:
    """Decode what :func:`compress` made; never allocates more than the tensors need.

    Planes become words again for so many tensors at the same time.

    Raises
    ------
    FormatError
        If it is not a zstd frame of exactly that size.
    """
    every = range(len(like))
    made = decompress_some(
        stream, like, file, every, differences=differences, threads=threads, blocks=blocks
    )
    return [made[k] for k in every]


def decompress_some(
    stream: Stream,
    like: Sequence[tuple[Dtype, int]],
    file: str,
    wanted: Collection[int],
    *,
    differences: bool,
    threads: int = 1,
    blocks: Iterable[Buffer] | None = None,
) -> dict[int, Words]:
    """Decode some tensors of what :func:`compress` made.

    Parameters
    ----------
    stream : Stream
        The stream.
    like : sequence of (Dtype, bytes)
        One for each tensor, in order.
    file : str
        Name of the segment, for errors.
    wanted : collection of int
        Indices of the tensors that are wanted. The others are passed over, and what comes behind
        the last byte of these is not decompressed.
    differences : bool
        As for :func:`compress`.
    threads : int
        Tensors whose planes become words at the same time.
    blocks : iterable of bytes-like or None
        The bytes of the stream, where the stream does not have them at hand.

    Returns
    -------
    dict of int to ndarray
        The words of the tensors that are wanted.

    Raises
    ------
    FormatError
        If it is not a zstd frame of exactly that size.
    """
    expected = sum(size for _, size in like)

    def bad(reason: str) -> Exception:
        return refuse(
            "segment/zstd",
            file=file,
            offset=stream.offset,
            stream=stream.name,
            expected=expected,
            reason=reason,
        )

    try:
        ahead = iter((stream.data,) if blocks is None else blocks)
        first = next(ahead, b"")
        parameters = zstandard.get_frame_parameters(memoryview(first))
        if parameters.content_size != expected:
            raise bad(f"the frame says {parameters.content_size}")
        if parameters.window_size > 1 << _MAX_WINDOW_LOG:
            raise bad(f"its window has {parameters.window_size} bytes")
        if parameters.dict_id:
            raise bad("it needs a dictionary")
        made = {
            k: np.empty(size // dtype.word_bytes, word_dtype(dtype))
            for k, (dtype, size) in enumerate(like)
            if k in wanted
        }
        room, whole = _room(made, like), len(made) == len(like)
        feeds = _Feeds(chain((first,), ahead), zstandard.frame_header_size(memoryview(first)))
        rest = _fill(room, feeds, whole=whole)
    except zstandard.ZstdError as error:
        raise bad(str(error)) from None
    if rest:
        raise bad(rest)
    unfold = partial(_unfold, differences=differences)
    in_threads([partial(unfold, words, like[k][0]) for k, words in made.items()], threads)
    return made


def _room(
    made: Mapping[int, Words], like: Sequence[tuple[Dtype, int]]
) -> list[tuple[Bytes | None, int]]:
    """Return where each byte plane goes, and how long it is; those that go nowhere are None."""
    planes = {i: w.view(np.uint8).reshape(-1, w.itemsize).T for i, w in made.items()}
    return [
        (planes[i][k] if i in planes else None, size // dtype.word_bytes)
        for k in range(7, -1, -1)
        for i, (dtype, size) in enumerate(like)
        if dtype.word_bytes > k
    ]


def _fill(
    room: Sequence[tuple[Bytes | None, int]], feeds: Iterable[memoryview], *, whole: bool
) -> str:
    """Decompress into arrays, one after the other; return what is wrong, nothing if all is well.

    Unless the whole is wanted, it ends with the last array that is there.
    """
    if not whole:
        there = [k for k, (target, size) in enumerate(room) if target is not None and size]
        room = room[: max(there, default=-1) + 1]
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    ahead = ((target, size) for target, size in room if size)
    target, size = next(ahead, (None, 0))
    at = 0
    for feed in feeds:
        if decompressor.eof:
            return "bytes follow it"
        if not whole and not size:
            return ""
        plain = np.frombuffer(decompressor.decompress(feed), np.uint8)
        while plain.size:
            if not size:
                return "it makes more" if whole else ""
            count = min(plain.size, size - at)
            if target is not None:
                target[at : at + count] = plain[:count]
            plain, at = plain[count:], at + count
            if at == size:
                (target, size), at = next(ahead, (None, 0)), 0
    if size:
        return "it makes fewer" if decompressor.eof else "it does not end where the stream does"
    if whole and (not decompressor.eof or decompressor.unused_data):
        return "it does not end where the stream does"
    return ""


class _Feeds:
    """Pieces of a frame: whole blocks, so that few bytes come of each, and few calls are made.

    A block has 128 KiB at most, and says what it takes (RFC 8878, clause 3.1.1.2).

    Parameters
    ----------
    blocks : iterable of bytes-like
        The bytes of the frame; the first of them have its header.
    header : int
        Bytes of this header.
    """

    def __init__(self, blocks: Iterable[Buffer], header: int) -> None:
        self._blocks = blocks
        self._due = header
        self._ended = False

    def __iter__(self) -> Iterator[memoryview]:
        rest = memoryview(b"")
        for block in self._blocks:
            view = memoryview(block).cast("B")
            if rest:
                view = memoryview(bytes(rest) + bytes(view))
            at = 0
            while at < len(view):
                size = self._whole(view[at:])
                if not size:
                    break
                yield view[at : at + size]
                at += size
            rest = view[at:]
        if rest:
            yield rest

    def _whole(self, view: memoryview) -> int:
        """Return how many bytes are given next; 0 where it is not known what they begin with."""
        if self._ended and not self._due:
            return min(_FEED, len(view))
        size = min(self._due, len(view))
        self._due -= size
        comes = 0
        while not self._ended and size + _BLOCK_HEAD <= len(view) and comes < _PLAIN_BLOCK:
            head = int.from_bytes(view[size : size + _BLOCK_HEAD], "little")
            kind, says = head >> 1 & 3, head >> 3
            self._ended = bool(head & 1)
            comes += _PLAIN_BLOCK if kind == _COMPRESSED else says
            length = _BLOCK_HEAD + (1 if kind == _REPEATED else says)
            given = min(length, len(view) - size)
            self._due = length - given
            size += given
        return size
