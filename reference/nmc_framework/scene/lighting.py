"""Where light comes from: lamps, the light from all sides, the sky and the haze before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmc_framework.scene.solids import Vectors
from nmc_framework.scene.texture import Colour

#: Unit directions (3, N) to what rays see that leave the scene, (3, N).
Sky = Callable[[Vectors], Vectors]


@dataclass(frozen=True)
class Lamp:
    """A lamp at a point, its strength at any distance, and its colour."""

    position: tuple[float, float, float]
    strength: float
    colour: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Haze:
    """Air that takes on ``colour``: half of what is ``half`` away is lost in it."""

    colour: Colour
    half: float


@dataclass(frozen=True)
class Lighting:
    """The light of a scene.

    ``ambient`` is the light from all sides; ``slack`` how far before a point a shadow ray may end
    that reaches it, in scene units.
    """

    lamps: tuple[Lamp, ...]
    ambient: float
    sky: Sky
    haze: Haze | None = None
    slack: float = 8e-3


def one_colour(colour: Colour) -> Sky:
    """Return a sky of one colour."""
    column = np.array(colour, np.float32)[:, None]
    return lambda directions: np.repeat(column, directions.shape[1], axis=1)
