"""The family ``plenoxels``: a sparse voxel grid of density and spherical harmonics, no network.

After Yu et al. 2022 (Plenoxels, arXiv 2112.05131): only vertices near matter have an opacity and
nine coefficients a colour channel (section 3.1), learned directly under a total variation prior
(equation 3), from a coarse dense grid to a fine sparse one (section 3.2). Density is rectified
after interpolation, colour is the sum of harmonics about middle grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.grid_encoding import spherical_harmonics
from nmc_framework.models.radiance.marched import MARCHING, MARCHING_MEANINGS, MarchedField
from nmc_framework.models.views import RayBatch

_CHANNELS, _HARMONICS = 3, 9
_WIDTH = 1 + _CHANNELS * _HARMONICS
#: Density of a random model, per half edge of the cuboid, and how fast weights move it.
_FIRST_DENSITY, _DENSITY_GAIN = 0.4, 60.0
#: Vertices whose total variation is taken in an iteration, as the authors draw 1 % of theirs.
_VARIED = 8192
#: Share of frame 0's iterations that the coarse dense grid learns.
_COARSE = 0.35
#: Vertices that are looked up at a time where a lattice takes another's place.
_AT_ONCE = 1 << 18
#: Nothing here: the row of a vertex that has none.
_NONE = -1


class Voxels(nn.Module):
    """A table of rows, ``table`` (rows, 28) float32, and the vertex of the lattice each belongs to.

    ``vertices`` (rows,) int32 counts the vertices of a lattice of ``along``³ cells, x fastest; a
    free row has -1. ``links``, the row of each vertex or -1, follows from it and is not stored.
    ``cells`` is ``along`` as a number, ``finest`` at most.
    """

    vertices: Tensor
    along: Tensor
    links: Tensor

    def __init__(self, rows: int, finest: int) -> None:
        super().__init__()
        self.finest = self.cells = finest
        self.register_buffer("along", torch.tensor(finest, dtype=torch.int32))
        self.table = nn.Parameter(torch.zeros(rows, _WIDTH))
        self.register_buffer("vertices", torch.full((rows,), _NONE, dtype=torch.int32))
        links = torch.full((1,), _NONE, dtype=torch.int32)
        self.register_buffer("links", links, persistent=False)
        self.register_load_state_dict_post_hook(_linked)  # type: ignore[no-untyped-call]

    def place(self, vertices: Tensor, cells: int) -> None:
        """Give the first rows to ``vertices`` (N,) of a lattice of ``cells``³ cells."""
        self.along.fill_(cells)
        self.vertices.fill_(_NONE)
        self.vertices[: len(vertices)] = vertices.int()
        self.link()

    def link(self) -> None:
        """Work out the row of each vertex; of vertices that a state names twice, any."""
        # No state says more cells than there is memory for.
        self.cells = min(max(int(self.along), 1), self.finest)
        side = self.cells + 1
        links = torch.full((side**3,), _NONE, dtype=torch.int32, device=self.vertices.device)
        held = ((self.vertices >= 0) & (self.vertices < side**3)).nonzero()[:, 0]
        links[self.vertices[held].long()] = held.int()
        self.links = links

    def corners(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vertices (N, 8) about points (N, 3), and their trilinear weights (N, 8)."""
        scaled = unit.clamp(0, 1) * self.cells
        base = scaled.floor().clamp_max(self.cells - 1)
        inside = scaled - base
        side = self.cells + 1
        x, y, z = base.long().unbind(1)
        first = (z * side + y) * side + x
        steps = [i + side * j + side * side * k for k in (0, 1) for j in (0, 1) for i in (0, 1)]
        vertices = first[:, None] + torch.tensor(steps, device=unit.device)
        fx, fy, fz = (torch.stack([1 - f, f], dim=1) for f in inside.unbind(1))
        weights = fz[:, :, None, None] * fy[:, None, :, None] * fx[:, None, None, :]
        return vertices, weights.reshape(-1, 8)

    def forward(self, unit: Tensor) -> Tensor:
        """Return what is stored at points (N, 3) of the unit cube, (N, 28); 0 where nothing is."""
        vertices, weights = self.corners(unit)
        rows = self.links[vertices.view(-1)].view(-1, 8).long()
        weights = weights * (rows >= 0)
        mixed = nn.functional.embedding_bag(
            rows.clamp_min(0), self.table, per_sample_weights=weights, mode="sum"
        )
        assert isinstance(mixed, Tensor)
        return mixed

    def variation(self, count: int) -> Tensor:
        """Return the mean total variation of ``count`` vertices drawn at random (equation 3).

        The squared differences to the next vertices along x, y and z, summed over the axes, a
        coefficient; those of vertices that have no row count as 0.
        """
        held = (self.vertices >= 0).nonzero()[:, 0]
        device = self.vertices.device
        chosen = held[torch.randint(len(held), (count,), device=device)]
        side = self.cells + 1
        place = self.vertices[chosen].long()
        here = self.table[chosen]
        squares = torch.zeros_like(here)
        for step, position in ((1, place), (side, place // side), (side * side, place // side**2)):
            last = position % side == self.cells
            rows = self.links[(place + step).clamp_max(side**3 - 1)].long()
            there = self.table[rows.clamp_min(0)] * ((rows >= 0) & ~last)[:, None]
            squares = squares + ((there - here) ** 2) * (~last)[:, None]
        return (squares + 1e-9).sqrt().mean(dim=0)


def _linked(module: nn.Module, _: object) -> None:
    """Work out the rows of vertices once a state is loaded."""
    assert isinstance(module, Voxels)
    module.link()


class Plenoxels(MarchedField):
    """Sparse voxels of density and spherical harmonics, no network (Plenoxels): sharp, large.

    ``finest`` are the cells along an edge, ``voxels`` the most vertices that are stored;
    ``density_variation`` and ``colour_variation`` what total variation counts in the loss.
    """

    family: ClassVar[str] = "plenoxels"
    meanings: ClassVar[Mapping[str, str]] = MARCHING_MEANINGS | {
        "finest": "cells along an edge of the fine lattice; set from what a pixel covers",
        "voxels": "most vertices that are stored",
        "density_variation": "what total variation of densities counts in the loss",
        "colour_variation": "what that of colours counts",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2e-2, 2e-2)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return MARCHING | {
            "finest": 128,
            "voxels": 1 << 17,
            "density_variation": 2e-2,
            "colour_variation": 5e-2,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if not 2 <= c["finest"] <= 1024 or not 27 <= c["voxels"] <= 1 << 26:
            raise ModelError("plenoxels has finest from 2 to 1024, and voxels from 27 to 2^26")
        if min(c["density_variation"], c["colour_variation"]) < 0:
            raise ModelError("plenoxels has variations from 0 on")
        self.finest = int(c["finest"])
        self.voxels = Voxels(int(c["voxels"]), self.finest)
        coarse = min(self.finest, int(round(float(c["voxels"]) ** (1 / 3), 6)) - 1)
        self.coarse = max(2, min(coarse, (self.finest + 1) // 2))
        self.voxels.place(torch.arange((self.coarse + 1) ** 3), self.coarse)
        with torch.no_grad():
            self.voxels.table[:, 0] = _FIRST_DENSITY / _DENSITY_GAIN
            self.voxels.table[:, 1:].uniform_(-1e-3, 1e-3)

    def layers(self) -> Sequence[nn.Module]:
        """Return the voxels: there is nothing else."""
        return [self.voxels]

    def encoded(self, unit: Tensor) -> Tensor:
        """Return what the voxels hold at points."""
        mixed: Tensor = self.voxels(unit)
        return mixed

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Read the voxels again, with gradients."""
        del known
        return self.encoded(unit)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the opacity before it is rectified, and the coefficients."""
        return encoded[:, 0], encoded[:, 1:]

    def _density(self, raw: Tensor) -> Tensor:
        """Return the density, 1 / scene unit: rectified, so that what is not stored is empty."""
        return (raw * _DENSITY_GAIN).relu() * (2 / self.space.edge)

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Evaluate the harmonics; 0 stands for middle grey."""
        basis = spherical_harmonics(directions)
        coefficients = features.view(-1, _CHANNELS, _HARMONICS)
        seen = 0.5 + (coefficients * basis[:, None]).sum(dim=2) / basis[:1, :1]
        # A gradient has to reach colours that are out of range.
        return seen if self.training else seen.clamp(0, 1)

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the colour error, and in training the total variation (equations 2 and 3)."""
        error = super().loss(batch)
        if not self.training:
            return error
        c = self.configuration
        varied = self.voxels.variation(_VARIED)
        priors = torch.stack(
            [c["density_variation"] * varied[0], c["colour_variation"] * varied[1:].sum()]
        )
        return error + priors.sum()

    def begin_frame(self, index: int) -> None:
        """Open cells where matter may have come to, and give their vertices rows."""
        super().begin_frame(index)
        if self.voxels.cells == self.finest and not self.occupancy.warm:
            self._make_room()

    def after_step(self, iteration: int) -> bool | None:
        """Redraw the occupancy bitmap; once it means something, go over to the fine grid."""
        super().after_step(iteration)
        if self.voxels.cells == self.finest or self.progress < _COARSE:
            return False
        self._refine()
        return True

    @torch.no_grad()
    def _refine(self) -> None:
        """Put the fine lattice in place of the coarse one, where there is matter (section 3.2).

        Where more vertices are wanted than can be stored, those of least density have none.
        """
        wanted = self._wanted()
        parts = [wanted[a : a + _AT_ONCE] for a in range(0, len(wanted), _AT_ONCE)]
        values = torch.cat([self.encoded(self._unit(part)) for part in parts])
        rows = len(self.voxels.table)
        if len(wanted) > rows:
            kept = values[:, 0].topk(rows).indices.sort().values
            wanted, values = wanted[kept], values[kept]
        self.voxels.place(wanted, self.finest)
        self.voxels.table[: len(wanted)] = values
        self.voxels.table[len(wanted) :] = 0

    @torch.no_grad()
    def _make_room(self) -> None:
        """Give rows to vertices of open cells that have none; those of closed cells lose theirs."""
        wanted = self._wanted()
        voxels = self.voxels
        needed = torch.zeros(len(voxels.links), dtype=torch.bool, device=wanted.device)
        needed[wanted] = True
        missing = wanted[voxels.links[wanted] < 0]
        held = (voxels.vertices >= 0).nonzero()[:, 0]
        idle = held[~needed[voxels.vertices[held].long()]]
        free = torch.cat([(voxels.vertices < 0).nonzero()[:, 0], idle])[: len(missing)]
        voxels.vertices[free] = missing[: len(free)].int()
        voxels.table[free] = 0
        voxels.table[free, 0] = _FIRST_DENSITY / _DENSITY_GAIN
        voxels.link()

    def _wanted(self) -> Tensor:
        """Return the fine vertices, ascending, of cells of the occupancy grid that are open."""
        side = self.finest + 1
        cells = self.occupancy.cells
        # A vertex is wanted where a cell that touches it is: looked up on either side of it.
        at = torch.arange(side, device=cells.device) / self.finest * len(cells)
        low, high = ((at + by).floor().long().clamp(0, len(cells) - 1) for by in (-0.5, 0.5))
        near = cells
        for axis in range(3):
            near = near.index_select(axis, low) | near.index_select(axis, high)
        return near.reshape(-1).nonzero()[:, 0]

    def _unit(self, vertices: Tensor) -> Tensor:
        """Return the places (N, 3) of fine vertices in the unit cube."""
        side = self.finest + 1
        place = torch.stack([vertices % side, vertices // side % side, vertices // side**2], dim=1)
        return place.float() / self.finest
