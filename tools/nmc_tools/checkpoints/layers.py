"""Numbers the layers of a model, the unit that `exclude_layers` counts (clause 4.2)."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_tools.checkpoints.checkpoint import CheckpointError, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNASSIGNED = -1
"""Layer of a parameter that no rule names."""

MAX_LAYER = 2**31 - 1

_MAX_RULE_BYTES = 2**20
_LAST_PART = re.compile(r"[./][^./]*$")


def layers_of(names: Sequence[str], rules: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the layer of each parameter.

    Parameters that share the module path (all but the last part of the name, parted by dots or
    slashes) are one layer; layers are numbered in order of first appearance. A name of one part
    is a layer of its own.

    Parameters
    ----------
    names : sequence of str
        Names of the parameters, in the order of the model.
    rules : mapping of str to int, optional
        From `parse_layers`; then these alone assign layers. The first rule that fits a name
        holds: it is the name, a module above it, or a glob that matches either.

    Returns
    -------
    dict of str to int
        Layer by name, in the given order; UNASSIGNED where no rule fits.

    Raises
    ------
    CheckpointError
        If a rule fits no name: most likely it is misspelt.
    """
    if rules is None:
        numbers: dict[str, int] = {}
        return {n: numbers.setdefault(_LAST_PART.sub("", n), len(numbers)) for n in names}
    assigned = dict.fromkeys(names, UNASSIGNED)
    for pattern, layer in rules.items():
        fitting = [name for name in names if _fits(name, pattern)]
        if not fitting:
            some = ", ".join(plain(name) for name in list(names)[:4])
            raise CheckpointError(
                "layers", f"rule {plain(pattern)!r} fits no parameter", f"there are {some}, …"
            )
        for name in fitting:
            if assigned[name] == UNASSIGNED:
                assigned[name] = layer
    return assigned


def _fits(name: str, pattern: str) -> bool:
    if name == pattern or fnmatchcase(name, pattern):
        return True
    return any(
        name[: part.start()] == pattern or fnmatchcase(name[: part.start()], pattern)
        for part in re.finditer(r"[./]", name)
    )


def parse_layers(spec: str | Path) -> dict[str, int]:
    """Return the layer rules a user wrote, in order.

    Parameters
    ----------
    spec : str or Path
        ``"0=pts_linears.0,1=pts_linears.1.*"``, or the path of a JSON file (ending .json) that
        maps each name or glob to its layer: ``{"pts_linears.0": 0, "pts_linears.1.*": 1}``.

    Raises
    ------
    CheckpointError
        If a rule is malformed or occurs twice, or the file cannot be read.
    """
    if isinstance(spec, Path) or spec.endswith(".json"):
        return _from_json(Path(spec))
    rules: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in spec.split(","))):
        number, equals, pattern = (p.strip() for p in part.partition("="))
        if not equals or not pattern or not (number.isascii() and number.isdigit()):
            raise _malformed("layers", f"{plain(part)!r} is not a rule")
        _add(rules, "layers", pattern, int(number[:12]))
    if not rules:
        raise _malformed("layers", "there is no rule")
    return rules


def _from_json(path: Path) -> dict[str, int]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_RULE_BYTES + 1)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    if len(text) > _MAX_RULE_BYTES:
        raise CheckpointError(path, f"has over {_MAX_RULE_BYTES} bytes, too many for layer rules")
    try:
        pairs: Any = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path, f"is not JSON: {plain(error)}") from None
    rules: dict[str, int] = {}
    if not isinstance(pairs, list) or not pairs:
        raise _malformed(path, "is not a JSON object with rules")
    for pair in pairs:
        if not isinstance(pair, tuple):
            raise _malformed(path, "is a JSON list")
        _add(rules, path, *pair)
    return rules


def _add(rules: dict[str, int], source: str | Path, pattern: str, layer: Any) -> None:
    if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer <= MAX_LAYER:
        raise _malformed(source, f"layer {plain(layer)} of {plain(pattern)!r} is not an index")
    if pattern in rules:
        raise _malformed(source, f"{plain(pattern)!r} occurs twice")
    rules[pattern] = layer


def _malformed(source: str | Path, reason: str) -> CheckpointError:
    return CheckpointError(
        source, reason, 'write 0=name,1=glob.* or a JSON file {"name": 0, "glob.*": 1}'
    )
