"""What the command line does: run, report and list. Shared by ``nmc conformance`` and ``-m``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from nmc_conformance import badge, junit, matrix, results, runner, sealing, site
from nmc_conformance.coverage import coverage
from nmc_conformance.encoder import EncoderTrial, is_for_encoders
from nmc_conformance.judge import FAIL, GOOD, PASS, VERDICTS
from nmc_conformance.process import Limits
from nmc_conformance.results import Result, ResultsWriter, Run
from nmc_conformance.staging import Stage
from nmc_conformance.subject import PersistentSubject, Subject
from nmc_conformance.vectors import Suite, SuiteError, default_root, load_suite, suite_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_conformance.subject import Description

DECODER, CHECKER, ENCODER = "decoder", "checker", "encoder"

_STYLE = {"pass": "green", "unsupported": "dim", "xfail": "dim"}


@dataclass(frozen=True)
class RunOptions:
    """What a run is made of; see ``run --help``. Without a seal the run takes one by chance."""

    role: str
    command: str
    vectors: Path = field(default_factory=default_root)
    select: Sequence[str] = ()
    output: Path | None = None
    jobs: int = 2
    seconds: float = 30.0
    memory_mib: int = 2048
    persistent: bool | None = None
    expected_failures: Path | None = None
    arbiter: str = "nmc"
    quiet: bool = False
    seal: str | None = None


def run(options: RunOptions) -> Run:
    """Run a program over the vectors, and print verdicts that are not good.

    Raises
    ------
    SuiteError, SubjectError, ValueError
        If there is nothing to run, or the program cannot be used.
    """
    suite = load_suite(options.vectors, options.select)
    limits = Limits(seconds=options.seconds, memory=options.memory_mib << 20)
    failures = options.expected_failures
    plan = runner.Plan(
        options.command,
        limits,
        options.jobs,
        options.persistent,
        runner.read_expected_failures(failures) if failures else {},
        sealing.new_seal() if options.seal is None else options.seal,
    )
    with runner.home() as home:
        description = runner.describe(plan, home)  # before results of an earlier run are replaced
        if options.output is None:
            return _run(options, suite, plan, description, home, None)
        with options.output.open("w", encoding="utf-8") as stream:
            return _run(options, suite, plan, description, home, stream)


def _selected(options: RunOptions, suite: Suite) -> Suite:
    chosen = {
        DECODER: suite.vectors,
        CHECKER: runner.select_for_checker(suite.vectors),
        ENCODER: tuple(v for v in suite.vectors if is_for_encoders(v)),
    }[options.role]
    if not chosen and not suite.broken:
        raise SuiteError("no vector that was selected is for this kind of program")
    return replace(suite, vectors=chosen)


def _run(
    options: RunOptions,
    suite: Suite,
    plan: runner.Plan,
    description: Description,
    home: Path,
    stream: TextIO | None,
) -> Run:
    suite = _selected(options, suite)
    trial, arbiter = _trial(options, plan, home)
    made = Run(
        role=options.role,
        subject=description.to_json(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        results=(),
        suite=suite_version(suite.root),
        limits={"seconds": plan.limits.seconds, "memory": float(plan.limits.memory)},
        seal=plan.seal,
        selection=tuple(options.select),
    )
    writer = ResultsWriter(stream) if stream is not None else None
    if writer:
        writer.header(made, len(suite.vectors) + len(suite.broken))
    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    gathered: list[Result] = []
    started = time.monotonic()
    try:
        warm_up = runner.warm_up_of(suite.vectors, description)
        for result in runner.run(suite, plan, description, trial, home, warm_up):
            gathered.append(result)
            if writer:
                writer.result(result)
            if result.verdict not in GOOD and not options.quiet:
                _say(console, result)
    finally:
        if arbiter is not None:
            arbiter.close()
    ordered = tuple(sorted(gathered, key=lambda result: result.vector))
    made = replace(made, results=ordered, seconds=time.monotonic() - started)
    if writer:
        writer.footer(made)
    if not options.quiet:
        _summary(console, made)
    return made


def _trial(
    options: RunOptions, plan: runner.Plan, home: Path
) -> tuple[runner.Trial, Subject | None]:
    if options.role == DECODER:
        return runner.decoder_trial, None
    if options.role == CHECKER:
        return runner.checker_trial, None
    if options.jobs > 1:
        raise ValueError("an encoder is judged with --jobs 1: one arbiter answers for all")
    arbiter, description = open_arbiter(options.arbiter, plan.limits, home)
    return EncoderTrial(arbiter, description, home), arbiter


def open_arbiter(command: str, limits: Limits, home: Path) -> tuple[Subject, Description]:
    """Start the decoder and checker that is trusted.

    Raises
    ------
    SubjectError
        If it cannot be started.
    """
    description = runner.describe(runner.Plan(command, limits), home)
    if runner.SERVE in description.features:
        return PersistentSubject(command, limits, home), description
    return Subject(command, limits), description


def _say(console: Console, result: Result) -> None:
    style = _STYLE.get(result.verdict, "red")
    console.print(f"[{style}]{result.verdict:>8}[/] ", end="")
    console.print(f"{result.vector}: {ascii_safe(result.detail)}", markup=False)


def ascii_safe(text: str) -> str:
    """Make what a program said harmless for a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _summary(console: Console, made: Run) -> None:
    counts = ", ".join(f"{made.counts[v]} {v}" for v in VERDICTS if made.counts[v])
    match, of = made.diagnostics
    verdict = "passed" if made.passed else "failed"
    name = f"{made.subject['name']} {made.subject['version']}"
    if not made.counts[PASS]:
        console.print("it passes no vector: such a run shows nothing", markup=False)
    for profile in made.unproven:
        console.print(f"it claims profile {profile} and passes no vector of it", markup=False)
    if made.selection:
        console.print("a part of the suite was run: it shows no conformance", markup=False)
    console.print(
        f"{ascii_safe(name)} as {made.role}: {verdict}; {counts}; diagnostics {match} of {of}; "
        f"{made.seconds:.1f} s",
        markup=False,
    )


def check_package(path: Path, arbiter: str, limits: Limits | None = None) -> tuple[str, list[str]]:
    """Judge one package by a checker that is trusted.

    Returns
    -------
    str, list of str
        The verdict, and the findings.
    """
    import shutil

    if not path.exists():
        raise SuiteError(f"{path}: there is no such file or directory")
    with runner.home() as home:
        subject, _ = open_arbiter(arbiter, limits or Limits(), home)
        with Stage(home) as stage:
            if path.is_dir():
                shutil.copytree(path, stage.input, symlinks=True)
            else:
                shutil.copyfile(path, stage.input)
            stage.seal()
            answer = subject.check(stage)
        subject.close()
    findings = (answer.report or {}).get("findings", [])
    lines = [f"{f['severity']} {f['code']} ({f['clause']}): {f['message']}" for f in findings]
    if answer.ending.kind != "exit":
        return answer.ending.kind, lines
    return (PASS if answer.ending.code == 0 else FAIL), lines


def report(
    paths: Sequence[Path],
    *,
    html: Path | None = None,
    junit_xml: Path | None = None,
    badge_svg: Path | None = None,
    site_folder: Path | None = None,
    vectors: Path | None = None,
) -> bool:
    """Make reports of results; return whether every run passed.

    Raises
    ------
    ResultsError
        If a file holds no results of a finished run.
    """
    runs = [results.read(path) for path in paths]
    root = vectors or default_root()
    there = load_suite(root).vectors if root.is_dir() else ()
    summaries = {vector.id: vector.summary for vector in there}
    if html is not None:
        html.write_text(matrix.matrix(runs, summaries), encoding="utf-8")
    if junit_xml is not None:
        junit_xml.write_text(junit.junit(runs[0]), encoding="utf-8")
    if badge_svg is not None:
        badge_svg.write_text(badge.badge(runs[0]), encoding="utf-8")
    if site_folder is not None:
        site.write(site_folder, list(zip(paths, runs, strict=True)), summaries)
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for made in runs:
        _summary(console, made)
    ran = {result.vector for made in runs for result in made.results}
    for line in coverage([v for v in there if v.id in ran]).summary() if there else ():
        console.print(line, markup=False)
    return all(made.passed for made in runs)


def list_vectors(root: Path, select: Sequence[str], *, as_json: bool, covered: bool) -> None:
    """Print the vectors, or what they cover."""
    suite = load_suite(root, select)
    made = coverage(suite.vectors)
    if covered:
        document = {
            "vectors": len(suite.vectors),
            "accept": sum(v.expected.outcome == "accept" for v in suite.vectors),
            "reject": sum(v.expected.outcome == "reject" for v in suite.vectors),
            **made.to_json(),
            "broken": dict(suite.broken),
        }
        print(json.dumps(document, indent=2))
        return
    for vector in suite.vectors:
        if as_json:
            line = {"id": vector.id, "summary": vector.summary, "clauses": list(vector.clauses)}
            line |= {"profile": vector.profile, "outcome": vector.expected.outcome}
            print(json.dumps(line, ensure_ascii=False))
        else:
            print(f"{vector.id}: {vector.summary}")
    for name, reason in suite.broken.items():
        print(f"{name}: broken, {reason}", file=sys.stderr)
