"""The clause list: made of the text and the assignment, and a damaged copy of either is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import nmc_spec
from nmc_conformance.schemas import fault
from nmc_spec import annex, clauses

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Return a copy of the text."""
    copy = tmp_path / "text"
    shutil.copytree(annex.TEXT, copy)
    return copy


def edit(path: Path, pattern: str, by: str, count: int = 1) -> None:
    old = path.read_text(encoding="utf-8")
    new = re.sub(pattern, by, old, count=count)
    assert new != old
    path.write_text(new, encoding="utf-8")


def faults(text: Path) -> list[str]:
    with pytest.raises(clauses.ClauseError) as raised:
        clauses.clause_list(text)
    return str(raised.value).splitlines()


def test_the_list_is_current_and_keeps_its_schema() -> None:
    made = clauses.clause_list()
    assert clauses.LIST.read_text(encoding="utf-8") == clauses.text_of(made)
    assert fault(made, "clauses") == ""
    assert fault({**made, "requirements": []}, "clauses") != ""


def test_every_requirement_is_loaded() -> None:
    known = nmc_spec.requirements()
    found, wrong = clauses.sentences()
    assert wrong == []
    assert [sentence.id for sentence in found] == list(known)
    for sentence in found:
        assert known[sentence.id].sentence == sentence.text
        assert "shall" in sentence.text
        assert "shall[" not in sentence.text
        assert sentence.text[0].isupper() or sentence.text[0] in "`*n"


def test_the_command_agrees(text: Path) -> None:
    command = [sys.executable, "-m", "nmc_spec.clauses", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    edit(text / "09-freezing.md", "The list shall", "Every list shall")
    command += ["--text", str(text)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "stale: clauses.json\n")


def test_a_shall_without_an_identifier(text: Path) -> None:
    with (text / "10-profiles.md").open("a", encoding="utf-8") as file:
        file.write("\nA level shall be good.\n")
    found = faults(text)
    assert found == [
        "10-profiles.md, clause 10.3.2: a shall without an identifier: A level shall be good."
    ]


def test_a_shall_in_a_note_or_an_informative_part(text: Path) -> None:
    with (text / "10-profiles.md").open("a", encoding="utf-8") as file:
        file.write("\nNOTE A level shall be good.\n")
    with (text / "annex-b-traceability.md").open("a", encoding="utf-8") as file:
        file.write("\nThis shall be.\n")
    first, second = faults(text)
    assert first.startswith("10-profiles.md: a shall in a note")
    assert second.startswith("annex-b-traceability.md: a shall in an informative part")


def test_an_identifier_that_occurs_twice(text: Path) -> None:
    path = text / "04-model.md"
    edit(path, r"(Frame 0 shall\[a\] be a key frame\.)", r"\1 \1")
    assert faults(text) == ["4.1-a occurs twice"]


def test_an_identifier_whose_sentence_vanished(text: Path) -> None:
    edit(text / "04-model.md", r"Frame 0 shall\[a\] be a key frame\.", "")
    assert faults(text) == ["4.1-a is no longer in the text"]


def test_a_new_requirement_needs_an_entry(text: Path) -> None:
    with (text / "10-profiles.md").open("a", encoding="utf-8") as file:
        file.write("\nA level shall[z] be good.\n")
    assert faults(text) == ["10.3.2-z has no entry in clauses.toml"]


def test_a_retired_identifier_does_not_come_back(tmp_path: Path) -> None:
    assignment = tmp_path / "clauses.toml"
    content = clauses.ASSIGNMENT.read_text(encoding="utf-8")
    assignment.write_text(content.replace("retired = [", 'retired = ["4.1-a", '), encoding="utf-8")
    with pytest.raises(clauses.ClauseError, match=r"4\.1-a is retired"):
        clauses.clause_list(assignment=assignment)


def test_an_entry_says_one_way_of_testing(tmp_path: Path) -> None:
    assignment = tmp_path / "clauses.toml"
    content = clauses.ASSIGNMENT.read_text(encoding="utf-8")
    more = content.replace('"4.1-a" = { binds', '"4.1-a" = { exempt = "no reason", binds')
    assignment.write_text(more, encoding="utf-8")
    with pytest.raises(clauses.ClauseError, match="one way of testing"):
        clauses.clause_list(assignment=assignment)


def test_a_list_and_its_items_are_one_sentence() -> None:
    known = nmc_spec.requirements()
    assert known["5.3.3-b"].sentence.endswith("; all objects of `/media` (clause 16).")
    assert known["11.1.2-c"].sentence.startswith("A decoder of a class shall return no state")


def test_a_stale_list_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "clauses.json"
    content = json.loads(clauses.LIST.read_bytes())
    content["requirements"][0]["sentence"] = "Frame 0 shall be shown first."
    stale.write_text(clauses.text_of(content), encoding="utf-8")
    monkeypatch.setattr(clauses, "LIST", stale)
    assert clauses.main(["--check"]) == 1
    assert clauses.main(["--write"]) == 0
    assert clauses.main(["--check"]) == 0
