"""Ray tracing of the embedded scene in numpy: nearest hit, hard shadow, Lambert and Blinn shading.

Rays from one point are culled by each solid's bounding ball before the exact test; a shadow ray is
traced from the lamp to the surface, so that it starts at one point as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera
from nmc_framework.scene.diorama import BACKGROUND, LIGHT, Item
from nmc_framework.scene.diorama import items as diorama_items
from nmc_framework.scene.solids import Pose, Scalars, Vectors

_AMBIENT = np.float32(0.48)
_DIFFUSE = np.float32(0.72)
_SHADOW_SLACK = np.float32(8e-3)


@dataclass(frozen=True, eq=False)
class Hits:
    """Nearest hit of each ray: distance (N,), inf on a miss, and the item's index (N,), -1."""

    distance: Scalars
    item: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Placed:
    """An item frozen at one time."""

    item: Item
    pose: Pose


def place(t: float, scene: Sequence[Item] | None = None) -> tuple[Placed, ...]:
    """Freeze the scene (the embedded one unless another is given) at time ``t`` in seconds."""
    return tuple(Placed(i, i.pose(t)) for i in (diorama_items() if scene is None else scene))


def render(
    camera: Camera, t: float, *, supersampling: int = 2, scene: Sequence[Item] | None = None
) -> npt.NDArray[np.uint8]:
    """Render the scene at time ``t`` as ``camera`` sees it.

    Parameters
    ----------
    camera
        Any camera, in scene units.
    t
        Seconds.
    supersampling
        k x k rays a pixel are averaged.
    scene
        Items to draw instead of the embedded scene.

    Returns
    -------
    ndarray of uint8, (height, width, 3), sRGB-like display values.
    """
    directions = np.ascontiguousarray(camera.rays(supersampling).directions.T, dtype=np.float32)
    colours = shade(place(t, scene), camera.centre.astype(np.float32), directions)
    k = supersampling
    image = colours.reshape(3, camera.height, k, camera.width, k).mean(axis=(2, 4))
    bytes_: npt.NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(bytes_.transpose(1, 2, 0))


def shade(scene: Sequence[Placed], eye: Scalars, directions: Vectors) -> Vectors:
    """Return the colours (3, N), 0 to 1, that rays from ``eye`` (3,) along ``directions`` see."""
    hits = trace(scene, eye, directions)
    colours = np.repeat(np.array(BACKGROUND, np.float32)[:, None], directions.shape[1], axis=1)
    seen = np.flatnonzero(hits.item >= 0)
    if not len(seen):
        return colours
    points = eye[:, None] + hits.distance[seen] * directions[:, seen]
    lit = _lit(scene, points)
    for index, placed in enumerate(scene):
        mine = np.flatnonzero(hits.item[seen] == index)
        if len(mine):
            colours[:, seen[mine]] = _surface(
                placed, points[:, mine], directions[:, seen[mine]], lit[mine]
            )
    return colours


def trace(scene: Sequence[Placed], origin: Scalars, directions: Vectors) -> Hits:
    """Find the nearest hit of every ray from ``origin`` (3,) along unit ``directions`` (3, N)."""
    nearest = np.full(directions.shape[1], np.inf, np.float32)
    owner = np.full(directions.shape[1], -1, np.int16)
    for index, placed in enumerate(scene):
        pose, solid = placed.pose, placed.item.solid
        offset = pose.translation - origin
        along = offset @ directions
        apart = np.dot(offset, offset) - along * along
        near = np.flatnonzero(apart <= np.float32(solid.reach**2) * np.float32(1.0001))
        if not len(near):
            continue
        local = pose.rotation.T @ directions[:, near]
        distance = solid.hit(pose.rotation.T @ -offset, local)
        closer = distance < nearest[near]
        nearest[near[closer]] = distance[closer]
        owner[near[closer]] = index
    return Hits(nearest, owner)


def _lit(scene: Sequence[Placed], points: Vectors) -> Scalars:
    """Return 1 where the lamp reaches a point and 0 in shadow, (N,)."""
    lamp = np.array(LIGHT, np.float32)
    rays = points - lamp[:, None]
    length = np.sqrt((rays * rays).sum(axis=0))
    first = trace(scene, lamp, rays / length).distance
    return np.where(first >= length - _SHADOW_SLACK, np.float32(1), np.float32(0))


def _surface(placed: Placed, points: Vectors, directions: Vectors, lit: Scalars) -> Vectors:
    pose, material = placed.pose, placed.item.material
    local = pose.rotation.T @ (points - pose.translation[:, None])
    local_normals = placed.item.solid.normal(local)
    albedo = material.texture(local, local_normals)
    normals = pose.rotation @ local_normals
    to_lamp = np.array(LIGHT, np.float32)[:, None] - points
    to_lamp /= np.sqrt((to_lamp * to_lamp).sum(axis=0))
    diffuse = np.maximum((normals * to_lamp).sum(axis=0), 0) * lit
    # A level share of the ambient light comes from above, so that undersides read as undersides.
    ambient = _AMBIENT * (0.78 + 0.22 * normals[2])
    colour = albedo * (ambient + _DIFFUSE * diffuse)
    if material.specular:
        halfway = to_lamp - directions
        halfway /= np.sqrt((halfway * halfway).sum(axis=0))
        glint = np.maximum((normals * halfway).sum(axis=0), 0) ** np.float32(material.shininess)
        colour = colour + np.float32(material.specular) * glint * lit
    return np.asarray(colour, dtype=np.float32)
