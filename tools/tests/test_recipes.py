"""The recipes, followed on a copy of the repository: files, changes, Python and commands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_samples import BLOCK, wanted

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in (ROOT / "docs" / "recipes").glob("*.md") if p.stem != "index")
ROOTS = ("spec", "format", "reference", "conformance", "tools")

pytestmark = pytest.mark.slow(minutes=0.4)


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository to change."""
    left_out = shutil.ignore_patterns("node_modules", "dist", "__pycache__", "tests")
    for name in ROOTS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    for file in ROOT.glob("*.md"):
        shutil.copy(file, tmp_path)
    return tmp_path


def started(folder, words, text=None):
    """Run a command on the copy and return what it printed."""
    paths = os.pathsep.join(str(folder / name) for name in ROOTS)
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PATH": here},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize(
    "page",
    [
        # It makes all vectors, as the recipe of a vector does, and takes the longest of all.
        pytest.param(page, id=page.stem, marks=[pytest.mark.long] if "issue" in page.stem else [])
        for page in PAGES
    ],
)
def test_a_recipe_can_be_followed(page, copy):
    pytest.importorskip("torch")
    steps = BLOCK.findall(page.read_text(encoding="utf-8"))
    for file, language, text in steps:
        if file:
            (copy / file).write_text(text, encoding="utf-8")
        elif language == "diff":
            started(copy, ["git", "apply", "-C1", "--recount", "-"], text)
        elif language == "python":
            started(copy, [sys.executable, "-c", text])
        elif language == "console":
            for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, shown = entry.partition("\n")
                printed = started(copy, shlex.split(command))
                assert re.fullmatch(wanted(shown), printed, re.DOTALL), (command, printed)
    assert any(language == "diff" for _, language, _ in steps)


def test_there_are_recipes():
    assert len(PAGES) >= 6
