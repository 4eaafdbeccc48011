"""A copy of the reference in this process, each of whose checks can be switched off by itself.

A check is the statement that found a fault, as a trial shows it: where an error is raised, a
finding is made, or a kernel returns that it cannot go on; functions that only word an error are
looked through. A check that is off finds nothing: ``raise`` and ``return`` are passed over, and a
finding is a warning. Nothing here knows a file or a line of the reference, so it can be moved.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOMS = ("nmc", "nmc_format")
"""Packages whose checks can be switched off."""

_NAME = "__switchboard__"
_WORDED = "issues.py"
"""The module that fills in findings; it finds nothing itself."""

Check = tuple[str, int]
"""File and line of a check, in this copy."""


@dataclass
class Switchboard:
    """Which checks are off, and where each refusal began.

    Attributes
    ----------
    off : set of Check
        Checks that are switched off.
    origins : dict of int to Check
        Where an exception or a finding began, by its identity.
    kept : list
        Those exceptions and findings, so that an identity stays its own.
    last, carried : Check or None
        Where the last error began; where the one began that another process would have told of.
    given_up : Check or None
        Where a kernel returned that it cannot go on, until the error is raised for it.
    wording : set of Check
        First lines of functions that only word an error.
    """

    off: set[Check] = field(default_factory=set)
    origins: dict[int, Check] = field(default_factory=dict)
    kept: list[object] = field(default_factory=list)
    last: Check | None = None
    carried: Check | None = None
    given_up: Check | None = None
    wording: set[Check] = field(default_factory=set)

    def begin(self, off: Sequence[Check]) -> None:
        """Start a trial with these checks off."""
        self.off = set(off)
        self.origins.clear()
        self.kept.clear()
        self.last = self.carried = self.given_up = None

    def stands(self, error: Any) -> bool:
        """Whether an error is to be raised: no, where its check is off."""
        origin = self.origin_of(error) or self._cause() or self.given_up or _here()
        self._remember(error, origin)
        self.last, self.given_up = origin, None
        return origin not in self.off

    def gives_up(self) -> bool:
        """Whether a kernel is to return that it cannot go on: no, where that check is off."""
        origin = _here()
        if origin in self.off:
            return False
        self.given_up = self.given_up or origin
        return True

    def found(self, finding: Any) -> Any:
        """Return a finding, a warning where its check is off."""
        origin = self._cause() or self.carried or _here()
        self.carried = None
        if origin in self.off and finding.severity == "error":
            finding = replace(finding, severity="warning")
        self._remember(finding, origin)
        return finding

    def origin_of(self, thing: Any) -> Check | None:
        """Return where an error or a finding began, if that is known."""
        if thing is None:
            return None
        found = self.origins.get(id(thing))
        if found is None and hasattr(thing, "finding"):
            found = self.origins.get(id(thing.finding))
        return found

    def _cause(self) -> Check | None:
        """Return where the error began that this one only words anew.

        It is being handled in the function that makes the new one, or in its caller.
        """
        error = sys.exc_info()[1]
        if error is None or error.__traceback__ is None:
            return None
        near = [frame for frame, _ in zip(_frames(), range(2), strict=False)]
        return self.origin_of(error) if error.__traceback__.tb_frame in near else None

    def _remember(self, thing: object, origin: Check) -> None:
        self.kept.append(thing)
        self.origins[id(thing)] = origin


BOARD = Switchboard()


def _frames() -> Iterator[FrameType]:
    """Yield the calls of the reference, innermost first, without those that fill in findings."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        worded = Path(frame.f_code.co_filename).name == _WORDED
        if frame.f_globals.get(_NAME) is BOARD and not worded:
            yield frame
        frame = frame.f_back


def _here() -> Check:
    """Return the innermost call of the reference that does not only word an error."""
    place = ("", 0)
    for frame in _frames():
        place = (frame.f_code.co_filename, frame.f_lineno)
        if (place[0], frame.f_code.co_firstlineno) not in BOARD.wording:
            break
    return place


class _Gates(ast.NodeTransformer):
    """Puts a switch before each ``raise``, and before each ``return`` of a status."""

    def __init__(self, path: str) -> None:
        self._path = path

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if _only_words(node):
            first = node.decorator_list[0] if node.decorator_list else node
            BOARD.wording.add((self._path, first.lineno))
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        if node.exc is None:
            return node
        test = _ask("stands", ast.NamedExpr(ast.Name("__error__", ast.Store()), node.exc))
        raised = ast.Raise(ast.Name("__error__", ast.Load()), node.cause)
        return ast.copy_location(ast.If(test, [raised], []), node)

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        for i, statement in enumerate(node.body):
            if isinstance(statement, ast.Return) and _is_status(statement.value):
                gate = ast.If(_ask("gives_up"), [statement], [])
                node.body[i] = ast.copy_location(gate, statement)
        return node


def _ask(question: str, *arguments: ast.expr) -> ast.Call:
    board = ast.Name(_NAME, ast.Load())
    return ast.Call(ast.Attribute(board, question, ast.Load()), list(arguments), [])


def _is_status(value: ast.expr | None) -> bool:
    """Whether a kernel returns a constant of its own, such as ``I64(EXHAUSTED)``."""
    if isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return isinstance(value, ast.Name) and value.id.isupper()


def _only_words(node: ast.FunctionDef) -> bool:
    """Whether a function does nothing but make an error, or raise it, whoever calls it."""
    plain = (ast.Expr, ast.Assign, ast.Return, ast.Raise)
    ends = isinstance(node.body[-1], ast.Return | ast.Raise)
    calls = {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and _named(n.func)}
    return ends and all(isinstance(s, plain) for s in node.body) and bool(calls & _WORDS)


_WORDS = {"refuse", "refuse_with", "finding", "FormatError"}


def _named(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)


class _Loader(SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        tree = _Gates(str(path)).visit(ast.parse(data, path))
        return compile(ast.fix_missing_locations(tree), path, "exec", optimize=_optimize)

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)  # never from, nor to, a cache

    def exec_module(self, module: Any) -> None:
        module.__dict__[_NAME] = BOARD
        super().exec_module(module)
        if module.__name__ == "nmc_format.issues":
            made = module.finding
            module.finding = lambda *codes, **facts: BOARD.found(made(*codes, **facts))


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ROOMS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def install() -> None:
    """Have the reference imported with its switches; it must not be imported yet."""
    there = [name for name in sys.modules if name.partition(".")[0] in ROOMS]
    if there:
        raise RuntimeError(f"{there[0]} is imported already")
    sys.meta_path.insert(0, _Finder())


def read_here() -> None:
    """Have the module that reads manifests in a process of its own do so in this one."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ROOMS and hasattr(module, "limit_resources"):
            module.__dict__.update(subprocess=InThisProcess, limit_resources=lambda *_: None)


class InThisProcess:
    """Stands in for ``subprocess`` where the reference starts a module of its own to read HDF5."""

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the module here, so that its checks can be switched off, too."""
        module = sys.modules[command[-2]]
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        BOARD.last = None
        with contextlib.redirect_stdout(stream):
            code = module._child(command[-1])  # noqa: SLF001 - what it starts
        stream.flush()
        BOARD.carried = BOARD.last
        return subprocess.CompletedProcess(command, code, stream.buffer.getvalue(), b"")
