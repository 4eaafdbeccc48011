"""What the layers of a family are: which tensors each has, and how many weights (clause 9.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nmc_framework.models.chained import ChainModel

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Layers:
    """Layers ``first`` to ``last`` that are alike: their tensors in words, their weights in all."""

    first: int
    last: int
    tensors: str
    weights: int


def described_layers(
    family: type[ChainModel], configuration: Mapping[str, Any] | None = None
) -> list[Layers]:
    """Return the layers that ``exclude_layers`` counts, neighbours that are alike in one.

    Raises
    ------
    ModelError
        If no model can be built with the configuration.
    """
    model = family.build(configuration)
    weights = {name: parameter.numel() for name, parameter in model.named_parameters()}
    by_layer: dict[int, list[str]] = {number: [] for number in range(len(model.layers()))}
    for name, number in model.layer_of().items():
        by_layer[number].append(name)
    found = []
    for _, group in groupby(by_layer.items(), lambda item: _alike(item[1])):
        some = list(group)
        names = [name for _, each in some for name in each]
        total = sum(weights[name] for name in names)
        found.append(Layers(some[0][0], some[-1][0], _told(some[0][1], some[-1][1]), total))
    return found


def _alike(names: list[str]) -> tuple[str, ...]:
    """Return the names without the first number in each: layers that share it are one row."""
    return tuple(_NUMBER.sub("*", name, count=1) for name in names)


def _told(first: list[str], last: list[str]) -> str:
    """Return what the tensors of a row are called: what their names begin with, and how many."""
    one, other = _beginning(first), _beginning(last)
    return one if one == other else f"{one} … {other}"


def _beginning(names: list[str]) -> str:
    if not names:
        return "none"
    parts = [name.split(".") for name in names]
    common = []
    for each in zip(*parts, strict=False):
        if len(set(each)) > 1:
            break
        common.append(each[0])
    if len(names) == 1 or not common:
        return ", ".join(names)
    deeper = len(common) + 2
    within = dict.fromkeys(".".join(each[:deeper]) for each in parts if len(each) > deeper)
    if len(common) == 1 and len(within) == 2:
        return ", ".join(f"{name}.*" for name in within)
    return f"{'.'.join(common)}.*"
