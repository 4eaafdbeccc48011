"""What a camera makes of the light: exposure, white balance, motion blur, noise and clipping.

Gains act on linear light, between the two curves of sRGB (IEC 61966-2-1), as they do in a camera.
The renderer's values are display values from 0 to 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera

FloatImage = npt.NDArray[np.float32]
#: Seconds to the picture, (height, width, 3), that an ideal camera takes at that instant.
Seen = Callable[[float], FloatImage]


def linear(display: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return linear light of display values (the inverse curve of sRGB)."""
    value = np.asarray(display, np.float64)
    return np.where(
        value <= 0.04045, value / 12.92, ((np.maximum(value, 0) + 0.055) / 1.055) ** 2.4
    )


def display(light: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return display values of linear light (the curve of sRGB)."""
    value = np.asarray(light, np.float64)
    return np.where(
        value <= 0.0031308, 12.92 * value, 1.055 * np.maximum(value, 0) ** (1 / 2.4) - 0.055
    )


@dataclass(frozen=True)
class ColourTransform:
    """From a clean picture to a camera's: gains of red, green and blue on linear light.

    Exact where the clean picture is not past white: what is clipped there may be less here.
    """

    gains: tuple[float, float, float]

    def apply(self, image: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return what the camera makes of clean display values (…, 3), clipped at 1."""
        return np.minimum(display(linear(image) * np.array(self.gains)), 1.0)

    def undo(self, image: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the clean display values of the camera's (…, 3); what was clipped stays lost."""
        return display(linear(image) / np.array(self.gains))


class Imaging(Protocol):
    """How pictures come about."""

    def take(self, seen: Seen, camera: Camera, t: float) -> npt.NDArray[np.floating]:
        """Return the picture (height, width, 3) that ``camera`` takes at ``t`` seconds."""

    def transform(self, camera: Camera, t: float) -> ColourTransform:
        """Return the exact exposure and white balance of ``camera`` at ``t`` seconds."""


@dataclass(frozen=True)
class Clean:
    """A camera without faults."""

    def take(self, seen: Seen, camera: Camera, t: float) -> npt.NDArray[np.floating]:  # noqa: ARG002
        """Return what is seen at ``t``."""
        return seen(t)

    def transform(self, camera: Camera, t: float) -> ColourTransform:  # noqa: ARG002
        """Return the transform that changes nothing."""
        return ColourTransform((1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Handheld:
    """Cameras of different makes, each with its own automatic exposure.

    Parameters
    ----------
    stops
        Standard deviation over cameras of the exposure, in stops (factors of two).
    warmth
        Standard deviation over cameras of the white balance: stops of red against blue.
    breath
        How far exposure and white balance wander in time, in stops.
    shutter
        Seconds that a picture is exposed for; as many as ``instants`` are averaged.
    grain
        Noise of a fully lit pixel as a share of its light; dark ones have a tenth of it as well.
    seed
        All that is random follows from it, the camera's name and the time.
    """

    stops: float = 0.35
    warmth: float = 0.25
    breath: float = 0.2
    shutter: float = 1 / 40
    instants: int = 3
    grain: float = 0.02
    seed: int = 0

    def take(self, seen: Seen, camera: Camera, t: float) -> npt.NDArray[np.floating]:
        """Average the light of the time that the shutter is open, then gains, noise, clipping."""
        middles = (np.arange(self.instants) + 0.5) / self.instants - 0.5
        light = sum(linear(np.maximum(seen(t + m * self.shutter), 0)) for m in middles)
        light = np.asarray(light) / self.instants * np.array(self.transform(camera, t).gains)
        random = self._random(camera.name, f"noise {t:.6f}")
        variance = self.grain**2 * (0.01 + np.clip(light, 0, 1))
        noisy = light + np.sqrt(variance) * random.standard_normal(light.shape)
        return display(np.clip(noisy, 0, 1))

    def transform(self, camera: Camera, t: float) -> ColourTransform:
        """Return the camera's own gains, which wander slowly about a mean of its own."""
        random = self._random(camera.name, "gains")
        own, red, blue = random.standard_normal(3) * (self.stops, self.warmth, self.warmth / 2)
        period, start = random.uniform(1.5, 4.0), random.uniform(0, 2 * np.pi)
        wander = self.breath * np.sin(2 * np.pi * t / period + start)
        warm = 0.3 * self.breath * np.sin(2 * np.pi * t / (1.7 * period) - start)
        gains = 2.0 ** np.array([own + wander + red / 2 + warm, own + wander, own + wander + blue])
        return ColourTransform((float(gains[0]), float(gains[1]), float(gains[2])))

    def _random(self, name: str, what: str) -> np.random.Generator:
        text = f"{self.seed} {name} {what}".encode()
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
