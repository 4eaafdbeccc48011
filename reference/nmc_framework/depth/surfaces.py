"""Textures of made-up rooms, drawn by chance: paint, wallpaper, boards, tiles, cloth."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np

from nmc_framework.scene.item import Material
from nmc_framework.scene.noise import noise
from nmc_framework.scene.solids import Scalars, Vectors
from nmc_framework.scene.texture import Colour, Texture

#: A pattern says of points of a plane, in metres, how much of the second colour they have, 0..1.
Pattern = Callable[[Scalars, Scalars], Scalars]


def colour(random: np.random.Generator, *, vivid: float = 0.4, light: float = 0.7) -> Colour:
    """Draw a colour of about such saturation and value."""
    hue = random.random()
    saturation = float(np.clip(random.normal(vivid, 0.18), 0, 0.95))
    value = float(np.clip(random.normal(light, 0.16), 0.12, 0.98))
    return colorsys.hsv_to_rgb(hue, saturation, value)


def wall(random: np.random.Generator) -> Material:
    """Draw a wall: paint, stripes or a wallpaper with a pattern."""
    base = colour(random, vivid=0.2, light=0.8)
    other = _near(random, base, 0.18)
    pattern = _chosen(random, [_plaster(random), _stripes(random), _dots(random)])
    return Material(_upright(base, other, pattern))


def floor(random: np.random.Generator) -> Material:
    """Draw a floor: boards, tiles or a carpet; some of them glossy."""
    kind = int(random.integers(3))
    if kind == 0:
        base = _wood(random)
        return Material(_flat(base, _near(random, base, 0.25), _boards(random)), specular=0.15)
    if kind == 1:
        base = colour(random, vivid=0.15, light=0.65)
        return Material(_flat(base, _near(random, base, 0.4), _tiles(random)), specular=0.2)
    base = colour(random, vivid=0.35, light=0.5)
    return Material(_flat(base, _near(random, base, 0.3), _cloth(random)))


def ceiling(random: np.random.Generator) -> Material:
    """Draw a ceiling: nearly white."""
    base = colour(random, vivid=0.05, light=0.92)
    return Material(_flat(base, _near(random, base, 0.05), _plaster(random)))


def furniture(random: np.random.Generator) -> Material:
    """Draw what a piece of furniture is made of: wood, or painted."""
    if random.random() < 0.55:
        base = _wood(random)
        grain = random.uniform(12, 30)
        pattern: Pattern = lambda x, y: noise(x * 2, y * np.float32(grain), 2)  # noqa: E731
        return Material(_solid(base, _near(random, base, 0.3), pattern), specular=0.1)
    base = colour(random)
    return Material(_solid(base, base, _plaster(random)), specular=0.25, shininess=40)


def cloth(random: np.random.Generator) -> Material:
    """Draw a cover: of one colour, checked, or with stripes."""
    base = colour(random, vivid=0.5, light=0.55)
    pattern = _chosen(random, [_cloth(random), _stripes(random), _tiles(random)])
    return Material(_solid(base, _near(random, base, 0.4), pattern))


def painting(random: np.random.Generator) -> Material:
    """Draw a picture on a wall: a few waves of colour."""
    base, other = colour(random, vivid=0.7), colour(random, vivid=0.7, light=0.4)
    wave = random.uniform(2, 7)
    pattern: Pattern = lambda x, y: noise(x * np.float32(wave), y * np.float32(wave) + 40, 3)  # noqa: E731
    return Material(_upright(base, other, pattern))


def glowing(random: np.random.Generator) -> Material:
    """Draw a window by day, or a lamp."""
    sky = (random.uniform(0.75, 1), random.uniform(0.85, 1), 1.0)
    return Material(_upright(sky, _near(random, sky, 0.15), _plaster(random)), glow=1.0)


def _wood(random: np.random.Generator) -> Colour:
    red = random.uniform(0.3, 0.8)
    return red, red * random.uniform(0.6, 0.8), red * random.uniform(0.3, 0.55)


def _near(random: np.random.Generator, base: Colour, apart: float) -> Colour:
    shade = 1 + apart * random.uniform(-1, 0.4)
    moved = np.clip(np.array(base) * shade + random.normal(0, apart * 0.15, 3), 0.02, 1)
    return float(moved[0]), float(moved[1]), float(moved[2])


def _chosen(random: np.random.Generator, patterns: list[Pattern]) -> Pattern:
    return patterns[int(random.integers(len(patterns)))]


def _mixed(base: Colour, other: Colour, weight: Scalars) -> Vectors:
    a, b = (np.array(each, np.float32)[:, None] for each in (base, other))
    return np.asarray(a + (b - a) * weight, np.float32)


def _flat(base: Colour, other: Colour, pattern: Pattern) -> Texture:
    """Lay a pattern on what is level."""
    return lambda points, _: _mixed(base, other, pattern(points[0], points[1]))


def _upright(base: Colour, other: Colour, pattern: Pattern) -> Texture:
    """Hang a pattern on what stands along x or along y."""

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        along = np.where(np.abs(normals[0]) > 0.5, points[1], points[0])
        return _mixed(base, other, pattern(along, points[2]))

    return texture


def _solid(base: Colour, other: Colour, pattern: Pattern) -> Texture:
    """Cover all sides: each by the two axes that lie in it."""

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        level = np.abs(normals[2]) > 0.6
        along = np.where(np.abs(normals[0]) > 0.6, points[1], points[0])
        up = np.where(level, points[1], points[2])
        return _mixed(base, other, pattern(along, up))

    return texture


def _plaster(random: np.random.Generator) -> Pattern:
    grain, at = random.uniform(1.5, 9), random.uniform(0, 60)
    return lambda x, y: noise(x * np.float32(grain) + np.float32(at), y * np.float32(grain), 3)


def _stripes(random: np.random.Generator) -> Pattern:
    period, share = random.uniform(0.12, 0.6), random.uniform(0.2, 0.8)
    return lambda x, _: np.asarray(np.mod(x / period, 1) < share, np.float32)


def _dots(random: np.random.Generator) -> Pattern:
    period, radius = random.uniform(0.12, 0.4), random.uniform(0.15, 0.35)

    def pattern(x: Scalars, y: Scalars) -> Scalars:
        u, v = np.mod(x / period, 1) - 0.5, np.mod(y / period, 1) - 0.5
        return np.asarray(np.hypot(u, v) < radius, np.float32)

    return pattern


def _boards(random: np.random.Generator) -> Pattern:
    wide, long = random.uniform(0.08, 0.22), random.uniform(0.6, 1.6)

    def pattern(x: Scalars, y: Scalars) -> Scalars:
        row = np.floor(y / wide)
        board = np.floor(x / long + np.mod(row * np.float32(0.37), 1))
        shade = np.mod(np.sin(row * 7 + board * 3) * 43.7, 1)
        joint = np.abs(np.mod(y / wide, 1) - 0.5) > 0.46
        grain = 0.3 * noise(x * 3, y * 25, 2)
        return np.asarray(np.clip(shade * 0.7 + grain + joint, 0, 1), np.float32)

    return pattern


def _tiles(random: np.random.Generator) -> Pattern:
    side, chequered = random.uniform(0.15, 0.5), random.random() < 0.5

    def pattern(x: Scalars, y: Scalars) -> Scalars:
        u, v = x / side, y / side
        if chequered:
            return np.asarray(np.mod(np.floor(u) + np.floor(v), 2), np.float32)
        edge = np.maximum(np.abs(np.mod(u, 1) - 0.5), np.abs(np.mod(v, 1) - 0.5))
        return np.asarray(edge > 0.47, np.float32)

    return pattern


def _cloth(random: np.random.Generator) -> Pattern:
    grain = random.uniform(12, 30)
    return lambda x, y: noise(x * np.float32(grain), y * np.float32(grain), 2)
