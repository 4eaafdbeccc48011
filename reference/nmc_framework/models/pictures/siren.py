"""The family ``siren``: a network of sines from the place of a pixel to its colour.

After Sitzmann et al. 2020 (SIREN): every layer is sin(omega (W x + b)), with weights drawn so that
what goes into each sine is spread alike (section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.pictures.clip import SIZE, SIZE_MEANINGS, PixelWise


def sine_layers(inputs: int, hidden: int, omegas: Sequence[float]) -> nn.ModuleList:
    """Return a linear map for each sine, and one to three colours, drawn as for SIREN.

    Parameters
    ----------
    inputs, hidden
        Width of the first map's input, and of all outputs but the last.
    omegas
        What each sine's argument is multiplied by.
    """
    sizes = [inputs, *[hidden] * len(omegas), 3]
    layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
    with torch.no_grad():
        for index, (layer, omega) in enumerate(zip(layers, [*omegas, omegas[-1]], strict=True)):
            fan = sizes[index]
            bound = (6 / fan) ** 0.5 / omega if index or omega <= 1 else 1 / fan
            layer.get_parameter("weight").uniform_(-bound, bound)
    return layers


class Siren(PixelWise):
    """A network of sines from a pixel's place and time to its colour (SIREN): small, any size."""

    family: ClassVar[str] = "siren"
    meanings: ClassVar[Mapping[str, str]] = SIZE_MEANINGS | {
        "hidden": "width of the layers of sines",
        "depth": "how many of them there are",
        "omega": "what each sine's argument is multiplied by",
        "first_omega": "that of the first layer",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2e-3, 1e-3)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side."""
        return SIZE | {"hidden": 128, "depth": 4, "omega": 30.0, "first_omega": 30.0}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        self.network = sine_layers(self.inputs, self.hidden, self.omegas)

    @property
    def hidden(self) -> int:
        """Width of the hidden layers."""
        return int(self.configuration["hidden"])

    @property
    def omegas(self) -> Sequence[float]:
        """What each sine's argument is multiplied by, from the first layer on."""
        c = self.configuration
        return [c["first_omega"], *[c["omega"]] * (c["depth"] - 1)]

    @property
    def inputs(self) -> int:
        """How many numbers the first layer takes."""
        return self.axes

    def encoded(self, places: Tensor) -> Tensor:
        """Return what the first layer takes, (N, inputs), of places (N, axes)."""
        return places

    def layers(self) -> Sequence[nn.Module]:
        """Return the linear maps, from place to colour."""
        return list(self.network)

    def colours(self, places: Tensor) -> Tensor:
        """Return the network's output; 0 stands for middle grey."""
        values = self.encoded(places)
        for layer, omega in zip(self.network, self.omegas, strict=False):
            values = torch.sin(omega * layer(values))
        colours: Tensor = self.network[-1](values)
        return colours * 0.5 + 0.5
