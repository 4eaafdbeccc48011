"""Frequency tables of the static coder: choice and syntax (clause 8.6.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.arithmetic import table_kernel as kernels
from nmc.coding.arithmetic.payload import SPARE, check_rest
from nmc.coding.arithmetic.static_kernel import (
    CONTEXTS,
    LONGEST,
    MOVES,
    TABLES,
    TOKENS,
    TOTAL,
    TOTAL_BITS,
)
from nmc.coding.arithmetic.tensors import CoderError

_MOST_TABLES = 16  # more than fit in the nearest cache cost more time than they save bytes
_TOKEN_BITS = 64  # of one entry of a table and its gap, at most


@dataclass(frozen=True)
class Tables:
    """The tables of a section, as a decoder uses them.

    Attributes
    ----------
    bases : uint16[CONTEXTS]
        The first element in points of the table of each context.
    points : uint32[TABLES * TOTAL]
        Token, offset and frequency of each code point.
    """

    bases: NDArray[np.uint16]
    points: NDArray[np.uint32]


@dataclass(frozen=True)
class Chosen:
    """The tables of a section, as an encoder uses them.

    Attributes
    ----------
    data : bytes
        The tables as clause 8.6.3 writes them.
    bases : uint16[CONTEXTS]
        As in Tables.
    starts, frequencies : uint16[n * TOKENS]
        First code point and frequency of each token in each table.
    """

    data: bytes
    bases: NDArray[np.uint16]
    starts: NDArray[np.uint16]
    frequencies: NDArray[np.uint16]


def alphabet(bits: int, exponent_bits: int) -> NDArray[np.uint8]:
    """Return uint8[TOKENS]: 1 for every token that words of a format can have (clause 8.6.5)."""
    known = np.zeros(TOKENS, np.uint8)
    known[: MOVES + 4 * (min(bits - 2, LONGEST) + 1)] = 1
    if exponent_bits == 0:
        known[2:MOVES] = 0
    return known


def choose(counts: NDArray[np.uint32]) -> Chosen:
    """Choose the tables for the counts of a section, uint32[CONTEXTS * TOKENS]."""
    from nmc.coding.arithmetic import table_encode_kernel as encoding

    several = np.zeros((4, CONTEXTS), np.int64)
    groups = encoding.Groups(np.zeros((CONTEXTS + 1, TOKENS), np.int64), *several)
    encoding.join_groups(groups, encoding.find_groups(counts, groups), _MOST_TABLES)
    named = groups.owner >= 0
    chosen = np.unique(groups.owner[named])
    # a context without words takes the table of the one before, the first ones table 0
    before = np.maximum.accumulate(np.where(named, np.arange(CONTEXTS), -1))
    owner = np.searchsorted(chosen, groups.owner[np.maximum(before, 0)])
    owner[before < 0] = 0
    frequencies = np.zeros((chosen.size, TOKENS), np.int64)
    for table, group in enumerate(chosen):
        encoding.normalise(groups.sums[group], frequencies[table])
    octets = np.zeros((CONTEXTS + chosen.size * TOKENS) * _TOKEN_BITS // 8, np.uint8)
    length = encoding.write_tables(owner, chosen.size, frequencies, octets)
    starts = np.cumsum(frequencies, axis=1) - frequencies
    return Chosen(
        octets[: (length + 7) // 8].tobytes(),
        (owner << TOTAL_BITS).astype(np.uint16),
        starts.astype(np.uint16).reshape(-1),
        frequencies.astype(np.uint16).reshape(-1),
    )


def parse(octets: NDArray[np.uint8], tokens: NDArray[np.uint8]) -> Tables:
    """Read the tables of a section; the inverse of choose.

    Parameters
    ----------
    octets : uint8[size + SPARE]
        The tables, with zeros behind them.
    tokens : uint8[TOKENS]
        1 for the tokens that the words can have.

    Raises
    ------
    CoderError
        If the tables are malformed.
    """
    tables = Tables(np.empty(CONTEXTS, np.uint16), np.zeros(TABLES * TOTAL, np.uint32))
    read = kernels.read_tables(octets, tokens, tables.bases, tables.points)
    if read == kernels.MALFORMED or (read + 7) // 8 != octets.size - SPARE:
        raise CoderError("the frequency tables are malformed")
    check_rest(octets, read)
    return tables
