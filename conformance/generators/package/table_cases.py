"""Vectors of clauses 5.4.3 and 5.4.4: the tensor table and the frames of the manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import GROUPS, ONE, PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, key_chain, random_bytes

from package.manifest_cases import TYPE, VALUE, object_case, put_all

if TYPE_CHECKING:
    from chain import Array


def _tensor_table() -> list[Case]:
    two = key_chain(("a", "U8", (4,)), ("b", "U8", (4,)))
    pair_of = Case("05-package/two-rows", "a package of two rows", ("5.4.3",), two, seed=SEED)
    name = "manifest/tensor-name"

    def rows(slug: str, what: str, code: str | tuple[str, ...], path: str, array: Array) -> Case:
        return object_case(slug, f"{what} is rejected", "5.4.3", code, {path: array}, base=pair_of)

    def second(
        slug: str, what: str, code: str | tuple[str, ...], row: Row, *, present: bool = True
    ) -> Case:
        """Return the case of another second row; the states are those of a reader who takes it."""
        (key,) = two.frames
        cells = (key.cells[0], key.cells[1] if present else None)
        chain = Chain((two.rows[0], row), (replace(key, cells=cells),))
        return pair_of.reject(
            f"05-package/{slug}", f"{what} is rejected", "5.4.3", code, chain=chain
        )

    def named(slug: str, what: str, value: str, *codes: str, present: bool = True) -> Case:
        row = Row(value, "U8", (4,))
        return second(slug, what, codes or name, row, present=present)

    untext = (name, VALUE, TYPE)
    return [
        pair_of,
        named("tensor-name-empty", "an empty name", ""),
        named("tensor-name-long", "a name of 1025 bytes", "n" * 1025),
        named("tensor-name-metadata", "the name __metadata__", "__metadata__"),
        named("tensor-name-zero", "a name with a zero byte in it", "b\0c", *untext),
        named("tensor-name-utf-8", "a name that is not UTF-8", "\udcff\udcfe", *untext),
        named(
            "tensor-name-surrogate", "a name with a surrogate in it", "\udced\udca0\udc80", *untext
        ),
        named(
            "tensor-duplicate",
            "a name that occurs twice with one type",
            "a",
            "manifest/tensor-duplicate",
            present=False,
        ),
        second("tensor-dtype", "an unknown type", "manifest/tensor-dtype", Row("b", "F128", (4,))),
        second(
            "tensor-dtype-case",
            "a type in lower case",
            "manifest/tensor-dtype",
            Row("b", "u8", (4,)),
        ),
        rows(
            "tensor-dtype-lower",
            "a type in lower case, with the states of the one in upper case,",
            "manifest/tensor-dtype",
            "/model/tensors/dtype",
            np.array([b"U8", b"u8"]),
        ),
        rows(
            "tensor-role",
            "a role of 2",
            "manifest/tensor-role",
            "/model/tensors/role",
            np.array([0, 2], "u1"),
        ),
        rows(
            "tensor-layer",
            "a layer of -2",
            VALUE,
            "/model/tensors/layer",
            np.array([-1, -2], "<i4"),
        ),
        _first_frame("beyond", "beyond the last one", (0, 1), ((0,),)),
        _first_frame("falls", "that falls from row to row", (1, 0), ((0,), (0, 1))),
        *_shaped(),
    ]


def _first_frame(
    slug: str, what: str, firsts: tuple[int, ...], present: tuple[tuple[int, ...], ...]
) -> Case:
    """Return the case of two rows whose modes are in the segments from other frames on."""
    data = [random_bytes(4, 60 + i) for i in range(2)]
    rows = tuple(Row("ab"[i], "U8", (4,), first_frame=first) for i, first in enumerate(firsts))
    frames = tuple(
        Frame(
            DELTA if t else KEY, tuple(Cell(SKIP if t and not i else RAW, data[i]) for i in there)
        )
        for t, there in enumerate(present)
    )
    base = Case("05-package/two-rows", "", (), Chain(rows, frames), seed=SEED)
    summary = f"a first frame {what} is rejected"
    name = f"05-package/tensor-first-frame-{slug}"
    place = {"pointer": "/model/tensors/1/first_frame"}
    return base.reject(name, summary, "5.4.3", VALUE, place=place)


def _shaped() -> list[Case]:
    """Return shapes that are none; a reader who takes them gets states that fit."""
    code, place = "manifest/tensor-shape", {"pointer": "/model/tensors/0/shape"}

    def shaped(slug: str, dims: list[int], what: str, read: tuple[int, ...], size: int) -> Case:
        cell = Cell(RAW, random_bytes(size))
        base = Case(
            "05-package/one-frame",
            "",
            (),
            Chain((Row("a", "U8", read),), (Frame(KEY, (cell,)),)),
            seed=SEED,
        )
        edits = put_all({"/model/tensors/shape": np.array([dims], "<i8")})
        summary = f"a shape {what} is rejected"
        name = f"05-package/tensor-shape-{slug}"
        return base.reject(name, summary, "5.4.3", code, edits, place=place)

    many, wide = 1 << 24, 1 << 32
    packed = Chain((Row("a", "F6_E2M3", (3, 1)),), (Frame(KEY, (Cell(RAW, random_bytes(3)),)),))
    return [
        shaped("negative", [-2, 2], "with a dimension of -2", (2,), 2),
        shaped("filler-inside", [-1, 4], "with filler before a dimension", (4,), 4),
        shaped("filler-other", [4, -3], "with filler other than -1", (4,), 4),
        # 0 bytes in 32 bits, in 64 bits, and in truth
        shaped("product", [many, many], "of 2^48 elements", (many, many), 0),
        shaped(
            "product-wraps",
            [wide, wide],
            "whose product wraps around in 64 bits",
            (wide, wide),
            0,
        ),
        shaped("product-zero", [0, 1 << 48], "of 2^48 elements apart from a zero", (0, 1 << 48), 0),
        ONE.reject(
            "05-package/tensor-shape-bits",
            "a packed tensor that does not fill its bytes is rejected",
            ("5.4.3", "4.3.2"),
            code,
            chain=packed,
            place=place,
        ),
    ]


def _frames() -> list[Case]:
    def column(slug: str, what: str, code: str, path: str, values: list[int], dtype: str) -> Case:
        return object_case(
            slug,
            f"{what} is rejected",
            "5.4.4",
            code,
            {f"/frames/{path}": np.array(values, dtype)},
            base=PAIR,
        )

    empty = Chain(ONE.chain.rows, ())
    times = "presentation_time"
    low, high = -(1 << 63), (1 << 63) - 1
    return [
        column("coding-unknown", "a coding of 2", "manifest/frame-coding", "coding", [0, 2], "u1"),
        column(
            "first-frame-delta",
            "a delta frame as frame 0",
            "manifest/first-frame-key",
            "coding",
            [1, 1],
            "u1",
        ),
        column(
            "time-equal",
            "a presentation time that stands still",
            "manifest/time-order",
            times,
            [5, 5],
            "<i8",
        ),
        column(
            "time-falls",
            "a presentation time that falls",
            "manifest/time-order",
            times,
            [5, 4],
            "<i8",
        ),
        object_case(
            "time-falls-later",
            "a presentation time that falls, to one after the first, is rejected",
            "5.4.4",
            "manifest/time-order",
            {"/frames/presentation_time": np.array([0, 9, 5, 10, 11], "<i8")},
            base=GROUPS,
        ),
        column(
            "time-wraps",
            "a presentation time that falls by more than 2^63",
            "manifest/time-order",
            times,
            [high, low],
            "<i8",
        ),
        object_case(
            "timescale-zero",
            "a timescale of 0 is rejected",
            "5.4.4",
            VALUE,
            {"/frames@timescale": np.array(0, "<u4")},
        ),
        ONE.reject(
            "05-package/no-frames",
            "a package without frames is rejected",
            "5.4.4",
            VALUE,
            chain=empty,
        ),
        PAIR.vary(
            "05-package/times",
            "presentation times can be negative and far apart",
            "5.4.4",
            put_all(
                {
                    "/frames/presentation_time": np.array([low, high], "<i8"),
                    "/frames@timescale": np.array((1 << 32) - 1, "<u4"),
                }
            ),
        ),
    ]


def _first_frames() -> list[Case]:
    """Return rows that only their first frames put into an order."""
    a, b = random_bytes(8, 1), random_bytes(8, 2)
    base = Case(
        "05-package/tensor-appears",
        "a row can begin with a later frame",
        ("5.4.3", "6.2.2"),
        Chain(
            (Row("a", "F32", (2,)), Row("b", "F32", (2,), first_frame=1)),
            (Frame(KEY, (Cell(RAW, a),)), Frame(DELTA, (Cell(SKIP, a), Cell(RAW, b)))),
        ),
        seed=SEED,
    )
    return [
        base,
        base.reject(
            "05-package/tensor-first-frame-swapped",
            "rows in another order than that of their first frames are rejected",
            "5.4.3",
            VALUE,
            put_all({"/model/tensors/first_frame": np.array([1, 0], "<u4")}),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_tensor_table(), *_frames(), *_first_frames()]
