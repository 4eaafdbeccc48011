"""What the two trained chains have in common: their scene, their encoding, their linear maps.

Nothing came with the chains but their tensors. What is written here was read off these: the norms
of the columns of the first weights (raw coordinates, then sines, then cosines, each from the lowest
frequency to the highest, none multiplied by pi), the names and shapes, and pictures. The scene is a
room in [-1.6, 1.6]^3, z up, open towards +y: a checkered wall, a patterned floor, a ring, a ball
and a box that move. Colours are behind black. Density is ``10·max(0, raw)``: the raw density of
free space lies just below 0, as a rectified one does, and with this factor surfaces are opaque.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nmc_tools.bench_rd.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: Lower and upper corner of the room.
BOUNDS = ((-1.6, -1.6, -1.6), (1.6, 1.6, 1.6))
#: Four cameras before the open side, none where a training camera would stand on purpose.
RING = Ring((0.0, -0.3, -0.75), 3.3, (62.0, 80.0, 98.0, 116.0), 21.0, 42.0)
#: Five cameras between and beside these, from which it is measured what errors are seen.
MEASURING = Ring((0.0, -0.3, -0.75), 3.3, (55.0, 71.0, 89.0, 107.0, 123.0), 24.0, 42.0)
#: By what the rectified output is multiplied, 1 / scene unit.
_DENSITY = 10.0


def density(raw: Tensor) -> Tensor:
    """Return the density of raw outputs, 1 / scene unit."""
    return _DENSITY * torch.relu(raw)


def encode(values: Tensor, frequencies: int) -> Tensor:
    """Return values (P, 3) with sin and cos of 2^k times them, (P, 3 + 6·frequencies)."""
    scale = 2.0 ** torch.arange(frequencies)
    angles = (values[:, None] * scale[:, None]).flatten(1)
    return torch.cat([values, torch.sin(angles), torch.cos(angles)], dim=1)


def linear(tensors: Mapping[str, Tensor], name: str, values: Tensor) -> Tensor:
    """Apply the linear map ``name`` to values (P, in): (P, out)."""
    return torch.nn.functional.linear(values, tensors[f"{name}.weight"], tensors[f"{name}.bias"])
