"""The text of the standard: its anchors, its links, and its generated parts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import nmc_spec
from nmc_spec import anchors, annex

if TYPE_CHECKING:
    from pathlib import Path

LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")

FILES = sorted(annex.TEXT.glob("*.md"))
PAGES = {path.name: path.read_text(encoding="utf-8") for path in FILES}


def test_every_anchor_is_unique() -> None:
    counts = Counter(name for page in PAGES.values() for name in anchors.anchors(page))
    assert [anchor for anchor, count in counts.items() if count > 1] == []


def test_the_source_is_plain_markdown() -> None:
    """Anchors are derived: a page holds no HTML except for comments and line breaks."""
    for name, page in PAGES.items():
        assert set(re.findall(r"<[a-z/][^>\n]*>", re.sub(r"`[^`\n]+`", "", page))) <= {"<br>"}, name


@pytest.mark.parametrize(
    "clause", sorted({i.clause for i in nmc_spec.issues().values()} - {"-"}), ids=str
)
def test_every_clause_of_the_catalogue_is_there(clause: str) -> None:
    assert anchors.anchor_of(clause) in {
        a for page in PAGES.values() for a in anchors.anchors(page)
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_heading(name: str) -> None:
    for target, slug in LINK.findall(PAGES[name]):
        assert (annex.TEXT / (target or name)).is_file(), target
        if slug:
            slugs = {head.slug for head in anchors.headings(PAGES[target or name])}
            assert slug in slugs, (target, slug)


@pytest.mark.parametrize("name", PAGES)
def test_every_heading_is_numbered(name: str) -> None:
    """Its anchor, which others link to, is made of the number."""
    prose = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    heads = [line for line in prose.splitlines() if line.startswith("#")]
    assert [line for line in heads if not anchors.heading(line)] == []


@pytest.mark.parametrize(
    ("line", "number", "anchor", "slug"),
    [
        ("### 5.3.1 File", "5.3.1", "c5-3-1", "531-file"),
        ("# Annex C (informative): Glossary", "C", "annex-c", "annex-c-informative-glossary"),
        ("## B.3 Table 5-2, and an erratum", "B.3", "b-3", "b3-table-5-2-and-an-erratum"),
        ("### 9.2.1 requires_grad", "9.2.1", "c9-2-1", "921-requires_grad"),
    ],
)
def test_the_anchors_of_a_heading(line: str, number: str, anchor: str, slug: str) -> None:
    head = anchors.heading(line)
    assert head is not None
    assert (head.number, head.anchor, head.slug) == (number, anchor, slug)


def test_a_page_with_its_anchors() -> None:
    page = "## 4.1 Frames\n\nIt shall[b] be.\n\n```\n# 1 it shall[a]\n```\n"
    assert anchors.anchored(page) == (
        '<a id="c4-1"></a>\n\n## 4.1 Frames\n\n'
        'It shall<a id="c4-1-b" href="#c4-1-b"><sup>b</sup></a> be.\n\n'
        "```\n# 1 it shall[a]\n```\n"
    )


def test_the_anchors_are_those_of_the_clause_list() -> None:
    for requirement in nmc_spec.requirements().values():
        assert requirement.anchor in anchors.anchors(PAGES[requirement.file])


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
