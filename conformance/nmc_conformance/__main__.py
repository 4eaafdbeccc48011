"""Command line of the suite: ``python -m nmc_conformance run | report | list``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nmc_conformance import archive, commands
from nmc_conformance.results import ResultsError
from nmc_conformance.subject import SubjectError
from nmc_conformance.vectors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSED, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m nmc_conformance",
        description="Judge an implementation of NMC, started as an external program.",
        epilog="Exit codes: 0 passed, 1 failed, 2 usage.",
    )
    actions = made.add_subparsers(dest="action", required=True)
    _add_run(actions.add_parser("run", help="run a program over the vectors"))
    _add_report(actions.add_parser("report", help="make reports of results"))
    lister = actions.add_parser("list", help="list vectors, or what they cover")
    lister.add_argument("select", nargs="*", metavar="PATTERN", help="such as 06-segment/*")
    _add_suite(lister)
    lister.add_argument("--json", action="store_true", help="one JSON object a line")
    lister.add_argument("--coverage", action="store_true", help="clauses and codes, as JSON")
    return made


def _add_run(made: argparse.ArgumentParser) -> None:
    subject = made.add_mutually_exclusive_group(required=True)
    subject.add_argument("--decoder", metavar="CMD", help="a decoder, as a shell command")
    subject.add_argument("--checker", metavar="CMD", help="a checker")
    subject.add_argument("--encoder", metavar="CMD", help="an encoder")
    subject.add_argument("--package", metavar="FILE", type=Path, help="one package")
    made.add_argument("select", nargs="*", metavar="PATTERN", help="such as 06-segment/*")
    _add_suite(made)
    made.add_argument("--output", "-o", type=Path, help="results, as NDJSON")
    made.add_argument("--jobs", "-j", type=int, default=2, help="vectors at a time")
    made.add_argument("--timeout", type=float, default=30.0, help="seconds for a vector")
    made.add_argument("--memory", type=int, default=2048, help="MiB for a vector")
    made.add_argument("--one-shot", action="store_true", help="start the program for each vector")
    made.add_argument("--xfail", type=Path, help="ids that are known to fail, with reasons")
    made.add_argument("--arbiter", default="nmc", help="trusted checker of encoders and packages")
    made.add_argument(
        "--seal",
        metavar="TEXT",
        help="seal inputs again with this text in place of one by chance; '' leaves them",
    )
    made.add_argument("--quiet", "-q", action="store_true")


def _add_report(made: argparse.ArgumentParser) -> None:
    made.add_argument("results", nargs="+", type=Path, help="NDJSON files of runs")
    made.add_argument("--html", type=Path, help="matrix of all runs")
    made.add_argument("--junit", type=Path, help="JUnit XML of the first run")
    made.add_argument("--badge", type=Path, help="SVG badge of the first run")
    made.add_argument(
        "--site",
        type=Path,
        metavar="DIR",
        help="implementation report of all runs, a folder of pages",
    )
    _add_suite(made)


def _add_suite(made: argparse.ArgumentParser) -> None:
    place = made.add_mutually_exclusive_group()
    place.add_argument("--suite", type=Path, help="archive of the suite, or a folder it is in")
    place.add_argument("--vectors", type=Path, help="folder of the vectors")


def _run(options: argparse.Namespace) -> int:
    """Judge a package, or a program over the vectors."""
    if options.package is not None:
        verdict, findings = commands.check_package(options.package, options.arbiter)
        for line in findings:
            print(commands.ascii_safe(line))
        print(f"{options.package}: {verdict}")
        return PASSED if verdict == "pass" else FAILED
    role = next(r for r in ("decoder", "checker", "encoder") if getattr(options, r) is not None)
    with archive.opened(options.suite, options.vectors) as root:
        made = commands.run(
            commands.RunOptions(
                role=role,
                command=getattr(options, role),
                vectors=root,
                select=options.select,
                output=options.output,
                jobs=1 if role == "encoder" else options.jobs,
                seconds=options.timeout,
                memory_mib=options.memory,
                persistent=False if options.one_shot else None,
                expected_failures=options.xfail,
                arbiter=options.arbiter,
                quiet=options.quiet,
                seal=options.seal,
            )
        )
    return PASSED if made.passed else FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.action == "run":
            return _run(options)
        if options.action == "report":
            with archive.opened(options.suite, options.vectors, needed=False) as root:
                passed = commands.report(
                    options.results,
                    html=options.html,
                    junit_xml=options.junit,
                    badge_svg=options.badge,
                    site_folder=options.site,
                    vectors=root,
                )
            return PASSED if passed else FAILED
        with archive.opened(options.suite, options.vectors) as root:
            commands.list_vectors(
                root, options.select, as_json=options.json, covered=options.coverage
            )
    except (SuiteError, SubjectError, ResultsError, ValueError, OSError) as error:
        print(f"error: {commands.ascii_safe(str(error))}", file=sys.stderr)
        return USAGE
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
