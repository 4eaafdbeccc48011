"""Learnt bases of rows and columns, in plain integers (clause 12.5)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias

Vectors: TypeAlias = list[list[int]]

_MOST = 512


@dataclass
class Side:
    """A basis in units of 2^-14, one vector in a list, and its Gram matrix."""

    vectors: Vectors
    gram: Vectors


@dataclass
class Bases:
    """The bases of the rows and of the columns of a tensor, none where it is too long."""

    rows: Side | None
    columns: Side | None


def _first_side(n: int, other: int) -> Side | None:
    if n > _MOST or n > 4 * other:
        return None
    identity = [[(i == j) << 14 for i in range(n)] for j in range(n)]
    return Side(identity, [[0] * n for _ in range(n)])


def first_bases(rows: int, columns: int) -> Bases:
    """Return the bases of a tensor that has learnt nothing yet (clause 12.5.1)."""
    return Bases(_first_side(rows, columns), _first_side(columns, rows))


def matrix(values: list[int], columns: int) -> Vectors:
    """Return values row by row."""
    return [values[i : i + columns] for i in range(0, len(values), columns)]


def _transposed(rows: Vectors) -> Vectors:
    return [list(column) for column in zip(*rows, strict=True)]


def _turned(side: Side | None, rows: Vectors) -> Vectors:
    """Return the product of a basis and a matrix, or the matrix in the same units."""
    if side is None:
        return [[x << 14 for x in row] for row in rows]
    columns = _transposed(rows)
    return [
        [sum(b * x for b, x in zip(line, column, strict=True)) for column in columns]
        for line in _transposed(side.vectors)
    ]


def changes_of(values: list[int], bases: Bases, columns: int, shift: int) -> list[int]:
    """Return the changes that coefficients stand for (clause 12.5.2)."""
    first = [[x + 512 >> 10 for x in row] for row in _turned(bases.rows, matrix(values, columns))]
    both = _transposed(_turned(bases.columns, _transposed(first)))
    half = 1 << 18 >> shift >> 1
    return [(x + half) >> (18 - shift) for row in both for x in row]


def learn(bases: Bases, changes: list[int], columns: int) -> None:
    """Turn the bases towards what has changed (clause 12.5.3)."""
    rows = matrix(changes, columns)
    if bases.rows is not None:
        _learn_side(bases.rows, rows)
    if bases.columns is not None:
        _learn_side(bases.columns, _transposed(rows))


def _learn_side(side: Side, vectors: Vectors) -> None:
    n, length = len(vectors), len(vectors[0])
    largest = max(abs(x) for vector in vectors for x in vector)
    if largest == 0:
        return
    drop = max(largest.bit_length() - min((52 - length.bit_length()) // 2, 15), 0)
    small = [[x >> drop for x in vector] for vector in vectors]
    fresh = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in small] for a in small]
    trace = sum(fresh[i][i] for i in range(n))
    if trace == 0:
        return
    scale = 26 - trace.bit_length()
    for i in range(n):
        for j in range(n):
            g = fresh[i][j] << scale if scale >= 0 else fresh[i][j] >> -scale
            side.gram[i][j] = (3 * side.gram[i][j] >> 2) + g
    kept = (sum(side.gram[i][i] for i in range(n)) >> 3) // n + 1
    turned = [
        [
            kept * x + sum(g * y for g, y in zip(side.gram[i], vector, strict=True))
            for i, x in enumerate(vector)
        ]
        for vector in side.vectors
    ]
    side.vectors = _orthonormal(turned)


def _settled(vector: list[int]) -> list[int]:
    n = 21 - max(map(abs, vector)).bit_length()
    return [x << n if n >= 0 else x >> -n for x in vector]


def _orthonormal(turned: Vectors) -> Vectors:
    made: Vectors = []
    for vector in turned:
        one = _settled(vector)
        for _ in range(2):
            sums = [8192] * len(one)
            for other in made:
                dot = (sum(x * y for x, y in zip(one, other, strict=True)) + 8192) >> 14
                sums = [s + dot * y for s, y in zip(sums, other, strict=True)]
            one = _settled([x - (s >> 14) for x, s in zip(one, sums, strict=True)])
        norm = isqrt(sum(x * x for x in one))
        made.append([(32768 * x + norm) // (2 * norm) if norm else 0 for x in one])
    return made
