"""A picture of a rig: every camera's frustum in space, named, on equal axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from mpl_toolkits.mplot3d.art3d import Line3DCollection  # type: ignore[import-untyped]

from nmc_framework.cameras.camera import Camera, FloatArray
from nmc_framework.whole_files import whole

_INK, _FRUSTUM, _HELD_OUT, _AXIS = "#2b3440", "#1f6f78", "#b5442e", "#9aa5b1"
#: Depth of the drawn frusta as a share of the rig's extent for up to so many cameras; more cameras
#: have smaller ones, and above the last number no names.
_DEPTH, _CROWD, _NAMED = 0.14, 8, 60
_HALO = [withStroke(linewidth=2.2, foreground="white")]


def frustum(camera: Camera, depth: float) -> FloatArray:
    """Return the eight edges of the pyramid a camera sees down to ``depth``, (8, 2, 3)."""
    corners = np.array(
        [[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]], np.float64
    )
    local = (corners - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    points = np.concatenate([local, np.ones((4, 1))], axis=1) * depth
    world = points @ camera.rotation.T + camera.centre
    apex = np.broadcast_to(camera.centre, world.shape)
    return np.concatenate(
        [np.stack([apex, world], axis=1), np.stack([world, np.roll(world, -1, axis=0)], axis=1)]
    )


def plot_rig(
    path: Path,
    cameras: Sequence[Camera],
    title: str,
    *,
    marked: frozenset[str] = frozenset(),
    points: tuple[FloatArray, npt.NDArray[np.uint8]] | None = None,
) -> None:
    """Draw a rig into a picture; the path's suffix says which kind.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.
    cameras
        In scene units.
    title
        Above the picture.
    marked
        Names of cameras in another colour, such as those held out.
    points
        Positions (N, 3) in scene units and colours (N, 3) of points to draw as well; the few that
        lie far outside the others are left out.
    """
    centres = np.array([camera.centre for camera in cameras])
    extent = float(np.ptp(centres, axis=0).max()) or 1.0
    depth = _DEPTH * extent * min(1.0, (_CROWD / len(cameras)) ** 0.5)
    edges = [frustum(camera, depth) for camera in cameras]
    figure = Figure(figsize=(9, 8), dpi=120)
    axes: Any = figure.add_axes((0.02, 0.03, 0.94, 0.9), projection="3d", computed_zorder=False)
    ahead = [camera.centre + 1.7 * depth * camera.rotation[:, 2] for camera in cameras]
    for camera, lines, end in zip(cameras, edges, ahead, strict=True):
        colour = _HELD_OUT if camera.name in marked else _FRUSTUM
        axes.add_collection3d(Line3DCollection(list(lines), colors=colour, linewidths=1.1))
        axis = [[camera.centre, end]]
        axes.add_collection3d(Line3DCollection(axis, colors=_AXIS, linewidths=0.8))
        if len(cameras) <= _NAMED:
            # Behind the camera, where no frustum of its own is.
            place = camera.centre - 0.3 * depth * camera.rotation[:, 2]
            text = axes.text(*place, camera.name, fontsize=7, color=colour, ha="center", va="top")
            text.set(path_effects=_HALO, zorder=10)
    axes.scatter(*centres.T, s=10, color=_INK, depthshade=False)
    shown = [np.concatenate(edges).reshape(-1, 3), np.array(ahead)]
    if points is not None and len(points[0]):
        near = _within(points[0])
        places, colours = points[0][near], points[1][near] / 255
        axes.scatter(*places.T, s=2.5, c=colours, depthshade=False, linewidths=0)
        shown.append(places)
    _equal(axes, np.concatenate(shown))
    # Seen from behind the cameras, to one side and above.
    forward = np.array([camera.rotation[:, 2] for camera in cameras]).mean(axis=0)
    axes.view_init(elev=32, azim=float(np.degrees(np.arctan2(forward[1], forward[0]))) + 180 + 35)
    axes.set(xlabel="x", ylabel="y", zlabel="z")
    figure.text(0.04, 0.955, title, fontsize=12, fontweight="bold", color=_INK)
    with whole(path) as partial:
        figure.savefig(partial)


def _within(positions: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell the points of the scene from the few that a wrong correspondence put far away."""
    low, high = np.percentile(positions, [5, 95], axis=0)
    margin = high - low
    inside = (positions >= low - margin) & (positions <= high + margin)
    return np.asarray(inside.all(axis=1), dtype=np.bool_)


def _equal(axes: Any, points: FloatArray) -> None:
    """Give a unit the same length on each axis."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.04 * float((high - low).max()) or 0.5
    for name, a, b in zip("xyz", low - margin, high + margin, strict=True):
        getattr(axes, f"set_{name}lim")(a, b)
    axes.set_box_aspect(high - low + 2 * margin)
