"""Renders the chain ``hash_all``: a multiresolution hash grid (Müller et al. 2022), flattened.

One table of 1,116,262 rows holds 12 levels of 2 features. A level has ``floor(16·20^(i/11))`` cells
a side (16 to 320); where its (cells + 1)³ vertices are at most 2^17 each has a row of its own, z
fastest, else 2^17 rows are shared by the hash of the paper's equation 4. That is the only choice
of such numbers for which the rows add up and the rows that training never touched (they still hold
their first values, below 10^-4) are those of vertices that no occupied cell has.

Density and 15 features come from a network of one hidden layer, colour from these and the encoded
direction. Training looked at occupied cells only; elsewhere the field is as it began, and dense.
Which cells are occupied is read off the touched rows of the finest level without a hash, those of
the *original* state: it is part of the renderer, as an occupancy grid is part of a player.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import torch

from nmc_tools.bench_rd.encodings import BOUNDS, RING, density, encode, linear
from nmc_tools.bench_rd.ring import Occupancy, Ring, Samples, sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

TABLE = "encoder.embeddings"
#: Names by which a state is known to be of this kind.
NAMES = frozenset({TABLE, "sigma_net.0.weight", "sigma_net.2.weight", "color_net.4.weight"})

CELLS = (16, 21, 27, 36, 47, 62, 81, 107, 141, 185, 243, 320)
_HASHED = 2**17
_PRIMES = (1, 2_654_435_761, 805_459_861)
_CORNERS = tuple(product((0, 1), repeat=3))
#: The finest level that has a row for each vertex.
_DENSE = 4
#: Rows are drawn from ±10^-4 before training.
_UNTOUCHED = 1.001e-4


def level_rows() -> tuple[tuple[int, int], ...]:
    """Return the first and one past the last row of each level's part of the table."""
    ends = [0]
    for cells in CELLS:
        ends.append(ends[-1] + min((cells + 1) ** 3, _HASHED))
    return tuple(pairwise(ends))


def occupancy(table: Tensor) -> Occupancy:
    """Return the cells all of whose vertices training has touched, of a table (rows, 2)."""
    first, last = level_rows()[_DENSE]
    side = CELLS[_DENSE]
    touched = (table[first:last].abs().amax(dim=1) > _UNTOUCHED).view(side + 1, side + 1, side + 1)
    cells = torch.ones(side, side, side, dtype=torch.bool)
    for x, y, z in _CORNERS:
        cells &= touched[x : side + x, y : side + y, z : side + z]
    lower, upper = (torch.tensor(corner) for corner in BOUNDS)
    return Occupancy(cells, lower, upper)


class HashChain:
    """The pictures of one model of the chain, as a function of its tensors.

    Which rows each point needs, and how much of each, is worked out once.

    Parameters
    ----------
    original
        The state whose occupied cells are looked at.
    pixels
        The side of each of the pictures.
    samples
        Points on each ray, of which those in occupied cells are looked at.
    every
        One of so many pixels is rendered; 1 for whole pictures.
    first
        Which of these is the first.
    ring
        The cameras.
    """

    def __init__(
        self,
        original: Mapping[str, Tensor],
        *,
        pixels: int = 96,
        samples: int = 128,
        every: int = 4,
        first: int = 0,
        ring: Ring = RING,
    ) -> None:
        seen = occupancy(original[TABLE])
        cameras = ring.cameras(pixels)
        self.samples: Samples = sample(
            cameras, BOUNDS, samples, every=every, first=first, occupancy=seen
        )
        lower, upper = (torch.tensor(corner) for corner in BOUNDS)
        unit = (self.samples.points - lower) / (upper - lower)
        self._rows = [
            _corners(unit, cells, first)
            for cells, (first, _) in zip(CELLS, level_rows(), strict=True)
        ]

    def __call__(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the colours (N, 3) of all rays."""
        table = tensors[TABLE]
        levels = [
            torch.nn.functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")
            for rows, weights in self._rows
        ]
        hidden = torch.relu(linear(tensors, "sigma_net.0", torch.cat(levels, dim=1)))
        out = linear(tensors, "sigma_net.2", hidden)
        seen = torch.cat([out[:, 1:], encode(self.samples.directions, 4)], dim=1)
        seen = torch.relu(linear(tensors, "color_net.0", seen))
        seen = torch.relu(linear(tensors, "color_net.2", seen))
        colour = torch.sigmoid(linear(tensors, "color_net.4", seen))
        return self.samples.composite(density(out[:, 0]), colour)


def _corners(unit: Tensor, cells: int, first: int) -> tuple[Tensor, Tensor]:
    """Return rows (P, 8) int32 and weights (P, 8) of points (P, 3) within the unit cube."""
    place = unit.clamp(0, 1) * cells
    base = place.long().clamp(max=cells - 1)
    share = place - base
    rows, weights = [], []
    for corner in _CORNERS:
        offset = torch.tensor(corner)
        rows.append(_row(base + offset, cells) + first)
        weights.append(torch.where(offset.bool(), share, 1 - share).prod(dim=1))
    return torch.stack(rows, dim=1).int(), torch.stack(weights, dim=1)


def _row(vertex: Tensor, cells: int) -> Tensor:
    x, y, z = vertex.unbind(dim=1)
    side = cells + 1
    if side**3 <= _HASHED:
        return (x * side + y) * side + z
    return ((x * _PRIMES[0]) ^ (y * _PRIMES[1]) ^ (z * _PRIMES[2])) & (_HASHED - 1)
