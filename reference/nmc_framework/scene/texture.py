"""Procedural textures: a surface point, in its solid's own axes, to a linear colour.

A texture takes points (3, N) and outward normals (3, N) and returns colours (3, N), all float32.
Details are kept coarser than about 2 cm in a room of 2 m, which a camera of 128 pixels resolves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmc_framework.scene.solids import Scalars, Vectors

Texture = Callable[[Vectors, Vectors], Vectors]
Colour = tuple[float, float, float]


def _column(colour: Colour) -> Vectors:
    return np.array(colour, np.float32)[:, None]


def _mix(a: Vectors, b: Vectors, weight: Scalars) -> Vectors:
    return a + (b - a) * weight


def _step(value: Scalars) -> Scalars:
    return np.array(value > 0, dtype=np.float32)


def _scatter(index: Scalars) -> Scalars:
    """Return a repeatable number in [0, 1) for each integer index (the shaders' sine hash)."""
    noise: Scalars = np.sin(index * np.float32(12.9898)) * np.float32(43758.547)
    return noise - np.floor(noise)


def plain(colour: Colour) -> Texture:
    """One colour."""
    value = _column(colour)
    return lambda points, _: np.repeat(value, points.shape[1], axis=1)


def planks(light: Colour, dark: Colour, width: float = 0.2, length: float = 0.8) -> Texture:
    """Floor boards along x with staggered ends, each of its own shade, and a woven round rug."""
    a, b = _column(light), _column(dark)
    rug_outer, rug_inner = _column((0.55, 0.10, 0.12)), _column((0.93, 0.82, 0.62))

    def texture(points: Vectors, _: Vectors) -> Vectors:
        x, y = points[0], points[1]
        row = np.floor(y / width)
        column = np.floor(x / length + _scatter(row) * 3)
        shade = _scatter(row * 7 + column * 3)
        grain = 0.12 * np.sin(40 * y + 6 * np.sin(3 * x + row))
        joint = _step(np.abs(np.mod(y / width, 1) - 0.5) - 0.46)
        wood = _mix(a, b, np.clip(shade + grain, 0, 1)) * (1 - 0.45 * joint)
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        petals = _step(np.sin(angle * 12) * 0.04 + 0.36 - radius)
        ring = _step(np.abs(radius - 0.52) - 0.045)
        rug = _mix(rug_inner, rug_outer, np.maximum(ring * (1 - petals), _step(0.14 - radius)))
        return _mix(wood, rug, _step(0.62 - radius))

    return texture


def wallpaper(base: Colour, stripe: Colour, period: float = 0.25) -> Texture:
    """Vertical stripes above a pale wainscot, with a framed landscape in the middle.

    The texture runs along the wall's longer horizontal axis, so one function serves both walls.
    """
    a, b, trim = _column(base), _column(stripe), _column((0.94, 0.91, 0.85))
    sky, hill, sun, frame = (
        _column(c)
        for c in ((0.45, 0.70, 0.92), (0.20, 0.50, 0.25), (1, 0.85, 0.3), (0.3, 0.18, 0.1))
    )

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        along = np.where(np.abs(normals[0]) > 0.5, points[1], points[0])
        height = points[2]
        paper = _mix(a, b, _step(np.sin(2 * np.pi * along / period)))
        lower = _step(-0.32 - height)
        rail = _step(0.022 - np.abs(height + 0.32))
        panel = 1 - 0.12 * _step(np.abs(np.mod(along / 0.5, 1) - 0.5) - 0.44)
        colour = _mix(paper, trim * panel, lower)
        colour = _mix(colour, _column((0.55, 0.38, 0.22)), rail)
        u, v = along / 0.42, (height - 0.16) / 0.28
        picture = _mix(sky, hill, _step(0.18 * np.sin(4 * u) - 0.15 - v))
        picture = _mix(picture, sun, _step(0.18 - np.hypot(u - 0.45, v - 0.45)))
        inside = _step(1 - np.maximum(np.abs(u), np.abs(v)))
        framed = _step(1 - np.maximum(np.abs(u) - 0.12, np.abs(v) - 0.18))
        colour = _mix(_mix(colour, frame, framed), picture, inside)
        # Only the sides that face the room, towards -x and -y, are papered.
        return _mix(trim, colour, _step(-normals[0] - normals[1] - 0.5))

    return texture


def beach_ball(colours: tuple[Colour, ...]) -> Texture:
    """Meridian gores of several colours with white caps."""
    table = np.array(colours, np.float32).T

    def texture(_: Vectors, normals: Vectors) -> Vectors:
        turn = np.arctan2(normals[1], normals[0]) / (2 * np.pi) + 0.5
        gore = np.minimum((turn * table.shape[1]).astype(np.int64), table.shape[1] - 1)
        return _mix(table[:, gore], _column((0.96, 0.96, 0.96)), _step(np.abs(normals[2]) - 0.86))

    return texture


def dice(face: Colour, pips: Colour, half: float) -> Texture:
    """Face k of six carries k pips; opposite faces add up to seven."""
    ground, dot = _column(face), _column(pips)
    layouts = {
        1: [(0, 0)],
        2: [(-1, -1), (1, 1)],
        3: [(-1, -1), (0, 0), (1, 1)],
        4: [(-1, -1), (-1, 1), (1, -1), (1, 1)],
        5: [(-1, -1), (-1, 1), (0, 0), (1, -1), (1, 1)],
        6: [(-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)],
    }

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        colour = np.repeat(ground, points.shape[1], axis=1)
        for axis in range(3):
            u, v = (points[(axis + k) % 3] / half for k in (1, 2))
            for sign, count in ((1, axis + 1), (-1, 6 - axis)):
                face_points = normals[axis] * sign > 0.5
                for pu, pv in layouts[count]:
                    inside = np.hypot(u - 0.52 * pu, v - 0.52 * pv) < 0.21
                    colour[:, face_points & inside] = dot
        return colour

    return texture


def bands(a: Colour, b: Colour, count: float) -> Texture:
    """Latitude bands about the z axis of a unit normal."""
    first, second = _column(a), _column(b)
    return lambda _, normals: _mix(first, second, _step(np.sin(normals[2] * count)))
