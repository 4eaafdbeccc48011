"""The tutorials, followed: files are written, Python and commands run, and outputs are as shown."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from page_samples import BLOCK, wanted

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(FOLDER.glob("*.md"))


class Reader:
    """Somebody who follows a page in a folder of their own."""

    def __init__(self, command_line):
        self.command_line = command_line
        self.names = {"__name__": "__main__"}

    def follow(self, file, language, text):
        if file:
            Path(file).write_text(text, encoding="utf-8")
        elif language == "python":
            exec(compile(text, "<page>", "exec"), self.names)
        elif language == "console":
            for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, shown = entry.partition("\n")
                done = self.run(shlex.split(command))
                assert re.fullmatch(wanted(shown), done, re.DOTALL), (command, done)

    def run(self, words):
        if words[0] == "nmc":
            outcome = self.command_line(*words[1:])
            assert outcome.code == (words[1] == "diff"), (words, outcome)
            return outcome.out
        assert words[0] == "python"
        command = [sys.executable, *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_there_are_tutorials():
    assert len(PAGES) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_tutorial_can_be_followed(page, tmp_path, monkeypatch, command_line):
    if "import torch" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch")
    if "nmc keygen" in page.read_text(encoding="utf-8"):
        pytest.importorskip("cryptography")
    if "nmc train" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch")
        pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    here = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    reader = Reader(command_line)
    for file, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        reader.follow(file, language, text)
