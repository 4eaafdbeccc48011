"""Families by name: the built-in ones, and whatever packages register as ``nmc.models``.

A package adds a family with an entry point, and nothing here has to change::

    [project.entry-points."nmc.models"]
    my_family = "my_package.my_module:MyFamily"
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from nmc_framework.models.chained import ChainModel, ModelError

GROUP = "nmc.models"

_BUILT_IN = {
    "coin": "nmc_framework.models.pictures.coin:Coin",
    "depth_unet": "nmc_framework.depth.unet:DepthUnet",
    "dnerf": "nmc_framework.models.dynamic.dnerf:Dnerf",
    "dynerf": "nmc_framework.models.dynamic.dynerf:Dynerf",
    "edsr": "nmc_framework.super_resolution.edsr:Edsr",
    "ffnerv": "nmc_framework.models.pictures.ffnerv:Ffnerv",
    "hash_grid": "nmc_framework.models.radiance.hash_grid:HashGrid",
    "hnerv": "nmc_framework.models.pictures.hnerv:Hnerv",
    "inric": "nmc_framework.models.pictures.inric:Inric",
    "inverse_graphics": "nmc_framework.inverse.network:InverseGraphics",
    "mixvoxels": "nmc_framework.models.dynamic.mixvoxels:MixVoxels",
    "nerf_mlp": "nmc_framework.models.radiance.nerf_mlp:NerfMlp",
    "nerf_plus_plus": "nmc_framework.models.radiance.nerf_plus_plus:NerfPlusPlus",
    "nerv": "nmc_framework.models.pictures.nerv:Nerv",
    "nvp": "nmc_framework.models.pictures.nvp:Nvp",
    "plenoxels": "nmc_framework.models.radiance.plenoxels:Plenoxels",
    "psnerv": "nmc_framework.models.pictures.psnerv:Psnerv",
    "siren": "nmc_framework.models.pictures.siren:Siren",
    "splats": "nmc_framework.models.splats.splats:Splats",
    "style_generator": "nmc_framework.inverse.generator:StyleGenerator",
    "style_renderer": "nmc_framework.inverse.renderer:StyleRenderer",
    "tensorf": "nmc_framework.models.radiance.tensorf:Tensorf",
    "vdsr": "nmc_framework.super_resolution.vdsr:Vdsr",
    "voxel_grid": "nmc_framework.models.radiance.voxel_grid:VoxelGrid",
}


def families() -> tuple[str, ...]:
    """Return the names of every family that can be built, sorted."""
    return tuple(sorted({*_BUILT_IN, *entry_points(group=GROUP).names}))


def family(name: str) -> type[ChainModel]:
    """Return the class of a family.

    Raises
    ------
    ModelError
        When no family has that name, what is registered under it is none, or it cannot be loaded.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        points = entry_points(group=GROUP, name=name)
        if not points:
            raise ModelError(f"no model family {name!r}; there are {', '.join(families())}")
        try:
            found = next(iter(points)).load()
        except (ImportError, AttributeError, SyntaxError) as error:
            raise ModelError(f"the entry point {GROUP}:{name} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ChainModel)):
        raise ModelError(f"the entry point {GROUP}:{name} is not a ChainModel: {found!r}")
    return found


def build(
    name: str, configuration: Mapping[str, Any] | None = None, *, seed: int = 0
) -> ChainModel:
    """Build a model of family ``name`` with random weights drawn from ``seed``."""
    return family(name).build(configuration, seed=seed)
