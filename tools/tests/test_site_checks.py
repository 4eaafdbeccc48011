"""What `make docs` and `make generated` look at beside Sphinx: links of pages, maps, records."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import architecture_map
import check_site
import decision_index

from nmc_spec import generated

GOOD = '<a href="b.html#there">b</a><img src="a.svg"><a href="https://example.org/x">out</a>'


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (GOOD, []),
        ('<a href="c.html">c</a>', ["a.html: there is no c.html"]),
        ('<a href="b.html#gone">b</a>', ["a.html: there is no place b.html#gone"]),
        ('<a href="#gone">b</a>', ["a.html: there is no place #gone"]),
        ('<a href="../b.html">b</a>', ["a.html: there is no ../b.html"]),
        ('<img src="x.svg">', ["a.html: there is no x.svg"]),
        (
            '<script src="https://cdn.example/x.js"></script>',
            ["a.html: loads https://cdn.example/x.js from outside"],
        ),
        (
            '<link rel="stylesheet" href="//fonts.example/x.css">',
            ["a.html: loads //fonts.example/x.css from outside"],
        ),
    ],
)
def test_pages_are_looked_at_as_a_browser_gets_them(page, told, tmp_path):
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text('<p id="there">')
    (tmp_path / "a.svg").write_text("<svg/>")
    assert check_site.faults(tmp_path) == told


def test_a_site_without_pages_is_none(tmp_path):
    assert check_site.faults(tmp_path) == [f"{tmp_path}: there are no pages"]


@pytest.mark.parametrize(
    ("sentence", "clauses"),
    [
        ("The frames (clauses 5.4.4 and 5.5).", {"5": ["5.4.4", "5.5"]}),
        ("Records (clauses 5.5 and 9.1 to 9.3).", {"5": ["5.5"], "9": ["9.1 to 9.3"]}),
        ("Objects (table 5-6).", {"5": ["5-6"]}),
        ("The compact form (clause 5.3.1, annex D).", {"5": ["5.3.1"], "D": ["D"]}),
        ("Four files of 64 bytes.", {}),
    ],
)
def test_the_map_reads_sentences(sentence, clauses):
    assert architecture_map.clauses_of(sentence) == clauses


RECORD = """# 0001 — A title

*Stands; 0002 adds to it. 2026-11-21.* What it says.

## Context

## Choice

## What was given up
"""


def test_a_record_of_a_decision_is_by_the_template(tmp_path):
    path = tmp_path / "0001-a-title.md"
    path.write_text(RECORD)
    made = decision_index.read(path)
    assert (made.title, made.status, made.line) == (
        "A title", "Stands; 0002 adds to it", "What it says.",
    )  # fmt: skip
    assert "| 0001 | [A title](0001-a-title.md) |" in decision_index.index([made])
    with pytest.raises(decision_index.RecordError, match="the next number is 0002"):
        decision_index.index([made, made])


@pytest.mark.parametrize(
    ("lost", "told"),
    [("0001 —", "title"), ("2026-11-21.", "no line"), ("## Choice\n", "the parts")],
)
def test_a_record_by_another_template_is_told(lost, told, tmp_path):
    path = tmp_path / "0001-a-title.md"
    path.write_text(RECORD.replace(lost, ""))
    with pytest.raises(decision_index.RecordError, match=told):
        decision_index.read(path)


def test_a_page_is_checked_written_and_told(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before <a>old</a> after", encoding="utf-8")
    made = lambda text: generated.between(text, "<a>", "</a>", "new")  # noqa: E731
    assert generated.settled(page, made, writing=False) == 1
    assert capsys.readouterr().out == "stale: page.md\n"
    assert generated.settled(page, made, writing=True) == 0
    assert page.read_text(encoding="utf-8") == "before <a>new</a> after"
    assert generated.settled(page, made, writing=False) == 0
    for without in ("before", "</a> <a>", "<a> <a> </a>"):
        page.write_text(without, encoding="utf-8")
        assert generated.settled(page, made, writing=True) == 1
        assert "there is no part <a> … </a>" in capsys.readouterr().out
        assert page.read_text(encoding="utf-8") == without
