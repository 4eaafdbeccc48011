"""Vectors of clauses 5.4.3 and 5.4.4: the tensor table and the frames of the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bases import GROUPS, ONE, PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Frame, Row, text
from model.model_cases import SEED, key_chain, random_bytes

from package.manifest_cases import TYPE, VALUE, object_case, put_all

if TYPE_CHECKING:
    from chain import Array


def _tensor_table() -> list[Case]:
    two = key_chain(("a", "U8", (4,)), ("b", "U8", (4,)))
    pair_of = Case("05-package/two-rows", "a package of two rows", ("5.4.3",), two, seed=SEED)
    name, shape = "manifest/tensor-name", "manifest/tensor-shape"

    def shaped(slug: str, dims: list[int], what: str) -> Case:
        return object_case(
            f"tensor-shape-{slug}",
            f"a shape {what} is rejected",
            "5.4.3",
            shape,
            {"/model/tensors/shape": np.array([dims], "<i8")},
        )

    def rows(slug: str, what: str, code: str | tuple[str, ...], path: str, array: Array) -> Case:
        return object_case(slug, f"{what} is rejected", "5.4.3", code, {path: array}, base=pair_of)

    names, firsts = "/model/tensors/name", "/model/tensors/first_frame"
    return [
        pair_of,
        rows("tensor-name-empty", "an empty name", name, names, text("a", "")),
        rows("tensor-name-long", "a name of 1025 bytes", name, names, text("a", "n" * 1025)),
        rows(
            "tensor-name-metadata", "the name __metadata__", name, names, text("a", "__metadata__")
        ),
        rows(
            "tensor-name-zero",
            "a name with a zero byte in it",
            (name, VALUE, TYPE),
            names,
            text(b"a", b"b\0c"),
        ),
        rows(
            "tensor-name-utf-8",
            "a name that is not UTF-8",
            (name, VALUE, TYPE),
            names,
            text(b"a", b"\xff\xfe"),
        ),
        rows(
            "tensor-name-surrogate",
            "a name with a surrogate in it",
            (name, VALUE, TYPE),
            names,
            text(b"a", b"\xed\xa0\x80"),
        ),
        rows(
            "tensor-duplicate",
            "a name that occurs twice with one type",
            "manifest/tensor-duplicate",
            names,
            text("a", "a"),
        ),
        rows(
            "tensor-dtype",
            "an unknown type",
            "manifest/tensor-dtype",
            "/model/tensors/dtype",
            text("U8", "F128"),
        ),
        rows(
            "tensor-dtype-case",
            "a type in lower case",
            "manifest/tensor-dtype",
            "/model/tensors/dtype",
            text("U8", "u8"),
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
        rows(
            "tensor-first-frame-falls",
            "a first frame that falls from row to row",
            VALUE,
            firsts,
            np.array([1, 0], "<u4"),
        ),
        rows(
            "tensor-first-frame-beyond",
            "a first frame beyond the last one",
            VALUE,
            firsts,
            np.array([0, 1], "<u4"),
        ),
        shaped("negative", [-2, 2], "with a dimension of -2"),
        shaped("filler-inside", [-1, 4], "with filler before a dimension"),
        shaped("filler-other", [4, -3], "with filler other than -1"),
        shaped("product", [1 << 24, 1 << 24], "of 2^48 elements"),
        shaped("product-wraps", [1 << 32, 1 << 32], "whose product wraps around in 64 bits"),
        shaped("product-zero", [0, 1 << 48], "of 2^48 elements but for a zero"),
        object_case(
            "tensor-shape-bits",
            "a packed tensor that does not fill its bytes is rejected",
            ("5.4.3", "4.3.2"),
            shape,
            {
                "/model/tensors/dtype": text("F6_E2M3"),
                "/model/tensors/shape": np.array([[3, 1]], "<i8"),
            },
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
