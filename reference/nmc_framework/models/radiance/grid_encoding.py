"""Multiresolution hash encoding: levels of feature tables, interpolated (Müller et al. 2022).

On the CPU the kernels of :mod:`~nmc_framework.models.radiance.hash_kernels` do the work; on any
other device the same arithmetic is spelled in torch operations. Both index the same tables in the
same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.models.radiance import hash_kernels
from nmc_framework.models.radiance.threads import spread

#: Points a thread interpolates at a time; small enough to keep both cores busy to the end.
_CHUNK = 16384


class GridLevel(nn.Module):
    """One level: a table of feature vectors on a cubic lattice, hashed where it would not fit.

    ``table`` is (entries, features) float32. A lattice of ``cells``³ cells has (cells + 1)³
    vertices; where these are at most 2^log2_entries, each has an entry of its own, x fastest.
    """

    def __init__(self, cells: int, features: int, log2_entries: int) -> None:
        super().__init__()
        self.cells = cells
        vertices = (cells + 1) ** 3
        self.hashed = vertices > 1 << log2_entries
        entries = 1 << log2_entries if self.hashed else vertices
        # The range of Instant-NGP: near zero, yet not symmetric.
        self.table = nn.Parameter(torch.empty(entries, features).uniform_(-1e-4, 1e-4))


def lattices(configuration: Mapping[str, Any], log2_entries: int) -> nn.ModuleList:
    """Return new levels of ``coarsest`` to ``finest`` cells, with tables of so many entries."""
    c = configuration
    cells = np.rint(np.geomspace(c["coarsest"], c["finest"], c["levels"])).astype(int)
    return nn.ModuleList(GridLevel(int(n), c["features"], log2_entries) for n in cells)


def levels_in(modules: Iterable[nn.Module]) -> list[GridLevel]:
    """Return those of modules that are levels, in their order."""
    return [module for module in modules if isinstance(module, GridLevel)]


class _Interpolate(torch.autograd.Function):
    """The CPU path; gradients reach the tables, and positions where they are worked out themselves.

    ``known`` (N, F) are the features where they have been worked out already, else empty.
    """

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        known: Tensor,
        shape: Sequence[tuple[int, bool]],
        *tables: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(points, *tables)
        ctx.shape = shape
        ctx.sizes = [tuple(table.shape) for table in tables]
        if len(known):
            return known.clone()
        features = tables[0].shape[1]
        out = torch.empty(len(points), features * len(tables))
        at, into = points.detach().numpy(), out.numpy()
        spread(
            hash_kernels.interpolate,
            (
                (
                    at[a : a + _CHUNK],
                    table.detach().numpy(),
                    cells,
                    hashed,
                    into[a : a + _CHUNK],
                    level * features,
                )
                for a in range(0, len(points), _CHUNK)
                for level, ((cells, hashed), table) in enumerate(zip(shape, tables, strict=True))
            ),
        )
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        points, *tables = ctx.saved_tensors
        features = ctx.sizes[0][1]
        at, gradient = points.numpy(), gradients[0].contiguous().numpy()
        wanted = ctx.needs_input_grad[3:]
        results = [
            torch.zeros(size) if want else None
            for size, want in zip(ctx.sizes, wanted, strict=True)
        ]
        # One job a level: no two threads add to one table, so the sums come in one order.
        spread(
            hash_kernels.deposit,
            (
                (at, gradient, cells, hashed, result.numpy(), level * features)
                for level, ((cells, hashed), result) in enumerate(
                    zip(ctx.shape, results, strict=True)
                )
                if result is not None
            ),
        )
        moved = _slopes(points, tables, gradient, ctx.shape) if ctx.needs_input_grad[0] else None
        return (moved, None, None, *results)


def _slopes(
    points: Tensor,
    tables: Sequence[Tensor],
    gradient: np.ndarray[Any, Any],
    shape: Sequence[tuple[int, bool]],
) -> Tensor:
    """Return the gradient (N, 3) of the places of points, from that of their features."""
    out = torch.zeros_like(points)
    at, into, width = points.numpy(), out.numpy(), tables[0].shape[1]

    def parts(a: int) -> None:
        for level, ((cells, hashed), table) in enumerate(zip(shape, tables, strict=True)):
            hash_kernels.slope(
                at[a : a + _CHUNK],
                table.detach().numpy(),
                gradient[a : a + _CHUNK],
                cells,
                hashed,
                into[a : a + _CHUNK],
                level * width,
            )

    spread(parts, ((a,) for a in range(0, len(points), _CHUNK)))
    return out


def encode(points: Tensor, levels: Sequence[GridLevel]) -> Tensor:
    """Return the features of points in the unit cube.

    Parameters
    ----------
    points
        (N, 3) float32 in 0..1; outside, the border cells are continued.
    levels
        Coarse to fine, all of one feature width F.

    Returns
    -------
    Tensor
        (N, levels·F) float32.
    """
    if points.device.type == "cpu":
        return _on_cpu(points, points[:0], levels)
    return torch.cat([_interpolate_in_torch(points, level) for level in levels], dim=1)


def reuse(known: Tensor, points: Tensor, levels: Sequence[GridLevel]) -> Tensor:
    """Return features that :func:`encode` gave without gradients, now with them.

    On the CPU nothing is interpolated again.
    """
    if points.device.type == "cpu":
        return _on_cpu(points, known, levels)
    return encode(points, levels)


def _on_cpu(points: Tensor, known: Tensor, levels: Sequence[GridLevel]) -> Tensor:
    shape = tuple((level.cells, level.hashed) for level in levels)
    mixed = _Interpolate.apply(  # type: ignore[no-untyped-call]
        points.contiguous(), known, shape, *(level.table for level in levels)
    )
    assert isinstance(mixed, Tensor)
    return mixed


def _interpolate_in_torch(points: Tensor, level: GridLevel) -> Tensor:
    scaled = points * level.cells
    base = scaled.floor().clamp(0, level.cells - 1)
    inside = scaled - base
    corner = torch.tensor(np.indices((2, 2, 2)).reshape(3, 8).T, device=points.device)
    vertex = base.long()[:, None] + corner
    weights = torch.where(corner.bool(), inside[:, None], 1 - inside[:, None]).prod(dim=2)
    return (level.table[vertex_index(vertex, level)] * weights[..., None]).sum(dim=1)


def vertex_index(vertex: Tensor, level: GridLevel) -> Tensor:
    """Return the table rows (...,) of lattice vertices (..., 3), int64 (equation 4)."""
    x, y, z = vertex.unbind(-1)
    if not level.hashed:
        side = level.cells + 1
        return (z * side + y) * side + x
    _, second, third = hash_kernels.PRIMES
    return (x ^ (y * second) ^ (z * third)) & (len(level.table) - 1)


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Return the nine real spherical harmonics up to degree 2 of unit vectors, (N, 9)."""
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.28209479),
            -0.48860251 * y,
            0.48860251 * z,
            -0.48860251 * x,
            1.09254843 * x * y,
            -1.09254843 * y * z,
            0.31539157 * (3 * z * z - 1),
            -1.09254843 * x * z,
            0.54627422 * (x * x - y * y),
        ],
        dim=-1,
    )
