"""The reference sits the tests like any other program, by its command line."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import KNOWN_FAILURES, VECTORS, reference

from nmc_conformance import commands

if TYPE_CHECKING:
    from nmc_conformance.results import Run


def judged(role: str, *select: str, **options: object) -> Run:
    made = commands.RunOptions(
        role=role,
        command=reference(),
        vectors=VECTORS,
        select=select,
        expected_failures=KNOWN_FAILURES,
        quiet=True,
        arbiter=reference(),
        **options,
    )  # type: ignore[arg-type]
    return commands.run(made)


def wrong(run: Run) -> dict[str, str]:
    good = {"pass", "xfail"}
    return {r.vector: f"{r.verdict}: {r.detail}" for r in run.results if r.verdict not in good}


def strange(run: Run) -> dict[str, tuple[str, ...]]:
    return {r.vector: r.codes for r in run.results if r.diagnostics not in {None, "match"}}


@pytest.mark.slow
@pytest.mark.parametrize("role", ["decoder", "checker"])
def test_it_passes_every_vector_and_names_the_codes(role: str) -> None:
    run = judged(role)
    assert wrong(run) == {}
    assert strange(run) == {}
    assert run.passed


def test_it_passes_one_vector_of_200() -> None:
    """``make test-all`` takes all of them."""
    ids = sorted(path.parent.relative_to(VECTORS).as_posix() for path in VECTORS.glob("*/*/*.json"))
    run = judged("decoder", *ids[::200])
    assert len(run.results) == len(ids[::200]) > 8
    assert wrong(run) == {}
    assert strange(run) == {}
    assert run.passed


@pytest.mark.slow(minutes=0.09)
@pytest.mark.parametrize(
    "select",
    [
        ("04-model/s*", "08-arithmetic/sparse-types"),
        ("04-model/[n-r]*", "07-decoding/[r-z]*"),
        pytest.param(
            ("04-model/[e-u]*", "07-decoding/*", "08-arithmetic/*-types"), marks=pytest.mark.long
        ),
    ],
)
def test_it_passes_as_an_encoder(select: tuple[str, ...]) -> None:
    run = judged("encoder", *select, jobs=1)
    assert wrong(run) == {}
    assert run.passed


@pytest.mark.slow
def test_it_passes_as_an_encoder_of_states_on_grids() -> None:
    """It is given what quantised tensors decode to, and keeps every bit in profile lossy."""
    run = judged("encoder", "12-quantised/*", jobs=1)
    assert wrong(run) == {}
    assert len(run.results) > 60
    assert run.passed


@pytest.mark.slow
def test_it_passes_without_the_persistent_mode() -> None:
    run = judged("decoder", "07-decoding/seek-*", "05-package/no-bytes", persistent=False)
    assert wrong(run) == {}
    assert run.passed


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [*shlex.split(reference()), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.slow(minutes=0.1)
def test_exit_codes(tmp_path: Path) -> None:
    package = VECTORS / "05-package" / "one-frame" / "package.nmc"
    ask = ("decode", "--input", package, "--output", tmp_path)
    assert command(*ask, "--frames", "0").returncode == 0
    assert command(*ask, "--frames", "1").returncode == 2
    assert command(*ask, "--frames", "x").returncode == 2
    assert command("encode", "--input", tmp_path, "--output", tmp_path / "x.nmc").returncode == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert command("encode", "--input", empty, "--output", tmp_path / "y.nmc").returncode == 2


@pytest.mark.slow(minutes=0.05)
@pytest.mark.parametrize("name", ["carry", "scalar"])
def test_a_package_is_judged(name: str) -> None:
    package = VECTORS / "04-model" / name / "package.nmc"
    assert commands.check_package(package, reference()) == ("pass", [])


def test_a_package_with_errors_is_judged() -> None:
    package = VECTORS / "07-decoding" / "raw-bit" / "package.nmc"
    verdict, findings = commands.check_package(package, reference())
    assert verdict == "fail"
    assert "decoding/state-digest-mismatch" in findings[0]


@pytest.mark.slow(minutes=0.1)
def test_the_suite_is_a_command_of_the_reference(tmp_path: Path) -> None:
    listed = command("conformance", "list", "04-model/carry", "--vectors", VECTORS)
    assert listed.stdout.startswith("04-model/carry: ")
    output = tmp_path / "results.ndjson"
    options = ("--vectors", VECTORS, "-o", output, "-q")
    done = command("conformance", "run", "04-model/carry", "--decoder", reference(), *options)
    assert done.returncode == 0, done.stderr
    done = command("conformance", "report", output, "--vectors", VECTORS)
    assert "1 pass" in done.stdout
    assert command("conformance", "list", "none", "--vectors", VECTORS).returncode == 2
