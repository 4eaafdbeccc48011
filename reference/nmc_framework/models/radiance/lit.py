"""Which samples light reaches: rays are followed front to back, and left where their light ends.

What lies behind matter costs nothing, however much of it there is: densities are worked out for
the next few samples of those rays only that still have light (early ray termination: Levoy 1990,
"Efficient ray tracing of volume data").
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nmc_framework.models.radiance import quadrature
from nmc_framework.models.radiance.sampling import Samples

#: Samples of each ray that are looked at first, and how many times as many the next time.
_FIRST, _GROWTH = 24, 2


def lit(
    samples: Samples,
    look: Callable[[Samples], tuple[Tensor, Tensor]],
    seen: Callable[[Tensor, Tensor], Tensor],
    dark: float,
) -> tuple[Samples, Tensor]:
    """Return the samples that are seen, (S,), and what is stored there, (S, E).

    Parameters
    ----------
    samples
        Of N rays, (M,).
    look
        Gives what is stored at samples, (K, E), and the density there, (K,), 1 / scene unit.
    seen
        Says of samples, from what they contribute and the light left behind them, (K,) each,
        whether they are seen. Nothing is that lies behind ``dark``.
    dark
        A ray with no more light than this is left. Light that is not a number is not dark, so
        that what is wrong is seen.
    """
    begin, end = samples.starts[:-1], samples.starts[1:]
    light = torch.ones(len(begin), device=begin.device)
    taken = torch.zeros(len(samples), dtype=torch.bool, device=begin.device)
    found: list[tuple[Tensor, Tensor]] = []
    block = _FIRST
    while True:
        count = torch.where(light <= dark, 0, (end - begin).clamp_max(block))
        index, starts = _ranges(begin, count)
        if not len(index) and found:
            break
        part = samples.at(index, starts)
        encoded, density = look(part)
        weight, left = quadrature.weights(part, density, light)
        kept = seen(weight, left)
        taken[index[kept]] = True
        found.append((index[kept], encoded[kept]))
        met = count > 0
        light[met] = left[starts[1:][met] - 1]
        begin, block = begin + count, block * _GROWTH
    return samples.where(taken), _in_order(taken, found)


def _ranges(begin: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``count`` (N,) numbers from ``begin`` (N,) on, packed, and where each run starts."""
    starts = torch.nn.functional.pad(torch.cumsum(count, 0), (1, 0))
    shift = torch.repeat_interleave(begin - starts[:-1], count)
    return torch.arange(len(shift), device=begin.device) + shift, starts


def _in_order(taken: Tensor, found: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return what was found block after block in the order of the samples that were taken."""
    if len(found) == 1:
        return found[0][1]
    place = torch.cumsum(taken, 0) - 1
    index = torch.cat([part[0] for part in found])
    encoded = torch.cat([part[1] for part in found])
    return torch.empty_like(encoded).index_copy_(0, place[index], encoded)
