"""The group ``nmc depth``: its commands, each in a file of its own."""

from __future__ import annotations

from nmc_tools.commands.depth import app
from nmc_tools.commands.depth_adapt import adapt
from nmc_tools.commands.depth_apply import apply
from nmc_tools.commands.depth_experiment import experiment
from nmc_tools.commands.depth_room import room
from nmc_tools.commands.depth_serve import serve

app.command("apply")(apply)
app.command("adapt")(adapt)
app.command("room")(room)
app.command("serve")(serve)
app.command("experiment")(experiment)

__all__ = ["app"]
