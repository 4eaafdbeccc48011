"""The table of wrong programs fits the sources it edits, and the suite fails what is in it."""

from __future__ import annotations

import json
import shutil

import power
import pytest
import wrong_programs
from programs import CONFORMANCE

from nmc_conformance.vectors import load_suite
from nmc_spec import requirements

BUILT = CONFORMANCE / "implementations" / "typescript" / "dist" / "src" / "cli.js"


def test_every_edit_fits_the_source() -> None:
    stale = []
    for program in wrong_programs.table():
        if program.edits:
            try:
                path, text = program.edited()
            except wrong_programs.StaleError as error:
                stale.append(str(error))
                continue
            assert text != path.read_text(encoding="utf-8"), program.name
    assert stale == []


def test_there_are_programs_of_every_kind() -> None:
    programs = wrong_programs.table()
    assert len(programs) >= 130
    roles = {(p.role, p.base == "typescript") for p in programs}
    assert roles >= {("decoder", True), ("decoder", False), ("checker", False), ("encoder", False)}


def test_each_names_a_clause_of_the_text() -> None:
    known = {r.id.rpartition("-")[0] for r in requirements().values()}
    known |= {c for v in load_suite(power.default_root()).vectors for c in v.clauses}
    assert {p.clause for p in wrong_programs.table() if p.clause not in known} == set()


@pytest.mark.slow(minutes=0.03)
def test_what_failed_a_program_is_a_vector() -> None:
    found = json.loads(power.FOUND.read_text(encoding="utf-8"))
    ids = {vector.id for vector in load_suite(power.default_root()).vectors}
    names = {program.name for program in wrong_programs.table()}
    assert found.keys() <= names
    assert set(found.values()) <= ids


def test_an_edit_that_does_not_fit_is_told() -> None:
    program = wrong_programs.WrongProgram(
        "n", "1", "s", "decoder", "typescript", (("not there", ""),), "json.ts"
    )
    with pytest.raises(wrong_programs.StaleError, match="0 places"):
        program.edited()


@pytest.mark.sweep(3)
@pytest.mark.parametrize("role", ["decoder", "checker", "encoder"])
def test_the_suite_fails_them(role: str) -> None:
    """One of each role, by the vector that failed it before; ``make power`` runs all."""
    found = json.loads(power.FOUND.read_text(encoding="utf-8"))
    mine = [p for p in wrong_programs.table() if p.role == role and p.base != "typescript"]
    programs = [p for p in mine if p.name in found][:1]
    select = [found[p.name] for p in programs]
    assert all(fate.failed for fate in power.run(programs, found, 1, select))


@pytest.mark.skipif(not BUILT.exists() or not shutil.which("node"), reason="needs Node, built")
def test_the_suite_fails_edits_of_the_typescript_decoder() -> None:
    names = {"digest-unchecked", "zip-gaps", "zstd-planes-up"}
    programs = [p for p in wrong_programs.table() if p.name in names]
    found = json.loads(power.FOUND.read_text(encoding="utf-8"))
    fates = power.run(programs, found, 1, [found[p.name] for p in programs])
    assert {fate.program.name for fate in fates if fate.failed} == names
    assert "**all** | 3 | 3 (100.0 %)" in power.score(fates)
