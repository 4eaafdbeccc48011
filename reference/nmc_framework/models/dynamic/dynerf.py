"""The family ``dynerf``: one network for all instants, told the time by a latent code of each.

After Li et al. 2022 (DyNeRF, arXiv 2103.02597): a NeRF whose input is the encoded place and a code
z_t that is learned with it (equation 3); between instants codes are interpolated. Training is
hierarchical (section 4.2): key frames first, then all instants with codes interpolated between
them; and pixels are drawn by importance (section 4.3), by how far they are from their median over
time, at last by how they change from instant to instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.dynamic.group import GROUP, GROUP_MEANINGS, Drawing, MarchedGroup
from nmc_framework.models.dynamic.over_time import OverTime
from nmc_framework.models.radiance.grid_encoding import spherical_harmonics
from nmc_framework.models.radiance.nerf_mlp import encode_positions, require_frequencies

_HARMONICS = 9
#: Shares of a frame's iterations up to which key frames are learned, and pixels drawn by median.
_KEYS, _MEDIAN = 0.35, 0.8
#: How much faster codes learn than the network.
_CODE_GAIN = 5.0
#: Spread of codes at the beginning.
_SPREAD = 0.1


class Dynerf(MarchedGroup):
    """One network with a latent code an instant (DyNeRF): very small, slow to train.

    ``code`` is the codes' width, ``key_every`` the instants from key frame to key frame; the paper
    has 1024, 30, and a network of 8 layers of 512.
    """

    family: ClassVar[str] = "dynerf"
    meanings: ClassVar[Mapping[str, str]] = GROUP_MEANINGS | {
        "code": "numbers of each instant's latent code",
        "key_every": "instants from key frame to key frame",
        "width": "of each layer",
        "depth": "layers of the trunk",
        "skip": "the layer that sees place and code once more, from 0 on",
        "position_frequencies": "octaves of the encoding of places",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2e-3, 1e-3)
    times: ClassVar[tuple[float, float]] = (3.0, 8.0)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return a configuration that a CPU can train, for a room of about two scene units."""
        return GROUP | {
            "code": 32,
            "key_every": 4,
            "width": 128,
            "depth": 5,
            "skip": 3,
            "position_frequencies": 8,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if min(c["code"], c["key_every"], c["width"], c["depth"]) < 1:
            raise ModelError("dynerf has code, key_every, width and depth from 1 on")
        self.codes = OverTime(self.instants, c["code"], spread=_SPREAD)
        require_frequencies(self.family, c["position_frequencies"])
        read = 3 * (1 + 2 * c["position_frequencies"])
        told = read + c["code"]
        sizes = [told] + [
            c["width"] + (told if i == c["skip"] else 0) for i in range(1, c["depth"])
        ]
        self.trunk = nn.ModuleList(nn.Linear(size, c["width"]) for size in sizes)
        self.out = nn.Linear(c["width"], 1 + c["width"])
        self.view = nn.Linear(c["width"] + _HARMONICS, c["width"] // 2)
        self.last = nn.Linear(c["width"] // 2, 3)
        self._bridged = False

    def layers(self) -> Sequence[nn.Module]:
        """Return the codes, then the linear maps from input to output."""
        return [self.codes, *self.trunk, self.out, self.view, self.last]

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - the shares are the same
    ) -> list[dict[str, Any]]:
        """Codes learn faster than the network."""
        return self.groups_of(self.codes, _CODE_GAIN * learning_rate, 1 / _CODE_GAIN)

    @property
    def keys(self) -> tuple[int, ...]:
        """The key frames of the group: every so many instants, and the last one there is."""
        last = max(0, min(int(self.length), self.instants) - 1)
        return tuple(sorted({*range(0, last, int(self.configuration["key_every"])), last}))

    @property
    def drawing(self) -> Drawing:
        """Key frames, then all instants; weighted by the median, at last by change."""
        if self.progress < _KEYS:
            return Drawing(self.keys)
        return Drawing(by="median" if self.progress < _MEDIAN else "change")

    def begin_frame(self, index: int) -> None:
        """Begin with key frames again."""
        super().begin_frame(index)
        self._bridged = False

    def after_step(self, iteration: int) -> bool:
        """Once the key frames are learned, give the other instants codes between theirs."""
        super().after_step(iteration)
        if self._bridged or self.progress < _KEYS:
            return False
        self._bridged = True
        if self.codes.table.requires_grad:
            self.codes.bridge(self.keys)
        return self.codes.table.requires_grad

    def encoded(self, unit: Tensor) -> Tensor:
        """Return the encoded places of points (N, 4), and the codes of their times."""
        place = encode_positions(2 * unit[:, :3] - 1, self.configuration["position_frequencies"])
        return torch.cat([place, self.codes(unit[:, 3])], dim=1)

    def encoded_again(self, known: Tensor, unit: Tensor) -> Tensor:
        """Look the codes up again, with gradients."""
        width = self.configuration["code"]
        return torch.cat([known[:, :-width], self.codes(unit[:, 3])], dim=1)

    def field(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network makes of place and code."""
        hidden = encoded
        for index, layer in enumerate(self.trunk):
            if index and index == self.configuration["skip"]:
                hidden = torch.cat([encoded, hidden], dim=1)
            hidden = layer(hidden).relu()
        raw = self.out(hidden)
        return raw[:, 0], raw[:, 1:]

    def colour(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return what the last layers make of features and direction."""
        inputs = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.last(self.view(inputs).relu()))
