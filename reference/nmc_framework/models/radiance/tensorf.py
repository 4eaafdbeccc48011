"""The family ``tensorf``: a volume as sums of products of planes and lines, or of lines.

After Chen et al. 2022 (TensoRF): the vector-matrix decomposition (VM, equation 3) sums products of
a plane and of a line across it, the CP decomposition (equation 1) products of three lines. Density
is their plain sum; colour a small network of a linear map of the products and of the direction.
Planes and lines begin coarse and become finer: what is large is settled first. What
is small in memory needs no hashing, and is a small delta where little of it moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.grid_encoding import spherical_harmonics
from nmc_framework.models.radiance.marched import MARCHING, MARCHING_MEANINGS, MarchedField

_HARMONICS = 9
#: How fast the log-density follows the sum of the products.
_DENSITY_GAIN = 4.0
#: The network's share of the learning rate, from random weights and in fine-tuning.
_NETWORK_SHARE = (0.25, 0.05)
#: Until which share of frame 0 tables have which share of their places along an edge; from then on
#: all of them. The authors make theirs finer between 2,000 and 7,000 of 30,000 iterations.
_COARSE = ((0.1, 0.4), (0.2, 0.6), (0.3, 0.8))


class Factor(nn.Module):
    """One axis: ``ranks`` lines along it, and with VM as many planes across it.

    ``line`` is (1, ranks, side, 1) and ``plane``, where there is one, (1, ranks, side, side). Of
    these places along each side the first ``used`` are used: all, but for a time in training.
    """

    def __init__(self, axis: int, ranks: int, side: int, *, plane: bool) -> None:
        super().__init__()
        self.axis = axis
        self.used = side
        spread = 0.2 if plane else 0.5
        self.line = nn.Parameter(spread * torch.randn(1, ranks, side, 1))
        self.plane = nn.Parameter(spread * torch.randn(1, ranks, side, side)) if plane else None

    def forward(self, points: Tensor) -> Tensor:
        """Return the line, or the product with the plane, (N, ranks) at points (N, 3) in -1..1."""
        turned = points.roll(self.axis, dims=1)
        along = torch.stack([torch.zeros_like(turned[:, 2]), turned[:, 2]], dim=1)
        n = self.used
        read = _read(self.line[:, :, :n], along)
        return read if self.plane is None else read * _read(self.plane[:, :, :n, :n], turned[:, :2])

    @torch.no_grad()
    def refine(self, places: int) -> None:
        """Use so many places along each side, which hold what is interpolated between the old."""
        n, self.used = self.used, places
        self.line[:, :, :places] = _resampled(self.line[:, :, :n], (places, 1))
        if self.plane is not None:
            square = _resampled(self.plane[:, :, :n, :n], (places, places))
            self.plane[:, :, :places, :places] = square


def _read(table: Tensor, places: Tensor) -> Tensor:
    """Return what a table (1, ranks, h, w) holds at places (N, 2) in -1..1: (N, ranks)."""
    found = nn.functional.grid_sample(table, places[None, :, None], align_corners=True)
    return found[0, :, :, 0].T


def _resampled(table: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a table (1, ranks, h, w) interpolated at as many places as ``size`` says."""
    return nn.functional.interpolate(table, size=size, mode="bilinear", align_corners=True)


class Tensorf(MarchedField):
    """Planes times lines, or lines alone, and a small network (TensoRF): small, no hashing."""

    family: ClassVar[str] = "tensorf"
    meanings: ClassVar[Mapping[str, str]] = MARCHING_MEANINGS | {
        "decomposition": "vm: planes times lines; cp: lines alone",
        "ranks": "products of an axis, of density and of colour",
        "finest": "places along an edge; set from what a pixel covers",
        "features": "what the products of colour are mapped to",
        "hidden": "width of the network of colour",
    }
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 3e-2)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units.

        ``decomposition`` is "vm" or "cp"; ``ranks`` are those of density and of colour, an axis;
        ``finest`` the cells along an edge.
        """
        return MARCHING | {
            "decomposition": "vm",
            "ranks": [8, 16],
            "finest": 128,
            "features": 24,
            "hidden": 64,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if c["decomposition"] not in {"vm", "cp"}:
            raise ModelError(f"tensorf is decomposed by vm or cp, not {c['decomposition']!r}")
        if len(c["ranks"]) != 2 or min(c["ranks"]) < 1 or c["finest"] < 2:
            raise ModelError("tensorf has two ranks from 1 on, and finest from 2 on")
        by_planes = c["decomposition"] == "vm"
        self.factors = nn.ModuleList(
            Factor(axis, sum(c["ranks"]), c["finest"], plane=by_planes) for axis in range(3)
        )
        self.products = (3 if by_planes else 1) * c["ranks"][1]
        self.basis = nn.Linear(self.products, c["features"], bias=False)
        self.hidden = nn.Linear(c["features"] + _HARMONICS, c["hidden"])
        self.last = nn.Linear(c["hidden"], 3)

    def layers(self) -> Sequence[nn.Module]:
        """Return the factors of the three axes, then each linear map."""
        return [*self.factors, self.basis, self.hidden, self.last]

    def parameter_groups(
        self, learning_rate: float, *, later: bool = False
    ) -> list[dict[str, Any]]:
        """Planes and lines learn at the full rate, the network at a share of it."""
        return self.groups_of(self.factors, learning_rate, _NETWORK_SHARE[later])

    def begin_frame(self, index: int) -> None:
        """Begin a chain with coarse tables."""
        super().begin_frame(index)
        if not index and self.occupancy.warm:
            for factor in self._factors():
                factor.used = self._places(0.0)

    def after_step(self, iteration: int) -> bool:
        """Redraw the occupancy bitmap, and make the tables finer when it is time."""
        super().after_step(iteration)
        return self._refine(self._places(self.progress))

    def end_frame(self) -> None:
        """Have all of the tables used, however short the frame was."""
        self._refine(self.configuration["finest"])
        super().end_frame()

    def _places(self, progress: float) -> int:
        """Return how many places along an edge are used at a share of frame 0."""
        finest: int = self.configuration["finest"]
        share = next((share for until, share in _COARSE if progress < until), 1.0)
        return max(2, round(share * finest))

    def _factors(self) -> list[Factor]:
        return [module for module in self.factors if isinstance(module, Factor)]

    def _refine(self, places: int) -> bool:
        coarser = [factor for factor in self._factors() if factor.used < places]
        for factor in coarser:
            factor.refine(places)
        return bool(coarser)

    def encoded(self, unit: Tensor) -> Tensor:
        """Return the products at points: those of density, then those of colour."""
        ranks = self.configuration["ranks"]
        parts = [factor(2 * unit - 1).split(ranks, dim=1) for factor in self.factors]
        if self.configuration["decomposition"] == "vm":
            return torch.cat([*(d for d, _ in parts), *(c for _, c in parts)], dim=1)
        density, colour = (torch.stack(each).prod(dim=0) for each in zip(*parts, strict=True))
        return torch.cat([density, colour], dim=1)

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Read the tables again; of what is known nothing can be taken."""
        del known
        return self.encoded(unit)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the products of density, and a linear map of those of colour."""
        density = encoded[:, : -self.products].sum(dim=1) * _DENSITY_GAIN
        return density, self.basis(encoded[:, -self.products :])

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return what the network makes of features and direction."""
        inputs = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.last(self.hidden(inputs).relu()))
