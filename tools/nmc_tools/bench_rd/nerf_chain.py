"""Renders the chain ``nerf_all``: the network of the first NeRF paper (Mildenhall et al. 2020).

A trunk of eight layers of 256, the encoded position again before the sixth (the trunk's output
after it), density from the trunk, then a feature, the encoded direction after it, and colour; 10
frequencies of the position and 4 of the direction. See :mod:`nmc_tools.bench_rd.encodings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nmc_tools.bench_rd.encodings import BOUNDS, RING, density, encode, linear
from nmc_tools.bench_rd.ring import Ring, Samples, sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: Names by which a state is known to be of this kind.
NAMES = frozenset({"pts_linears.7.weight", "sigma.weight", "feature.weight", "views.weight"})
#: What no camera saw lies before the objects; rays are sampled from here on.
_BOUNDS = (BOUNDS[0], (1.6, 1.1, 1.6))
_SKIP, _DEPTH = 5, 8
#: Points a pass takes at a time: their activations stay within 100 MB.
_PASS = 16384


class NerfChain:
    """The pictures of one model of the chain, as a function of its tensors.

    Parameters
    ----------
    pixels
        The side of each of the pictures.
    samples
        Points on each ray.
    every
        One of so many pixels is rendered; 1 for whole pictures.
    first
        Which of these is the first.
    ring
        The cameras.
    """

    def __init__(
        self,
        *,
        pixels: int = 48,
        samples: int = 64,
        every: int = 4,
        first: int = 0,
        ring: Ring = RING,
    ) -> None:
        self.samples: Samples = sample(
            ring.cameras(pixels), _BOUNDS, samples, every=every, first=first
        )

    def __call__(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the colours (N, 3) of all rays."""
        at = self.samples
        passes = zip(*map(_passes, (at.points, at.directions)), strict=True)
        raw, colour = zip(*(_field(tensors, p, d) for p, d in passes), strict=True)
        return at.composite(density(torch.cat(raw)), torch.cat(colour))


def _passes(values: Tensor) -> tuple[Tensor, ...]:
    return torch.tensor_split(values, list(range(_PASS, len(values), _PASS)))


def _field(
    tensors: Mapping[str, Tensor], points: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    position = encode(points, 10)
    hidden = position
    for layer in range(_DEPTH):
        joined = torch.cat([position, hidden], dim=1) if layer == _SKIP else hidden
        hidden = torch.relu(linear(tensors, f"pts_linears.{layer}", joined))
    raw = linear(tensors, "sigma", hidden)[:, 0]
    feature = linear(tensors, "feature", hidden)
    seen = torch.relu(linear(tensors, "views", torch.cat([feature, encode(directions, 4)], dim=1)))
    return raw, torch.sigmoid(linear(tensors, "rgb", seen))
