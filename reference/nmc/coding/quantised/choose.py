"""Chooses the symbols of one part: near enough, and cheap (an encoder's business)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmc.coding.quantised.grid import Integers
from nmc.coding.quantised.symbols import odd_states_of
from nmc.coding.quantised.trellis import TRELLIS

CONTEXTS = 64
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Choice:
    """What is to be chosen.

    Attributes
    ----------
    wanted : float64[R, C]
        The integers that the symbols should stand for, if they could be any number.
    past : int32[R, C]
        The symbols that were coded here last.
    dependent : bool
        Whether the trellis chooses the quantiser (clause 12.4.5).
    rate : float
        Weight of a bit, in squared units of `wanted`; 0 takes what is nearest.
    weights : float64[R, C] or None
        Of the squared error of each; 1 where there are none.
    """

    wanted: NDArray[np.float64]
    past: Integers
    dependent: bool
    rate: float
    weights: NDArray[np.float64] | None = None


def chosen(choice: Choice) -> Integers:
    """Return the symbols, int32[R, C].

    Costs are those of the symbols of a first choice, by their neighbours; the second choice is
    made with them.
    """
    scale = 0.5 if choice.dependent else 1.0
    symbols: Integers = np.rint(choice.wanted * scale).astype(np.int32)
    if not choice.dependent and choice.rate == 0.0:
        return symbols
    from nmc.coding.quantised import choose_kernel as kernels

    size = choice.wanted.size
    flat = np.ascontiguousarray(choice.wanted).reshape(-1)
    weights = np.ones(1) if choice.weights is None else choice.weights.reshape(-1)
    contexts = np.empty(choice.wanted.shape, np.int64)
    work = (
        np.empty((size, kernels.STATES), np.int32),
        np.empty((size, kernels.STATES), np.uint8),
        np.empty((2, kernels.STATES)),
    )
    odd = np.zeros(choice.wanted.shape, np.int64)
    contexts.fill(0)
    costs = np.zeros((CONTEXTS, 2, kernels.SIZES))
    for _ in range(_ROUNDS if choice.rate else 1):
        if choice.rate:
            kernels.contexts_of(symbols, choice.past, contexts)
            costs = _costs(symbols, contexts, odd)
        out = np.empty(size, np.int32)
        kernels.walk(
            flat,
            weights,
            choice.rate,
            contexts.reshape(-1),
            costs,
            TRELLIS,
            choice.dependent,
            *work,
            out,
        )
        symbols = out.reshape(symbols.shape)
        if choice.dependent and choice.rate:
            odd = odd_states_of(symbols)
    return symbols


def _costs(
    symbols: Integers, contexts: NDArray[np.int64], odd: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return bits by context, parity of the state and magnitude, from how often they occur."""
    from nmc.coding.quantised.choose_kernel import SIZES

    size = np.minimum(np.abs(symbols), SIZES - 1)
    key = (contexts * 2 + odd) * SIZES + size
    counts = np.bincount(key.reshape(-1), minlength=CONTEXTS * 2 * SIZES).astype(np.float64)
    counts = counts.reshape(CONTEXTS, 2, SIZES)
    overall = counts.sum(0) + counts.sum((0, 1)) + 0.5 * 2.0 ** -np.arange(SIZES)
    overall /= overall.sum(1, keepdims=True)
    counts += 8.0 * overall  # few symbols say little about their context
    bits = -np.log2(counts / counts.sum(2, keepdims=True))
    bits[..., 1:] += 1.0  # the sign
    return np.asarray(bits, np.float64)
