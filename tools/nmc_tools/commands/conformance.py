"""``nmc conformance``: judge an implementation, started as an external program."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nmc_conformance import __main__ as conformance_main
from nmc_tools.terminal import Exit

app = typer.Typer(
    name="conformance",
    help="Judge an implementation of NMC, started as an external program.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PatternsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="PATTERN…", help="Vectors, such as '06-segment/*'.")
]
VectorsOption = Annotated[Path | None, typer.Option(help="Folder of the vectors.")]
SuiteOption = Annotated[
    Path | None, typer.Option(help="Archive of the suite, or a folder it is unpacked in.")
]


def _carry_out(arguments: list[str]) -> None:
    """Hand over to the suite's own command line, which works without nmc too."""
    status = conformance_main.main(arguments)
    if status:
        raise typer.Exit(Exit(status))


def _require_words(name: str, program: str | None) -> None:
    """Refuse a command that no shell takes, such as one with an open quotation."""
    try:
        words = ["?"] if program is None else shlex.split(program)
    except ValueError as error:
        raise typer.BadParameter(f"{program!r}: {error}", param_hint=name) from None
    if not words:
        raise typer.BadParameter("it is empty; give a command", param_hint=name)


@app.command("run")
def run(
    select: PatternsArgument = None,
    decoder: Annotated[
        str | None, typer.Option(metavar="CMD", help="A decoder, as a shell command.")
    ] = None,
    checker: Annotated[str | None, typer.Option(metavar="CMD", help="A checker.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="CMD", help="An encoder.")] = None,
    package: Annotated[Path | None, typer.Option(metavar="FILE", help="One package.")] = None,
    suite: SuiteOption = None,
    vectors: VectorsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results, as NDJSON.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Vectors at a time.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds for a vector.")] = 30.0,
    memory: Annotated[int, typer.Option(min=16, help="MiB for a vector.")] = 2048,
    one_shot: Annotated[
        bool, typer.Option("--one-shot", help="Start the program for each vector.")
    ] = False,
    xfail: Annotated[
        Path | None, typer.Option(help="Ids that are known to fail, with reasons.")
    ] = None,
    arbiter: Annotated[
        str | None, typer.Option(help="Trusted checker of encoders and packages.")
    ] = None,
    seal: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Seal inputs again with this text, not one by chance; '' leaves them.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing: the exit code tells.")
    ] = False,
) -> None:
    """Run a program over the conformance vectors.

    Exit codes: 0 every verdict is good, 1 one is not, 2 usage.

    Examples
    --------
      nmc conformance run --decoder 'node decoder.js' -o results.ndjson

      nmc conformance run --decoder ./decoder --suite nmc-conformance-2.1.0.zip

      nmc conformance run --package scene.nmc
    """
    if sum(given is not None for given in (decoder, checker, encoder, package)) != 1:
        raise typer.BadParameter("give one of --decoder, --checker, --encoder and --package")
    if xfail is not None and not xfail.is_file():
        raise typer.BadParameter(f"{xfail}: there is no such file", param_hint="--xfail")
    for name, program in (("decoder", decoder), ("checker", checker), ("encoder", encoder)):
        _require_words(f"--{name}", program)
    arguments = ["run", *(select or [])]
    values = {
        "--decoder": decoder,
        "--checker": checker,
        "--encoder": encoder,
        "--package": package,
        "--suite": suite,
        "--vectors": vectors,
        "--output": output,
        "--xfail": xfail,
        "--jobs": jobs,
        "--timeout": timeout,
        "--memory": memory,
        "--seal": seal,
        "--arbiter": arbiter or shlex.join([sys.executable, "-P", "-E", "-m", "nmc_tools.cli"]),
    }
    for name, value in values.items():
        if value is not None:
            arguments += [name, str(value)]
    arguments += ["--one-shot"] * one_shot + ["--quiet"] * quiet
    _carry_out(arguments)


@app.command("report")
def report(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS…", help="NDJSON files of runs.")
    ],
    html: Annotated[Path | None, typer.Option(help="Matrix of all runs, one HTML page.")] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML of the first run.")] = None,
    badge: Annotated[Path | None, typer.Option(help="SVG badge of the first run.")] = None,
    site: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Implementation report of all runs, a folder of pages."),
    ] = None,
    suite: SuiteOption = None,
    vectors: VectorsOption = None,
) -> None:
    """Make reports of results, and say what the suite covers.

    Examples
    --------
      nmc conformance report results.ndjson --html matrix.html --junit junit.xml

      nmc conformance report ours.ndjson theirs.ndjson before.ndjson --site report/
    """
    for path in results:
        if not path.is_file():
            raise typer.BadParameter(f"{path}: there is no such file", param_hint="RESULTS")
    arguments = ["report", *map(str, results)]
    for name, value in {
        "--html": html,
        "--junit": junit,
        "--badge": badge,
        "--site": site,
        "--suite": suite,
        "--vectors": vectors,
    }.items():
        if value is not None:
            arguments += [name, str(value)]
    _carry_out(arguments)


@app.command("list")
def list_vectors(
    select: PatternsArgument = None,
    suite: SuiteOption = None,
    vectors: VectorsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Clauses and codes, as JSON.")
    ] = False,
) -> None:
    """List the vectors, or the requirements, clauses and codes that they cover.

    Examples
    --------
      nmc conformance list '06-segment/*'
    """
    arguments = ["list", *(select or [])]
    if suite is not None:
        arguments += ["--suite", str(suite)]
    if vectors is not None:
        arguments += ["--vectors", str(vectors)]
    _carry_out(arguments + ["--json"] * as_json + ["--coverage"] * coverage)
