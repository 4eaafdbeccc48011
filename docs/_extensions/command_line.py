"""The directive ``command-line``: the reference of ``nmc``, written by typer from the commands."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import typer.main
from sphinx.util.docutils import SphinxDirective
from typer.cli import get_docs_for_click

from nmc_tools.cli import app as commands

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

_EXAMPLES = re.compile(r"^Examples:?\n(?:-+\n)?\n?((?:[ ]+.*\n|\n)+)", re.MULTILINE)


def _block(found: re.Match[str]) -> str:
    lines = [line for line in inspect.cleandoc(found[1]).splitlines() if line]
    return "\n".join(["**Examples**:", "", "```console", *(f"$ {line}" for line in lines), "```\n"])


def prose(text: str) -> str:
    """Return the help of a command in Markdown: its examples are a block of code."""
    plain = inspect.cleandoc(text.replace("\b", "")) + "\n"
    examples = _EXAMPLES.search(plain)
    end = examples.start() if examples else len(plain)
    told = "\n".join(line.strip() for line in plain[:end].splitlines())
    return f"{told}\n\n{_block(examples) if examples else ''}"


def _in_markdown(command: Any) -> None:
    command.help = prose(command.help or "")
    command.short_help = command.help.partition("\n\n")[0]
    for child in getattr(command, "commands", {}).values():
        _in_markdown(child)


class CommandLine(SphinxDirective):
    """All commands of ``nmc``, with their arguments and options."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        command: Any = typer.main.get_command(commands)
        _in_markdown(command)
        context = command.context_class(command, info_name="nmc")
        text = get_docs_for_click(obj=command, ctx=context, name="nmc")
        text = re.sub(r"^#", "##", text, flags=re.MULTILINE)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
