"""Which kind of Gaussians a state has, and these as those of 3DGS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.checkpoints import gaussians as splats
from nmc_tools.checkpoints.checkpoint import Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array
    from nmc_tools.checkpoints.gaussians import Gaussians


def gaussians_of(state: Mapping[str, Array], extra: Mapping[str, Any]) -> Gaussians:
    """Return the Gaussians of a state of any kind of file.

    Parameters
    ----------
    state : mapping of str to Array
        The tensors, as the readers of these files name them.
    extra : mapping
        `Checkpoint.extra` of the file.

    Raises
    ------
    Refusal
        If these are no Gaussians, or what their file says of them is not known.
    """
    from nmc_tools.checkpoints import gltf_gaussians, spz_files

    known = splats.of_3dgs(state)
    if known is not None:
        return known
    columns = spz_files.columns_of(state)
    if columns is not None:
        return spz_files.unpacked(columns, extra)
    if gltf_gaussians.ROTATION in state:
        return gltf_gaussians.gaussians(state, extra)
    if {"position", "scale", "colors", "rotation"} == state.keys():
        return _of_splat(state)
    names = ", ".join(plain(name) for name in list(state)[:8])
    raise Refusal(
        f"the state holds {names}{', …' * (len(state) > 8)}; Gaussians have xyz, f_dc, opacity, "
        "scale and rotation, or the tensors of .spz, .splat, glTF, gsplat or nerfstudio",
        "write safetensors instead",
    )


def _of_splat(state: Mapping[str, Array]) -> Gaussians:
    """Return the Gaussians of a .splat file; their scales are not logarithms there."""
    position, scale, colors, rotation = (
        np.asarray(state[name]) for name in ("position", "scale", "colors", "rotation")
    )
    least = np.finfo("f4").tiny
    made = {
        "xyz": position.astype("f4"),
        "f_dc": ((colors[:, :3] / 255 - 0.5) / splats.DC).astype("f4"),
        "opacity": splats.logit(colors[:, 3:] / 255),
        "scale": np.log(np.maximum(scale, least)).astype("f4"),
        "rotation": ((rotation.astype("f4") - 128) / 128).astype("f4"),
    }
    splats.check(made)
    return made
