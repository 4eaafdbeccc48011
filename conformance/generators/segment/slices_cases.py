"""Vectors of clause 6.2.6: slices that come from others of the frame before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from arithmetic import coder_static
from arithmetic.coder_words import History, coded_tensor
from cases import Case
from chain import DELTA, INTEGER, KEY, NO_EDITS, RAW, SKIP, Cell, Chain, Edits, Frame, Row, SliceMap
from model.model_cases import SEED, random_bytes
from writers.package_writer import count

from segment.segment_cases import SURPLUS, put, segment_case

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICES = "segment/slices"
CLAUSE = ("6.2.6", "7.1.2")

_ROWS = (
    Row("place", "F32", (5, 3)),
    Row("opacity", "F16", (5,)),
    Row("id", "U8", (5, 1)),
    Row("other", "U8", (5,)),
)


def _start() -> tuple[Cell, ...]:
    sizes = (60, 10, 5, 5)
    return tuple(Cell(RAW, random_bytes(n, 80 + i)) for i, n in enumerate(sizes))


def _next(before: Sequence[Cell], maps: Sequence[SliceMap]) -> Frame:
    """Return the frame after some cells: words that are mapped, and moved a little."""
    cells = []
    for i, (row, cell) in enumerate(zip(_ROWS, before, strict=True)):
        made = next((m for m in maps if i in m.rows), None)
        if made is None:
            cells.append(Cell(SKIP, cell.data, cell.shape))
            continue
        data = np.frombuffer(made.take(cell.data, row), "u1").copy()
        data[::7] += 3
        cells.append(Cell(INTEGER, data.tobytes(), (len(made.origins), *row.shape[1:])))
    return Frame(DELTA, tuple(cells), maps=tuple(maps))


def _chain(*origins: Sequence[int | None], rows: tuple[int, ...] = (0, 1, 2)) -> Chain:
    """Return a key frame of five slices, and a frame for each list of origins."""
    frames = [Frame(KEY, _start())]
    for each in origins:
        last = [cell for cell in frames[-1].cells if cell is not None]
        frames.append(_next(last, [SliceMap(rows, tuple(each))]))
    return Chain(_ROWS, tuple(frames))


def _good(name: str, what: str, chain: Chain) -> Case:
    return Case(f"06-segment/slices-{name}", what, ("6.2.6", "7.2.2"), chain, seed=SEED)


def _coded(chain: Chain) -> Chain:
    """Return a chain of frames that have maps in the coding nmc, static."""
    frames = [chain.frames[0]]
    for before, frame in zip(chain.frames, chain.frames[1:], strict=False):
        tensors = []
        for i, (row, old, new) in enumerate(zip(_ROWS, before.cells, frame.cells, strict=True)):
            if new is None or old is None or new.mode != INTEGER:
                continue
            made = next((m for m in frame.maps if i in m.rows), None)
            data = made.take(old.data, row) if made else old.data
            shape = new.shape or row.shape
            tensors.append(coded_tensor(i, row.dtype, shape, data, new.data))
        data = b"\1" + coder_static.encode(tensors, History())
        frames.append(replace(frame, integer="nmc", payloads={"integer.nmc": data}))
    return replace(chain, frames=tuple(frames), profile="main")


def cases() -> list[Case]:
    """Return the cases of this clause."""
    base = _good(
        "pruned",
        "a slice is left out, and one comes at the end",
        _chain((0, 1, 3, 4, None)),
    )
    right = base.chain.frames[1].maps[0]
    two = Frame(KEY, _start())
    other = _next(_start(), [SliceMap((0,), (4, 3, 2)), SliceMap((1, 2), (0, 0, None, 2))])
    made = [
        base,
        _good("shuffled", "slices in another order, frame after frame",
              _chain((4, 2, 0, 1, 3), (1, 0, 4, 3, 2))),
        _good("cloned", "a slice is the origin of many, and others of none",
              _chain((2, 2, 2, None, None, 0, 1, 2, 3, 4, 4))),
        _good("none-left", "no slice is left; later there are some again",
              _chain((), (None, None, None))),
        _good("two-maps", "tensors can have maps of their own", Chain(_ROWS, (two, other))),
        _good("same", "a map that leaves all slices where they are", _chain(tuple(range(5)))),
        _good("zstd", "maps beside differences in the coding zstd",
              replace(_chain((4, 0, None, 3)), profile="main", frames=tuple(
                  replace(f, integer="zstd" if f.maps else "none")
                  for f in _chain((4, 0, None, 3)).frames))),
        _good("forgotten", "the coder forgets what it knew of rows that have a map",
              _coded(_chain(range(5), (1, 2, 3, 4, 0), (3, 3, None)))),
    ]  # fmt: skip

    def bad(
        name: str,
        what: str,
        data: bytes | None = None,
        chain: Chain = base.chain,
        edits: Edits = NO_EDITS,
        codes: str | tuple[str, ...] = SLICES,
        frame: int = 1,
    ) -> Case:
        return segment_case(
            f"slices-{name}",
            f"in the stream of slices, {what}",
            CLAUSE,
            codes,
            edits if data is None else put("slices", data),
            base,
            frame,
            chain=chain,
        )

    head = count(3) + b"\0\1\2" + count(5)
    data = right.serialize()
    long = b"\x83" + b"\x80" * 8 + b"\0"
    many = count(1 << 40)
    large = (SLICES, "segment/state-bytes", "segment/shapes")
    still = _chain(tuple(range(5)))
    plain = replace(still, frames=(still.frames[0], replace(still.frames[1], maps=())))
    key = Chain(_ROWS[:1], (Frame(KEY, _start()[:1]),))
    made += [
        bad("empty", "nothing at all", b"", plain, codes=(SLICES, SURPLUS)),
        bad("cut", "a run that is cut off", data[:-1]),
        bad("count-long", "a count of ten bytes", long + data[1:]),
        bad("no-rows", "a map for no rows", data + count(0) + count(0)),
        bad("rows-huge", "a map for 2^63 - 1 rows", b"\xff" * 8 + b"\x7f" + data[1:]),
        bad("descending", "rows that do not ascend", count(3) + b"\1\0\2" + data[4:]),
        bad("row-twice", "a row of two maps", data + count(1) + b"\2" + data[4:]),
        bad("row-beyond", "a row behind the table", count(4) + b"\0\1\2\4" + data[4:]),
        bad("skip", "a row of mode skip", count(4) + b"\0\1\2\3" + data[4:]),
        bad("run-none", "a run of no slices", head + b"\3\0" + data[5:]),
        bad("run-more", "a run of more slices than are left", data[:-1] + b"\1\2"),
        bad("huge", "2^40 slices", data[:4] + many + b"\1" + many, codes=large),
        bad("source-beyond", "an origin behind the last slice", head + _runs(0, 1, 3, 5, None)),
        bad("source-run", "origins that pass the last slice", head + count(7) + count(5)),
        bad("source-negative", "an origin before the first", head + count(4) + data[-4:]),
        bad(
            "key-frame",
            "a map in a key frame",
            chain=key,
            edits=put("slices", count(1) + b"\0" + count(5) + b"\3\5", 0),
            frame=0,
        ),
        bad("raw", "a row of mode raw", chain=_with_raw()),
        bad("scalar", "a tensor without dimensions", chain=_scalar()),
        bad("packed", "a packed tensor", chain=_one("F4", (4, 2), 4, (1, 0, 2, 3))),
        bad("no-words", "slices without a word", chain=_one("U8", (4, 0), 0, (1, 0, 2, 3))),
    ]
    return made


def _runs(*origins: int | None) -> bytes:
    return SliceMap((), origins).serialize()[2:]


def _with_raw() -> Chain:
    """Return a frame in which a row with a map is raw."""
    chain = _chain((0, 1, 2, 3, 4))
    frame = chain.frames[1]
    first = frame.cells[0]
    assert first is not None
    cells = (replace(first, mode=RAW), *frame.cells[1:])
    return replace(chain, frames=(chain.frames[0], replace(frame, cells=cells)))


def _one(dtype: str, shape: tuple[int, ...], size: int, origins: tuple[int, ...]) -> Chain:
    """Return a tensor beside one that changes, both with a map."""
    rows = (Row("a", dtype, shape), Row("b", "U8", (4,)))
    old = (Cell(RAW, random_bytes(size, 90)), Cell(RAW, random_bytes(4, 91)))
    maps = (SliceMap((0,), origins),)
    new = (Cell(INTEGER, maps[0].take(old[0].data, rows[0])), Cell(INTEGER, random_bytes(4, 92)))
    return Chain(rows, (Frame(KEY, old), Frame(DELTA, new, maps=maps)))


def _scalar() -> Chain:
    rows = (Row("a", "U8", ()),)
    old, new = Cell(RAW, b"x"), Cell(INTEGER, b"y")
    return Chain(rows, (Frame(KEY, (old,)), Frame(DELTA, (new,), maps=(SliceMap((0,), (0,)),))))
