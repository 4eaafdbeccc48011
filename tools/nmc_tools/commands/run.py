"""``nmc run``: the whole way of clause 5 by one configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.framework import framework, say_doubt
from nmc_tools.terminal import print_json, progress_bar, refuse_input, say, size_text, warn

if TYPE_CHECKING:
    from nmc_framework.pipeline import Configuration, Step, StepReport


def run(
    path: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.yaml", help="What is to be done.")
    ] = None,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="Do this step in any case; repeatable."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="STEP", help="Stop after this step.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which steps would be done, and why.")
    ] = False,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            help="Print a commented configuration to start from: of a scene, or as CONFIG says of "
            "depth, inverse or sr. None needs data.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was done or kept, and why, as JSON.")
    ] = False,
) -> None:
    """Go the whole way: capture, cameras, train, package, check, render, evaluate, report.

    Each step leaves its results in a folder of its own in the work folder. A step is done again
    only when its options, its version or the content of what it takes has changed; after an
    interruption the same command goes on where it stopped, training at the last finished frame.
    Other systems go their ways by steps that are commands of nmc, kept alike.

    Examples
    --------
      nmc run --example > scene.yaml

      nmc run scene.yaml

      nmc run --example depth > depth.yaml

      nmc run scene.yaml --until check --dry-run

      nmc run scene.yaml --force render --json
    """
    if example:
        with framework("--example"):
            from nmc_framework.pipeline import example as scene
            from nmc_framework.pipeline import examples

            texts = {"scene": scene()} | examples()
        wanted = "scene" if path is None else str(path)
        if wanted not in texts:
            reason = f"there is no example {wanted!r}; there are {', '.join(texts)}"
            raise typer.BadParameter(reason, param_hint="CONFIG.yaml")
        typer.echo(texts[wanted], nl=False)
        return
    if path is None:
        raise typer.BadParameter("give a configuration; nmc run --example prints one")
    if not path.is_file():
        refuse_input("host/not-found", str(path), "")
    with framework(path):
        from nmc_framework.pipeline import run_steps

        asked = _read(path)
        configuration = asked.configuration
        names = [step.name for step in asked.steps]
        for name in [*(force or ()), *([until] if until else [])]:
            if name not in names:
                raise typer.BadParameter(f"no step {name!r}; there are {', '.join(names)}")
        kept = f"finished steps, and finished frames of training, are kept in {configuration.work}"
        bar = partial(progress_bar, unit="", kept=kept, resume="")
        reports = []
        for report in run_steps(
            asked.steps,
            configuration,
            until=until,
            force=force or (),
            dry=dry_run,
            validate=asked.check,
            watch=None if asked.by_commands else bar,
        ):
            reports.append(report)
            for line in report.result.get("warnings", ()):
                warn(line)
            if not as_json:
                say(_line(report))
                if report.action == "ran":
                    for line in report.result.get("said", ()):
                        say(f"  {line}")
        if as_json:
            steps = [_record(report) for report in reports]
            print_json({"path": str(path), "work": str(configuration.work), "steps": steps})
            return
        counts = Counter(report.action for report in reports)
        told = ", ".join(f"{count} {action}" for action, count in counts.items())
        say(f"{configuration.work}: {told}")
        found = {report.step: report.result for report in reports}
        loss = found.get("train", {}).get("last_loss")
        scores = found.get("evaluate", {})
        psnr = scores.get("psnr_aligned", scores.get("psnr"))
        if loss is not None and psnr is not None:
            say_doubt(configuration.work, loss, psnr)


@dataclass(frozen=True)
class _Asked:
    """What a document asks for: its steps, and what is looked at before the first."""

    configuration: Configuration
    steps: Sequence[Step]
    check: Callable[[Configuration], None]
    by_commands: bool


def _read(path: Path) -> _Asked:
    from nmc_framework.pipeline import STEPS, read_commands, read_configuration, validate
    from nmc_tools.commands.command_run import carried_out, readable

    found = read_commands(path, carried_out)
    if found is None:
        return _Asked(read_configuration(path), STEPS, validate, by_commands=False)
    configuration, steps = found
    return _Asked(configuration, steps, readable(steps), by_commands=True)


#: Names of a list that a step's line holds; --json has all.
_NAMED = 8


def _line(report: StepReport) -> str:
    result = _told(report.result)
    told = f": {result}" if result else ""
    if report.action == "ran":
        return f"{report.step} ran in {report.seconds:.1f} s ({report.why}){told}"
    if report.action == "kept":
        return f"{report.step} kept{told}"
    return f"{report.step} {report.action} ({report.why})"


def _told(result: Mapping[str, Any]) -> str:
    parts = []
    for name, value in result.items():
        label = name.replace("_", " ")
        if (
            isinstance(value, Mapping)
            or value in ([], None)
            or name in {"reasons", "said", "warnings"}
        ):
            continue
        if name in {"bytes", "raw_bytes"}:
            parts.append(f"{label} {size_text(value)}")
        elif isinstance(value, float):
            parts.append(f"{label} {value:.4g}")
        elif isinstance(value, list):
            more = f" and {len(value) - _NAMED} more" if len(value) > _NAMED else ""
            parts.append(f"{label} {', '.join(map(str, value[:_NAMED]))}{more}")
        else:
            parts.append(f"{label} {value}")
    return ", ".join(parts)


def _record(report: StepReport) -> dict[str, Any]:
    return {
        "step": report.step,
        "action": report.action,
        "why": report.why,
        "folder": str(report.folder),
        "seconds": report.seconds,
        "result": dict(report.result),
    }
