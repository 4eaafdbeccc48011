"""The text of the standard: its anchors, its links, and its generated parts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import nmc_spec
from nmc_spec import annex

ANCHOR = re.compile(r'<a id="([^"]+)">')
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#{1,4} ((?:Annex )?[A-Z]?[0-9]*(?:\.[0-9]+)*)", re.MULTILINE)


def anchors(path: Path) -> list[str]:
    return ANCHOR.findall(path.read_text(encoding="utf-8"))


FILES = sorted(annex.TEXT.glob("*.md"))
ANCHORS = {path.name: anchors(path) for path in FILES}


def test_every_anchor_is_unique() -> None:
    counts = Counter(anchor for names in ANCHORS.values() for anchor in names)
    assert [anchor for anchor, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(
    "clause", sorted({i.clause for i in nmc_spec.issues().values()} - {"-"}), ids=str
)
def test_every_clause_of_the_catalogue_is_there(clause: str) -> None:
    chapter = annex.CHAPTERS[clause.partition(".")[0]]
    assert "c" + clause.replace(".", "-") in ANCHORS[chapter]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_link_leads_to_an_anchor(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        name = target or path.name
        assert (annex.TEXT / name).is_file(), target
        assert not anchor or anchor in ANCHORS[name], (target, anchor)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_numbered_heading_has_its_anchor_before_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for heading in HEADING.finditer(text):
        number = heading[1]
        if not number.strip():
            continue
        wanted = number.lower().replace(".", "-").replace(" ", "-")
        wanted = wanted if number[0].isalpha() else f"c{wanted}"
        before = text[: heading.start()].rstrip().rpartition("\n")[2]
        assert before == f'<a id="{wanted}"></a>'


def test_generated_parts_are_not_stale() -> None:
    assert annex.stale() == []


def test_the_command_agrees() -> None:
    command = [sys.executable, "-m", "nmc_spec.annex", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_stale_part_is_found(tmp_path: Path) -> None:
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert annex.stale(tmp_path) == []
    profiles = tmp_path / "10-profiles.md"
    profiles.write_text(profiles.read_text(encoding="utf-8").replace("1,024", "1,025"), "utf-8")
    (tmp_path / "annex-a-issues.md").unlink()
    assert {path.name for path in annex.stale(tmp_path)} == {"10-profiles.md", "annex-a-issues.md"}


def test_markers_have_to_be_there() -> None:
    with pytest.raises(ValueError, match="there is no part"):
        annex.replaced("no markers", "levels", "")
