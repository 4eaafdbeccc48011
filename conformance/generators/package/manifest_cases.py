"""Vectors of clauses 5.3.3 to 5.4.2: objects of the manifest, its digest, and its root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bases import ONE
from cases import Case
from chain import Edits
from columns import scalar_text
from model.model_cases import SEED, key_chain

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


def object_case(
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
    return path.strip("/@").replace("@", "-").replace("/", "-").replace("_", "-")


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
        object_case(
            "type-width",
            "an integer of another width is rejected",
            "5.3.3",
            TYPE,
            {"/@level": np.array(1, "<u8")},
        ),
        object_case(
            "type-sign",
            "a signed integer in place of an unsigned one is rejected",
            "5.3.3",
            TYPE,
            {"/@level": np.array(1, "<i4")},
        ),
        object_case(
            "type-text-number",
            "a text in place of a number is rejected",
            "5.3.3",
            TYPE,
            {"/@level": scalar_text("1")},
        ),
        object_case(
            "type-number-text",
            "a number in place of a text is rejected",
            "5.3.3",
            TYPE,
            {"/@sequence_id": np.array(7, "<u4")},
        ),
        object_case(
            "type-float",
            "binary32 in place of binary64 is rejected",
            "5.3.3",
            TYPE,
            {"/training/seconds": np.array([1.0], "<f4")},
        ),
        object_case(
            "shape-scalar",
            "an array of one element in place of a scalar is rejected",
            "5.3.3",
            SHAPE,
            {"/@level": np.array([1], "<u4")},
        ),
        object_case(
            "shape-frames",
            "a column with an entry too many is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/presentation_time": np.array([0, 1], "<i8")},
        ),
        object_case(
            "shape-rows",
            "a column of the tensor table with a row too few is rejected",
            "5.3.3",
            SHAPE,
            {"/model/tensors/role": np.zeros(0, "u1")},
        ),
        object_case(
            "shape-digest",
            "a state digest of 31 bytes is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/state_digest": np.zeros((1, 31), "u1")},
        ),
        object_case(
            "shape-rank",
            "a table in place of a column is rejected",
            "5.3.3",
            SHAPE,
            {"/frames/coding": np.zeros((1, 1), "u1")},
        ),
        object_case(
            "shape-bitmap",
            "a bitmap of two bytes for one row is rejected",
            "5.3.3",
            SHAPE,
            {
                "/training/requires_grad": np.zeros((1, 2), "u1"),
                "/training/requires_grad_known": np.zeros(1, "u1"),
            },
        ),
        object_case(
            "shape-columns",
            "a shape table of 33 columns is rejected",
            ("5.3.3", "5.4.3"),
            ("manifest/tensor-shape", SHAPE),
            {"/model/tensors/shape": np.array([[2, 2] + [-1] * 31], "<i8")},
        ),
        object_case(
            "shape-no-columns",
            "a shape table without columns is rejected",
            "5.3.3",
            (SHAPE, "manifest/tensor-shape"),
            {"/model/tensors/shape": np.zeros((1, 0), "<i8")},
            base=_SCALAR,
        ),
        object_case(
            "pair-requires-grad",
            "requires_grad without requires_grad_known is rejected",
            "5.3.3",
            "manifest/object-missing",
            {"/training/requires_grad": np.ones((1, 1), "u1")},
        ),
        object_case(
            "pair-exclude-layers",
            "exclude_layers without their counts are rejected",
            "5.3.3",
            "manifest/object-missing",
            {"/training/exclude_layers": np.zeros(1, "<i4")},
        ),
        object_case(
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
        return object_case(
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
        object_case(
            "format",
            "another format is rejected",
            "5.4.1",
            (version, VALUE),
            {"/@format": scalar_text("nmx")},
            or_unsupported=True,
        ),
        versioned("major", "2.0", "another major version"),
        versioned("no-minor", "1", "a version without a minor one"),
        versioned("minor-zero", "1.00", "a minor version with a leading zero"),
        versioned("major-zero", "01.0", "a major version with a leading zero"),
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
        object_case(
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


def configured(name: str, value: str, what: str) -> Case:
    """Return the case of a configuration that is refused."""
    return object_case(
        f"configuration-{name}",
        f"a configuration that is {what} is rejected",
        "5.4.2",
        VALUE,
        {"/model@configuration": scalar_text(value)},
    )


def _model() -> list[Case]:
    def varied(name: str, value: str, what: str) -> Case:
        return ONE.vary(
            f"05-package/configuration-{name}",
            f"a configuration can hold {what}",
            "5.4.2",
            put_all({"/model@configuration": scalar_text(value)}),
        )

    return [
        configured("no-json", "{", "no JSON"),
        configured("list", "[1]", "a JSON list"),
        configured("empty", "", "an empty text"),
        configured("nested-101", '{"x":' + "[" * 100 + "]" * 100 + "}", "nested 101 deep"),
        ONE.vary(
            "05-package/configuration-nested-100",
            "the values of a configuration can be nested 100 deep",
            "5.4.2",
            put_all({"/model@configuration": scalar_text('{"x":' + "[" * 99 + "]" * 99 + "}")}),
        ),
        configured("nan", '{"x": NaN}', "no JSON for a NaN"),
        configured("minus-infinity", '{"x": -Infinity}', "no JSON for an infinite number"),
        configured("control", '{"x": "\t"}', "no JSON for a control character in a text"),
        configured("mark-before", "\ufeff{}", "a JSON object behind a byte order mark"),
        configured("comma-last", '{"x": 1,}', "no JSON for a comma too many"),
        configured("two", "{}{}", "two objects"),
        configured("surrogate-high", '{"x": "\\ud800"}', "a text with half of a pair"),
        configured("surrogate-low", '{"x": ["\\udc00\\ud800"]}', "a pair the wrong way round"),
        configured("surrogate-name", '{"\\uDFFF": 1}', "a name with half of a pair"),
        varied(
            "surrogates",
            '{"\\ud83d\\ude00": "\\\\ud800 \\uD83D\\uDE00"}',
            "pairs of surrogates and what only looks like a surrogate",
        ),
        varied("nested-scalar", '{"x":' + "[" * 99 + "1" + "]" * 99 + "}", "a number 100 deep"),
        varied("nested-text", '{"x": "' + "[" * 200 + '"}', "200 brackets in a text"),
        configured(
            "nested-object-101", '{"x":' * 101 + "1" + "}" * 101, "nested 101 deep by objects"
        ),
        varied("digits", '{"x": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        varied("exponent", '{"x": 1e999, "y": -1E-999}', "numbers that no binary64 holds"),
        varied("name-twice", '{"x": 1, "x": [2]}', "a name twice"),
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


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [_SCALAR, *_missing(), *_types(), *_root(), *_model()]
