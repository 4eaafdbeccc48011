"""Modules in which every statement leaves a mark when it is run.

A mark is one store, which costs little even in the loops of kernels; a trace function would be
called for each of their lines, and would keep the interpreter from its quick ways.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

_NAME = "__nmc_marks__"
"""The marks of this process, a byte each, among the names that every module has."""


class Marks:
    """The marks of some modules.

    Parameters
    ----------
    sources : mapping of str to Path
        Source by dotted name.

    Attributes
    ----------
    codes : dict of str to (Path, code)
        What is run in place of each module.
    """

    def __init__(self, sources: Mapping[str, Path]) -> None:
        self._places: list[tuple[str, int]] = []
        self.codes: dict[str, tuple[Path, CodeType]] = {}
        for module, path in sources.items():
            tree = _Marker(str(path), self._places).visit(ast.parse(path.read_bytes()))
            code = compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)
            self.codes[module] = path, code
        self._left = bytearray(len(self._places))
        setattr(builtins, _NAME, self._left)

    def clear(self) -> None:
        """Take all marks away."""
        self._left[:] = bytes(len(self._left))

    def lines(self) -> dict[str, frozenset[int]]:
        """Return the first lines of the statements that were run, by file."""
        found: dict[str, set[int]] = {}
        for (name, line), left in zip(self._places, self._left, strict=True):
            if left:
                found.setdefault(name, set()).add(line)
        return {name: frozenset(lines) for name, lines in found.items()}


class _Marker(ast.NodeTransformer):
    """Puts a mark before each statement, at the begin of each function, and into each lambda."""

    def __init__(self, name: str, places: list[tuple[str, int]]) -> None:
        self._name = name
        self._places = places
        self._statement: ast.stmt = ast.Pass(lineno=0)

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, ast.stmt) or _stays_first(node):
            return super().visit(node)
        outer, self._statement = self._statement, node
        made = [self._mark(), super().visit(node)]
        self._statement = outer
        return made

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        begin = self._mark()
        self.generic_visit(node)
        node.body.insert(int(ast.get_docstring(node, clean=False) is not None), begin)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        store = ast.Attribute(ast.Name(_NAME, ast.Load()), "__setitem__", ast.Load())
        call = ast.Call(store, [self._number(), ast.Constant(1)], [])
        node.body = ast.BoolOp(ast.Or(), [call, node.body])  # the call returns None
        return node

    def _mark(self) -> ast.stmt:
        place = ast.Subscript(ast.Name(_NAME, ast.Load()), self._number(), ast.Store())
        return ast.copy_location(ast.Assign([place], ast.Constant(1)), self._statement)

    def _number(self) -> ast.Constant:
        """Return the number of a new mark of the statement at hand."""
        self._places.append((self._name, self._statement.lineno))
        return ast.Constant(len(self._places) - 1)


def _stays_first(node: ast.stmt) -> bool:
    """Say whether nothing may come before a statement, which does nothing when it is run."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
