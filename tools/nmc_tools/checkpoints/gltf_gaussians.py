"""Gaussians as the attributes of KHR_gaussian_splatting, and back.

What the extension has in another form than 3DGS (scales and opacities as such, quaternions of
length 1) is written with the numbers of 3DGS beside it, in attributes of our own, so that nothing
is lost. A node turns the axes of 3DGS to those of glTF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nmc_format.dtypes import PackedArray
from nmc_tools.checkpoints import gaussians as splats
from nmc_tools.checkpoints.checkpoint import Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.gaussians import Gaussians

EXTENSION: Final = "KHR_gaussian_splatting"
POSITION: Final = "POSITION"
ROTATION: Final = f"{EXTENSION}:ROTATION"
SCALE: Final = f"{EXTENSION}:SCALE"
OPACITY: Final = f"{EXTENSION}:OPACITY"

OWN: Final = "_NMC_"
"""Attributes of our own; glTF gives the underscore to applications."""

UPSIDE: Final = [1.0, 0.0, 0.0, 0.0]
"""Half a turn about x, from the axes of 3DGS to those of glTF, as x y z w."""


def _harmonic(degree: int, k: int) -> str:
    return f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{k}"


def _harmonics(degree: int) -> Iterator[str]:
    """Yield the attributes of the harmonics above degree 0, in the order of 3DGS."""
    for d in range(1, degree + 1):
        for k in range(2 * d + 1):
            yield _harmonic(d, k)


def gaussians(state: Mapping[str, Array], extra: Mapping[str, Any]) -> Gaussians:
    """Return the Gaussians of a state that came from glTF, with the axes of 3DGS.

    Raises
    ------
    Refusal
        If an attribute is missing, or the node places them as is not known.
    """
    facts = extra.get("gltf", {})
    normalised = facts.get("normalised", ())
    node = facts.get("node", {})
    if node not in ({}, {"rotation": UPSIDE}):
        raise Refusal(
            "its node moves, turns or scales the Gaussians",
            "apply the transform of the node to them first",
        )
    colours = [_harmonic(0, 0)]
    degree = next(d for d in (4, 3, 2, 1, 0) if d == 0 or _harmonic(d, 0) in state)
    colours += _harmonics(degree)
    read = {name: _numbers(state, name, name in normalised) for name in (POSITION, *colours)}
    made = {"xyz": read[POSITION], "f_dc": read[colours[0]]}
    if degree:
        rest = np.stack([read[name] for name in colours[1:]], axis=2)
        made["f_rest"] = splats.flat(np.ascontiguousarray(rest))
    for name, attribute in (("scale", SCALE), ("opacity", OPACITY), ("rotation", ROTATION)):
        own = OWN + name.upper()
        stored = _numbers(state, attribute, attribute in normalised)
        if own in state:
            made[name] = _numbers(state, own, whole=False)
            _check_own(name, made[name], stored)
        else:
            made[name] = _as_3dgs(name, stored)
    if OWN + "NORMALS" in state:
        made["normals"] = _numbers(state, OWN + "NORMALS", whole=False)
    made = {name: made[name] for name in splats.NAMES if name in made}
    splats.check(made)
    return made if node else splats.turned(made)


def _numbers(state: Mapping[str, Array], name: str, whole: bool) -> splats.Floats:
    """Return an attribute as rows of float32; integers stand for parts of 1 if they are so."""
    array = state.get(name)
    if array is None or isinstance(array, PackedArray):
        raise Refusal(f"there is no attribute {plain(name)}")
    rows = splats.flat(array)
    if rows.dtype.kind == "f":
        return rows.astype("f4", copy=False)
    if not whole:
        raise Refusal(f"attribute {plain(name)} is of integers that are not normalised")
    return np.maximum(rows / np.iinfo(rows.dtype).max, -1).astype("f4")


def _as_3dgs(name: str, stored: splats.Floats) -> splats.Floats:
    if name == "scale":
        made: splats.Floats = np.log(np.maximum(stored, np.finfo("f4").tiny)).astype("f4")
        return made
    return splats.logit(stored) if name == "opacity" else np.roll(stored, 1, axis=1)


def _as_gltf(name: str, array: splats.Floats) -> splats.Floats:
    """Return scales and opacities as such, and quaternions of length 1 as x y z w."""
    made: splats.Floats
    if name == "scale":
        with np.errstate(over="ignore"):
            made = np.exp(array.astype("f8")).astype("f4")
    elif name == "opacity":
        made = splats.sigmoid(array).astype("f4").reshape(-1)
    else:
        made = np.roll(splats.unit(array), -1, axis=1).astype("f4")
    return made


def _check_own(name: str, own: splats.Floats, stored: splats.Floats) -> None:
    """Refuse numbers of our own that are not those of the extension: one of them was edited."""
    expected = _as_gltf(name, own).reshape(stored.shape)
    if not np.allclose(expected, stored, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise Refusal(
            f"its {OWN}{name.upper()} is not what its {EXTENSION} attribute says",
            f"it was edited; remove the attributes that begin with {OWN}",
        )


def attributes_of(made: Gaussians) -> dict[str, np.ndarray[Any, Any]]:
    """Return the attributes of Gaussians, those of our own with them."""
    if not len(made["xyz"]):
        raise Refusal("there are no Gaussians; glTF has no empty attributes")
    attributes: dict[str, np.ndarray[Any, Any]] = {POSITION: made["xyz"]}
    for name, attribute in (("rotation", ROTATION), ("scale", SCALE), ("opacity", OPACITY)):
        attributes[attribute] = _as_gltf(name, made[name])
        attributes[OWN + name.upper()] = made[name]
    attributes[_harmonic(0, 0)] = made["f_dc"]
    if "f_rest" in made:
        rest = splats.by_coefficient(made["f_rest"])
        for k, name in enumerate(_harmonics(splats.degree_of(made["f_rest"].shape[1]))):
            attributes[name] = rest[:, k]
    if "normals" in made:
        attributes[OWN + "NORMALS"] = made["normals"]
    return attributes
