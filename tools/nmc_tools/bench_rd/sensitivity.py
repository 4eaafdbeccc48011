"""Steps from measured sensitivity: coarse where nobody sees it, fine where everybody does.

A part of the model (a tensor, or the rows of a hash level) is given noise of a uniform quantiser,
and the squared error c·step² of the rendering is measured. At high rate a part of n numbers costs
n·log2(1/step) bits, so that the fewest bits for an error go with steps in proportion to sqrt(n/c):
reverse water-filling (Cover and Thomas, Elements of Information Theory, 10.3.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.bench_rd.baselines import is_quantised

if TYPE_CHECKING:
    from nmc_tools.bench_rd.chains import BenchChain

Array = np.ndarray[Any, Any]

#: The error, as a mean square, at which sensitivity is measured: 50 dB.
_ERROR = 1e-5
#: A first step, in standard deviations of the part, and how often it is mended.
_FIRST, _ROUNDS = 1 / 16, 2
#: An error smaller than this says nothing but that nobody sees the part.
_UNSEEN = 1e-12


@dataclass(frozen=True)
class Part:
    """Rows of a tensor, and what they do: ``error`` / step² of a rendering; ``count`` numbers."""

    name: str
    rows: int
    count: int
    error: float

    def step(self, fidelity: float, total: int) -> float:
        """Return the step with which all parts, of ``total`` numbers, give a fidelity in dB."""
        allowed = 10 ** (-fidelity / 10) * self.count / total
        return math.sqrt(allowed / self.error)


@dataclass(frozen=True)
class Sensitivity:
    """The parts of the tensors that are quantised, in the order of their rows."""

    parts: Sequence[Part]

    def steps(self, fidelity: float) -> dict[str, list[tuple[int, float]]]:
        """Return rows and step of each part of each tensor, for a fidelity in dB."""
        total = sum(part.count for part in self.parts)
        found: dict[str, list[tuple[int, float]]] = {}
        for part in self.parts:
            found.setdefault(part.name, []).append((part.rows, part.step(fidelity, total)))
        return found


def measured(chain: BenchChain, path: Path) -> Sensitivity:
    """Return the sensitivity of a chain's first model, from its file where it is there."""
    if path.exists():
        records = json.loads(path.read_text(encoding="utf-8"))
        return Sensitivity([Part(**record) for record in records])
    parts = []
    for name, array in chain.states[0].items():
        if is_quantised(array) and array.min() != array.max():
            parts += _of_tensor(chain, name, array)
    floor = min(part.error for part in parts if part.error > _UNSEEN)
    seen = [Part(p.name, p.rows, p.count, max(p.error, floor * 1e-3)) for p in parts]
    path.write_text(json.dumps([vars(part) for part in seen], indent=1) + "\n", encoding="utf-8")
    return Sensitivity(seen)


def _of_tensor(chain: BenchChain, name: str, array: Array) -> list[Part]:
    rows = chain.parts.get(name, [len(array) if array.ndim else 1])
    parts, first = [], 0
    for count in rows:
        inside = np.zeros(array.shape, bool)
        inside[first : first + count] = True
        parts.append(Part(name, count, int(inside.sum()), _error(chain, name, array, inside)))
        first += count
    return parts


def _error(chain: BenchChain, name: str, array: Array, inside: Array) -> float:
    """Return the squared error of a rendering over that of the step, for noise in some elements."""
    rng = np.random.default_rng(0)
    noise = np.where(inside, rng.uniform(-0.5, 0.5, array.shape), 0)
    step = _FIRST * (float(array[inside].std()) or 1.0)
    found = 0.0
    for _ in range(_ROUNDS):
        changed = dict(chain.states[0])
        changed[name] = (array + step * noise).astype(array.dtype)
        error = 10 ** (-chain.judge(0, changed).fidelity / 10)
        if error <= _UNSEEN:
            break
        found = error / step**2
        step *= min(math.sqrt(_ERROR / error), 16.0)
    return found


def by_row(steps: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, Array]:
    """Return steps as one column a tensor: a number for each row."""
    return {
        name: np.concatenate([np.full(rows, step) for rows, step in parts])
        for name, parts in steps.items()
    }
