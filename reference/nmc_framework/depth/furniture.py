"""Furniture of made-up rooms, of boxes and balls, drawn by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmc_framework.depth import surfaces
from nmc_framework.scene.item import Item, Material, still
from nmc_framework.scene.round_solids import Capsule, Ellipsoid
from nmc_framework.scene.solids import Box, Pose, Solid, Sphere

#: Makes the parts of one piece that stands at a pose on the floor.
Piece = Callable[[np.random.Generator, Pose], list[Item]]


def _part(
    name: str, solid: Solid, material: Material, base: Pose, x: float, y: float, z: float
) -> Item:
    return Item(name, solid, material, still(Pose.at(x, y, z).before(base)))


def table(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a table with four legs, and perhaps a ball or a box on it."""
    long, wide, high = random.uniform(0.4, 0.9), random.uniform(0.3, 0.5), random.uniform(0.4, 0.78)
    material = surfaces.furniture(random)
    parts = [_part("table", Box((long, wide, 0.025)), material, base, 0, 0, high)]
    for sx, sy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        leg = Box((0.03, 0.03, high / 2))
        parts.append(
            _part("leg", leg, material, base, sx * (long - 0.06), sy * (wide - 0.06), high / 2)
        )
    for _ in range(int(random.integers(3))):
        at = (random.uniform(-0.7, 0.7) * long, random.uniform(-0.7, 0.7) * wide)
        parts.append(_thing(random, base, *at, high + 0.025))
    return parts


def chair(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a chair with a back."""
    wide, seat = random.uniform(0.18, 0.26), random.uniform(0.4, 0.5)
    material = surfaces.furniture(random)
    back = random.uniform(0.2, 0.35)
    parts = [
        _part("seat", Box((wide, wide, 0.03)), surfaces.cloth(random), base, 0, 0, seat),
        _part("back", Box((0.025, wide, back)), material, base, -wide, 0, seat + back),
    ]
    for sx, sy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        leg = Box((0.02, 0.02, seat / 2))
        parts.append(_part("leg", leg, material, base, sx * wide * 0.9, sy * wide * 0.9, seat / 2))
    return parts


def cabinet(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a cabinet, and something on it where it is low."""
    deep, wide, high = random.uniform(0.2, 0.35), random.uniform(0.3, 0.9), random.uniform(0.3, 1.0)
    material = surfaces.furniture(random)
    parts = [_part("cabinet", Box((deep, wide, high)), material, base, 0, 0, high)]
    doors = int(random.integers(1, 4))
    edge = Material(surfaces.furniture(random).texture)
    for k in range(1, doors):
        y = wide * (2 * k / doors - 1)
        parts.append(_part("gap", Box((0.005, 0.012, high * 0.95)), edge, base, deep, y, high))
    if high < 0.7:
        parts.append(_thing(random, base, 0, random.uniform(-0.6, 0.6) * wide, 2 * high))
    return parts


def shelf(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return an open shelf with rows of books."""
    deep, wide, high = 0.15, random.uniform(0.3, 0.6), random.uniform(0.8, 2.0)
    material = surfaces.furniture(random)
    parts = [_part("rear", Box((0.01, wide, high / 2)), material, base, -deep, 0, high / 2)]
    for sy in (-1, 1):
        side = Box((deep, 0.015, high / 2))
        parts.append(_part("side", side, material, base, 0, sy * wide, high / 2))
    boards = int(random.integers(3, 6))
    for k in range(boards):
        z = high * (k + 0.5) / boards
        parts.append(_part("board", Box((deep, wide, 0.012)), material, base, 0, 0, z))
        if random.random() < 0.8:
            tall = min(random.uniform(0.08, 0.16), 0.42 * high / boards)
            half = wide * random.uniform(0.3, 0.9)
            books = Box((deep * 0.7, half, tall))
            at = random.uniform(-1, 1) * (wide - half)
            parts.append(_part("books", books, surfaces.cloth(random), base, 0, at, z + tall))
    return parts


def sofa(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a sofa with arms and cushions."""
    wide = random.uniform(0.5, 1.1)
    cover, pillow = surfaces.cloth(random), surfaces.cloth(random)
    parts = [
        _part("seat", Box((0.4, wide, 0.2)), cover, base, 0, 0, 0.2),
        _part("back", Box((0.1, wide, 0.4)), cover, base, -0.38, 0, 0.4),
    ]
    for side in (-1, 1):
        parts.append(_part("arm", Box((0.4, 0.09, 0.28)), cover, base, 0, side * wide, 0.28))
        solid = Ellipsoid((0.1, 0.2, 0.2))
        parts.append(_part("pillow", solid, pillow, base, -0.22, side * wide * 0.55, 0.55))
    return parts


def bed(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a bed with a blanket and a pillow."""
    wide = random.uniform(0.45, 0.9)
    return [
        _part("frame", Box((1.0, wide, 0.15)), surfaces.furniture(random), base, 0, 0, 0.15),
        _part("blanket", Box((0.98, wide * 0.98, 0.09)), surfaces.cloth(random), base, 0, 0, 0.39),
        _part("head", Box((0.03, wide, 0.45)), surfaces.furniture(random), base, -1.0, 0, 0.45),
        _part("pillow", Ellipsoid((0.2, 0.32, 0.09)), surfaces.cloth(random), base, -0.7, 0, 0.52),
    ]


def plant(random: np.random.Generator, base: Pose) -> list[Item]:
    """Return a plant in a pot."""
    green = surfaces.cloth(random)
    high = random.uniform(0.4, 1.1)
    parts = [_part("pot", Capsule(0.18, 0.14), surfaces.furniture(random), base, 0, 0, 0.2)]
    for _ in range(int(random.integers(2, 5))):
        radii = tuple(random.uniform(0.1, 0.28, 3))
        x, y = random.normal(0, 0.1, 2)
        parts.append(_part("leaves", Ellipsoid(radii), green, base, x, y, high))
    return parts


def _thing(random: np.random.Generator, base: Pose, x: float, y: float, z: float) -> Item:
    """Return something small that stands on a surface."""
    material = surfaces.furniture(random)
    if random.random() < 0.5:
        radius = random.uniform(0.06, 0.14)
        return _part("ball", Sphere(radius), material, base, x, y, z + radius)
    half = random.uniform(0.05, 0.16, 3)
    solid = Box((float(half[0]), float(half[1]), float(half[2])))
    return _part("box", solid, material, base, x, y, z + float(half[2]))


#: What stands along the walls, its back to them, and what stands anywhere.
AT_WALLS: tuple[Piece, ...] = (cabinet, shelf, sofa, bed, cabinet, shelf)
ANYWHERE: tuple[Piece, ...] = (table, chair, chair, plant)
