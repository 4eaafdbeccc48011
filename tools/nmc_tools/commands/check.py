"""``nmc check``: everything that is wrong with a package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import nmc
from nmc.reading.sequence import DEFAULT_MAX_LEVEL
from nmc_format.issues import first_error
from nmc_format.report import Report
from nmc_tools.commands.shared_options import JsonOption, MaxLevelOption
from nmc_tools.terminal import Exit, err, print_finding, print_json, printable, progress_bar, say


def check(
    packages: Annotated[
        list[Path], typer.Argument(metavar="PKG…", help="Packages: .nmc files or directories.")
    ],
    decode: Annotated[
        bool, typer.Option(help="Decode every frame and compare it with its digest.")
    ] = True,
    max_level: MaxLevelOption = DEFAULT_MAX_LEVEL,
    as_json: JsonOption = False,
) -> None:
    """Check packages: structure, integrity, every decoded state, and what was frozen.

    All findings are printed, each with its code and its place. Exit code 1 if one is an error, or
    if there is nothing to check.

    Examples
    --------
      nmc check scene.nmc

      nmc check scene.nmc --json | jq '.findings[].code'
    """
    reports = []
    for package in packages:
        with progress_bar(f"checking {package.name}") as progress:
            report = nmc.check(package, decode=decode, max_level=max_level, progress=progress)
        reports.append(report)
        if as_json:
            continue
        for found in report.findings:
            if len(packages) > 1:
                err.print(f"{printable(str(package))}: ", end="", markup=False)
            print_finding(found)
        say(f"{package}: {_verdict(report)}")
    if as_json:
        documents = [report.to_json() for report in reports]
        print_json(documents[0] if len(documents) == 1 else documents)
    if not all(report.accepted for report in reports):
        raise typer.Exit(Exit.REFUSED)


def _verdict(report: Report) -> str:
    """Say what became of a package; what could not be read was not judged."""
    first = first_error(report.findings)
    done = f"{report.decoded} of {report.frames} frames decoded and right"
    if first is None:
        return f"accepted, {done}"
    if first.code in ("host/not-found", "host/broken-link"):
        return "not found"
    if first.code.startswith("host/"):
        return f"could not be read, {done}"
    if first.code == "package/not-a-package":
        return "not a package"
    if first.code == "package/unfinished":
        return "not finished"
    return f"refused, {done}"
