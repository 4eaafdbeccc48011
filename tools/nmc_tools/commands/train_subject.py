"""What ``nmc train`` trains: the family, what it is trained on, and the model with its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nmc_tools.commands.chain_run import Subject, viewed_subject
from nmc_tools.commands.clip_run import clip_subject
from nmc_tools.commands.footage import SceneName, open_footage
from nmc_tools.commands.framework import option
from nmc_tools.commands.group_run import grouped_subject

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel


#: Families of ``nmc inverse``, and the command that trains each.
_OF_INVERSE = {
    "inverse_graphics": "train, on a multi-view set of nmc inverse objects",
    "style_generator": "generator, on pictures of objects",
    "style_renderer": "renderer, on a multi-view set, a network and a generator",
}


def family_kind(family: str) -> type[ChainModel]:
    """Return the class of a family that ``--family`` names."""
    from nmc_framework.models import family as family_of

    with option("--family"):
        return family_of(family)


def opened_subject(
    kind: type[ChainModel],
    folder: Path | None,
    *,
    scene: SceneName | None,
    cameras: Path | None,
    held_out: list[str] | None,
    colour: str | None,
    clip: int | None,
    **options: Any,
) -> Subject:
    """Open what the family is trained on: views of cameras, or a video."""
    from nmc_framework.depth.unet import DepthUnet
    from nmc_framework.models.dynamic import GroupModel
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.super_resolution import Upscaler

    if issubclass(kind, Upscaler):
        reason = f"{kind.family} enlarges videos: use nmc sr pretrain and nmc sr train"
        raise typer.BadParameter(reason, param_hint="--family")
    if issubclass(kind, DepthUnet):
        reason = "it learns from pictures with depth: nmc depth train, and adapt from room to room"
        raise typer.BadParameter(reason, param_hint="--family")
    if kind.family in _OF_INVERSE:
        reason = f"it is trained by nmc inverse {_OF_INVERSE[kind.family]}"
        raise typer.BadParameter(reason, param_hint="--family")
    if issubclass(kind, ClipModel):
        of_cameras = {"--scene": scene, "--cameras": cameras, "--held-out": held_out}
        refused = of_cameras | {"--colour": colour}
        return clip_subject(kind, folder, refused=refused, clip=clip, **options)
    grouped = issubclass(kind, GroupModel)
    if clip is not None and not grouped:
        reason = f"{kind.family} is not a model of pictures, nor of groups of frames"
        raise typer.BadParameter(reason, param_hint="--clip")
    if grouped and colour == "on":
        reason = f"{kind.family} is a model of groups, which learn no exposures"
        raise typer.BadParameter(reason, param_hint="--colour")
    footage = open_footage(folder, scene=scene, cameras=cameras, **options)
    if issubclass(kind, GroupModel):
        return grouped_subject(footage, kind, *footage.split(held_out), clip)
    return viewed_subject(footage, kind, *footage.split(held_out))


def built_model(
    family: str,
    path: Path | None,
    settings: list[str] | None,
    fitted: dict[str, Any],
    seed: int,
) -> ChainModel:
    """Build the model of what it is told of the footage, a file of options, and single ones."""
    from nmc_framework.depth.unet import DepthUnet
    from nmc_framework.models import build
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.models.views import shown

    chosen = dict(fitted)
    if path is not None:
        try:
            chosen |= dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise typer.BadParameter(
                f"{path} is not a JSON object: {error}", param_hint="--configuration"
            ) from None
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        try:
            chosen[name] = json.loads(text)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{setting!r}; write such as levels=4", param_hint="--set")
    with option("--set" if settings else "--configuration" if path else "--family"):
        model = build(family, chosen, seed=seed)
    if isinstance(model, ClipModel | DepthUnet):
        return model
    with option("--family"):
        return shown(model)
