"""The trellis of dependent quantisation (clause 12.4.5)."""

from __future__ import annotations

from nmc.coding.arithmetic.jit import Array, kernel


@kernel
def odd_states(symbols: Array, trellis: Array, odd: Array) -> None:
    """Write for each symbol of a part whether its state is odd."""
    state = 0
    for k in range(symbols.size):
        odd[k] = state & 1
        state = trellis[2 * state + (symbols[k] & 1)]
