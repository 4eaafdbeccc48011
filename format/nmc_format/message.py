"""Messages: a segment with what else its receiver needs, bytes to structures (clause 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from blake3 import blake3

import nmc_spec
from nmc_format.dtypes import DTYPES
from nmc_format.issues import FormatError, refuse
from nmc_format.manifest.check.values import name_fault
from nmc_format.manifest.tensor_table import TensorRow
from nmc_format.state_digest import framed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Buffer

MAGIC: Final = b"NMCmsg1\n"
HEAD_BYTES: Final = 32
"""Magic, length, bytes of the state, number of rows, bytes of the rows (clause 15.1)."""

DIGEST_BYTES: Final = 32
PLACE: Final = "message"
"""What a finding calls the message."""

_ALIGNMENT = 64
_MAX_RANK = 32


@dataclass(frozen=True)
class Message:
    """A message whose digest is right; its segment is not parsed yet.

    Attributes
    ----------
    state_bytes : int
        Bytes of all tensors of the state that it makes.
    rows : tuple of TensorRow
        The rows that the state it builds on has not; all of them in a key message.
    segment : memoryview
        The segment (clause 6.1).
    """

    state_bytes: int
    rows: tuple[TensorRow, ...]
    segment: memoryview


def serialize(state_bytes: int, rows: Sequence[TensorRow], segment: Iterable[Buffer]) -> bytes:
    """Return the bytes of a message (clause 15.1).

    Parameters
    ----------
    state_bytes : int
        Bytes of all tensors of the state.
    rows : sequence of TensorRow
        The rows that the state it builds on has not.
    segment : iterable of bytes-like
        The segment, piece by piece.
    """
    table = b"".join(_row(row) for row in rows)
    padding = bytes(-(HEAD_BYTES + len(table)) % _ALIGNMENT)
    parts = [table, padding, *segment]
    length = HEAD_BYTES + sum(memoryview(part).nbytes for part in parts) + DIGEST_BYTES
    head = b"".join(
        (
            MAGIC,
            length.to_bytes(8, "little"),
            state_bytes.to_bytes(8, "little"),
            len(rows).to_bytes(4, "little"),
            len(table).to_bytes(4, "little"),
        )
    )
    whole = b"".join((head, *parts))
    return whole + blake3(whole).digest()


def _row(row: TensorRow) -> bytes:
    return b"".join(
        (
            framed(row.name),
            framed(row.dtype.name),
            len(row.shape).to_bytes(4, "little"),
            *(d.to_bytes(8, "little") for d in row.shape),
        )
    )


def length_of(head: Buffer) -> int:
    """Return how many bytes a message has, of its first 16 bytes or more.

    Raises
    ------
    FormatError
        If these are not the first bytes of a message.
    """
    view = memoryview(head).cast("B")
    if len(view) < 16 or bytes(view[:8]) != MAGIC:
        raise _malformed("it does not begin as a message does", 0)
    return int.from_bytes(view[8:16], "little")


def parse(data: Buffer, max_level: int) -> Message:
    """Parse a message; its digest is compared before anything else of it is believed.

    Parameters
    ----------
    data : bytes-like
        The whole message.
    max_level : int
        Highest level that is accepted (clause 10.2): it bounds the rows and the state.

    Raises
    ------
    FormatError
        If it is cut short, damaged or malformed, or larger than the level allows.
    """
    view = memoryview(data).cast("B")
    length, said = len(view), length_of(view)
    if length != said or length < HEAD_BYTES + DIGEST_BYTES:
        raise _malformed(f"it has {length} bytes and says that it has {said}", 8)
    actual, expected = blake3(view[:-DIGEST_BYTES]).digest(), bytes(view[-DIGEST_BYTES:])
    if actual != expected:
        raise refuse(
            "message/digest",
            file=PLACE,
            offset=length - DIGEST_BYTES,
            actual=actual.hex(),
            expected=expected.hex(),
        )
    state_bytes = int.from_bytes(view[16:24], "little")
    count = int.from_bytes(view[24:28], "little")
    end = HEAD_BYTES + int.from_bytes(view[28:32], "little")
    start = end + -end % _ALIGNMENT
    if start > length - DIGEST_BYTES:
        raise _malformed("its rows do not end within it", 28)
    check_bounds(count, state_bytes, max_level)
    rows = _rows(view[HEAD_BYTES:end], count)
    if any(view[end:start]):
        raise _malformed("what fills it up to a multiple of 64 bytes is not 0", end)
    return Message(state_bytes, rows, view[start : length - DIGEST_BYTES])


def check_bounds(rows: int, state_bytes: int, max_level: int) -> None:
    """Refuse more rows, or a larger state, than a level allows (clause 10.2).

    Raises
    ------
    FormatError
        If that is so.
    """
    level = [level for level in nmc_spec.levels() if level.level <= max_level][-1]
    for what, actual, limit in (
        ("the number of tensor rows", rows, level.max_tensors),
        ("the size of a state", state_bytes, level.max_state_bytes),
    ):
        if actual > limit:
            raise refuse(
                "profile/level-exceeded",
                file=PLACE,
                offset=16,
                what=what,
                actual=actual,
                limit=limit,
                level=level.level,
            )


def _rows(table: memoryview, count: int) -> tuple[TensorRow, ...]:
    """Return the rows of a table; each takes bytes of it, so that their number is bounded."""
    rows = []
    at = 0
    for _ in range(count):
        name, at = _text(table, at)
        dtype, at = _text(table, at)
        rank, at = _number(table, at, 4)
        if dtype not in DTYPES:
            raise refuse("manifest/tensor-dtype", file=PLACE, offset=HEAD_BYTES, dtype=dtype)
        if rank > _MAX_RANK or at + 8 * rank > len(table):
            raise _malformed("a rank is over 32, or its rows end within a shape", HEAD_BYTES + at)
        shape = tuple(
            int.from_bytes(table[at + 8 * k : at + 8 * k + 8], "little") for k in range(rank)
        )
        at += 8 * rank
        row = TensorRow(name=name, dtype=DTYPES[dtype], shape=shape)
        _check_row(row)
        rows.append(row)
    if at != len(table):
        raise _malformed(f"{len(table) - at} bytes follow its rows", HEAD_BYTES + at)
    return tuple(rows)


def _check_row(row: TensorRow) -> None:
    reason = name_fault(row.name)
    if reason:
        raise refuse(
            "manifest/tensor-name",
            file=PLACE,
            offset=HEAD_BYTES,
            name=ascii(row.name),
            reason=reason,
        )
    try:
        row.byte_size(row.shape)
    except ValueError as error:
        raise refuse(
            "manifest/tensor-shape", file=PLACE, offset=HEAD_BYTES, reason=str(error)
        ) from None


def _number(table: memoryview, at: int, size: int) -> tuple[int, int]:
    if at + size > len(table):
        raise _malformed("its rows end within a number", HEAD_BYTES + at)
    return int.from_bytes(table[at : at + size], "little"), at + size


def _text(table: memoryview, at: int) -> tuple[str, int]:
    size, at = _number(table, at, 4)
    if at + size > len(table):
        raise _malformed("its rows end within a text", HEAD_BYTES + at)
    try:
        return str(table[at : at + size], "utf-8"), at + size
    except UnicodeDecodeError:
        raise _malformed("a text is not UTF-8", HEAD_BYTES + at) from None


def _malformed(reason: str, offset: int) -> FormatError:
    return refuse("message/malformed", file=PLACE, offset=offset, reason=reason)
