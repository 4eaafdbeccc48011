"""Vectors of clause 5.6.1: matrices at the bounds of similarities and rotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from package.camera_objects import CAMERAS, LENSES
from package.manifest_cases import put_all
from package.record_cases import WITH_CAMERAS

if TYPE_CHECKING:
    from cases import Case
    from chain import Array

NORM, POSE = "/cameras@normalisation", "/cameras/camera_to_world"
CODE = "manifest/cameras"
IN, OUT = 0.9e-4, 1.1e-4


def _turn() -> Array:
    """Return a rotation about no axis of the coordinates."""
    a, b = 0.3, 1.1
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    made: Array = first @ second
    return made


def _normed(inner: Array, scale: float = 1.0) -> Array:
    made = np.eye(4)
    made[:3, :3] = scale * (_turn() @ inner)
    made[:3, 3] = (1, -2, 3)
    return made


def _lengths(*factors: float) -> Array:
    return np.diag(np.array(factors))


def _leaning(i: int, j: int, by: float) -> Array:
    """Return columns of one length of which column j leans towards column i by its cosine."""
    made = np.eye(3)
    made[i, j], made[j, j] = by, np.sqrt(1 - by * by)
    return made


def _similar() -> list[Case]:
    pairs = ((0, 1), (0, 2), (1, 2))
    right = {
        "apart": (
            "second and third columns differ more from each other than from the first",
            _lengths(1, 1 + IN, 1 - IN),
        ),
        "second-long": ("the second column is almost too long", _lengths(1, 1 + IN, 1)),
        "third-long": ("the third column is almost too long", _lengths(1, 1, 1 + IN)),
        "second-short": ("the second column is almost too short", _lengths(1, 1 - IN, 1)),
        "third-short": ("the third column is almost too short", _lengths(1, 1, 1 - IN)),
        **{
            f"lean-{i}{j}": (f"columns {i} and {j} lean almost too much", _leaning(i, j, IN))
            for i, j in pairs
        },
        **{
            f"lean-back-{i}{j}": (
                f"columns {i} and {j} lean back almost too much",
                _leaning(i, j, -IN),
            )
            for i, j in pairs
        },
    }
    wrong = {
        "around": ("the others lie around the second column", _lengths(1 - IN, 1, 1 + IN)),
        "second-long-more": ("the second column is too long", _lengths(1, 1 + OUT, 1)),
        "third-long-more": ("the third column is too long", _lengths(1, 1, 1 + OUT)),
        "second-short-more": ("the second column is too short", _lengths(1, 1 - OUT, 1)),
        "third-short-more": ("the third column is too short", _lengths(1, 1, 1 - OUT)),
        **{
            f"lean-{i}{j}-more": (f"columns {i} and {j} lean too much", _leaning(i, j, OUT))
            for i, j in pairs
        },
        **{
            f"lean-back-{i}{j}-more": (
                f"columns {i} and {j} lean back too much",
                _leaning(i, j, -OUT),
            )
            for i, j in pairs
        },
    }
    made = [
        _allowed(f"similar-{n}", f"a normalisation where {w}", NORM, _normed(m))
        for n, (w, m) in right.items()
    ]
    made += [
        _refused(f"similar-{n}", f"a normalisation where {w}", NORM, _normed(m))
        for n, (w, m) in wrong.items()
    ]
    for name, scale in (("small", 2e-100), ("large", 0.5e100), ("1000", 1000.0), ("1e-9", 1e-9)):
        made += [
            _allowed(
                f"similar-scale-{name}",
                f"a normalisation of scale {scale:g}, almost uneven",
                NORM,
                _normed(_lengths(1, 1 + IN, 1), scale),
            ),
            _refused(
                f"similar-scale-{name}-more",
                f"a normalisation of scale {scale:g}, uneven",
                NORM,
                _normed(_lengths(1, 1 + OUT, 1), scale),
            ),
        ]
    for name, column in (("first", 0), ("second", 1), ("third", 2)):
        flat = np.eye(3)
        flat[:, column] = 0
        made.append(
            _refused(
                f"similar-no-{name}",
                f"a normalisation whose {name} column is 0",
                NORM,
                _normed(flat),
            )
        )
    return made


def _rotations() -> list[Case]:
    def posed(inner: Array) -> Array:
        poses = CAMERAS[POSE].copy()
        poses[1, :, :3] = _turn() @ inner
        return poses

    made = []
    for name, what, within, beyond in (
        ("long", "a column is long", _lengths(1, 1 + 0.45e-6, 1), _lengths(1, 1 + 0.55e-6, 1)),
        ("short", "a column is short", _lengths(1, 1, 1 - 0.45e-6), _lengths(1, 1, 1 - 0.55e-6)),
        ("lean", "columns lean", _leaning(0, 2, 0.9e-6), _leaning(0, 2, 1.1e-6)),
        ("lean-back", "columns lean back", _leaning(1, 2, -0.9e-6), _leaning(1, 2, -1.1e-6)),
    ):
        made += [
            _allowed(
                f"rotation-{name}",
                f"a rotation where {what} by almost too much",
                POSE,
                posed(within),
            ),
            _refused(
                f"rotation-{name}-more", f"a rotation where {what} by too much", POSE, posed(beyond)
            ),
        ]
    at = CAMERAS[POSE].copy()
    at[1, :, :3] = [[1, 1e-6, 0], [0, 1, 0], [0, 0, 1]]  # no order of operations rounds the product
    return [*made, _allowed("rotation-lean-at", "a rotation whose columns lean by 1e-6", POSE, at)]


def _allowed(name: str, what: str, path: str, array: Array) -> Case:
    return WITH_CAMERAS.vary(
        f"05-package/camera-{name}",
        f"{what} is read",
        "5.6.1",
        put_all({**CAMERAS, **LENSES, path: array}),
    )


def _refused(name: str, what: str, path: str, array: Array) -> Case:
    return WITH_CAMERAS.reject(
        f"05-package/camera-{name}",
        f"{what} is rejected",
        "5.6.1",
        CODE,
        put_all({**CAMERAS, **LENSES, path: array}),
    )


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_similar(), *_rotations()]
