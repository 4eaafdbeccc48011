"""The family ``inric``: sines over encoded places, in five sizes.

After Strümpler et al. 2022 (Implicit Neural Representations for Image Compression): the place is
encoded by cosines and sines of rising frequency (section 3.1) before it goes into a network with
the activations and the initial weights of SIREN and COIN. The sizes Q1 to Q5 are those of the
exploration experiments of MPEG INVR: three hidden layers of 32 to 128.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from nmc_framework.models.chained import ModelError
from nmc_framework.models.pictures.clip import SIZE, SIZE_MEANINGS
from nmc_framework.models.pictures.siren import Siren

#: Width of the three hidden layers by quality.
QUALITIES = {"Q1": 32, "Q2": 48, "Q3": 64, "Q4": 96, "Q5": 128}


class Inric(Siren):
    """Sines over encoded places in five sizes, Q1 to Q5 (INRIC): pictures at several rates."""

    family: ClassVar[str] = "inric"
    meanings: ClassVar[Mapping[str, str]] = SIZE_MEANINGS | {
        "quality": "Q1 to Q5: layers of 32, 48, 64, 96 or 128",
        "frequencies": "cosines and sines of each coordinate",
        "ratio": "of each frequency to the one before",
        "depth": "hidden layers",
        "omega": "what the arguments of sines are multiplied by, but for the first",
    }
    usual: ClassVar[int] = 1

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the middle quality: three hidden layers of 64, 16 frequencies of ratio 1.4."""
        return SIZE | {
            "pictures": 1,
            "quality": "Q3",
            "frequencies": 16,
            "ratio": 1.4,
            "depth": 3,
            "omega": 30.0,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        quality = configuration["quality"]
        if quality not in QUALITIES:
            raise ModelError(f"inric has the qualities {', '.join(QUALITIES)}, not {quality!r}")
        highest = math.pi * abs(configuration["ratio"]) ** configuration["frequencies"]
        if not 0 < highest < 1e6:
            raise ModelError(
                f"inric: {configuration['frequencies']} frequencies of ratio "
                f"{configuration['ratio']} go up to {highest:.3g}, more than any picture has"
            )
        super().__init__(configuration)

    @property
    def hidden(self) -> int:
        """Width of the hidden layers by quality."""
        return QUALITIES[self.configuration["quality"]]

    @property
    def omegas(self) -> Sequence[float]:
        """One for the first layer: the encoding has the frequencies."""
        return [1.0, *[self.configuration["omega"]] * (self.configuration["depth"] - 1)]

    @property
    def inputs(self) -> int:
        """A cosine and a sine for each frequency and coordinate, and the coordinates."""
        return int(self.axes * (1 + 2 * self.configuration["frequencies"]))

    def encoded(self, places: Tensor) -> Tensor:
        """Return places (N, axes) with their cosines and sines."""
        c = self.configuration
        powers = torch.arange(c["frequencies"], device=places.device)
        angles = math.pi * (places[:, :, None] * c["ratio"] ** powers).flatten(1)
        return torch.cat([places, angles.cos(), angles.sin()], dim=1)
