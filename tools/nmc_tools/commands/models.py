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


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with all options and their defaults.")
    ] = False,
) -> None:
    """List the families of models, those of installed packages too.

    A family is chosen with --family when a chain is trained; its options are set with --set.

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


def _described(name: str) -> dict[str, Any]:
    """Return what is known of a family; of one that cannot be loaded, why."""
    from nmc_framework.models import ModelError, family

    told: dict[str, Any] = {"family": name, "kind": "", "summary": "", "options": {}, "error": None}
    try:
        found = family(name)
        told["options"] = found.defaults()
    except ModelError as error:
        return told | {"error": str(error)}
    return told | {"kind": _kind(found), "summary": _first_line(found)}


def _kind(found: type[ChainModel]) -> str:
    from nmc_framework.depth.unet import DepthUnet
    from nmc_framework.models import RadianceModel, RayModel, ViewModel
    from nmc_framework.models.dynamic import GroupModel
    from nmc_framework.models.pictures import ClipModel
    from nmc_framework.super_resolution import Upscaler

    kinds = (
        (GroupModel, "groups of frames"),
        (ClipModel, "pictures"),
        (Upscaler, "super-resolution"),
        (RadianceModel, "radiance field"),
        (RayModel, "rays"),
        (ViewModel, "views"),
        (DepthUnet, "depth"),
    )
    return next((name for base, name in kinds if issubclass(found, base)), "no views")


def _first_line(found: type[ChainModel]) -> str:
    return (inspect.cleandoc(found.__doc__ or "").splitlines() or [""])[0]
