"""Mutation testing of the suite by the TypeScript decoder: ``make mutation-typescript``.

One operator, comparison, number, condition or sign is changed at a time, by the syntax tree of the
TypeScript compiler, and the vectors alone find out. This decoder has code of its own where the
reference has a library: Zstandard, and the search for structure in JSON. What is still a library's,
JSON.parse and HDF5 that is not in compact form, is said in the report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
CONFORMANCE = HERE.parents[1]
for folder in (HERE, CONFORMANCE, CONFORMANCE.parent / "spec"):
    sys.path.insert(0, str(folder))

from sitting import TYPESCRIPT, Room, Verdict, builds, room  # noqa: E402

from nmc_conformance.vectors import default_root, load_suite  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCES = TYPESCRIPT / "src"
LEFT_OUT = frozenset(
    {"cli.ts", "main.ts", "report.ts", "errors.ts", "clauses.ts", "safetensors.ts"}
)
"""What talks to people and to the protocol, and decides nothing of a package."""

_BATCH = 40


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    name : str
        File, function, and what becomes what; unique.
    file : str
        Below ``src``.
    line : int
        Where.
    start, end : int
        Characters (UTF-16) that are replaced.
    replacement : str
        By what.
    """

    name: str
    file: str
    line: int
    start: int
    end: int
    replacement: str

    def text(self) -> str:
        """Return the source of the file with the change."""
        units = (SOURCES / self.file).read_text(encoding="utf-8").encode("utf-16-le")
        head, tail = units[: 2 * self.start], units[2 * self.end :]
        return (head + self.replacement.encode("utf-16-le") + tail).decode("utf-16-le")


def files() -> list[str]:
    """Return the sources that are mutated."""
    found = (p.relative_to(SOURCES).as_posix() for p in SOURCES.rglob("*.ts"))
    return sorted(name for name in found if name not in LEFT_OUT)


def mutants() -> list[Mutant]:
    """Return every mutant."""
    command = ["node", str(HERE / "mutants.mjs"), *files()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return [Mutant(**json.loads(line)) for line in done.stdout.splitlines()]


def explained() -> dict[str, str]:
    """Return by name the survivors that change nothing a package can tell, and why."""
    content = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))
    return {name: group["why"] for group in content["group"] for name in group["mutants"]}


def run(place: Room, chosen: Sequence[Mutant], jobs: int) -> Iterator[tuple[Mutant, Verdict]]:
    """Yield what becomes of each mutant."""
    with ThreadPoolExecutor(jobs) as pool:
        for at in range(0, len(chosen), _BATCH):
            batch = chosen[at : at + _BATCH]
            edits = [(f"m{at + i}", m.file, m.text()) for i, m in enumerate(batch)]
            with builds(edits) as folders:
                tried = pool.map(lambda m, f: place.face(f, m.file), batch, folders)
                yield from zip(batch, tried, strict=True)


def table(fates: dict[str, str], chosen: Sequence[Mutant], why: dict[str, str]) -> str:
    """Return the score by folder; a survivor that is explained counts neither way."""
    rows = ["| part | mutants | no change | killed | by code only | survived | score |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    parts = {"": "package, manifest, segment", "zstd": "zstd", "arithmetic": "coder"}
    parts["quantised"] = "quantised tensors"
    total: Counter[str] = Counter()
    for folder, title in parts.items():
        mine = [m for m in chosen if _part(m.file) == folder]
        counts = Counter(
            "explained" if fates[m.name] != "killed" and m.name in why else fates[m.name]
            for m in mine
        )
        total += counts
        rows.append(_row(title, counts))
    rows.append(_row("**all**", total))
    return "\n".join(rows) + "\n"


def _part(file: str) -> str:
    return file.partition("/")[0] if "/" in file else ""


def _row(title: str, counts: Counter[str]) -> str:
    count, out = counts.total(), counts["explained"]
    killed, noticed = counts["killed"], counts["noticed"]
    told = count - out
    share = f"{100 * (killed + noticed) / told:.1f} %" if told else ""
    cells = (title, count, out, killed, noticed, counts["survived"], share)
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/mutation-typescript"))
    parser.add_argument("--sample", type=int, default=400, help="so many mutants; 0 takes all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="files whose name holds this")
    arguments = parser.parse_args()
    every = mutants()
    order = list(every)
    random.Random(arguments.seed).shuffle(order)  # noqa: S311 - no secret
    chosen = [m for m in order if arguments.only in m.file][: arguments.sample or None]
    print(f"{len(chosen)} of {len(every)} mutants", file=sys.stderr)
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = arguments.output / "results.ndjson"
    kept = _kept(results)
    fates = {m.name: kept[_key(m)] for m in chosen if _key(m) in kept}
    todo = [m for m in chosen if m.name not in fates]
    vectors = load_suite(default_root()).vectors
    with room(vectors, arguments.output / "library") as place, results.open("a") as file:
        for number, (mutant, verdict) in enumerate(run(place, todo, arguments.jobs), 1):
            fates[mutant.name] = verdict.fate
            row = {"key": _key(mutant), "name": mutant.name, "line": mutant.line}
            file.write(json.dumps({**row, **asdict(verdict)}) + "\n")
            file.flush()
            if number % 20 == 0:
                print(f"{number} of {len(todo)}: {dict(Counter(fates.values()))}", file=sys.stderr)
    why = explained()
    text = table(fates, chosen, why)
    left = [m for m in chosen if fates[m.name] != "killed" and m.name not in why]
    lines = [f"- {fates[m.name]}: `{m.name}` (line {m.line})" for m in left]
    (arguments.output / "mutation.md").write_text(text + "\n" + "\n".join(lines) + "\n")
    print(text)
    print(f"not killed: {arguments.output / 'mutation.md'}")
    return 0


def _key(mutant: Mutant) -> str:
    source = (SOURCES / mutant.file).read_bytes()
    return hashlib.sha256(mutant.name.encode() + source).hexdigest()[:20]


def _kept(path: Path) -> dict[str, str]:
    """Return what was killed before; what was not is tried again, since vectors may be new."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["key"]: row["fate"] for row in rows if row["fate"] == "killed"}


if __name__ == "__main__":
    sys.exit(main())
