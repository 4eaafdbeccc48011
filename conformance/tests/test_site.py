"""The implementation report: pages that stand alone, what each program claims, what changed."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlparse

import pytest
from programs import VECTORS, plain, wrong

from nmc_conformance import __main__ as main
from nmc_conformance import results, site
from nmc_conformance.results import Result, Run
from nmc_spec import annex

SELECT = ["07-decoding/there-and-back", "07-decoding/raw-bit", "06-segment/zstd"]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v for k, v in attrs if k in {"href", "src"} and v]
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    files = []
    for name, command in (("right", plain()), ("wrong", wrong("delta-ignored"))):
        files.append(folder / f"{name}.ndjson")
        run = ["run", "--decoder", command, "-q", "-o", str(files[-1]), *SELECT]
        main.main([*run, "--vectors", str(VECTORS)])
    made = folder / "site"
    command = ["report", *map(str, files), "--site", str(made), "--vectors", str(VECTORS)]
    assert main.main(command) == 1
    return made


def test_every_page_is_whole_and_needs_nothing_from_elsewhere(report: Path) -> None:
    pages = sorted(report.glob("*.html"))
    assert [page.name for page in pages] == [
        "delta-ignored-decoder.html",
        "index.html",
        "plain-decoder.html",
        "vectors.html",
    ]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        links = _Links()
        links.feed(text)
        assert links.open == []
        assert "viewport" in text
        assert "color-scheme: light dark" in text
        for link in links.found:
            assert not urlparse(link).scheme, link
            assert (report / link).is_file(), link


def test_the_first_page_has_programs_profiles_and_chapters(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    assert "conformance suite" in text
    assert "Baseline decoder of level 4, any form of HDF5" in text
    assert re.search(r"7 Decoding</th><td class=\"n good\">2 of 2</td>", text)
    assert '<td class="n bad">1 of 2</td>' in text
    assert '<td class="n dim">none</td>' in text  # what it does not support counts neither way


def test_a_page_has_the_claim_and_what_fails(report: Path) -> None:
    text = (report / "delta-ignored-decoder.html").read_text(encoding="utf-8")
    assert "does not conform" in text
    assert "it rejected a conforming package" in text
    assert "There is no run before" in text
    plain_page = (report / "plain-decoder.html").read_text(encoding="utf-8")
    assert "it passes the part of the suite that was run, which shows no conf" in plain_page
    assert results.read(report / "results" / "plain-decoder.ndjson").passed


def test_every_folder_of_vectors_has_the_title_of_its_chapter() -> None:
    folders = {path.name for path in VECTORS.iterdir() if path.is_dir()}
    titles = {}
    for path in annex.TEXT.glob("[0-9]*.md"):
        head = path.read_text(encoding="utf-8").partition("\n")[0]
        titles[path.stem] = head.removeprefix("# ")
    assert {name: titles[name] for name in folders} == site.CHAPTERS


def test_a_whole_run_conforms_and_a_part_of_one_does_not(tmp_path: Path) -> None:
    source = tmp_path / "r.ndjson"
    source.write_text("")
    whole = run("2026-01-01", result("04-model/a", "pass"))
    for made, said in (
        (whole, "As a decoder it conforms by this run."),
        (replace(whole, selection=("04*",)), "which shows no conformance"),
    ):
        site.write(tmp_path / "site", [(source, made)], {})
        assert said in (tmp_path / "site" / "b-decoder.html").read_text(encoding="utf-8")


def result(vector: str, verdict: str) -> Result:
    return Result(vector, verdict, "", None, (), (), 0.0, "baseline")


def run(started: str, *made: Result) -> Run:
    subject = {"name": "<b>", "version": "1", "profiles": ["baseline"], "levels": [1]}
    return Run("decoder", {**subject, "features": []}, started, made, suite="2.0.0")


def test_two_runs_of_a_program_are_compared(tmp_path: Path) -> None:
    source = tmp_path / "r.ndjson"
    source.write_text("")
    old = run("2026-01-01", result("04-model/a", "pass"), result("04-model/b", "fail"))
    new = run("2026-01-02", result("04-model/b", "pass"), result("04-model/c", "crash"))
    assert site.changes(old, new) == [
        ("04-model/a", "pass", ""),
        ("04-model/b", "fail", "pass"),
        ("04-model/c", "", "crash"),
    ]
    site.write(tmp_path / "site", [(source, new), (source, old)], {})
    text = (tmp_path / "site" / "b-decoder.html").read_text(encoding="utf-8")
    assert text.count("not there") == 2
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    (entry,) = site.entries_of([(source, old), (source, replace(old, started="2026-01-03"))])
    assert "Every vector has the verdict" in site._changes(entry, {})
