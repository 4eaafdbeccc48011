"""The fields of a payload of the lossless coder, and payloads with one changed (clause 8.3.2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from writers.package_writer import count

from arithmetic.arithmetic_cases import STATIC

if TYPE_CHECKING:
    from collections.abc import Callable


def counts(data: bytes, number: int) -> tuple[list[int], int]:
    """Return some counts of a payload and the place behind them."""
    values, at = [], 1
    for _ in range(number):
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        values.append(value)
    return values, at


def with_counts(variant: int, values: list[int], rest: bytes) -> bytes:
    """Return a payload with counts in front of the rest."""
    return bytes([variant]) + b"".join(map(count, values)) + rest


def with_first_count_of(data: bytes, size: int) -> bytes:
    """Return a payload whose first count is the same number in so many bytes."""
    (first,), at = counts(data, 1)
    long = bytes(first >> 7 * k & 0x7F | 0x80 for k in range(size - 1)) + b"\0"
    return data[:1] + long + data[at:]


def with_words(more: bytes) -> Callable[[bytes], bytes]:
    """Return what makes an adaptive payload one with a code word more."""

    def change(data: bytes) -> bytes:
        (words, size), at = counts(data, 2)
        end = at + 2 * words
        return data[:1] + count(words + 1) + count(size) + data[at:end] + more + data[end:]

    return change


def with_raw(more: bytes) -> Callable[[bytes], bytes]:
    """Return what makes an adaptive payload one with a byte of raw bits more."""

    def change(data: bytes) -> bytes:
        (words, size), at = counts(data, 2)
        return data[:1] + count(words) + count(size + 1) + data[at:] + more

    return change


@dataclass(frozen=True)
class StaticParts:
    """The fields of a static payload of one tensor of 3 by 8 words, or of one line (8.6.1)."""

    head: bytes
    tables: bytes
    lane: bytes
    code: bytes
    raw: bytes

    @classmethod
    def of(cls, data: bytes, columns: int = 8, lines: int = 3) -> StaticParts:
        """Return the fields of a payload."""
        (size,), at = counts(data, 1)
        kind = data[at]
        offsets = (columns + 1) // 2 * (kind & 1) + (lines + 1) // 2 * (kind >> 1)
        head = data[at : at + 3 + offsets]
        at += len(head)
        (words, raw), after = counts(data[at - 1 :], 2)
        at += after - 1
        assert len(data) == at + size + 7 + 4 * words + raw
        ends = [at, at + size, at + size + 7, len(data) - raw, len(data)]
        parts = (data[a:b] for a, b in itertools.pairwise(ends))
        return cls(head, *parts)

    def data(self) -> bytes:
        """Return the payload, its sizes those of the fields."""
        sizes = count(len(self.code) // 4) + count(len(self.raw))
        fields = self.head + sizes + self.tables + self.lane + self.code + self.raw
        return bytes([STATIC]) + count(len(self.tables)) + fields


def edited(data: bytes, *, tables: int = 0, code: int = 0, raw: int = 0, columns: int = 8) -> bytes:
    """Return a static payload with so many bytes more in a field, or fewer."""
    parts = StaticParts.of(data, columns, 3 if columns == 8 else 1)

    def resized(field: bytes, more: int) -> bytes:
        return field + bytes(more) if more > 0 else field[: len(field) + more]

    return replace(
        parts,
        tables=resized(parts.tables, tables),
        code=resized(parts.code, code),
        raw=resized(parts.raw, raw),
    ).data()
