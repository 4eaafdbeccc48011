"""Vectors of clauses 5.3 and 5.4: objects of the manifest, their types, dimensions and values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from bases import ONE, PAIR
from cases import Case
from chain import Chain, Edits, scalar_text, text
from model_cases import SEED, key_chain

from nmc_spec import manifest_layout

if TYPE_CHECKING:
    from chain import Array, Objects

TYPE, SHAPE, VALUE = "manifest/object-type", "manifest/object-shape", "manifest/value"


_SCALAR = Case(
    "05-package/one-scalar",
    "a package of one tensor of rank 0 has a shape table of one column",
    ("5.3.3", "5.4.3"),
    key_chain(("scalar", "F32", ())),
    seed=SEED,
)


def put(**objects: Any) -> Edits:
    """Return the edit that puts objects into the manifest before its digest is made."""
    return Edits(objects=lambda made: {**made, **objects})


def put_all(objects: dict[str, Array]) -> Edits:
    """Return the edit that puts objects by their paths into the manifest."""
    return put(**objects)


def _object(
    name: str,
    summary: str,
    clauses: str | tuple[str, ...],
    codes: str | tuple[str, ...],
    objects: dict[str, Array],
    base: Case = ONE,
    **more: Any,
) -> Case:
    """Return the case of a package with other objects in its manifest."""
    return base.reject(f"05-package/{name}", summary, clauses, codes, put_all(objects), **more)


def _slug(path: str) -> str:
    return path.strip("/").replace("/@", "").replace("@", "-").replace("/", "-").replace("_", "-")


def _missing() -> list[Case]:
    made = []
    for path, column in manifest_layout().items():
        if not column.required:
            continue

        def drop(objects: Objects, path: str = path) -> Objects:
            return {name: array for name, array in objects.items() if name != path}

        edits = Edits(sealed=drop) if path == "/@manifest_digest" else Edits(objects=drop)
        codes: tuple[str, ...] = ("manifest/object-missing",)
        if path in {"/@format", "/@format_version"}:
            codes = ("manifest/object-missing", "manifest/version", VALUE)
        made.append(
            ONE.reject(
                f"05-package/missing-{_slug(path)}",
                f"a manifest without {path} is rejected",
                "5.3.3",
                codes,
                edits,
            )
        )
    return made


def _types() -> list[Case]:
    return [
        _object(
            "type-width",
            "an integer of another width is rejected",
            "5.3.3",
            TYPE,
            {"/@level": np.array(1, "<u8")},
        ),
        _object(
            "type-sign",
            "a signed integer in place of an unsigned one is rejected",
            "5.3.3",
            TYPE,
            {"/@level": np.array(1, "<i4")},
        ),
        _object(
            "type-text-number",
            "a text in place of a number is rejected",
            "5.3.3",
            TYPE,
            {"/@level": scalar_text("1")},
        ),
        _object(
            "type-number-text",
            "a number in place of a text is rejected",
            "5.3.3",
            TYPE,
            {"/@sequence_id": np.array(7, "<u4")},
        ),
        _object(
            "type-float",
            "binary32 in place of binary64 is rejected",
            "5.3.3",
            TYPE,
            {"/training/seconds": np.array([1.0], "<f4")},
        ),
        _object(
            "shape-scalar",
            "an array of one element in place of a scalar is rejected",
            "5.3.3",
            SHAPE,
            {"/@level": np.array([1], "<u4")},
        ),
        _object(
            "shape-frames",
            "a column with an entry too many is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/presentation_time": np.array([0, 1], "<i8")},
        ),
        _object(
            "shape-rows",
            "a column of the tensor table with a row too few is rejected",
            "5.3.3",
            SHAPE,
            {"/model/tensors/role": np.zeros(0, "u1")},
        ),
        _object(
            "shape-digest",
            "a state digest of 31 bytes is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/state_digest": np.zeros((1, 31), "u1")},
        ),
        _object(
            "shape-rank",
            "a table in place of a column is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/coding": np.zeros((1, 1), "u1")},
        ),
        _object(
            "shape-bitmap",
            "a bitmap of two bytes for one row is rejected",
            "5.3.3",
            SHAPE,
            {
                "/training/requires_grad": np.zeros((1, 2), "u1"),
                "/training/requires_grad_known": np.zeros(1, "u1"),
            },
        ),
        _object(
            "shape-columns",
            "a shape table of 33 columns is rejected",
            ("5.3.3", "5.4.3"),
            ("manifest/tensor-shape", SHAPE),
            {"/model/tensors/shape": np.array([[2, 2] + [-1] * 31], "<i8")},
        ),
        _object(
            "shape-no-columns",
            "a shape table without columns is rejected",
            "5.3.3",
            (SHAPE, "manifest/tensor-shape"),
            {"/model/tensors/shape": np.zeros((1, 0), "<i8")},
            base=_SCALAR,
        ),
        _object(
            "pair-requires-grad",
            "requires_grad without requires_grad_known is rejected",
            "5.3.3",
            "manifest/object-missing",
            {"/training/requires_grad": np.ones((1, 1), "u1")},
        ),
        _object(
            "pair-exclude-layers",
            "exclude_layers without their counts are rejected",
            "5.3.3",
            "manifest/object-missing",
            {"/training/exclude_layers": np.zeros(1, "<i4")},
        ),
        _object(
            "quality-view",
            "quality without the names of the views is rejected",
            "5.3.3",
            "manifest/object-missing",
            {"/quality/psnr": np.array([[30.0]], "<f8")},
        ),
    ]


def _root() -> list[Case]:
    version = "manifest/version"

    def versioned(name: str, value: str, what: str) -> Case:
        return _object(
            f"version-{name}",
            f"{what} is rejected",
            "5.4.1",
            version,
            {"/@format_version": scalar_text(value)},
            or_unsupported=True,
        )

    def flip(objects: Objects) -> Objects:
        wrong = objects["/@manifest_digest"].copy()
        wrong[31] ^= 1
        return {**objects, "/@manifest_digest": wrong}

    def edited(objects: Objects) -> Objects:
        return {**objects, "/@sequence_id": scalar_text("edited")}

    def added(objects: Objects) -> Objects:
        return {**objects, "/@note": scalar_text("added later")}

    later = dict.fromkeys(("/frames/coding", "/model/tensors/role"), np.zeros(9, "<f8"))
    digest = "manifest/digest"
    return [
        _object(
            "format",
            "another format is rejected",
            "5.4.1",
            (version, VALUE),
            {"/@format": scalar_text("nmx")},
            or_unsupported=True,
        ),
        versioned("major", "2.0", "another major version"),
        versioned("no-minor", "1", "a version without a minor one"),
        versioned("letter", "v1.0", "a version with a letter"),
        versioned("three-parts", "1.0.0", "a version of three parts"),
        versioned("sign", "1.-1", "a version with a sign"),
        versioned("space", "1.0 ", "a version with a space"),
        versioned("digits", "1.\u0661", "a version of digits that are not ASCII"),
        ONE.reject(
            "05-package/version-first",
            "another major version is found before anything else in the manifest",
            ("5.4.1", "7.1.1"),
            version,
            put_all({"/@format_version": scalar_text("2.0"), **later}),
            or_unsupported=True,
        ),
        ONE.vary(
            "05-package/version-minor",
            "another minor version is read",
            "5.4.1",
            put_all({"/@format_version": scalar_text("1.7")}),
        ),
        _object(
            "must-understand",
            "a feature that nobody has is rejected",
            "5.4.1",
            "manifest/must-understand",
            {"/@must_understand": scalar_text("time-travel")},
            or_unsupported=True,
        ),
        ONE.reject(
            "05-package/digest-wrong",
            "a manifest digest with another bit is rejected",
            "5.3.4",
            digest,
            Edits(sealed=flip),
        ),
        ONE.reject(
            "05-package/digest-edited",
            "a text that was edited later is found",
            "5.3.4",
            digest,
            Edits(sealed=edited),
        ),
        ONE.reject(
            "05-package/digest-added",
            "an object that was added later is found",
            "5.3.4",
            digest,
            Edits(sealed=added),
        ),
    ]


def _model() -> list[Case]:
    def configured(name: str, value: str, what: str) -> Case:
        return _object(
            f"configuration-{name}",
            f"a configuration that is {what} is rejected",
            "5.4.2",
            VALUE,
            {"/model@configuration": scalar_text(value)},
        )

    return [
        configured("no-json", "{", "no JSON"),
        configured("list", "[1]", "a JSON list"),
        configured("empty", "", "an empty text"),
        configured("nan", '{"x": NaN}', "no JSON for a NaN"),
        ONE.vary(
            "05-package/configuration",
            "a configuration is any JSON object",
            "5.4.2",
            put_all(
                {
                    "/model@configuration": scalar_text('{"밀도": [1e3, null, {"a": ""}]}'),
                    "/model@family": scalar_text("나의 모델"),
                }
            ),
        ),
    ]


def _table_chain(**changes: Any) -> Chain:
    """Return ONE's chain with a second row, or other fields of its row."""
    row = replace(ONE.chain.rows[0], **changes)
    return replace(ONE.chain, rows=(row,))


def _tensor_table() -> list[Case]:
    two = key_chain(("a", "U8", (4,)), ("b", "U8", (4,)))
    pair_of = Case("05-package/two-rows", "a package of two rows", ("5.4.3",), two, seed=SEED)
    name, shape = "manifest/tensor-name", "manifest/tensor-shape"

    def shaped(slug: str, dims: list[int], what: str) -> Case:
        return _object(
            f"tensor-shape-{slug}",
            f"a shape {what} is rejected",
            "5.4.3",
            shape,
            {"/model/tensors/shape": np.array([dims], "<i8")},
        )

    def rows(slug: str, what: str, code: str | tuple[str, ...], path: str, array: Array) -> Case:
        return _object(slug, f"{what} is rejected", "5.4.3", code, {path: array}, base=pair_of)

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
        _object(
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
        return _object(
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
        column(
            "time-wraps",
            "a presentation time that falls by more than 2^63",
            "manifest/time-order",
            times,
            [high, low],
            "<i8",
        ),
        _object(
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


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [_SCALAR, *_missing(), *_types(), *_root(), *_model(), *_tensor_table(), *_frames()]
