"""Coded streams and plain ones (clause 6.3): none, and zstd over byte planes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from nmc_format.dtypes import Dtype, word_dtype
from nmc_format.issues import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_format.dtypes import Words
    from nmc_format.segment import Stream

_MAX_WINDOW_LOG = 27
"""128 MiB: the window that ``zstd --ultra`` stays within; a larger one is refused (6.3.2)."""


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


def join(tensors: Sequence[Words]) -> bytes:
    """Return the plain stream of some tensors."""
    return b"".join(words.tobytes() for words in tensors)


@cache
def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)


def compress(tensors: Sequence[tuple[Dtype, Words]], level: int, *, differences: bool) -> bytes:
    """Code some tensors with zstd over their byte planes (clause 6.3.2).

    Parameters
    ----------
    tensors : sequence of (Dtype, words)
        In order.
    level : int
        Level of zstd.
    differences : bool
        Whether the words are differences (stream ``integer``), not tensors (stream ``raw``).
    """
    compressor = _compressor(level).compressobj(size=sum(words.nbytes for _, words in tensors))
    pieces = [
        compressor.compress(_plane(words, dtype, k, differences=differences).data)
        for k in range(7, -1, -1)
        for dtype, words in tensors
        if words.itemsize > k
    ]
    return b"".join([*pieces, compressor.flush()])


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


def _unfold(words: Words, dtype: Dtype, *, differences: bool) -> Words:
    one, last = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1)
    if differences:
        return (words >> one) ^ -(words & one)
    if dtype.exponent_bits:
        return (words >> one) | (words << last)
    return words


def decompress(
    stream: Stream, like: Sequence[tuple[Dtype, int]], file: str, *, differences: bool
) -> list[Words]:
    """Decode what :func:`compress` made; never allocates more than the tensors need.

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
        parameters = zstandard.get_frame_parameters(stream.data)
        if parameters.content_size != expected:
            raise bad(f"the frame says {parameters.content_size}")
        if parameters.window_size > 1 << _MAX_WINDOW_LOG:
            raise bad(f"its window has {parameters.window_size} bytes")
        if parameters.dict_id:
            raise bad("it needs a dictionary")
        decompressor = zstandard.ZstdDecompressor()
        plain = decompressor.decompress(stream.data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise bad(str(error)) from None
    if len(plain) != expected:
        raise bad(f"it makes {len(plain)}")
    tensors = [np.empty(size // dtype.word_bytes, word_dtype(dtype)) for dtype, size in like]
    planes = [words.view(np.uint8).reshape(-1, words.itemsize).T for words in tensors]
    start = 0
    for k in range(7, -1, -1):
        for plane in planes:
            if len(plane) > k:
                plane[k] = np.frombuffer(plain, np.uint8, plane.shape[1], start)
                start += plane.shape[1]
    return [
        _unfold(words, dtype, differences=differences)
        for words, (dtype, _) in zip(tensors, like, strict=True)
    ]
