"""Vectors of chapter 5 that wrong programs asked for: what somebody reads into the text.

Each one is failed by a program of ``selftest/programs`` that no other vector fails.
"""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi, sin
from typing import TYPE_CHECKING

import numpy as np
from bases import ONE, PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from columns import scalar_text, text
from model.model_cases import SEED, random_bytes

from package.camera_objects import CAMERAS, LENSES, changed
from package.manifest_cases import VALUE, put_all
from package.record_cases import WITH_CAMERAS

if TYPE_CHECKING:
    from chain import Array

POSE, NORM = "/cameras/camera_to_world", "/cameras@normalisation"
MODELS, LENS = "/cameras/distortion_model", "/cameras/distortion"


def _unused(*rows: Row) -> Chain:
    """Return a chain of one tensor, whose further rows are absent in every frame."""
    first = Row("a", "U8", (2,))
    cells = (Cell(RAW, random_bytes(2, 1)), *(None for _ in rows))
    return Chain((first, *rows), (Frame(KEY, cells),))


def _table() -> list[Case]:
    base = Case(
        "05-package/tensor-never-there",
        "a row can be absent in every frame",
        ("5.4.3", "6.2.2"),
        _unused(Row("b", "F32", (2, 2)), Row("c", "U8", (2,))),
        seed=SEED,
    )

    def with_rows(*rows: Row) -> Chain:
        return _unused(*rows)

    shape = "manifest/tensor-shape"
    late = (Row("a", "U8", (2,)), Row("b", "U8", (2,), first_frame=1))
    data = random_bytes(2, 2)
    return [
        base,
        base.vary(
            "05-package/tensor-shape-largest",
            "the bound of a shape is that of its elements, whatever bytes they have",
            "5.4.3",
            chain=with_rows(Row("b", "F64", (2**48 - 1,)), Row("c", "U8", (1, 0, 2**47))),
        ),
        base.reject(
            "05-package/tensor-shape-bits-even",
            "two elements of six bits fill no whole byte and are rejected",
            ("5.4.3", "4.3.2"),
            shape,
            chain=with_rows(Row("b", "F6_E2M3", (2,)), Row("c", "U8", (2,))),
        ),
        base.reject(
            "05-package/tensor-shape-bits-one",
            "one element of four bits fills no whole byte and is rejected",
            ("5.4.3", "4.3.2"),
            shape,
            chain=with_rows(Row("b", "F4", (3,)), Row("c", "U8", (2,))),
        ),
        base.reject(
            "05-package/tensor-shape-product-2-48",
            "a shape of 2^48 elements is rejected, also where no frame has the tensor",
            "5.4.3",
            shape,
            chain=with_rows(Row("b", "U8", (2**24, 2**24)), Row("c", "U8", (2,))),
        ),
        base.reject(
            "05-package/tensor-shape-product-zero-last",
            "a zero behind dimensions whose product is 2^48 does not undo it",
            "5.4.3",
            shape,
            chain=with_rows(Row("b", "U8", (2**24, 2**24, 0)), Row("c", "U8", (2,))),
        ),
        base.reject(
            "05-package/tensor-shape-product-2-64",
            "a shape whose product is 0 in 64 bits is rejected",
            "5.4.3",
            shape,
            chain=with_rows(Row("b", "U8", (2**32, 2**32)), Row("c", "U8", (2,))),
        ),
        base.reject(
            "05-package/tensor-duplicate-apart",
            "two rows of one name and element type that are not neighbours are rejected",
            "5.4.3",
            "manifest/tensor-duplicate",
            chain=with_rows(Row("b", "F32", (2, 2)), Row("a", "U8", (3,))),
        ),
        base.reject(
            "05-package/tensor-duplicate-unused",
            "two rows of one name and element type are rejected, also where only one is present",
            "5.4.3",
            "manifest/tensor-duplicate",
            chain=with_rows(Row("a", "U8", (3,)), Row("b", "F32", (2, 2))),
        ),
        Case(
            "05-package/tensor-first-frames-same",
            "several rows can first appear in the same later frame",
            ("5.4.3",),
            Chain(
                (*late, replace(late[1], name="c")),
                (
                    Frame(KEY, (Cell(RAW, data),)),
                    Frame(DELTA, (Cell(SKIP, data), Cell(RAW, data), Cell(RAW, data))),
                ),
            ),
            seed=SEED,
        ),
    ]


def _texts() -> list[Case]:
    def configured(name: str, summary: str, value: str) -> Case:
        edits = put_all({"/model@configuration": scalar_text(value)})
        return ONE.vary(f"05-package/configuration-{name}", summary, "5.4.2", edits)

    def features(name: str, what: str, value: str) -> Case:
        return ONE.reject(
            f"05-package/must-understand-{name}",
            f"{what} is rejected",
            "5.4.1",
            "manifest/must-understand",
            put_all({"/@must_understand": scalar_text(value)}),
        )

    return [
        configured(
            "quotes-and-brackets",
            "brackets behind an escaped quote are part of the text",
            '{"a":"\\"' + "[" * 120 + '","b\\\\":"' + "{" * 120 + '"}',
        ),
        configured("wide", "what lies side by side is not nested", f'{{"a":[{"[]," * 150}[]]}}'),
        features("vendor", "a feature with a prefix of its maker", "x-vendor"),
        features("optional", "a feature that calls itself optional", "optional"),
        features("two", "two features", "a b"),
    ]


def _record() -> list[Case]:
    views = (
        "a",
        "A",
        "a ",
        " a",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "e\N{COMBINING ACUTE ACCENT}",
    )
    colour = np.zeros((2, len(views), 3, 4), "<f8") + np.eye(3, 4)
    lineage = np.array([-1, 1 << 32], "<i8")
    return [
        PAIR.vary(
            "05-package/colour-views-alike",
            "training views that differ in case, spaces or normal form are different views",
            "5.5",
            put_all({"/training/colour_view": text(*views), "/training/colour": colour}),
        ),
        PAIR.reject(
            "09-freezing/trained-from-wraps",
            "a trained_from that is t-1 in 32 bits only is rejected",
            "9.1",
            "freezing/trained-from",
            put_all({"/training/trained_from": lineage}),
        ),
        PAIR.reject(
            "05-package/training-iterations-wraps",
            "a number of iterations that is -1 in 32 bits only is rejected",
            "5.5",
            VALUE,
            put_all({"/training/iterations": np.array([0, -(1 << 32) - 1], "<i8")}),
        ),
    ]


def _with(**changes: Array) -> dict[str, Array]:
    return {**CAMERAS, **LENSES, **changes}


def _pose(block: list[list[float]]) -> Array:
    made = CAMERAS[POSE].copy()
    made[1, :, :3] = block
    return made


def _cameras() -> list[Case]:
    def right(name: str, summary: str, **changes: Array) -> Case:
        return WITH_CAMERAS.vary(
            f"05-package/camera-{name}", summary, ("5.6.1", "5.6.2"), put_all(_with(**changes))
        )

    def wrong(name: str, what: str, clause: str, **changes: Array) -> Case:
        return WITH_CAMERAS.reject(
            f"05-package/camera-{name}",
            f"{what} is rejected",
            clause,
            "manifest/cameras",
            put_all(_with(**changes)),
        )

    angle = pi / 2 - 1e-4
    leaning = [[1.0, cos(angle), 0.0], [0.0, sin(angle), 0.0], [0.0, 0.0, 1.0]]
    turned = [[cos(1), -sin(1), 0.0], [sin(1), cos(1), 0.0], [0.0, 0.0, 1.0]]
    single = np.array(turned, "<f4").astype("<f8").tolist()
    none = np.zeros((2, 5), "<f8")
    outside = CAMERAS["/cameras/intrinsics"].copy()
    outside[:, 2:] = [[-10, 480], [200, -0.5]]
    return [
        wrong(
            "rotation-near",
            "a second camera whose rotation is off by 1e-5",
            "5.6.1",
            **{POSE: changed(POSE, (1, 2, 2), 1 + 1e-5)},
        ),
        wrong(
            "rotation-leaning",
            "a rotation whose columns have length 1 and are not at right angles",
            "5.6.1",
            **{POSE: _pose(leaning)},
        ),
        right(
            "rotation-single",
            "a rotation can be as inexact as binary32 numbers",
            **{POSE: _pose(single)},
        ),
        wrong(
            "size-height",
            "an image without rows",
            "5.6.2",
            **{"/cameras/size": np.array([[64, 48], [1, 0]], "<u4")},
        ),
        wrong(
            "focal-length-first",
            "a second camera with an fx of 0",
            "5.6.2",
            **{"/cameras/intrinsics": changed("/cameras/intrinsics", (1, 0), 0.0)},
        ),
        right(
            "principal-point-outside",
            "a principal point can lie outside of the picture",
            **{"/cameras/intrinsics": outside},
        ),
        wrong(
            "model-without-coefficients",
            "an unknown model of distortion whose coefficients are 0",
            "5.6.2",
            **{MODELS: text("none", "fisheye"), LENS: none},
        ),
        wrong(
            "model-case",
            "the model OpenCV, which is not opencv,",
            "5.6.2",
            **{MODELS: text("none", "OpenCV")},
        ),
        wrong(
            "model-none-case",
            "the model None, which is not none,",
            "5.6.2",
            **{MODELS: text("None", "opencv")},
        ),
        wrong("model-empty", "an empty model", "5.6.2", **{MODELS: text("", "opencv")}),
    ]


def cases() -> list[Case]:
    """Return the cases."""
    return [*_table(), *_texts(), *_record(), *_cameras()]
