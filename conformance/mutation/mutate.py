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
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import trial
from operators import Site, mutants, mutated_tree
from processes import Recorder
from reach import IMPORT, Reach, tests_of, traced
from report import markdown, put_into
from subjects import ALONE, BY_TENSORS, TRIALS
from trial import Mutant, Verdict

from nmc_conformance.vectors import VECTOR_FILE, Vector, default_root, load_suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDERS = {"nmc_format": ROOT / "format", "nmc": ROOT / "reference"}
_COMPACT = "nmc_format.manifest.compact."
"""The reader that the HDF5 library stands in for where it gives up: judged without the library."""

_APART = ("nmc.coding.threads", "nmc.reading.coded_parts", "nmc.reading.parts", "nmc.reading.seq")
"""What decodes some tensors of a frame alone: judged by a decoder that asks for one at a time."""

_ONLY: Mapping[str, str | tuple[str, ...]] = {ALONE: _COMPACT, BY_TENSORS: _APART}
"""Roles that judge the mutants of some modules alone."""

_SANDBOX = "nmc_format.manifest.sandbox"
_PATIENCE = 20.0
"""Seconds of a core that one vector may take."""


@dataclass(frozen=True)
class Scope:
    """What is mutated.

    Attributes
    ----------
    modules : mapping of str to frozenset of str
        By dotted name: the functions left out.
    """

    modules: Mapping[str, frozenset[str]]

    def path(self, module: str) -> Path:
        """Return the source of a module."""
        folder = FOLDERS[module.partition(".")[0]]
        return folder / Path(*module.split(".")).with_suffix(".py")

    def sites(self) -> list[Site]:
        """Return every mutant."""
        return [
            site
            for module, left_out in self.modules.items()
            for site in mutants(module, self.path(module), left_out)
        ]

    def state(self, module: str) -> str:
        """Return what a kept result depends on."""
        return hashlib.sha256(self.path(module).read_bytes()).hexdigest()[:16]


def read_scope() -> Scope:
    """Return the scope as ``scope.toml`` has it."""
    content = tomllib.loads((HERE / "scope.toml").read_text(encoding="utf-8"))
    return Scope({name: frozenset(left) for name, left in content["modules"].items()})


def read_explained() -> dict[str, str]:
    """Return by name the survivors that change nothing, and why."""
    content = tomllib.loads((HERE / "explained.toml").read_text(encoding="utf-8"))
    return {name: group["why"] for group in content["group"] for name in group["mutants"]}


class Selector:
    """Chooses, for each mutant, the tests that can tell it, the quickest first."""

    def __init__(self, scope: Scope, reaches: Sequence[Reach], vectors: Sequence[Vector]) -> None:
        self._scope = scope
        self._reaches = sorted((r for r in reaches if r.role != IMPORT), key=lambda r: r.seconds)
        self._imported = next(r.lines for r in reaches if r.role == IMPORT)
        self._vectors = {v.id: v for v in vectors}

    def tests(self, site: Site) -> list[tuple[str, Vector]]:
        """Return the tests of one mutant; none where no vector reaches it."""
        wanted = self._lines(site)
        found = self._reaching(site, wanted)
        path = str(self._scope.path(site.module))
        if not found and not wanted.get(path, frozenset()).isdisjoint(self._imported[path]):
            return self._reaching(site, {})  # it makes a table that everything may use
        return found

    def _reaching(
        self, site: Site, wanted: Mapping[str, frozenset[int]]
    ) -> list[tuple[str, Vector]]:
        return [
            (reach.role, self._vectors[reach.vector])
            for reach in self._reaches
            if (
                not wanted
                or any(not lines.isdisjoint(reach.lines.get(p, ())) for p, lines in wanted.items())
            )
            and _may_judge(reach.role, site)
        ]

    def _lines(self, site: Site) -> dict[str, frozenset[int]]:
        """Return, by file, lines of which a test has to reach one; none where every test does."""
        path = self._scope.path(site.module)
        tree = _tree(path)
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        if site.module == _SANDBOX:  # the rest of it is run by a process that is not traced
            return {str(path): _span(functions["read_sandboxed"])}
        if site.function.rpartition(".")[2] in functions:
            return {str(path): frozenset(range(site.lines[0], site.lines[1] + 1))}
        constant = _constant_at(tree, site.lines[0])
        return self._users(constant) if constant else {}

    def _users(self, constant: str) -> dict[str, frozenset[int]]:
        """Return, by file, the functions that use a constant; none where the import itself does."""
        found: dict[str, frozenset[int]] = {}
        for module in self._scope.modules:
            tree = _tree(self._scope.path(module))
            lines: set[int] = set()
            inside: set[ast.AST] = set()
            for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
                names = [n for n in ast.walk(function) if _is_use(n, constant)]
                inside |= set(names)
                lines |= _span(function) if names else frozenset()
            if any(_is_use(n, constant) and n not in inside for n in ast.walk(tree)):
                return {}
            found[str(self._scope.path(module))] = frozenset(lines)
        return found if any(found.values()) else {}


def _may_judge(role: str, site: Site) -> bool:
    return site.module.startswith(_ONLY.get(role, ""))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _span(node: ast.FunctionDef) -> frozenset[int]:
    return frozenset(range(node.lineno, (node.end_lineno or 0) + 1))


def _constant_at(tree: ast.Module, line: int) -> str:
    """Return the name of the module's constant that a line sets; empty where it sets none."""
    for node in tree.body:
        if node.lineno == line and isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return target.id if isinstance(target, ast.Name) else ""
    return ""


def _is_use(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.Attribute) and node.attr == name


def run(
    scope: Scope, sites: Sequence[Site], selector: Selector, recorder: Recorder, jobs: int
) -> Iterator[tuple[Site, Verdict]]:
    """Yield what becomes of each mutant."""

    def one(site: Site) -> tuple[Site, Verdict]:
        tests = selector.tests(site)
        if not tests:
            return site, Verdict("survived", detail="no vector reaches it")
        tree = mutated_tree(site, scope.path(site.module), scope.modules[site.module])
        mutant = Mutant(
            site.module,
            scope.path(site.module),
            compile(tree, str(scope.path(site.module)), "exec", dont_inherit=True),
            ast.unparse(tree),
            separate=site.module == _SANDBOX and site.function != "read_sandboxed",
        )
        return site, trial.face(mutant, tests, recorder, _PATIENCE)

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


def read_kept(path: Path, scope: Scope, suite: str) -> dict[str, Verdict]:
    """Return the results of an earlier run that still hold."""
    kept: dict[str, Verdict] = {}
    if not path.exists():
        return kept
    states = {module: scope.state(module) for module in scope.modules}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        killed = row["verdict"]["fate"] == "killed"
        if states.get(row["module"]) == row["state"] and (killed or row["suite"] == suite):
            kept[row["name"]] = Verdict(**row["verdict"])
    return kept


def _is_large(vector: Vector) -> bool:
    """Whether a vector has a large state, or very many rows or frames: no mutant gets that far."""
    inflated = any(step["do"] == "inflate" for step in vector.prepare)
    return inflated and "max-level" in vector.requires


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
    kept = read_kept(results, scope, suite)
    trial.preload()
    judges = [r for r in TRIALS if any(_may_judge(r, site) for site in sites)]
    tests = [test for test in tests_of(vectors) if test[0] in judges]
    reaches, recorder = _reaches(scope, tests, arguments.output, suite)
    selector = Selector(scope, reaches, vectors)
    verdicts = {s.name: kept[s.name] for s in sites if s.name in kept}
    todo = [s for s in sites if s.name not in verdicts]
    print(f"{len(sites)} mutants, {len(verdicts)} known from an earlier run", file=sys.stderr)
    with results.open("a", encoding="utf-8") as file:
        for site, verdict in run(scope, todo, selector, recorder, arguments.jobs):
            verdicts[site.name] = verdict
            row = {
                "name": site.name,
                "module": site.module,
                "state": scope.state(site.module),
                "suite": suite,
                "verdict": asdict(verdict),
            }
            file.write(json.dumps(row) + "\n")
            file.flush()
            if sys.stderr.isatty():
                fates = Counter(v.fate for v in verdicts.values())
                print(
                    f"\r{len(verdicts)} of {len(sites)}: {dict(fates)}  ", end="", file=sys.stderr
                )
    text = markdown(sites, verdicts, read_explained())
    (arguments.output / "mutation.md").write_text(text.full, encoding="utf-8")
    print(text.table)
    print(f"survivors: {os.path.relpath(arguments.output / 'mutation.md')}")
    if arguments.into is not None:
        put_into(arguments.into, text.table)
    return 0 if text.enough else 1


if __name__ == "__main__":
    sys.exit(main())
