"""The family ``mixvoxels``: voxels that stand still and voxels that change, told apart by a field.

After Wang et al. 2023 (MixVoxels, arXiv 2212.00190): a variation field says of each place whether
it ever changes (section 3.2), learned first, from which pixels do: the largest variation along a
ray is that of its pixel (equation 4). Places that stand still are looked up in static voxels, the
others in dynamic ones, whose features answer a query of the time by inner products (section 3.3,
equation 6). The authors' voxels are factorised by TensoRF; here they are hash grids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.dynamic.group import GROUP, GROUP_MEANINGS, GroupBatch, MarchedGroup
from nmc_framework.models.dynamic.over_time import OverTime
from nmc_framework.models.radiance import quadrature
from nmc_framework.models.radiance.grid_encoding import (
    GridLevel,
    encode,
    lattices,
    levels_in,
    reuse,
    spherical_harmonics,
)
from nmc_framework.models.radiance.hash_grid import LATTICE_MEANINGS
from nmc_framework.models.radiance.marched import small_network
from nmc_framework.models.views import RayBatch

_HARMONICS, _COLOURS = 9, 3
#: A lattice is dense whatever its size.
_DENSE = 62
_NETWORK_SHARE = 0.5
#: A pixel varies whose largest change of a channel from its median is above this.
_VARIES = 12 / 255
#: Share of a frame's iterations in which the variation field is learned, beside the scene.
_TOLD_APART = 0.25
#: A place is dynamic from this logit of its variation on, a chance of 0.3: missing one costs more
#: than having one that stands still.
_LEAST_LOGIT = -0.85
#: What the variation field counts in the loss, and the logit it begins with.
_WEIGHT, _FIRST_LOGIT = 0.02, 0.5
#: How much faster the field learns than the other tables: it has a quarter of the time.
_VARIATION_GAIN = 10.0
#: Rays of a batch that the variation field is told of.
_RAYS_TOLD = 512
#: No logit is as large as this.
_LARGE = 30.0
#: Spread of the queries about 1 at the beginning.
_SPREAD = 0.2


class MixVoxels(MarchedGroup):
    """Static and dynamic voxels told apart by a variation field (MixVoxels): fast, still is still.

    ``variation`` are the cells along an edge of the field that tells them apart, ``query`` the
    width of what dynamic voxels are asked with at an instant; ``static_entries`` and
    ``log2_entries`` the sizes of the tables, as powers of two.
    """

    family: ClassVar[str] = "mixvoxels"
    meanings: ClassVar[Mapping[str, str]] = (
        GROUP_MEANINGS
        | LATTICE_MEANINGS
        | {
            "variation": "cells along an edge of the field that tells what changes",
            "query": "width of what dynamic voxels are asked with at an instant",
            "static_entries": "entries of a table of static voxels, as a power of two",
            "log2_entries": "entries of a table of dynamic ones, likewise; set from the pictures",
        }
    )
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 2e-2)
    watches_pixels: ClassVar[bool] = True

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return GROUP | {
            "variation": 48,
            "query": 48,
            "levels": 8,
            "features": 4,
            "static_entries": 14,
            "log2_entries": 15,
            "coarsest": 8,
            "finest": 128,
            "hidden": 64,
            "geometry": 15,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if c["variation"] < 1 or c["query"] < 1:
            raise ModelError("mixvoxels has variation and query from 1 on")
        width = c["levels"] * c["features"]
        self.still = lattices(c, c["static_entries"])
        self.changing = lattices(c, c["log2_entries"])
        self.variation = GridLevel(c["variation"], 1, _DENSE)
        nn.init.constant_(self.variation.table, _FIRST_LOGIT)
        # The answers: a log-density, and the geometry that colour is made of.
        answers = 1 + c["geometry"]
        self.static_network = small_network(width, c["hidden"], answers)
        self.dynamic_network = small_network(width, c["hidden"], c["query"])
        self.query = OverTime(self.instants, c["query"], spread=_SPREAD, middle=1.0)
        self.answer = nn.Linear(c["query"], answers)
        self.colour_network = small_network(c["geometry"] + _HARMONICS, c["hidden"], _COLOURS)
        self.width = width

    def layers(self) -> Sequence[nn.Module]:
        """Return variation, static levels and network, dynamic ones, query, answer, colour."""
        return [
            self.variation,
            *self.still,
            self.static_network,
            *self.changing,
            self.dynamic_network,
            self.query,
            self.answer,
            self.colour_network,
        ]

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - the shares are the same
    ) -> list[dict[str, Any]]:
        """Tables learn at the full rate, the networks at a share of it."""
        tables = nn.ModuleList([*self.still, *self.changing])
        groups = self.groups_of(tables, learning_rate, _NETWORK_SHARE)
        field = self.variation.table
        for group in groups:
            group["params"] = [p for p in group["params"] if p is not field]
        if field.requires_grad:
            groups.append({"params": [field], "lr": _VARIATION_GAIN * learning_rate})
        return [group for group in groups if group["params"]]

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the colour error, and at first what the variation field has wrong."""
        error = super().loss(batch)
        varies = batch.varies if isinstance(batch, GroupBatch) else None
        if not self.training or varies is None or self.progress >= _TOLD_APART:
            return error
        return error + _WEIGHT * self._misjudged(batch, varies)

    def _misjudged(self, batch: RayBatch, varies: Tensor) -> Tensor:
        """Return the cross entropy of the variation along some rays of a batch.

        Of a pixel that varies, the largest variation along its ray is to be 1 (equation 4). Of one
        that does not, all that light reaches is to be 0: the authors take the largest here as well,
        which is the same in the end and tells of one place at a time.
        """
        some = slice(0, _RAYS_TOLD)
        samples = self._samples(batch.origins[some], batch.directions[some])
        if not len(samples):
            return varies.sum() * 0
        with torch.no_grad():
            points = self._points(samples, None if batch.times is None else batch.times[some])
            found = self._density(self.field(self.encoded(points))[0])
            light = quadrature.weights(samples, found)[1]
        logit = encode(samples.unit, [self.variation])[:, 0]
        moving = varies[some] > _VARIES
        rays = len(moving)
        largest = torch.full((rays,), -_LARGE, device=logit.device)
        largest = largest.scatter_reduce(0, samples.ray, logit, "amax")
        met = samples.starts.diff() > 0
        missed = nn.functional.softplus(-largest)[moving & met]
        weight = light * ~moving[samples.ray]
        wrong = (weight * nn.functional.softplus(logit)).sum() / weight.sum().clamp_min(1)
        return missed.sum() / max(1, len(missed)) + wrong

    def dynamic(self, places: Tensor) -> Tensor:
        """Return which places (N, 3) of the unit cube change over the group, (N,) bool."""
        with torch.no_grad():
            return encode(places, [self.variation])[:, 0] > _LEAST_LOGIT

    def encoded(self, unit: Tensor) -> Tensor:
        """Return the features of points (N, 4), where they are dynamic, and the time.

        (N, F + 2): static or dynamic features, 1 where they are dynamic, the share of the group.
        """
        places, moving = unit[:, :3], self.dynamic(unit[:, :3])
        features = torch.empty(len(unit), self.width, device=unit.device)
        for part, tables in ((~moving, self.still), (moving, self.changing)):
            features[part] = encode(places[part], levels_in(tables))
        return torch.cat([features, moving[:, None].float(), unit[:, 3:]], dim=1)

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Return the same, with gradients."""
        moving = known[:, self.width] > 0
        order, parts = [], []
        for part, tables in ((~moving, self.still), (moving, self.changing)):
            index = part.nonzero()[:, 0]
            order.append(index)
            parts.append(reuse(known[index, : self.width], unit[index, :3], levels_in(tables)))
        features = torch.empty_like(known[:, : self.width])
        features = features.index_copy(0, torch.cat(order), torch.cat(parts))
        return torch.cat([features, known[:, self.width :]], dim=1)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return what static voxels say, and what dynamic ones answer to the query of the time.

        The answer is an inner product of features and query for each of its numbers, whose queries
        are one vector of the time and one of the number, multiplied (equation 6).
        """
        features, moving = encoded[:, : self.width], encoded[:, self.width] > 0
        still_at, moving_at = (part.nonzero()[:, 0] for part in (~moving, moving))
        still = self.static_network(features[still_at])
        asked = self.query(encoded[moving_at, self.width + 1])
        changing = self.answer(self.dynamic_network(features[moving_at]) * asked)
        raw = still.new_empty(len(encoded), still.shape[1])
        raw = raw.index_copy(0, torch.cat([still_at, moving_at]), torch.cat([still, changing]))
        return raw[:, 0], raw[:, 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return what the colour network makes of geometry and direction."""
        inputs = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.colour_network(inputs))
