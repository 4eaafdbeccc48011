"""Keeps the tables of docs/families up to date: options and layers of each family, and the list.

``python docs/family_pages.py --write`` puts them between the marks of the pages, ``--check`` says
whether one is stale, or a family has no page. They are read off the code: a family says what its
options mean (``ChainModel.meanings``), and its layers are those of its default options.
"""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

from nmc_framework.models import families, family
from nmc_framework.models.described import described_layers
from nmc_spec.generated import between, command, settled
from nmc_tools.commands.models import described

INDEX = Path(__file__).with_name("families.md")
FOLDER = INDEX.with_name("families")
_OPTION = re.compile(r"--\w+")


def options_table(name: str) -> str:
    """Return the options of a family with their defaults and meanings, as Markdown."""
    kind = family(name)
    rows = [
        f"| `{option}` | `{json.dumps(value)}` | {_meaning(kind.meanings[option])} |"
        for option, value in kind.defaults().items()
    ]
    return "\n".join(["| Option | Default | What it says |", "|---|---|---|", *rows])


def _meaning(text: str) -> str:
    """Return what an option says, with the names of options of commands as code."""
    return _OPTION.sub(r"`\g<0>`", text)


def layers_table(name: str) -> str:
    """Return the layers of a family with default options, as Markdown."""
    rows = []
    for each in described_layers(family(name)):
        numbers = f"{each.first}" if each.first == each.last else f"{each.first} to {each.last}"
        rows.append(f"| {numbers} | `{each.tensors}` | {each.weights:,} |")
    return "\n".join(["| Layers | Tensors | Weights |", "|---|---|---:|", *rows])


def families_table() -> str:
    """Return the list of families, as Markdown."""
    rows = []
    for name in families():
        told: dict[str, Any] = described(name)
        link = f"[{name}](families/{name}.md)"
        rows.append(f"| {link} | {told['kind']} | {told['summary']} | `{told['trained_by']}` |")
    head = ["| Family | Of | What it is | Trained by |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def page(name: str, text: str) -> str:
    """Return the page of a family with its tables as they are now."""
    for mark, table in (("layers", layers_table(name)), ("options", options_table(name))):
        text = between(text, f"<!-- {mark} -->\n", f"<!-- /{mark} -->", f"\n{table}\n\n")
    return text


def index(text: str) -> str:
    """Return the page of all families with its list as it is now."""
    return between(text, "<!-- families -->\n", "<!-- /families -->", f"\n{families_table()}\n\n")


def strangers() -> list[Path]:
    """Return pages of families that there are not."""
    return [path for path in sorted(FOLDER.glob("*.md")) if path.stem not in families()]


def main() -> int:
    """Write the pages, or say which are stale."""
    options = command(__doc__).parse_args()
    wrong = settled(INDEX, index, writing=options.write)
    for name in families():
        made = partial(page, name)
        wrong |= settled(FOLDER / f"{name}.md", made, writing=options.write)
    for path in strangers():
        print(f"no family: {path.name}")
        wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
