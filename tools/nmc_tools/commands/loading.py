"""The commands of ``nmc``, each loaded when it is asked for: none waits for the others' imports."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from nmc_tools.commands.framework import PANEL
from nmc_tools.start import Leaving

_TRANSMISSION = "Transmission"
_PROTOCOL = "Conformance protocol (conformance/PROTOCOL.md)"


class _Entry(NamedTuple):
    """Where a command is: a function of a module, or the module's ``app`` of more commands."""

    module: str
    attribute: str
    panel: str | None = None
    parser: str | None = None
    """A class of command of its own, as ``module:class``."""


_COMMANDS = {
    "pack": _Entry("pack", "pack"),
    "unpack": _Entry("unpack", "unpack"),
    "check": _Entry("check", "check"),
    "inspect": _Entry("inspect", "inspect"),
    "diff": _Entry("diff", "diff"),
    "extract": _Entry("cutting", "extract"),
    "trim": _Entry("cutting", "trim"),
    "concat": _Entry("cutting", "concat"),
    "recover": _Entry("cutting", "recover"),
    "serve": _Entry("serve", "serve", _TRANSMISSION),
    "token": _Entry("serve", "token", _TRANSMISSION),
    "bridge": _Entry("bridge", "app"),
    "present": _Entry("presenting", "present", _TRANSMISSION),
    "play": _Entry("presenting", "play", _TRANSMISSION),
    "view": _Entry("view", "view", _TRANSMISSION),
    "keygen": _Entry("trust", "keygen"),
    "sign": _Entry("trust", "sign"),
    "verify": _Entry("trust", "verify"),
    "encrypt": _Entry("encryption", "encrypt"),
    "decrypt": _Entry("encryption", "decrypt"),
    "push": _Entry("push", "push"),
    "demo": _Entry("demo", "demo"),
    "depth": _Entry("depth_commands", "app", PANEL),
    "cameras": _Entry("cameras", "app", PANEL),
    "capture": _Entry("capture", "capture", PANEL),
    "sfm": _Entry("sfm", "sfm", PANEL),
    "train": _Entry("train", "train", PANEL, "footage:SceneCommand"),
    "models": _Entry("models", "models", PANEL),
    "render": _Entry("render", "render", PANEL),
    "evaluate": _Entry("evaluate", "evaluate", PANEL, "footage:SceneCommand"),
    "run": _Entry("run", "run", PANEL),
    "experiment": _Entry("experiment", "app", PANEL),
    "inverse": _Entry("inverse", "app", PANEL),
    "sr": _Entry("sr", "app", PANEL),
    "bench": _Entry("bench", "app", PANEL),
    "conformance": _Entry("conformance", "app", _PROTOCOL),
    "describe": _Entry("codec", "describe", _PROTOCOL),
    "decode": _Entry("codec", "decode", _PROTOCOL),
    "apply": _Entry("codec", "apply", _PROTOCOL),
    "encode": _Entry("codec", "encode", _PROTOCOL),
}


def _load(module: str, attribute: str) -> Any:
    with Leaving():
        return getattr(import_module(f"nmc_tools.commands.{module}"), attribute)


def _made(name: str) -> Any:
    """Import the module of a command; return what typer makes of it."""
    entry = _COMMANDS[name]
    found = _load(entry.module, entry.attribute)
    shelf = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
    if isinstance(found, typer.Typer):
        shelf.add_typer(found, name=name, rich_help_panel=entry.panel)
    else:
        parser = _load(*entry.parser.split(":")) if entry.parser else None
        shelf.command(name, cls=parser, rich_help_panel=entry.panel)(found)
    return typer.main.get_group(shelf).commands[name]


class _Shelf(MutableMapping[str, Any]):
    """Commands by name, in the order of the help; looking at the names loads none."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name}: commands are not taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class Commands(TyperGroup):
    """The group ``nmc`` itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Shelf()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(self.commands)
