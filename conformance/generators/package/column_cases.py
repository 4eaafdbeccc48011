"""Vectors of clauses 5.3.3 to 5.4.2: one object of another type, shape or value at a time.

They are the cases of damage with which the reference is tested and for which there was no vector.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import ONE, PAIR
from chain import Edits
from columns import scalar_text

from package.camera_objects import CAMERAS, LENSES
from package.manifest_cases import SHAPE, TYPE, VALUE, configured, object_case, put_all
from package.record_cases import WITH_CAMERAS

if TYPE_CHECKING:
    from cases import Case
    from chain import Array, Objects

_TABLE = "5.3.3"


def _signed(objects: Objects) -> Objects:
    path = "/frames/state_digest"
    return {**objects, path: objects[path].view("i1")}


def _types() -> list[Case]:
    """Return columns whose numbers are of another type, their values the same."""

    def typed(name: str, what: str, path: str, array: Array) -> Case:
        return object_case(f"type-{name}", f"{what} is rejected", _TABLE, TYPE, {path: array})

    coding, times = np.zeros(1, "<i8"), np.zeros(1, "<f8")
    return [
        typed("coding-wide", "a coding of 64 bits", "/frames/coding", coding),
        typed("times-float", "a presentation time of binary64", "/frames/presentation_time", times),
        ONE.reject(
            "05-package/type-digest-sign",
            "a state digest of signed bytes is rejected",
            _TABLE,
            TYPE,
            Edits(objects=_signed),
        ),
        typed(
            "shape-narrow",
            "a shape table of 32-bit integers",
            "/model/tensors/shape",
            np.array([[2, 2]], "<i4"),
        ),
        typed(
            "seconds-integer", "a number of seconds as an integer", "/training/seconds", coding + 1
        ),
    ]


def _shapes() -> list[Case]:
    """Return columns with too few entries."""
    pose = CAMERAS["/cameras/camera_to_world"]
    cameras = {**CAMERAS, **LENSES, "/cameras/camera_to_world": pose[:, :, :3].copy()}
    return [
        object_case(
            "shape-coding-fewer",
            "a column with an entry too few is rejected",
            _TABLE,
            SHAPE,
            {"/frames/coding": np.zeros(1, "u1")},
            base=PAIR,
            place={},
        ),
        object_case(
            "shape-pose-square",
            "camera poses of three columns are rejected",
            _TABLE,
            SHAPE,
            cameras,
            base=WITH_CAMERAS,
        ),
        object_case(
            "shape-bitmap-empty",
            "a bitmap of no bytes for one row is rejected",
            _TABLE,
            SHAPE,
            {
                "/training/requires_grad": np.zeros((1, 0), "u1"),
                "/training/requires_grad_known": np.zeros(1, "u1"),
            },
        ),
    ]


def _texts() -> list[Case]:
    """Return texts that are no text, no version and no object."""

    def root(name: str, what: str, value: str) -> Case:
        return object_case(
            f"version-{name}",
            f"{what} is rejected",
            "5.4.1",
            "manifest/version",
            {"/@format_version": scalar_text(value)},
            or_unsupported=True,
        )

    def family(name: str, what: str, value: bytes) -> Case:
        return object_case(
            f"family-{name}",
            f"a family {what} is rejected",
            "5.3",
            (VALUE, TYPE),
            {"/model@family": np.array(value)},
        )

    deep = 30_000
    return [
        root("ten", "version 10.0", "10.0"),
        root("empty", "an empty version", ""),
        family("utf-8", "that is not UTF-8", b"\xff\xfe"),
        family("zero", "with a zero byte in it", b"a\0b"),
        configured("null", "null", "null"),
        replace(
            configured(
                "nested-30000", '{"x":' + "[" * deep + "]" * deep + "}", "nested 30,000 deep"
            ),
            inflate=True,
        ),
    ]


def _missing() -> list[Case]:
    """Return the vector of a group that lacks one of its objects."""
    without = {path: array for path, array in CAMERAS.items() if "normalisation" not in path}
    return [
        ONE.reject(
            "05-package/cameras-no-normalisation",
            "cameras without a normalisation are rejected",
            _TABLE,
            "manifest/object-missing",
            put_all({**without, **LENSES}),
            place={"pointer": "/cameras@normalisation"},
        )
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_types(), *_shapes(), *_texts(), *_missing()]
