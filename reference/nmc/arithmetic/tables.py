"""Frequency tables of the static coder: choice, syntax and expansion (clause 8.6.4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmc.arithmetic.payload import BitReader, BitWriter
from nmc.arithmetic.planes import CoderError
from nmc.arithmetic.static_kernel import CONTEXTS, REACH, TOKENS, TOTAL, TOTAL_BITS

Counts = NDArray[np.int64]

_SYMBOL_COST = 10 * 256  # what one entry of a table costs, about, in 1/256 bit


def alphabet(bits: int, exponent_bits: int) -> int:
    """Number of tokens a plane can use (clause 8.6.3)."""
    return 2 * bits + 1 + (2 * REACH + 1 if exponent_bits else 0)


def _logarithms(numbers: Counts) -> Counts:
    """Binary logarithm in 1/256, from below, of numbers of 1 to 2**40: four squarings' worth and a chord."""
    length = np.zeros_like(numbers)
    rest = numbers.copy()
    for shift in (32, 16, 8, 4, 2, 1):
        big = rest >> shift > 0
        length += shift * big
        rest = np.where(big, rest >> shift, rest)
    fraction = np.where(length >= 16, numbers >> np.maximum(length - 16, 0), numbers << np.maximum(16 - length, 0))
    result = length * 256
    for place in range(1, 9):
        fraction = (fraction * fraction) >> 16
        double = fraction >> 17
        result += double << (8 - place)
        fraction >>= double
    return result


def _cost(counts: Counts) -> int:
    """Bits, in 1/256, that a table and what it codes take."""
    present = counts[counts > 0]
    total = np.array([present.sum()])
    coded = int((present * (_logarithms(total) - _logarithms(present))).sum())
    return coded + _SYMBOL_COST * present.size


def _normalise(counts: Counts) -> Counts:
    """Frequencies that sum to TOTAL, none of them zero where the count is not."""
    total = int(counts.sum())
    sizes = np.where(counts > 0, np.maximum((counts * TOTAL + total // 2) // total, 1), 0)
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    excess = int(sizes.sum()) - TOTAL
    while excess:
        for token in order:
            if excess > 0 and sizes[token] > 1:
                sizes[token] -= 1
                excess -= 1
            elif excess < 0:
                sizes[token] += 1
                excess += 1
            if not excess:
                break
    return sizes


def _write_table(writer: BitWriter, sizes: Counts) -> None:
    last = -1
    for token in np.flatnonzero(sizes):
        writer.gamma(int(token) - last)
        last = int(token)
        below = int(sizes[token]) - 1
        length = below.bit_length()
        writer.bits(length, 4)
        if length:
            writer.bits(below & ~(1 << (length - 1)), length - 1)


def _read_table(reader: BitReader, tokens: int) -> Counts:
    sizes = np.zeros(TOKENS, np.int64)
    token = -1
    left = TOTAL
    while left:
        token += reader.gamma()
        if token >= tokens:
            raise CoderError(f"a frequency table names token {token} of {tokens}")
        length = reader.bits(4)
        size = 1 if length == 0 else 1 + (1 << (length - 1) | reader.bits(length - 1))
        if size > left:
            raise CoderError("the frequencies of a table sum to more than 4096")
        sizes[token] = size
        left -= size
    return sizes


def choose(counts: Counts) -> tuple[bytes, Counts]:
    """Choose the tables for the counts of a group.

    A context joins the table of the context before it where two tables would cost more than one.

    Parameters
    ----------
    counts : int64[CONTEXTS, TOKENS]

    Returns
    -------
    bytes
        The tables as clause 8.6.4 writes them.
    int64[CONTEXTS, TOKENS]
        The frequencies each context codes with.
    """
    used = [int(context) for context in np.flatnonzero(counts.sum(axis=1))]
    runs: list[list[int]] = []
    sums: list[Counts] = []
    for context in used:
        if runs:
            together = sums[-1] + counts[context]
            if _cost(together) <= _cost(sums[-1]) + _cost(counts[context]):
                runs[-1].append(context)
                sums[-1] = together
                continue
        runs.append([context])
        sums.append(counts[context].copy())
    frequencies = np.zeros((CONTEXTS, TOKENS), np.int64)
    writer = BitWriter()
    last = -1
    for run, total in zip(runs, sums, strict=True):
        sizes = _normalise(total)
        for context in run:
            writer.gamma(context - last)
            last = context
            frequencies[context] = sizes
            if context != used[0]:
                writer.bits(int(context == run[0]), 1)
            if context == run[0]:
                _write_table(writer, sizes)
    writer.gamma(CONTEXTS - last)
    return writer.bytes(), frequencies


def parse(data: memoryview, tokens: int) -> Counts:
    """Read the tables of a group; the inverse of choose.

    Raises
    ------
    CoderError
        If the tables are malformed.
    """
    frequencies = np.zeros((CONTEXTS, TOKENS), np.int64)
    reader = BitReader(data)
    context = -1
    sizes: Counts | None = None
    while True:
        context += reader.gamma()
        if context >= CONTEXTS:
            break
        if sizes is None or reader.bits(1):
            sizes = _read_table(reader, tokens)
        frequencies[context] = sizes
    if context > CONTEXTS:
        raise CoderError(f"a frequency table for context {context} of {CONTEXTS}")
    reader.end()
    return frequencies


def starts_of(frequencies: Counts) -> Counts:
    """First code point of each token in its context's table."""
    return np.cumsum(frequencies, axis=1) - frequencies


def expand(frequencies: Counts) -> NDArray[np.uint32]:
    """Decoding table: token, size - 1 and offset of each of the 4096 code points of a context.

    A context without a table decodes as token 0 throughout and so stays within bounds.
    """
    table = np.zeros((CONTEXTS, TOTAL), np.uint32)
    points = np.arange(TOTAL)
    for context in np.flatnonzero(frequencies.sum(axis=1)):
        sizes = frequencies[context]
        token = np.repeat(np.arange(TOKENS), sizes)
        offset = points - (np.cumsum(sizes) - sizes)[token]
        table[context] = token | (sizes[token] - 1) << 8 | offset << (8 + TOTAL_BITS)
    return table.reshape(-1)
