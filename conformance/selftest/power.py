"""How many wrong programs the suite fails: each program of the table sits the vectors.

``make power`` runs all of the table. A program is failed by the first vector that is not good; what
failed it before is tried first. One that no vector fails shows a vector that is missing. A program
that runs out of time is put to the vector once more: a loaded machine fails nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import run as start
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent, HERE.parents[1] / "spec"):
    sys.path.insert(0, str(folder))

from wrong_programs import (  # noqa: E402
    CHECKER,
    DECODER,
    ENCODER,
    TYPESCRIPT,
    StaleError,
    WrongProgram,
    kinds_of,
    module_name,
    table,
)

from nmc_conformance import runner, sealing  # noqa: E402
from nmc_conformance.commands import open_arbiter  # noqa: E402
from nmc_conformance.encoder import EncoderTrial, is_for_encoders  # noqa: E402
from nmc_conformance.judge import GOOD, TIMEOUT  # noqa: E402
from nmc_conformance.process import Limits  # noqa: E402
from nmc_conformance.runner import checker_trial, decoder_trial, select_for_checker  # noqa: E402
from nmc_conformance.staging import Stage  # noqa: E402
from nmc_conformance.subject import PersistentSubject, Subject, SubjectError  # noqa: E402
from nmc_conformance.vectors import Vector, default_root, load_suite  # noqa: E402
from nmc_spec.generated import between  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nmc_conformance.subject import Description

FOUND = HERE / "found_by.json"
"""By program: the vector that failed it last. It only decides which vector is tried first."""

OPENING, CLOSING = "<!-- power -->\n", "<!-- /power -->"
_SECONDS = 20.0


@dataclass(frozen=True)
class Fate:
    """What became of one program.

    Attributes
    ----------
    program : WrongProgram
        Which one.
    vector, detail : str
        What failed it, and why; empty where it passed every vector.
    tried : int
        Vectors that it was put to.
    late : bool
        Whether it was failed by the time limit, twice.
    """

    program: WrongProgram
    vector: str
    detail: str
    tried: int
    late: bool = False

    @property
    def failed(self) -> bool:
        """Whether the suite failed it."""
        return bool(self.vector)


def build(programs: Sequence[WrongProgram], folder: Path) -> dict[str, str]:
    """Return the command of each program, and make what the commands start.

    Raises
    ------
    StaleError
        If an edit does not fit the source any more.
    """
    commands, typescript = {}, []
    for program in programs:
        if program.base == "typescript":
            place = folder / program.name
            text = program.edited()[1]
            typescript.append({"folder": str(place), "file": program.file, "text": text})
            commands[program.name] = shlex.join(["node", str(place / "cli.js")])
        elif program.base == "reference":
            path, text = program.edited()
            edit = folder / f"{program.name}.json"
            edit.write_text(
                json.dumps({"module": module_name(path), "file": str(path), "text": text})
            )
            script = str(HERE / "edited_reference.py")
            commands[program.name] = shlex.join([sys.executable, script, str(edit)])
        else:
            script = str(HERE / f"{program.base}.py")
            commands[program.name] = shlex.join([sys.executable, script, program.name])
    if typescript:
        edits = folder / "typescript.json"
        edits.write_text(json.dumps(typescript))
        start(["node", str(HERE / "edited_typescript.mjs"), str(edits)], check=True)  # noqa: S603, S607
    return commands


def ordered(program: WrongProgram, vectors: Iterable[Vector], first: str) -> list[Vector]:
    """Return vectors in the order in which they are tried: what is near the clause first."""

    def distance(vector: Vector) -> tuple[bool, int, str]:
        parts = program.clause.split(".")
        common = max(_common(parts, clause.split(".")) for clause in vector.clauses)
        return vector.id != first, -common, vector.id

    return sorted(vectors, key=distance)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def face(
    program: WrongProgram, command: str, vectors: Sequence[Vector], first: str, home: Path
) -> Fate:
    """Put the vectors to a program until one fails it."""
    limits = Limits(seconds=_SECONDS)
    seal = sealing.new_seal()
    chosen = {
        DECODER: vectors,
        CHECKER: select_for_checker(vectors),
        ENCODER: [v for v in vectors if is_for_encoders(v)],
    }[program.role]
    try:
        description = runner.describe(runner.Plan(command, limits), home)
    except SubjectError as error:
        return Fate(program, "", f"it cannot be started: {error}", 0)  # the table is wrong
    persistent = runner.SERVE in description.features
    subject = PersistentSubject(command, limits, home) if persistent else Subject(command, limits)
    arbiter: Subject | None = None
    trial: runner.Trial = decoder_trial if program.role == DECODER else checker_trial
    if program.role == ENCODER:
        reference = shlex.join([sys.executable, "-m", "nmc_tools.cli"])
        arbiter, of_arbiter = open_arbiter(reference, limits, home)
        trial = EncoderTrial(arbiter, of_arbiter, home)
    try:
        return _sit(program, subject, description, trial, ordered(program, chosen, first), seal)
    finally:
        subject.close()
        if arbiter is not None:
            arbiter.close()


def _sit(
    program: WrongProgram,
    subject: Subject,
    description: Description,
    trial: runner.Trial,
    vectors: Sequence[Vector],
    seal: str,
) -> Fate:
    for number, vector in enumerate(vectors, 1):
        for _ in range(2):
            with Stage(None, seal) as stage:
                judgement, _answer = trial(subject, description, vector, stage)
            if judgement.verdict != TIMEOUT:
                break
        if judgement.verdict not in GOOD:
            detail = f"{judgement.verdict}: {judgement.detail}"
            return Fate(program, vector.id, detail, number, judgement.verdict == TIMEOUT)
    return Fate(program, "", "", len(vectors))


def run(
    programs: Sequence[WrongProgram], found: Mapping[str, str], jobs: int, select: Sequence[str]
) -> list[Fate]:
    """Return what becomes of each program, telling it on stderr as it is known."""
    vectors = load_suite(default_root(), select).vectors
    place = TYPESCRIPT / "dist" / "wrong"  # below its node_modules, which it imports from
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as made, runner.home() as home:
        commands = build(programs, Path(made))

        def one(program: WrongProgram) -> Fate:
            return face(program, commands[program.name], vectors, found.get(program.name, ""), home)

        fates = []
        with ThreadPoolExecutor(jobs) as pool:
            for number, fate in enumerate(pool.map(one, programs), 1):
                fates.append(fate)
                said = f"failed by {fate.vector}" if fate.failed else "PASSES"
                print(f"{number}/{len(programs)} {fate.program.name}: {said}", file=sys.stderr)
    return fates


def markdown(fates: Sequence[Fate]) -> str:
    """Return the table of all programs."""
    lines = ["| program | as | clause | what is wrong | failed by |", "|---|---|---|---|---|"]
    for fate in fates:
        p = fate.program
        by = f"`{fate.vector}`" if fate.failed else "**nothing**"
        lines.append(f"| {p.name} | {p.role}, {p.base} | {p.clause} | {p.says} | {by} |")
    return "\n".join(lines) + "\n"


def score(fates: Sequence[Fate]) -> str:
    """Return the score by kind of program."""
    kinds = kinds_of(f.program for f in fates)
    failed = kinds_of(f.program for f in fates if f.failed)
    late = kinds_of(f.program for f in fates if f.late)
    lines = [
        "| wrong programs | number | failed | of these by the time limit, twice |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {kind} | {count} | {failed[kind]} | {late[kind]} |"
        for kind, count in sorted(kinds.items())
    ]
    total = sum(failed.values())
    share = f"{total} ({100 * total / len(fates):.1f} %)"
    lines.append(f"| **all** | {len(fates)} | {share} | {sum(late.values())} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="programs, by a part of their names; all if none")
    parser.add_argument("-o", "--output", type=Path, help="folder for the table")
    parser.add_argument("--sample", type=int, help="so many programs, by chance")
    parser.add_argument("--seed", type=int, help="of the sample; by chance where not given")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--vectors", action="append", default=[], help="of these ids only")
    parser.add_argument("--write", action="store_true", help=f"keep what failed each: {FOUND.name}")
    parser.add_argument("--into", type=Path, help="put the score between the marks of a file")
    arguments = parser.parse_args()
    programs = [
        p for p in table() if not arguments.names or any(n in p.name for n in arguments.names)
    ]
    if arguments.sample is not None and arguments.sample < len(programs):
        seed = random.randrange(10**6) if arguments.seed is None else arguments.seed  # noqa: S311
        print(f"a sample of {arguments.sample} programs, --seed {seed}", file=sys.stderr)
        programs = random.Random(seed).sample(programs, arguments.sample)  # noqa: S311
    found = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    started = time.monotonic()
    try:
        fates = run(programs, found, arguments.jobs, arguments.vectors)
    except StaleError as error:
        print(f"error: {error}; mend the table in selftest/programs", file=sys.stderr)
        return 2
    print(score(fates))
    for fate in fates:
        if not fate.failed:
            p = fate.program
            print(f"not failed: {p.name} ({p.clause}): {p.says} {fate.detail}".rstrip())
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        text = score(fates) + "\n" + markdown(fates)
        (arguments.output / "power.md").write_text(text, encoding="utf-8")
        print(f"the table: {os.path.relpath(arguments.output / 'power.md')}")
    if arguments.write:
        found |= {f.program.name: f.vector for f in fates if f.failed and "/" in f.vector}
        names = {p.name for p in table()}
        kept = {name: by for name, by in sorted(found.items()) if name in names}
        FOUND.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if arguments.into is not None:
        page = arguments.into.read_text(encoding="utf-8")
        page = between(page, OPENING, CLOSING, score(fates))
        arguments.into.write_text(page, encoding="utf-8")
    return 0 if all(fate.failed for fate in fates) else 1


if __name__ == "__main__":
    sys.exit(main())
