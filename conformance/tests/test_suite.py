"""The suite itself: ids, hashes, clauses, codes, size, and that it is made again the same."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import make_vectors
import pytest
import readme_figures
from programs import VECTORS, suite

import nmc_spec
from nmc_conformance.coverage import NOT_PROVOKABLE, coverage
from nmc_spec import anchors, annex

if TYPE_CHECKING:
    from cases import Case

SUITE = suite()
BY_ID = {vector.id: vector for vector in SUITE.vectors}
ANCHORS = {
    anchor
    for path in annex.TEXT.glob("*.md")
    for anchor in anchors.anchors(path.read_text(encoding="utf-8"))
}
CHAPTERS = {path.name.removesuffix(".md") for path in annex.TEXT.glob("*.md")}


def test_no_vector_is_broken() -> None:
    assert SUITE.broken == {}


def test_there_are_enough() -> None:
    outcomes = Counter(vector.expected.outcome for vector in SUITE.vectors)
    assert outcomes["accept"] >= 60
    assert outcomes["reject"] >= 120


def test_the_suite_is_small() -> None:
    """It is fetched with the repository: 11 MiB, so that the archive stays below 12 MiB."""
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) <= 11 << 20


def test_folders_are_named_after_chapters() -> None:
    assert {vector.id.partition("/")[0] for vector in SUITE.vectors} <= CHAPTERS


def test_summaries_are_distinct() -> None:
    counts = Counter(vector.summary for vector in SUITE.vectors)
    assert [summary for summary, count in counts.items() if count > 1] == []


def test_every_clause_is_in_the_text() -> None:
    wanted = {clause for vector in SUITE.vectors for clause in vector.clauses}
    assert {clause for clause in wanted if anchors.anchor_of(clause) not in ANCHORS} == set()


def test_every_shall_is_tested_or_says_why_not() -> None:
    made = coverage(SUITE.vectors)
    assert made.missing_requirements == ()
    assert sum(made.ways.values()) == len(nmc_spec.requirements())
    exempt = [r for r in nmc_spec.requirements().values() if r.tested == "exempt"]
    assert len(exempt) <= 10
    assert [r.id for r in exempt if not r.reason] == []


def test_what_binds_a_package_or_a_reader_has_a_refusal_or_a_state() -> None:
    """A requirement on a package is tested by one that breaks it, among others."""
    tested = coverage(SUITE.vectors).requirements
    for name, requirement in nmc_spec.requirements().items():
        if requirement.tested == "vectors" and requirement.binds == ("package",):
            outcomes = {BY_ID[vector].expected.outcome for vector in tested[name]}
            assert "reject" in outcomes, name


def test_a_requirement_without_its_vectors_is_missing() -> None:
    some = [v for v in SUITE.vectors if v.id != "05-package/first-frame-delta"]
    made = coverage(some)
    assert made.missing_requirements == ("4.1-a", "5.4.4-b")
    assert made.missing_codes == ("manifest/first-frame-key",)
    assert made.to_json()["requirements"]["missing"] == ["4.1-a", "5.4.4-b"]
    assert made.summary()[0].startswith(f"requirements: {len(nmc_spec.requirements()) - 2} of ")


def test_every_code_is_in_the_catalogue() -> None:
    named = {c for v in SUITE.vectors for c in (*v.expected.codes, *v.expected.warnings)}
    assert named <= nmc_spec.issues().keys()


def test_every_code_of_the_catalogue_has_a_vector() -> None:
    assert coverage(SUITE.vectors).missing_codes == ()
    assert NOT_PROVOKABLE.keys() <= nmc_spec.issues().keys()


def test_warnings_are_warnings() -> None:
    issues = nmc_spec.issues()
    for vector in SUITE.vectors:
        assert {issues[c].severity for c in vector.expected.codes} <= {"error"}
        assert {issues[c].severity for c in vector.expected.warnings} <= {"warning"}


@pytest.mark.sweep(20)
@pytest.mark.parametrize(
    "name", [v.id for v in SUITE.vectors if v.expected.outcome == "reject"], ids=str
)
def test_a_refusal_is_derived_from_what_conforms(name: str) -> None:
    base = BY_ID[name].derived_from
    assert base is not None
    assert BY_ID[base].expected.outcome == "accept"


def test_a_frame_stage_has_states_to_compare() -> None:
    for vector in SUITE.vectors:
        digests = vector.expected.state_digests
        if vector.expected.stage == "frame":
            assert None in digests
        elif vector.expected.stage == "check":
            assert digests
            assert None not in digests


def some_cases() -> dict[str, tuple[str, Case]]:
    """Return a few cases and those that they differ from; ``make generated`` makes all of them."""
    every = {case.id: (name, case) for name, case in make_vectors.all_cases()}
    some = [name for name in every if name.startswith(("04-model/c", "06-segment/zstd"))]
    for name in some:
        base = every[name][1].base
        if base is not None and base not in some:
            some.append(base)
    return {name: every[name] for name in some}


@pytest.mark.slow(minutes=0.1)
def test_made_anew_it_is_the_same_and_what_is_stale_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A copy with one vector changed, one lost and one too many differs in these and no other."""
    some = some_cases()
    assert len(some) > 5
    monkeypatch.setattr(make_vectors, "all_cases", lambda: iter(some.values()))
    copy = tmp_path / "vectors"
    for name in some:
        shutil.copytree(VECTORS / name, copy / name)
    changed, lost, more = "04-model/carry", "06-segment/zstd", "06-segment/one-more"
    package = copy / changed / "package.nmc"
    package.write_bytes(package.read_bytes() + b"\0")
    shutil.copytree(copy / lost, copy / more)
    shutil.rmtree(copy / lost)
    assert sorted(make_vectors.run(copy, writing=False)) == sorted([changed, lost, more])


@pytest.mark.slow(minutes=0.03)
def test_the_figures_of_the_readme_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    assert readme_figures.main(["--check"]) == 0
    monkeypatch.setitem(readme_figures.PARTS, "suite", lambda _: "some vectors")
    assert readme_figures.main(["--check"]) == 1
    with pytest.raises(ValueError, match="there is no part"):
        readme_figures.replaced("a README without it", "")


def test_the_headlines_are_read_off_the_tables() -> None:
    coders = """Chain `one`:

| method | ratio | encode MB/s | decode MB/s |
|---|---:|---:|---:|
| slow peer | 1.9 | 7 | 7 |
| fast peer | 1.2 | 70 | 70 |
| **nmc fast** | 2.0 | 5 | 6 |
| **nmc strong** | 2.1 | 4 | 4 |
| **nmc max** | 2.2 | 3 | 2 |
"""
    *_, row = readme_figures.coder_headlines(coders).splitlines()
    assert row == "| `one` | 1.9 (7 / 7), slow peer | 2.0 (5 / 6) | 2.1 (4 / 4) | 2.2 (3 / 2) |"
    splats = coders.replace("fast**", "fast, package**")
    assert readme_figures.coder_headlines(splats).splitlines()[-1] == row
    alike = readme_figures.coder_headlines(coders.replace("one", "sparse_bf16_8"))
    assert len(alike.splitlines()) == 2
    sent = """| changed | method | bytes a step |
|---:|---|---:|
| 1.00 % | large peer | 20,000 |
| 1.00 % | small peer | 15,000 |
| 1.00 % | **nmc message, fast** | 10,000 |
"""
    told = readme_figures.message_headlines(sent).replace("\n", " ")
    assert "10 kB where 1.00 % changed (15 by small peer)" in told
    scenes = """| scene | s, frame 0 | dB | s, later | dB |
|---|---|---|---|---|
| a | 16 | 29.0 | 2.6 | 28.0 |
| b | 70 | 21.0 | 9.4 | 20.5 |
"""
    told = readme_figures.training_headlines(scenes).replace("\n", " ")
    assert "16 to 70 s for frame 0, 2.6 to 9.4 s" in told and "at most 1.0 dB" in told
    wrong = "<!-- power -->\n| wrong programs | number | failed |\n|---|---|---|\n"
    wrong += "| decoders, Python | 60 | 59 |\n| **all** | 108 | 107 (99.1 %) |\n<!-- /power -->"
    with pytest.raises(ValueError, match="a table of 60 wrong programs"):
        readme_figures.power_headline(wrong)
    kinds = readme_figures.wrong_programs.kinds_of(readme_figures.wrong_programs.table())
    right = "".join(f"| {kind} | {count:,} | {count:,} |\n" for kind, count in kinds.items())
    told = readme_figures.power_headline(wrong.replace("| decoders, Python | 60 | 59 |\n", right))
    assert "Of 108 wrong programs" in told and "fails 107 (99.1 %)" in told.replace("\n", " ")
    drawn = "<!-- mutation -->\nA sample of 6 of 70 mutants.\n\n| floor | mutants | no change |"
    drawn += " score |\n|---|---|---|---|\n| **all** | 6 | 1 | 97.0 % |\n<!-- /mutation -->"
    assert "Of 6 of 70 mutants (changed" in readme_figures.mutation_headline(drawn)
    with pytest.raises(ValueError, match="no table that begins with"):
        readme_figures.training_headlines(coders)


def test_every_manifest_object_has_its_missing_vector() -> None:
    required = [path for path, column in nmc_spec.manifest_layout().items() if column.required]
    missing = [v for v in SUITE.vectors if v.id.startswith("05-package/missing-")]
    assert len(missing) == len(required)
