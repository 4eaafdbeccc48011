"""Ray tracing of items in numpy: nearest hit, hard shadows, Lambert and Blinn shading, one bounce.

Rays are culled in blocks against the balls that hold a solid before the exact test; a shadow ray is
traced from the lamp to the surface, so that rays of one lamp start at one point as a camera's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera
from nmc_framework.scene.blocks import Blocks, camera_rays, in_rows
from nmc_framework.scene.item import Placed
from nmc_framework.scene.lighting import Lamp, Lighting
from nmc_framework.scene.solids import Scalars, Vectors

#: A reflected ray starts so far off its surface, in scene units.
_LIFT = np.float32(1e-3)


@dataclass(frozen=True, eq=False)
class Hits:
    """Nearest hit of each ray: distance (N,), inf on a miss, and the item's index (N,), -1."""

    distance: Scalars
    item: npt.NDArray[np.int16]


def picture(
    scene: Sequence[Placed], lighting: Lighting, camera: Camera, supersampling: int = 2
) -> npt.NDArray[np.float32]:
    """Return what ``camera`` sees, k x k rays a pixel averaged: (height, width, 3), not clipped."""
    directions = camera_rays(camera, supersampling)
    colours = shade(scene, lighting, camera.centre.astype(np.float32), directions)
    colours = in_rows(colours, camera, supersampling)
    k = supersampling
    image = colours.reshape(3, camera.height, k, camera.width, k).mean(axis=(2, 4))
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def as_bytes(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Round values of 0 to 1, and what is above or below, to uint8."""
    rounded: npt.NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return rounded


def first_hits(scene: Sequence[Placed], camera: Camera) -> tuple[Hits, Vectors]:
    """Return the hits of the rays through the pixels' centres, row by row, and their directions."""
    directions = camera.rays().directions.T.astype(np.float32)
    return trace(scene, camera.centre.astype(np.float32), directions), directions


def shade(
    scene: Sequence[Placed],
    lighting: Lighting,
    eye: Scalars | Vectors,
    directions: Vectors,
    bounces: int = 1,
) -> Vectors:
    """Return the colours (3, N) that rays from ``eye``, (3,) or (3, N), along ``directions`` see.

    ``bounces`` is how often a ray may be reflected.
    """
    hits = trace(scene, eye, directions)
    colours = lighting.sky(directions)
    seen = np.flatnonzero(hits.item >= 0)
    if not len(seen):
        return colours
    start = eye[:, None] if eye.ndim == 1 else eye[:, seen]
    points = start + hits.distance[seen] * directions[:, seen]
    lit = [_lit(scene, lamp, points, lighting.slack) for lamp in lighting.lamps]
    for index, placed in enumerate(scene):
        mine = np.flatnonzero(hits.item[seen] == index)
        if len(mine):
            towards = directions[:, seen[mine]]
            shares = [share[mine] for share in lit]
            surface = _Surface.at(placed, points[:, mine])
            colour = surface.colour(lighting, towards, shares)
            if placed.item.material.mirror and bounces:
                colour = _reflected(scene, lighting, surface, towards, colour, bounces - 1)
            colours[:, seen[mine]] = colour
    if lighting.haze is not None:
        haze = np.array(lighting.haze.colour, np.float32)[:, None]
        clear = np.exp2(-hits.distance[seen] / np.float32(lighting.haze.half))
        colours[:, seen] = haze + (colours[:, seen] - haze) * clear
    return colours


def trace(
    scene: Sequence[Placed],
    origin: Scalars | Vectors,
    directions: Vectors,
    *,
    shadows: bool = False,
) -> Hits:
    """Find the nearest hit of every ray from ``origin`` along unit ``directions`` (3, N).

    ``origin`` is (3,) or (3, N). With ``shadows``, only what throws one counts.
    """
    nearest = np.full(directions.shape[1], np.inf, np.float32)
    owner = np.full(directions.shape[1], -1, np.int16)
    blocks = Blocks.about(origin, directions)
    for index, placed in enumerate(scene):
        if shadows and not placed.item.shades:
            continue
        near = blocks.near(placed)
        if near is not None and not len(near):
            continue
        pose, solid = placed.pose, placed.item.solid
        some = directions if near is None else directions[:, near]
        if origin.ndim == 1:
            start = pose.rotation.T @ (origin - pose.translation)
        else:
            starts = origin if near is None else origin[:, near]
            start = pose.rotation.T @ (starts - pose.translation[:, None])
        distance = solid.hit(start, pose.rotation.T @ some)
        closer = np.flatnonzero(distance < (nearest if near is None else nearest[near]))
        ours = closer if near is None else near[closer]
        nearest[ours] = distance[closer]
        owner[ours] = index
    return Hits(nearest, owner)


def _lit(scene: Sequence[Placed], lamp: Lamp, points: Vectors, slack: float) -> Scalars:
    """Return 1 where the lamp reaches a point and 0 in shadow, (N,)."""
    position = np.array(lamp.position, np.float32)
    rays = points - position[:, None]
    length = np.sqrt((rays * rays).sum(axis=0))
    first = trace(scene, position, rays / length, shadows=True).distance
    return np.where(first >= length - np.float32(slack), np.float32(1), np.float32(0))


@dataclass(frozen=True, eq=False)
class _Surface:
    """Points of one item's surface (3, N), their normals (3, N) and what they are made of."""

    placed: Placed
    points: Vectors
    normals: Vectors
    albedo: Vectors

    @classmethod
    def at(cls, placed: Placed, points: Vectors) -> _Surface:
        pose = placed.pose
        local = pose.rotation.T @ (points - pose.translation[:, None])
        normals = placed.item.solid.normal(local)
        albedo = placed.item.material.texture(local, normals)
        return cls(placed, points, pose.rotation @ normals, albedo)

    def colour(self, lighting: Lighting, directions: Vectors, lit: Sequence[Scalars]) -> Vectors:
        """Return the colours (3, N); ``lit`` has the share of each lamp's light, (N,)."""
        material = self.placed.item.material
        if material.glow:
            return self.albedo * np.float32(material.glow)
        # A level share of the ambient light comes from above: undersides read as undersides.
        ambient = np.float32(lighting.ambient) * (0.78 + 0.22 * self.normals[2])
        light: npt.NDArray[np.float32] = ambient
        glints: npt.NDArray[np.float32] | None = None
        for lamp, share in zip(lighting.lamps, lit, strict=True):
            tint = _tint(lamp)
            to_lamp = np.array(lamp.position, np.float32)[:, None] - self.points
            to_lamp /= np.sqrt((to_lamp * to_lamp).sum(axis=0))
            diffuse = np.maximum((self.normals * to_lamp).sum(axis=0), 0) * share
            light = light + tint * (np.float32(lamp.strength) * diffuse)
            if material.specular:
                halfway = to_lamp - directions
                halfway /= np.sqrt((halfway * halfway).sum(axis=0))
                cosine = np.maximum((self.normals * halfway).sum(axis=0), 0)
                glint = np.float32(material.specular) * cosine ** np.float32(material.shininess)
                own = tint * (glint * share)
                glints = own if glints is None else glints + own
        colour = self.albedo * light
        return np.asarray(colour if glints is None else colour + glints, dtype=np.float32)


def _tint(lamp: Lamp) -> npt.NDArray[np.float32] | np.float32:
    if lamp.colour == (1.0, 1.0, 1.0):
        return np.float32(1)
    return np.array(lamp.colour, np.float32)[:, None]


def _reflected(
    scene: Sequence[Placed],
    lighting: Lighting,
    surface: _Surface,
    directions: Vectors,
    colours: Vectors,
    bounces: int,
) -> Vectors:
    """Mix into ``colours`` what the surface mirrors: more of it the flatter it is looked at."""
    normals = surface.normals
    cosine = np.clip(-(normals * directions).sum(axis=0), 0, 1)
    base = np.float32(surface.placed.item.material.mirror)
    share = base + (1 - base) * (1 - cosine) ** np.float32(5)
    onward = directions + 2 * cosine * normals
    onward /= np.sqrt((onward * onward).sum(axis=0))
    start = surface.points + _LIFT * normals
    image = shade(scene, lighting, start, onward, bounces)
    return np.asarray(colours + (image - colours) * share, dtype=np.float32)
