"""An embedded scene as a whole: what stands in it, its light, its cameras, and the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera
from nmc_framework.scene.imaging import Clean, Imaging
from nmc_framework.scene.item import Item, Placed, place
from nmc_framework.scene.lighting import Lighting
from nmc_framework.scene.rig import Rig
from nmc_framework.scene.texture import Colour
from nmc_framework.scene.tracer import as_bytes, first_hits, picture

Picture = npt.NDArray[np.uint8]
FloatImage = npt.NDArray[np.float32]
#: Lower and upper corner of a cuboid, in scene units.
Bounds = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Scene:
    """One embedded scene.

    Lengths are in scene units (about a metre), z is up, times are in seconds.

    Parameters
    ----------
    name, summary
        How it is called, and what is hard about it, in a line.
    things
        Everything in it; poses are functions of time.
    lighting
        Lamps, sky and haze.
    cameras
        Its rig at a size (width, height) in pixels.
    bounds
        A cuboid that holds everything at all times; None where the scene has no end.
    background
        What rays see that meet nothing, where that is one known colour.
    told
        Whether a model is told bounds and background. Of other people's footage nobody tells them.
    rate
        Frames a second.
    frames
        How many are filmed unless said otherwise.
    size
        (width, height) of the pictures unless said otherwise.
    supersampling
        k x k rays a pixel unless said otherwise.
    imaging
        What the cameras make of the light; clean pictures unless given.
    """

    name: str
    summary: str
    things: tuple[Item, ...]
    lighting: Lighting
    cameras: Callable[[tuple[int, int]], Rig]
    bounds: Bounds | None
    background: Colour | None
    told: bool
    rate: int
    frames: int
    size: tuple[int, int]
    supersampling: int = 2
    imaging: Imaging = field(default_factory=Clean)

    def rig(self, size: tuple[int, int] | None = None) -> Rig:
        """Return the cameras at ``size`` (width, height), or at the scene's own."""
        return self.cameras(size or self.size)

    @property
    def held_out(self) -> tuple[str, ...]:
        """Names of the cameras to test with."""
        return tuple(camera.name for camera in self.rig().held_out)

    def items(self, t: float) -> tuple[Placed, ...]:
        """Return everything at ``t`` seconds: solids, what they are made of, exact poses."""
        return place(self.things, t)

    def render(self, camera: Camera, t: float, *, supersampling: int | None = None) -> Picture:
        """Return the picture that ``camera`` takes at ``t`` seconds, (height, width, 3) uint8.

        ``supersampling`` k averages k x k rays a pixel.
        """
        k = supersampling or self.supersampling
        return as_bytes(self.imaging.take(lambda when: self._seen(camera, when, k), camera, t))

    def clean(self, camera: Camera, t: float, *, supersampling: int | None = None) -> Picture:
        """Return the picture of a camera without faults: no noise or blur, all exposures alike."""
        return as_bytes(self._seen(camera, t, supersampling or self.supersampling))

    def _seen(self, camera: Camera, t: float, supersampling: int) -> FloatImage:
        return picture(self.items(t), self.lighting, camera, supersampling)

    def depth(self, camera: Camera, t: float, *, along: str = "axis") -> FloatImage:
        """Return how far away the rays through the pixels' centres meet something.

        Parameters
        ----------
        camera, t
            As in :meth:`render`.
        along
            ``axis`` for z in the camera's axes, ``ray`` for the distance from its centre.

        Returns
        -------
        ndarray of float32, (height, width)
            Scene units; inf where a ray meets nothing. The surface met first counts, be it a
            mirror.
        """
        hits, directions = first_hits(self.items(t), camera)
        distance = hits.distance
        if along == "axis":
            forward = camera.rotation[:, 2].astype(np.float32)
            distance = distance * (forward @ directions)
        elif along != "ray":
            raise ValueError(f"depth is along the axis or the ray, not {along!r}")
        return distance.reshape(camera.height, camera.width)

    def motion(self, camera: Camera, t: float, later: float) -> FloatImage:
        """Return by how much the surface points that a camera sees move from ``t`` to ``later``.

        Returns
        -------
        ndarray of float32, (height, width, 3)
            World axes, scene units; NaN where a ray meets nothing.
        """
        now, then = self.items(t), self.items(later)
        hits, directions = first_hits(now, camera)
        moved = np.full((3, len(hits.item)), np.nan, np.float32)
        centre = camera.centre.astype(np.float32)[:, None]
        for index, (before, after) in enumerate(zip(now, then, strict=True)):
            mine = np.flatnonzero(hits.item == index)
            points = centre + hits.distance[mine] * directions[:, mine]
            local = before.pose.rotation.T @ (points - before.pose.translation[:, None])
            there = after.pose.rotation @ local + after.pose.translation[:, None]
            moved[:, mine] = there - points
        return np.ascontiguousarray(moved.T).reshape(camera.height, camera.width, 3)

    def view_all(
        self, cameras: Sequence[Camera], t: float, *, supersampling: int | None = None
    ) -> list[Picture]:
        """Return every camera's picture at ``t`` seconds."""
        return [self.render(camera, t, supersampling=supersampling) for camera in cameras]
