"""3D Gaussians of any kind of file as those of 3DGS, so that each can become another.

Tensors are those of `ply_files`, float32, N Gaussians: ``xyz`` (N, 3); ``f_dc`` (N, 3) and
``f_rest`` (N, 3 K), harmonics, all of red first; ``opacity`` (N, 1) before the sigmoid; ``scale``
(N, 3), its logarithm; ``rotation`` (N, 4), w x y z, of any length. Axes are those of 3DGS, x right,
y down, z forward.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_format.dtypes import PackedArray, dtype_of
from nmc_tools.checkpoints.checkpoint import Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"
Gaussians: TypeAlias = "dict[str, Floats]"

NAMES = ("xyz", "normals", "f_dc", "f_rest", "opacity", "scale", "rotation")
COEFFICIENTS = (0, 3, 8, 15, 24)
"""Coefficients of a colour, without the first, by the degree of the harmonics."""

DC = 0.28209479177387814
"""The first harmonic: a colour is 0.5 + DC * f_dc (Kerbl et al. 2023, utils/sh_utils.py)."""

_TURNED = np.array(
    [-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, -1, 1, 1, -1, 1, -1, 1], "f4"
)
"""Sign of each harmonic where y and z change theirs, degrees 1 to 4."""

_TRAINERS = {
    "means": "xyz",
    "scales": "scale",
    "quats": "rotation",
    "opacities": "opacity",
    "sh0": "f_dc",
    "shN": "f_rest",
    "features_dc": "f_dc",
    "features_rest": "f_rest",
}
"""Tensors of gsplat and nerfstudio by the last part of their names; harmonics colour by colour."""


def degree_of(f_rest_width: int) -> int:
    """Return the degree of harmonics that have so many numbers, without the first three.

    Raises
    ------
    Refusal
        If there is none.
    """
    if f_rest_width % 3 or f_rest_width // 3 not in COEFFICIENTS:
        raise Refusal(
            f"a Gaussian has {f_rest_width} numbers of harmonics; 0, 9, 24, 45 and 72 are known"
        )
    return COEFFICIENTS.index(f_rest_width // 3)


def of_3dgs(state: Mapping[str, Array]) -> Gaussians | None:
    """Return the tensors of 3DGS, gsplat or nerfstudio; None where these are others.

    Raises
    ------
    Refusal
        If their shapes do not fit.
    """
    last = {name.rpartition(".")[2]: array for name, array in state.items()}
    if {"means", "quats", "scales", "opacities"} <= last.keys():
        known = {_TRAINERS[name]: _matrix(name, a) for name, a in last.items() if name in _TRAINERS}
        if "f_rest" in known:
            known["f_rest"] = by_channel(known["f_rest"])
    elif {"xyz", "f_dc", "opacity", "scale", "rotation"} <= state.keys() <= set(NAMES):
        known = {name: _matrix(name, array) for name, array in state.items()}
    else:
        return None
    known = {name: known[name] for name in NAMES if name in known}
    if "f_rest" in known and not known["f_rest"].shape[1]:
        del known["f_rest"]
    check(known)
    return known


def check(gaussians: Gaussians) -> None:
    """Refuse tensors that do not have as many rows, or other columns.

    Raises
    ------
    Refusal
        If that is so.
    """
    widths = {"xyz": 3, "normals": 3, "f_dc": 3, "opacity": 1, "scale": 3, "rotation": 4}
    lacking = [name for name in widths if name not in gaussians and name != "normals"]
    if lacking:
        raise Refusal(f"there is no {lacking[0]} among the tensors of its Gaussians")
    count = len(gaussians["xyz"])
    for name, array in gaussians.items():
        width = widths.get(name, array.shape[1])
        if array.shape != (count, width):
            raise Refusal(f"{name} has the shape {list(array.shape)}, expected {[count, width]}")
    degree_of(gaussians["f_rest"].shape[1] if "f_rest" in gaussians else 0)


def _matrix(name: str, array: Array) -> Floats:
    floats = not isinstance(array, PackedArray) and dtype_of(array).exponent_bits > 0
    if isinstance(array, PackedArray) or not floats or array.dtype.kind == "c" or not array.ndim:
        raise Refusal(f"{plain(name)!r} has no rows of floating-point numbers")
    rows = flat(array)
    made: Floats = rows.astype("f4", copy=False)
    if rows.itemsize > made.itemsize and not np.array_equal(made, rows, equal_nan=True):
        raise Refusal(
            f"{plain(name)!r} is {array.dtype}, and float32 cannot hold its numbers",
            "convert it to float32 first",
        )
    return made


def flat(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return rows of numbers, (N, width), of an array of any rank; N may be 0."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def by_coefficient(f_rest: Floats) -> Floats:
    """Return harmonics (N, K, 3) of those of 3DGS, (N, 3 K)."""
    return f_rest.reshape(len(f_rest), 3, f_rest.shape[1] // 3).transpose(0, 2, 1)


def by_channel(rest: Floats) -> Floats:
    """Return harmonics as 3DGS has them, (N, 3 K), of those coefficient by coefficient."""
    colours = rest.reshape(len(rest), math.prod(rest.shape[1:]) // 3, 3)
    return flat(np.ascontiguousarray(colours.transpose(0, 2, 1)))


def turned(gaussians: Gaussians) -> Gaussians:
    """Return Gaussians with y and z the other way: from the axes of 3DGS to those of glTF, or back.

    The same numbers but for their signs, so that twice is once back, bit for bit.
    """
    made = dict(gaussians)
    for name in ("xyz", "normals"):
        if name in made:
            made[name] = made[name] * np.array([1, -1, -1], "f4")
    made["rotation"] = made["rotation"] * np.array([1, 1, -1, -1], "f4")
    if "f_rest" in made:
        rest = by_coefficient(made["f_rest"])
        made["f_rest"] = by_channel(rest * _TURNED[: rest.shape[1], None])
    return made


def logit(share: np.ndarray[Any, Any]) -> Floats:
    """Return what the sigmoid makes a share of 0 to 1 of; its ends are drawn in by 1e-6."""
    inner = np.clip(share.astype("f8"), 1e-6, 1 - 1e-6)
    made: Floats = np.log(inner / (1 - inner)).astype("f4")
    return made


def sigmoid(values: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return shares of 0 to 1."""
    shares: np.ndarray[Any, np.dtype[np.float64]] = 0.5 + 0.5 * np.tanh(0.5 * values.astype("f8"))
    return shares


def unit(rotation: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return quaternions of length 1; no turn at all where one is 0 or not finite."""
    wide = rotation.astype("f8")
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    good = np.isfinite(length) & (length > 0)
    none = np.array([1.0, 0.0, 0.0, 0.0])
    made: np.ndarray[Any, np.dtype[np.float64]]
    made = np.where(good, wide / np.where(good, length, 1), none)
    return made
