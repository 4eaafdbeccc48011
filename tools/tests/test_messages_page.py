"""The page of messages: every code of the catalogue, as a command says it today."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import nmc_spec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

import message_page as messages

TEXT = messages.PAGE.read_text(encoding="utf-8")
CHAPTERS = sorted({code.partition("/")[0] for code in nmc_spec.issues()})


def test_every_code_is_shown_once_with_a_line_of_its_own() -> None:
    parts = re.split(r"^### `(.+)`$", TEXT, flags=re.MULTILINE)[1:]
    shown = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(shown) == list(nmc_spec.issues())
    for code, text in shown.items():
        assert text.count(f" {code} at ") == 1
    run = [code for code, text in shown.items() if "\n$ nmc " in text]
    assert len(run) > 90


def test_no_run_is_one_of_this_machine() -> None:
    assert not re.search(r"/tmp|/work|/home|Traceback", TEXT)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each command runs in a child of this process")
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_lines_are_those_of_today(chapter: str) -> None:
    for code in nmc_spec.issues():
        if code.startswith(f"{chapter}/"):
            found = messages.of_code(code)
            assert found is None or f"$ {found.words}\n{found.line}\n" in TEXT, code
