"""The pages of families: one each, with the tables that the code makes and commands that exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

import family_pages as pages

from nmc_framework.models import ChainModel, families, family
from nmc_tools.commands.command_run import parse

PARTS = [
    "Train, package and show", "Layers", "Options", "When to choose it", "What it reaches"
]  # fmt: skip
TEXTS = {name: (pages.FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in families()}


def commands(text):
    """Yield the words of every nmc command in blocks of a shell."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if words := shlex.split(line, comments=True):
                yield words


@pytest.mark.parametrize("name", families())
def test_the_tables_of_a_page_are_those_of_the_code(name):
    assert pages.page(name, TEXTS[name]) == TEXTS[name], "run docs/family_pages.py --write"
    assert re.findall(r"^## (.*)$", TEXTS[name], re.MULTILINE) == PARTS


@pytest.mark.parametrize("name", families())
def test_the_commands_of_a_page_are_commands(name):
    found = list(commands(TEXTS[name]))
    assert len(found) >= 4 and all(words[0] == "nmc" for words in found)
    for words in found:
        parse(words[1:])
    assert ["nmc", "check"] in [words[:2] for words in found]


def test_a_command_that_is_none_is_found_out():
    with pytest.raises(Exception, match="No such option"):
        parse(["train", "film.mp4", "-o", "x.nmc", "--famili", "siren"])


def test_the_list_is_that_of_the_code_and_no_page_is_a_stranger(tmp_path, monkeypatch):
    text = pages.INDEX.read_text(encoding="utf-8")
    assert pages.index(text) == text, "run docs/family_pages.py --write"
    assert pages.strangers() == []
    (tmp_path / "siran.md").write_text("")
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    assert [path.name for path in pages.strangers()] == ["siran.md"]


@pytest.mark.parametrize("name", families())
def test_a_family_says_what_each_option_means(name):
    kind: type[ChainModel] = family(name)
    assert set(kind.meanings) == set(kind.defaults())
    assert all(text and not text.endswith(".") for text in kind.meanings.values())
