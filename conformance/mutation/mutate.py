"""Mutation testing of the suite (clause 11): how many changed decoders it finds out.

Every comparison, constant, sign, rounding and bound of the reference decoder and checker is
changed, one at a time, and the vectors alone judge what comes of it. ``make mutation`` runs all;
results are kept as they are made, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import CodeType

import swap
import trial
from operators import Site, mutated_tree
from processes import Recorder
from reach import Reach, tests_of, traced
from report import markdown, put_into
from scope import ROOT, Scope, read_explained, read_scope
from selector import SANDBOX, Selector, may_judge
from subjects import TRIALS
from trial import Mutant, Verdict

from nmc_conformance.vectors import VECTOR_FILE, Vector, default_root, load_suite

_ENOUGH = 40
"""Tests that a mutant is put to which is said to change nothing; more would rarely contradict."""

_PATIENCE = 20.0
"""Seconds of a core that one vector may take."""


@cache
def _code(path: Path) -> CodeType:
    return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


def _mutant(scope: Scope, site: Site, selector: Selector) -> Mutant:
    path = scope.path(site.module)
    tree = mutated_tree(site, path, scope.modules[site.module])
    code = compile(tree, str(path), "exec", dont_inherit=True)
    separate = site.module == SANDBOX and site.function != "read_sandboxed"
    imported = separate or selector.runs_at_import(site)
    functions = None if imported else swap.changed(_code(path), code)
    return Mutant(site.module, path, code, ast.unparse(tree), separate, functions)


def run(
    scope: Scope,
    sites: Sequence[Site],
    selector: Selector,
    ready: trial.Ready,
    recorder: Recorder,
    jobs: int,
    limit_of: Callable[[str], int],
) -> Iterator[tuple[Site, Verdict]]:
    """Yield what becomes of each mutant, which is put to so many tests at most (0: to all)."""

    def one(site: Site) -> tuple[Site, Verdict]:
        tests = selector.tests(site, limit_of(site.name))
        if not tests:
            return site, Verdict("survived", detail="no vector reaches it")
        mutant = _mutant(scope, site, selector)
        verdict = trial.face(mutant, tests, ready, recorder, _PATIENCE)
        selector.learn(site, verdict)
        return site, verdict

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, sites)


def sample(sites: Sequence[Site], count: int | None, seed: int) -> list[Site]:
    """Return mutants in an order by chance: any beginning of it is a fair sample.

    A mutant's place in it follows from its own name. So a change of the code puts its own mutants
    into a sample, or takes them out, and leaves the others where they are.
    """

    def place(site: Site) -> bytes:
        return hashlib.sha256(f"{seed} {site.name}".encode()).digest()

    return sorted(sites, key=place)[:count]


def read_kept(
    path: Path, scope: Scope, suite: str, limit_of: Callable[[str], int]
) -> dict[str, Verdict]:
    """Return the results of an earlier run that still hold.

    One that survived other vectors, or fewer than it is to be put to now, is put to them again.
    """
    kept: dict[str, Verdict] = {}
    if not path.exists():
        return kept
    states = {module: scope.state(module) for module in scope.modules}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wide = not row["limit"] or row["limit"] >= limit_of(row["name"]) > 0
        holds = row["verdict"]["fate"] == "killed" or (row["suite"] == suite and wide)
        if states.get(row["module"]) == row["state"] and holds:
            kept[row["name"]] = Verdict(**row["verdict"])
    return kept


def _is_large(vector: Vector) -> bool:
    """Whether a vector has a large state, or very many rows or frames: no mutant gets that far."""
    inflated = any(step["do"] == "inflate" for step in vector.prepare)
    return inflated and "max-level" in vector.requires


def _one_of_each(tests: Sequence[tuple[str, Vector]]) -> list[tuple[str, Vector]]:
    """Return the first test of each role in each chapter and profile."""
    kinds = {(role, v.id.partition("/")[0], v.profile): (role, v) for role, v in reversed(tests)}
    return list(kinds.values())


def _state_of(vectors: Sequence[Vector]) -> str:
    digest = hashlib.sha256()
    for vector in vectors:
        digest.update((vector.folder / VECTOR_FILE).read_bytes())  # it has the input's hash
    return digest.hexdigest()[:16]


def _reaches(
    scope: Scope, tests: Sequence[tuple[str, Vector]], folder: Path, suite: str
) -> tuple[list[Reach], Recorder]:
    """Return what tests reach; kept for as long as nothing it depends on changes."""
    states = "".join(scope.state(module) for module in sorted(scope.modules))
    key = hashlib.sha256(f"{states} {suite}".encode()).hexdigest()[:16]
    sources = {module: scope.path(module) for module in scope.modules}
    return traced(tests, sources, folder / f"reach-{key}.pickle")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out" / "mutation")
    parser.add_argument("--only", default="", help="modules whose name holds this")
    parser.add_argument("--without", default=None, help="not this module")
    parser.add_argument("--sample", type=int, help="so many mutants only")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--vectors", action="append", default=[], help="of these ids only")
    parser.add_argument("--tests", type=int, default=0, help="at most, for each; 0: all")
    parser.add_argument("--into", type=Path, help="put the table into this file")
    arguments = parser.parse_args()
    scope = read_scope()
    known = [
        s for s in scope.sites() if arguments.only in s.module and s.module != arguments.without
    ]
    sites = sample(known, arguments.sample, arguments.seed)
    found = load_suite(default_root(), arguments.vectors).vectors
    vectors = tuple(v for v in found if not _is_large(v))
    suite = _state_of(vectors)
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = arguments.output / "results.ndjson"
    explained = read_explained()

    def limit_of(name: str) -> int:
        limits = [n for n in (arguments.tests, _ENOUGH if name in explained else 0) if n]
        return min(limits, default=0)

    kept = read_kept(results, scope, suite, limit_of)
    trial.preload()
    judges = [r for r in TRIALS if any(may_judge(r, site) for site in sites)]
    tests = [test for test in tests_of(vectors) if test[0] in judges]
    reaches, recorder = _reaches(scope, tests, arguments.output, suite)
    selector = Selector(scope, reaches, vectors)
    verdicts = {s.name: kept[s.name] for s in sites if s.name in kept}
    todo = [s for s in sites if s.name not in verdicts]
    print(f"{len(sites)} mutants, {len(verdicts)} known from an earlier run", file=sys.stderr)
    ready = trial.import_all(scope.modules, _one_of_each(tests))
    with results.open("a", encoding="utf-8") as file:
        for site, verdict in run(scope, todo, selector, ready, recorder, arguments.jobs, limit_of):
            verdicts[site.name] = verdict
            row = {
                "name": site.name,
                "module": site.module,
                "state": scope.state(site.module),
                "suite": suite,
                "limit": limit_of(site.name),
                "verdict": asdict(verdict),
            }
            file.write(json.dumps(row) + "\n")
            file.flush()
            if sys.stderr.isatty():
                fates = Counter(v.fate for v in verdicts.values())
                print(
                    f"\r{len(verdicts)} of {len(sites)}: {dict(fates)}  ", end="", file=sys.stderr
                )
    text = markdown(sites, verdicts, explained, len(known))
    (arguments.output / "mutation.md").write_text(text.full, encoding="utf-8")
    print(text.table)
    print(f"survivors: {os.path.relpath(arguments.output / 'mutation.md')}")
    if arguments.into is not None:
        put_into(arguments.into, text.table)
    return 0 if text.enough else 1


if __name__ == "__main__":
    sys.exit(main())
