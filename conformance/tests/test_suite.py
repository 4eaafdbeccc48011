"""The suite itself: ids, hashes, clauses, codes, size, and that it is made anew the same."""

from __future__ import annotations

import re
from collections import Counter

import make_vectors
import pytest
from programs import VECTORS

import nmc_spec
from nmc_conformance.coverage import NOT_PROVOKABLE, WITHOUT_VECTORS, coverage
from nmc_conformance.vectors import load_suite
from nmc_spec import annex

SUITE = load_suite(VECTORS)
BY_ID = {vector.id: vector for vector in SUITE.vectors}
ANCHORS = {
    anchor
    for path in annex.TEXT.glob("*.md")
    for anchor in re.findall(r'<a id="([^"]+)"></a>', path.read_text(encoding="utf-8"))
}
CHAPTERS = {path.name.removesuffix(".md") for path in annex.TEXT.glob("*.md")}


def test_no_vector_is_broken() -> None:
    assert SUITE.broken == {}


def test_there_are_enough() -> None:
    outcomes = Counter(vector.expected.outcome for vector in SUITE.vectors)
    assert outcomes["accept"] >= 60
    assert outcomes["reject"] >= 120


def test_the_suite_is_small() -> None:
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) <= 8 << 20


def test_folders_are_named_after_chapters() -> None:
    assert {vector.id.partition("/")[0] for vector in SUITE.vectors} <= CHAPTERS


def test_summaries_are_distinct() -> None:
    counts = Counter(vector.summary for vector in SUITE.vectors)
    assert [summary for summary, count in counts.items() if count > 1] == []


def test_every_clause_is_in_the_text() -> None:
    wanted = {clause for vector in SUITE.vectors for clause in vector.clauses}
    anchors = {
        clause: ("c" if clause[0].isdigit() else "") + clause.lower().replace(".", "-")
        for clause in wanted
    }
    assert [clause for clause, anchor in anchors.items() if anchor not in ANCHORS] == []


def clauses_that_say_shall() -> set[str]:
    """Return the anchors of the normative clauses in which a line says *shall*."""
    found: set[str] = set()
    for path in annex.TEXT.glob("*.md"):
        if path.name.startswith("annex-") and not path.name.startswith("annex-d"):
            continue
        anchor = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r'<a id="([^"]+)">', line)
            anchor = match[1] if match else anchor
            if re.search(r"\bshall\b", line) and not line.startswith("NOTE"):
                found.add(anchor)
    return found - {"annex-d"}  # its opening says what clause D.1 says


def test_every_clause_that_says_shall_has_a_vector() -> None:
    clauses = {clause for vector in SUITE.vectors for clause in vector.clauses} | {*WITHOUT_VECTORS}
    covered = {("c" if c[0].isdigit() else "") + c.lower().replace(".", "-") for c in clauses}
    assert clauses_that_say_shall() - covered == set()


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


def test_made_anew_it_is_the_same() -> None:
    assert make_vectors.run(VECTORS, writing=False) == []


def test_every_manifest_object_has_its_missing_vector() -> None:
    required = [path for path, column in nmc_spec.manifest_layout().items() if column.required]
    missing = [v for v in SUITE.vectors if v.id.startswith("05-package/missing-")]
    assert len(missing) == len(required)
