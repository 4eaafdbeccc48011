"""Mutants of a module: one comparison, constant, sign, rounding or bound changed, one at a time.

A mutant has a name that outlives other edits of its file: the module, the function, and the
expression before and after.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATIONS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
_MESSAGES = frozenset({"refuse", "finding", "bad", "_bad", "_refuse", "_Refused"})
"""Functions whose arguments end up in messages; the suite judges codes, not words."""

_LONGEST = 160


@dataclass(frozen=True)
class Site:
    """One mutant of one module.

    Attributes
    ----------
    module : str
        Dotted name.
    function : str
        Qualified name of the function; empty at the level of the module.
    change : str
        The expression before and after.
    repeat : int
        Which of several like it in that function, from 1.
    number : int
        Its place among all mutants of the module.
    lines : tuple of int
        First and last line of the statement's own code, the bodies of compound ones left out.
    """

    module: str
    function: str
    change: str
    repeat: int
    number: int
    lines: tuple[int, int]

    @property
    def name(self) -> str:
        """The name by which it is listed."""
        mark = f" #{self.repeat}" if self.repeat > 1 else ""
        return f"{self.module}:{self.function or '-'}: {self.change}{mark}"


@dataclass(frozen=True)
class _Place:
    function: str
    statement: ast.stmt
    parent: ast.AST


Edit = tuple[Callable[[], None], Callable[[], None]]
"""Makes the change in the tree, and takes it back."""


def mutants(module: str, path: Path, left_out: frozenset[str] = frozenset()) -> list[Site]:
    """Return every mutant of a module.

    Parameters
    ----------
    module : str
        Dotted name.
    path : Path
        Its source.
    left_out : frozenset of str
        Qualified names of functions and classes that are out of scope.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for number, (place, (make, undo)) in enumerate(_edits(tree, left_out)):
        before = _shown(place)
        make()
        change = f"{before} -> {_shown(place)}"
        undo()
        seen[place.function, change] += 1
        repeat = seen[place.function, change]
        found.append(
            Site(module, place.function, change, repeat, number, _own_lines(place.statement))
        )
    return found


def mutated_tree(site: Site, path: Path, left_out: frozenset[str] = frozenset()) -> ast.Module:
    """Return the syntax tree of a module with one change made."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for number, (_, (make, _)) in enumerate(_edits(tree, left_out)):
        if number == site.number:
            make()
            return ast.fix_missing_locations(tree)
    raise IndexError(site.name)


def _shown(place: _Place) -> str:
    node = place.parent
    text = ast.unparse(node if isinstance(node, ast.expr) else place.statement)
    line = text.splitlines()[0]
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _own_lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return statement.lineno, max(statement.lineno, last or 0)


def _edits(tree: ast.Module, left_out: frozenset[str]) -> Iterator[tuple[_Place, Edit]]:
    yield from _block(tree.body, "", left_out)


def _block(
    statements: list[ast.stmt], function: str, left_out: frozenset[str]
) -> Iterator[tuple[_Place, Edit]]:
    for statement in statements:
        yield from _statement(statement, function, left_out)


def _statement(
    node: ast.stmt, function: str, left_out: frozenset[str]
) -> Iterator[tuple[_Place, Edit]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield from _function(node, function, left_out)
        return
    if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom) or _untested(node):
        return
    if isinstance(node, ast.AugAssign):
        for edit in _operation(node):
            yield _Place(function, node, node), edit
    if isinstance(node, ast.If | ast.While):
        yield from _condition(node, _Place(function, node, node.test))
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "type_comment"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            yield from _part(child, _Place(function, node, node), left_out)


def _function(
    node: ast.FunctionDef | ast.ClassDef, function: str, left_out: frozenset[str]
) -> Iterator[tuple[_Place, Edit]]:
    name = f"{function}.{node.name}" if function else node.name
    if name in left_out:
        return
    if isinstance(node, ast.FunctionDef):
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            yield from _expression(default, _Place(name, node, node))
    yield from _block(node.body, name, left_out)


def _part(child: object, place: _Place, left_out: frozenset[str]) -> Iterator[tuple[_Place, Edit]]:
    """Yield the mutants of one part of a statement."""
    function, node = place.function, place.statement
    match child:
        case ast.stmt():
            yield from _statement(child, function, left_out)
        case ast.ExceptHandler(body=body):
            yield from _block(body, function, left_out)
        case ast.match_case(pattern=pattern, guard=guard, body=body):
            if guard is not None:
                yield from _expression(guard, _Place(function, node, guard))
            yield from _pattern(pattern, place)
            yield from _block(body, function, left_out)
        case ast.withitem(context_expr=expression) | (ast.expr() as expression):
            yield from _expression(expression, place)


def _untested(node: ast.stmt) -> bool:
    """Say whether a statement is of the encoder's half of a function, or for type checkers."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {
        "TYPE_CHECKING",
        "encoding",
        "__name__ == '__main__'",
    }


def _pattern(pattern: ast.pattern, place: _Place) -> Iterator[tuple[_Place, Edit]]:
    for node in ast.walk(pattern):
        if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            yield from _constant(node.value, place)


def _expression(node: ast.AST, place: _Place) -> Iterator[tuple[_Place, Edit]]:
    if isinstance(node, ast.JoinedStr) or _called(node) in _MESSAGES:
        return
    if isinstance(node, ast.Constant):
        yield from _constant(node, place)
        return
    here = _Place(place.function, place.statement, node) if isinstance(node, ast.expr) else place
    for edit in _changes(node):
        yield here, edit
    match node:
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield place, _replace(place, node, operand)
        case ast.IfExp():
            yield from _condition(node, here)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr_context | ast.operator | ast.cmpop | ast.boolop):
            continue
        if not (isinstance(child, ast.keyword) and child.arg == "strict"):  # an assertion of zip
            yield from _expression(child, here)


def _called(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return ""


def _changes(node: ast.AST) -> Iterator[Edit]:
    """Yield the changes of an expression's own operator."""
    match node:
        case ast.Call(func=ast.Name(id=name) as called) if name in _EXTREMES:
            yield _set(called, "id", _EXTREMES[name])
        case ast.Call(func=ast.Attribute(attr=name) as method) if name in _EXTREMES:
            yield _set(method, "attr", _EXTREMES[name])
        case ast.Compare(ops=operators):
            for i, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    yield _set(node, "ops", [*operators[:i], other(), *operators[i + 1 :]])
        case ast.BinOp():
            yield from _operation(node)
        case ast.BoolOp(op=operator):
            yield _set(node, "op", ast.Or() if isinstance(operator, ast.And) else ast.And())


def _constant(node: ast.Constant, place: _Place) -> Iterator[tuple[_Place, Edit]]:
    if isinstance(node.value, bool):
        yield place, _set(node, "value", not node.value)
    elif isinstance(node.value, int):
        yield place, _set(node, "value", node.value + 1)
        if node.value:
            yield place, _set(node, "value", node.value - 1)


def _operation(node: ast.BinOp | ast.AugAssign) -> Iterator[Edit]:
    other = _OPERATIONS.get(type(node.op))
    if other is not None:
        yield _set(node, "op", other())
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        up = ast.BinOp(
            ast.UnaryOp(ast.USub(), node.left), ast.FloorDiv(), node.right
        )  # -(-a // b): rounded up instead of down

        def make() -> None:
            node.left, node.op = ast.UnaryOp(ast.USub(), up), ast.Mult()
            node.right = ast.Constant(1)

        left, operator, right = node.left, node.op, node.right

        def undo() -> None:
            node.left, node.op, node.right = left, operator, right

        yield make, undo


def _condition(
    node: ast.If | ast.While | ast.IfExp, place: _Place
) -> Iterator[tuple[_Place, Edit]]:
    """Turn a condition round where no other operator does it."""
    if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
        turned = _Place(place.function, place.statement, place.statement)
        yield turned, _set(node, "test", ast.UnaryOp(ast.Not(), node.test))


def _set(node: ast.AST, name: str, value: object) -> Edit:
    before = getattr(node, name)
    return (lambda: setattr(node, name, value)), (lambda: setattr(node, name, before))


def _replace(place: _Place, node: ast.expr, other: ast.expr) -> Edit:
    """Put one expression where another is, in whatever holds it."""
    for holder in ast.walk(place.statement):
        for name, value in ast.iter_fields(holder):
            if value is node:
                return _set(holder, name, other)
            if isinstance(value, list) and any(item is node for item in value):
                return _set(holder, name, [other if item is node else item for item in value])
    raise LookupError(ast.unparse(node))
