"""The cheapest path of symbols through the trellis (an encoder's business; clause 12.4.5).

Numbers here are binary64: they choose symbols, and no decoder sees them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmc.coding.arithmetic.jit import Array, inline, kernel

SIZES = 16
"""Magnitudes whose cost is known apart; larger ones cost a line more for each bit."""
STATES = 8


@inline
def cost(costs: Array, context: Any, odd: Any, magnitude: Any) -> Any:
    """Bits of a symbol in a context."""
    if magnitude < SIZES:
        return costs[context, odd, magnitude]
    return costs[context, odd, SIZES - 1] + 2.0 * np.log2(magnitude / (SIZES - 1.0))


@kernel
def walk(
    wanted: Array,
    importance: Array,
    weight: Any,
    contexts: Array,
    costs: Array,
    trellis: Array,
    dependent: Any,
    chosen: Array,
    parents: Array,
    sums: Array,
    symbols: Array,
) -> Any:
    """Write the symbols whose squared error and weighted bits are least; return that sum.

    Parameters
    ----------
    wanted : float64[N]
        What the symbols should stand for.
    importance : float64[N] or float64[1]
        Weight of the squared error of each symbol, or of all.
    weight : float
        Of a bit, in squared units.
    contexts : int64[N]
        The context of each symbol.
    costs : float64[contexts, 2, SIZES]
        Bits by context, parity of the state, and magnitude.
    trellis : int64[16]
    dependent : bool
        Whether states choose the quantiser; else there is one state.
    chosen, parents, sums : int32[N, STATES], uint8[N, STATES], float64[2, STATES]
        Work space.
    symbols : int32[N]
        The result.
    """
    n = wanted.size
    states = STATES if dependent else 1
    for state in range(STATES):
        sums[0, state] = np.inf
    sums[0, 0] = 0.0
    for i in range(n):
        now = i & 1
        then = 1 - now
        for state in range(STATES):
            sums[then, state] = np.inf
        target = abs(wanted[i])
        context = contexts[i]
        matters = importance[i if importance.size > 1 else 0]
        for state in range(states):
            before = sums[now, state]
            if before == np.inf:
                continue
            odd = state & 1
            # magnitudes whose values lie on both sides of the target, and zero
            low = np.int64((target + odd) * 0.5) if dependent else np.int64(target)
            for step in range(3):
                magnitude = low + step if step < 2 else np.int64(0)
                if step == 2 and low == 0:
                    break
                error = target - magnitude
                if dependent and magnitude > 0:
                    error = target - (2 * magnitude - odd)
                sum_ = (
                    before + matters * error * error + weight * cost(costs, context, odd, magnitude)
                )
                after = trellis[2 * state + (magnitude & 1)] if dependent else 0
                if sum_ < sums[then, after]:
                    sums[then, after] = sum_
                    chosen[i, after] = magnitude
                    parents[i, after] = state
    state = 0
    for k in range(states):
        if sums[n & 1, k] < sums[n & 1, state]:
            state = k
    total = sums[n & 1, state]
    for i in range(n - 1, -1, -1):
        magnitude = chosen[i, state]
        symbols[i] = -magnitude if wanted[i] < 0.0 else magnitude
        state = parents[i, state]
    return total


@kernel
def contexts_of(symbols: Array, past: Array, contexts: Array) -> None:
    """Write a context for each symbol from its neighbours, all of them, and what was there before.

    Parameters
    ----------
    symbols : int32[R, C]
        A first guess.
    past : int32[R, C]
        The symbols that were coded here last.
    contexts : int64[R, C]
        From 0 to 71.
    """
    rows, columns = symbols.shape
    for r in range(rows):
        for c in range(columns):
            near = 0
            around = 2 * abs(past[r, c])
            if c > 0:
                near += 2 * abs(symbols[r, c - 1])
                around += abs(past[r, c - 1])
            if c > 1:
                near += abs(symbols[r, c - 2])
            if r > 0:
                near += 2 * abs(symbols[r - 1, c])
                around += abs(past[r - 1, c])
            if r > 1:
                near += abs(symbols[r - 2, c])
            if c + 1 < columns:
                around += abs(past[r, c + 1])
            if r + 1 < rows:
                around += abs(past[r + 1, c])
            contexts[r, c] = _class(near) * 8 + _class(around)


@inline
def _class(a: Any) -> Any:
    if a < 4:
        return a
    if a < 7:
        return 4
    if a < 12:
        return 5
    if a < 24:
        return 6
    return 7
