"""``nmc models``: the families of models that can be trained and rendered here."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nmc_tools.commands.framework import framework
from nmc_tools.terminal import out, print_json, printable

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel


#: What trains the families that learn from footage.
_TRAIN = "nmc train"


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with all options and their defaults.")
    ] = False,
) -> None:
    """List the families of models, those of installed packages too.

    In 'nmc train' a family is chosen with --family, and its options are set with --set. A few are
    trained by other commands, which are named below the list.

    Examples
    --------
      nmc models

      nmc models --json
    """
    with framework("models"):
        from nmc_framework.models import families

        found = [_described(name) for name in families()]
    if as_json:
        print_json(found)
        return
    table = Table("family", "kind", "what it is", box=None)
    for each in found:
        told = each["summary"] if each["error"] is None else f"cannot be used: {each['error']}"
        table.add_row(*(Text(printable(text)) for text in (each["family"], each["kind"], told)))
    out.print(table)
    for command in dict.fromkeys(each["trained_by"] for each in found if each["trained_by"]):
        if command != _TRAIN:
            names = [each["family"] for each in found if each["trained_by"] == command]
            out.print(f"'{command}' trains {' and '.join(names)}; 'nmc train' does not.")


def _described(name: str) -> dict[str, Any]:
    """Return what is known of a family; of one that cannot be loaded, why."""
    from nmc_framework.models import ModelError, family

    told: dict[str, Any] = {
        "family": name, "kind": "", "summary": "", "trained_by": "", "options": {}, "error": None
    }  # fmt: skip
    try:
        found = family(name)
        told["options"] = found.defaults()
    except ModelError as error:
        return told | {"error": str(error)}
    kind, command = _kind(found)
    return told | {"kind": kind, "summary": _first_line(found), "trained_by": command}


def _kind(found: type[ChainModel]) -> tuple[str, str]:
    """Return what a family is of, and the command that trains it."""
    from nmc_framework.depth.unet import DepthUnet
    from nmc_framework.inverse.generator import StyleGenerator
    from nmc_framework.inverse.network import InverseGraphics
    from nmc_framework.inverse.renderer import StyleRenderer
    from nmc_framework.models import RadianceModel, RayModel, ViewModel
    from nmc_framework.models.dynamic import GroupModel
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.super_resolution import Upscaler

    kinds = (
        (GroupModel, "groups of frames", _TRAIN),
        (ClipModel, "pictures", _TRAIN),
        (Upscaler, "super-resolution", "nmc sr train"),
        (RadianceModel, "radiance field", _TRAIN),
        (RayModel, "rays", _TRAIN),
        (ViewModel, "views", _TRAIN),
        (DepthUnet, "depth", "nmc depth train"),
        (InverseGraphics, "inverse graphics", "nmc inverse train"),
        (StyleGenerator, "inverse graphics", "nmc inverse generator"),
        (StyleRenderer, "inverse graphics", "nmc inverse renderer"),
    )
    found_kinds = ((name, command) for base, name, command in kinds if issubclass(found, base))
    return next(found_kinds, ("no views", ""))


def _first_line(found: type[ChainModel]) -> str:
    return (inspect.cleandoc(found.__doc__ or "").splitlines() or [""])[0]
