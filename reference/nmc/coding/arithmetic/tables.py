"""Frequency tables of the static coder: choice, syntax and expansion (clause 8.6.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic.payload import SPARE, BitWriter, check_rest
from nmc.coding.arithmetic.static_kernel import CONTEXTS, REACH, TOKENS, TOTAL
from nmc.coding.arithmetic.table_kernel import MALFORMED, cost, expand, read_tables
from nmc.coding.arithmetic.tensors import CoderError

Counts = NDArray[np.int64]


def alphabet(bits: int, exponent_bits: int) -> int:
    """Return the number of tokens a tensor can use (clause 8.6.5)."""
    return 2 * bits + 1 + (2 * REACH + 1 if exponent_bits else 0)


def _normalise(counts: Counts) -> Counts:
    """Frequencies that sum to TOTAL, none of them zero where the count is not."""
    total = int(counts.sum())
    frequencies = np.where(counts > 0, np.maximum((counts * TOTAL + total // 2) // total, 1), 0)
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    excess = int(frequencies.sum()) - TOTAL
    while excess:
        for token in order:
            if excess > 0 and frequencies[token] > 1:
                frequencies[token] -= 1
                excess -= 1
            elif excess < 0:
                frequencies[token] += 1
                excess += 1
            if not excess:
                break
    return frequencies


def _write_table(writer: BitWriter, frequencies: Counts) -> None:
    last = -1
    for token in np.flatnonzero(frequencies):
        writer.gamma(int(token) - last)
        last = int(token)
        below = int(frequencies[token]) - 1
        length = below.bit_length()
        writer.bits(length, 4)
        if length:
            writer.bits(below & ~(1 << (length - 1)), length - 1)


def choose(counts: Counts) -> tuple[bytes, Counts]:
    """Choose the tables for the counts of a group.

    A context joins the table of the context before it where two tables would cost more than one.

    Parameters
    ----------
    counts : int64[CONTEXTS, TOKENS]

    Returns
    -------
    bytes
        The tables as clause 8.6.3 writes them.
    int64[CONTEXTS, TOKENS]
        The frequencies each context codes with.
    """
    used = [int(context) for context in np.flatnonzero(counts.sum(axis=1))]
    runs: list[list[int]] = []
    sums: list[Counts] = []
    for context in used:
        if runs:
            together = sums[-1] + counts[context]
            if cost(together) <= cost(sums[-1]) + cost(counts[context]):
                runs[-1].append(context)
                sums[-1] = together
                continue
        runs.append([context])
        sums.append(counts[context].copy())
    frequencies = np.zeros((CONTEXTS, TOKENS), np.int64)
    writer = BitWriter()
    last = -1
    for run, total in zip(runs, sums, strict=True):
        normalised = _normalise(total)
        for context in run:
            writer.gamma(context - last)
            last = context
            frequencies[context] = normalised
            if context != used[0]:
                writer.bits(int(context == run[0]), 1)
            if context == run[0]:
                _write_table(writer, normalised)
    writer.gamma(CONTEXTS - last)
    return writer.bytes(), frequencies


def parse(octets: NDArray[np.uint8], tokens: int) -> Counts:
    """Read the tables of a group; the inverse of choose.

    Parameters
    ----------
    octets : uint8[size + SPARE]
        The tables, with zeros behind them.
    tokens : int
        Size of the alphabet.

    Raises
    ------
    CoderError
        If the tables are malformed.
    """
    frequencies = np.zeros((CONTEXTS, TOKENS), np.int64)
    read = read_tables(octets, tokens, frequencies)
    if read == MALFORMED or (read + 7) // 8 != octets.size - SPARE:
        raise CoderError("the frequency tables are malformed")
    check_rest(octets, read)
    return frequencies


def starts_of(frequencies: Counts) -> Counts:
    """First code point of each token in its context's table."""
    return np.cumsum(frequencies, axis=1) - frequencies


def lookup(frequencies: Counts) -> NDArray[np.uint32]:
    """Token, size - 1 and offset of each of the 4096 code points of each context.

    A context without a table decodes to zeros throughout and so stays within bounds.
    """
    table = np.zeros(CONTEXTS * TOTAL, np.uint32)
    expand(frequencies, table)
    return table
