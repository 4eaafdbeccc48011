"""Hosted CI decides nothing: what runs is in .ci/run, and commits are short and say why."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / ".gitlab-ci.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
ALLOWED = re.compile(r"\.ci/run|make [a-z -]+|mv out/site public|gh release create .*")


def commands(node: Any) -> list[str]:
    """Return what a file has a shell run."""
    if isinstance(node, dict):
        own = [node[key] for key in ("run", "script") if isinstance(node.get(key), str)]
        return own + [line for value in node.values() for line in commands(value)]
    return [line for value in node for line in commands(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_hosted_file_calls_the_one_script(file: Path) -> None:
    found = commands(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert ".ci/run" in found
    assert [line for line in found if not ALLOWED.fullmatch(line)] == []


@pytest.mark.parametrize(
    ("subject", "code"), [("x" * 72, 0), ("é" * 72, 0), ("x" * 73, 1)], ids=["72", "wide", "73"]
)
def test_long_subjects_are_refused(subject: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "message").write_text(f"{subject}\n\n{'why ' * 40}\n", encoding="utf-8")
    command = [ROOT / ".ci" / "subjects", tmp_path / "message"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == code


@pytest.mark.parametrize(
    ("body", "code"), [("Why.\n", 0), ("", 1), ("  \n# said by git\n", 1)], ids=["why", "no", "git"]
)
def test_a_commit_says_why(body: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "message").write_text(f"A subject\n\n{body}", encoding="utf-8")
    command = [ROOT / ".ci" / "subjects", tmp_path / "message"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, "without a body" in done.stderr) == (code, bool(code))
