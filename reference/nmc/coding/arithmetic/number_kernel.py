"""Decisions of the adaptive coder, alone or mixed, and the numbers made of them (clause 8.5.6)."""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import I64, Array, inline
from nmc.coding.arithmetic.mixing_kernel import mix
from nmc.coding.arithmetic.range_kernel import decide


@inline
def ask(
    stream: Any,
    coder: Any,
    bit: Any,
    model: Array,
    slot: Any,
    net: Any,
    of_sign: Any,
    node: Any,
    choices: Any,
) -> Any:
    """Code one decision with a slot's probability, or a mixture in which it has a part."""
    if net is not None:
        return mix(stream, coder, bit, model, slot, net, of_sign, node, choices)
    return decide(stream, coder, bit, model, slot)


@inline
def number(
    stream: Any,
    coder: Any,
    value: Any,
    centre: Any,
    bounds: Any,
    model: Array,
    base: Any,
    net: Any,
    past: Any,
) -> Any:
    """Code a number by steps up or down from a centre (clause 8.5.6)."""
    lowest, highest = bounds
    reached = centre
    up = I64(0)
    if centre < highest:
        node = 2 + centre
        above = I64(value > centre)
        up, coder = ask(stream, coder, above, model, base, net, False, node, (6 + past, node))
    if up:
        reached += 1
        step = I64(1)
        while reached < highest:
            node = 67 + reached
            more, coder = ask(
                stream,
                coder,
                I64(value > reached),
                model,
                base + step,
                net,
                False,
                node,
                (9 + past, node),
            )
            if not more:
                break
            reached += 1
            step = min(step + 1, I64(7))
    else:
        step = I64(8)
        while reached > lowest:
            node = 131 + reached
            more, coder = ask(
                stream,
                coder,
                I64(value < reached),
                model,
                base + step,
                net,
                False,
                node,
                (12 + past, node),
            )
            if not more:
                break
            reached -= 1
            step = min(step + 1, I64(15))
    return reached, coder
