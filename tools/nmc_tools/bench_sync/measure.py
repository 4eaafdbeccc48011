"""Measures lines beside each other: frame by frame in turn, the shortest time of each counts."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_tools.bench.chains import SMALL, SPARSE_STEPS, Sizes, sparse_weights
from nmc_tools.bench.published import machine
from nmc_tools.bench_sync.methods import LINES, MODULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    State = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Row:
    """One method on one chain.

    Attributes
    ----------
    method : str
        Its name.
    changed : float
        Per cent of the words that change in a frame.
    raw, size : float
        Bytes of a state, and of what travels for a frame, on average.
    send, receive : float
        Bytes of state per second, on one core.
    """

    method: str
    changed: float
    raw: float
    size: float
    send: float
    receive: float


def measured(
    percents: Sequence[int], rounds: int, *, quick: bool, report: Callable[[int, int], None]
) -> list[Row]:
    """Measure every method on chains of BF16 weights of which so much changes in a frame.

    Parameters
    ----------
    percents : sequence of int
        Keys of ``SPARSE_STEPS``.
    rounds : int
        How often each chain is sent.
    quick : bool
        Chains of a few numbers, to try the code.
    report : callable
        Told how many rounds of how many are over.

    Raises
    ------
    ValueError
        If a state does not come back bit for bit.
    """
    names = [n for n in LINES if importlib.util.find_spec(MODULES.get(n, "numpy")) is not None]
    rows = []
    for i, percent in enumerate(percents):
        states = list(sparse_weights(SMALL if quick else Sizes(), SPARSE_STEPS[percent]))
        times: dict[str, tuple[float, float]] = dict.fromkeys(names, (np.inf, np.inf))
        sizes: dict[str, float] = {}
        for turn in range(rounds):
            for name in names:
                sizes[name], sent, received = _once(name, states)
                times[name] = min(times[name][0], sent), min(times[name][1], received)
            report(i * rounds + turn + 1, len(percents) * rounds)
        raw = float(sum(array.nbytes for array in states[0].values()))
        changed = _changed(states)
        rows += [
            Row(name, changed, raw, sizes[name], *(raw / seconds for seconds in times[name]))
            for name in names
        ]
    return rows


def _once(name: str, states: Sequence[State]) -> tuple[float, float, float]:
    """Return bytes of a frame, and the shortest seconds to send and to receive one."""
    line = LINES[name]()
    line.start(states[0])
    sizes, sent, received = [], np.inf, np.inf
    for state in states[1:]:
        start = time.perf_counter()
        data = line.send(state)
        middle = time.perf_counter()
        came = line.receive(data)
        end = time.perf_counter()
        sizes.append(len(data))
        sent, received = min(sent, middle - start), min(received, end - middle)
        if any(came[k].tobytes() != state[k].tobytes() for k in state):
            raise ValueError(f"{name}: a state did not come back bit for bit")
    return float(np.mean(sizes)), sent, received


def _changed(states: Sequence[State]) -> float:
    shares = [
        np.mean([np.mean(a[k].view("u2") != b[k].view("u2")) for k in a])
        for a, b in pairwise(states)
    ]
    return 100 * float(np.mean(shares))


def table(rows: Sequence[Row]) -> str:
    """Return the figures as Markdown."""
    size = f"{rows[0].raw / 1e6:.2f} MB a state"
    parts = [
        f"BF16 weights, {size}, sent after each step; MB/s of state on one core. What comes is",
        "compared by its digest (messages), or by Adler-32 (XOR, overwrite), or not at all.",
        "",
        "| changed | method | bytes a step | of the smallest peer | send MB/s | receive MB/s |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for changed in dict.fromkeys(row.changed for row in rows):
        these = [row for row in rows if row.changed == changed]
        least = min(row.size for row in these if not row.method.startswith("nmc"))
        for row in these:
            ours = row.method.startswith("nmc")
            name = f"**{row.method}**" if ours else row.method
            part = f"{row.size / least:.2f}" if ours else ""
            speeds = f"{row.send / 1e6:.0f} | {row.receive / 1e6:.0f}"
            parts.append(f"| {changed:.2f} % | {name} | {row.size:,.0f} | {part} | {speeds} |")
    here = [p for p in ("numpy", "zstandard", "safetensors", "z4ai") if importlib.util.find_spec(p)]
    left = [name for name, module in MODULES.items() if not importlib.util.find_spec(module)]
    parts += [f"\n{name} is left out: it is not installed." for name in left]
    return "\n".join([*parts, "", f"Measured on {machine(here, 'one thread used')}.", ""])
