"""``nmc models``: the families of models that can be trained and rendered here."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nmc_tools.commands.framework import framework, option
from nmc_tools.terminal import out, print_json, printable, say

if TYPE_CHECKING:
    from nmc_framework.models import ChainModel


#: What trains the families that learn from footage.
_TRAIN = "nmc train"


def models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="FAMILY", help="Say all of one family: its options and layers."),
    ] = None,
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

      nmc models hash_grid

      nmc models --json
    """
    with framework("models"):
        from nmc_framework.models import families, family
        from nmc_framework.models.described import described_layers

        if name is not None:
            with option("FAMILY"):
                kind = family(name)
            told = described(name) | {"layers": [vars(each) for each in described_layers(kind)]}
            if as_json:
                print_json(told)
            else:
                _print_family(told)
            return
        found = [described(each) for each in families()]
    if as_json:
        print_json(found)
        return
    table = Table("family", "kind", "what it is", box=None)
    for each in found:
        summary = each["summary"] if each["error"] is None else f"cannot be used: {each['error']}"
        table.add_row(*(Text(printable(text)) for text in (each["family"], each["kind"], summary)))
    out.print(table)
    for command in dict.fromkeys(each["trained_by"] for each in found if each["trained_by"]):
        if command != _TRAIN:
            names = [each["family"] for each in found if each["trained_by"] == command]
            out.print(f"'{command}' trains {' and '.join(names)}; 'nmc train' does not.")


def _print_family(told: dict[str, Any]) -> None:
    """Print the options and layers of one family."""
    trained = f"; {told['trained_by']} trains it" if told["trained_by"] else ""
    say(f"{told['family']}: {told['summary']} ({told['kind']}{trained})")
    out.print()
    options = Table("option", "default", "what it says", box=None)
    for name, value in told["options"].items():
        cells = (name, json.dumps(value), told["meanings"].get(name, ""))
        options.add_row(*(Text(printable(text)) for text in cells))
    out.print(options)
    layers = Table("layers", "tensors", "weights", box=None)
    for each in told["layers"]:
        first, last = each["first"], each["last"]
        numbers = str(first) if first == last else f"{first} to {last}"
        layers.add_row(*(Text(t) for t in (numbers, each["tensors"], f"{each['weights']:,}")))
    out.print()
    out.print(layers)
    out.print("Layers are those of the default options; --exclude-layers counts them.")


def described(name: str) -> dict[str, Any]:
    """Return what is known of a family; of one that cannot be loaded, why."""
    from nmc_framework.models import ModelError, family

    told: dict[str, Any] = {
        "family": name, "kind": "", "summary": "", "trained_by": "", "options": {}, "meanings": {},
        "error": None
    }  # fmt: skip
    try:
        found = family(name)
        told |= {"options": found.defaults(), "meanings": dict(found.meanings)}
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
