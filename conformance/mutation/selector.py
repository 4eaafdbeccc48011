"""Which tests are put to which mutant, and in which order."""

from __future__ import annotations

import ast
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from operators import Site
from reach import IMPORT, Reach
from scope import Scope
from subjects import ALONE, BY_TENSORS
from trial import Verdict

from nmc_conformance.vectors import Vector

_COMPACT = "nmc_format.manifest.compact."
"""The reader that the HDF5 library stands in for where it gives up: judged without the library."""

_APART = ("nmc.coding.threads", "nmc.reading.coded_parts", "nmc.reading.parts", "nmc.reading.seq")
"""What decodes some tensors of a frame alone: judged by a decoder that asks for one at a time."""

_ONLY: Mapping[str, str | tuple[str, ...]] = {ALONE: _COMPACT, BY_TENSORS: _APART}
"""Roles that judge the mutants of some modules alone."""

SANDBOX = "nmc_format.manifest.sandbox"
_REMEMBERED = 6
"""Tests that killed mutants of a function, or of a module, which are tried first there."""


class Selector:
    """Chooses, for each mutant, the tests that can tell it, the likeliest and quickest first."""

    def __init__(self, scope: Scope, reaches: Sequence[Reach], vectors: Sequence[Vector]) -> None:
        self._scope = scope
        self._reaches = sorted((r for r in reaches if r.role != IMPORT), key=lambda r: r.seconds)
        self._seconds = {(r.role, r.vector): r.seconds for r in self._reaches}
        self._imported = next(r.lines for r in reaches if r.role == IMPORT)
        self._vectors = {v.id: v for v in vectors}
        self._killers: dict[tuple[str, str], deque[tuple[str, str]]] = {}
        self._rarities: dict[tuple[str, str], Counter[tuple[str, str]]] = {}

    def learn(self, site: Site, verdict: Verdict) -> None:
        """Remember the test that killed a mutant: it is likely to kill its neighbours."""
        if verdict.fate == "killed" and verdict.vector:
            for place in ((site.module, site.function), (site.module, "")):
                killers = self._killers.setdefault(place, deque(maxlen=_REMEMBERED))
                test = (verdict.role, verdict.vector)
                if test in killers:
                    killers.remove(test)
                killers.appendleft(test)

    def runs_at_import(self, site: Site) -> bool:
        """Say whether the import runs the function of a mutant."""
        path = self._scope.path(site.module)
        spans = [
            frozenset(range(n.body[0].lineno, (n.end_lineno or 0) + 1))
            for n in _functions_of(_tree(path), site.function)
        ]
        ran = self._imported.get(str(path), frozenset())
        return not spans or any(not span.isdisjoint(ran) for span in spans)

    def tests(self, site: Site, limit: int = 0) -> list[tuple[str, Vector]]:
        """Return the tests of one mutant, at most so many; none where no vector reaches it.

        First come those that killed its neighbours; then, by turns, the quickest, and those that
        reach a line of its function that few others reach, as a refusal is.
        """
        quick = self._telling(site)
        rarity, many = self._rarity(site), len(self._reaches)
        rare = sorted(quick, key=lambda t: rarity.get(_key(t), many) * self._seconds[_key(t)])
        known = {_key(test): test for test in quick}
        killers = (
            *self._killers.get((site.module, site.function), ()),
            *self._killers.get((site.module, ""), ()),
        )
        turns = (key for pair in zip(quick, rare, strict=True) for key in map(_key, pair))
        order = dict.fromkeys([*(key for key in killers if key in known), *turns])
        found = [known[key] for key in order]
        return found[:limit] if limit else found

    def _rarity(self, site: Site) -> Mapping[tuple[str, str], int]:
        """Return by test how many tests reach the line of a function that fewest do, of its own."""
        place = site.module, site.function
        if place not in self._rarities:
            path = str(self._scope.path(site.module))
            spans = [_span(n) for n in _functions_of(_tree(Path(path)), site.function)]
            span = frozenset().union(*spans)
            reached = {
                (r.role, r.vector): r.lines.get(path, frozenset()) & span for r in self._reaches
            }
            if not any(reached.values()):  # what the import makes: whoever uses the module
                reached = {
                    (r.role, r.vector): r.lines.get(path, frozenset()) for r in self._reaches
                }
            counts = Counter(line for lines in reached.values() for line in lines)
            self._rarities[place] = Counter(
                {
                    test: min(counts[line] for line in lines)
                    for test, lines in reached.items()
                    if lines
                }
            )
        return self._rarities[place]

    def _telling(self, site: Site) -> list[tuple[str, Vector]]:
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
            and may_judge(reach.role, site)
        ]

    def _lines(self, site: Site) -> dict[str, frozenset[int]]:
        """Return, by file, lines of which a test has to reach one; none where every test does."""
        path = self._scope.path(site.module)
        tree = _tree(path)
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        if site.module == SANDBOX:  # the rest of it is run by a process that is not traced
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


def may_judge(role: str, site: Site) -> bool:
    """Say whether a role judges a mutant: some judge those of their modules alone."""
    return site.module.startswith(_ONLY.get(role, ""))


def _key(test: tuple[str, Vector]) -> tuple[str, str]:
    return test[0], test[1].id


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _functions_of(tree: ast.Module, name: str) -> list[ast.FunctionDef]:
    """Return the functions that a qualified name may mean."""
    last = name.rpartition(".")[2]
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == last]


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
