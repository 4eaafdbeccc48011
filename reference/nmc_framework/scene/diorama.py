"""The embedded scene: a corner of a room in which things move, as a function of time.

World axes are MIV's: x and y level, z up, lengths in scene units (about a metre). The room lies in
``BOUNDS``; two walls close it off towards +x and +y, so cameras stand towards -x and -y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmc_framework.scene.item import Item, Material
from nmc_framework.scene.lighting import Lamp, Lighting, one_colour
from nmc_framework.scene.solids import Box, Pose, Sphere
from nmc_framework.scene.texture import (
    Colour,
    bands,
    beach_ball,
    dice,
    plain,
    planks,
    wallpaper,
)

#: Lower and upper corner of a cuboid that holds everything at all times.
BOUNDS = ((-1.12, -1.12, -0.08), (1.12, 1.12, 1.36))

#: What rays that leave the scene see.
BACKGROUND: Colour = (0.90, 0.92, 0.95)

#: One lamp; its highlight on glossy things moves with the viewer.
LIGHTING = Lighting((Lamp((-1.5, -0.9, 2.5), 0.72),), 0.48, one_colour(BACKGROUND))

_WHEEL = 0.07
_DIE = 0.17


def _still(x: float, y: float, z: float) -> Callable[[float], Pose]:
    pose = Pose.at(x, y, z)
    return lambda _: pose


def _die_pose(t: float) -> Pose:
    turned = Pose.at(0, 0, 0, axis=(0.35, 0.2, 1), degrees=35 + 80 * t)
    lift = Pose.at(0.42, -0.52, 0.42 + 0.06 * np.sin(2.2 * t))
    return turned.before(lift)


def _ball_pose(t: float) -> Pose:
    phase = np.mod(t * 0.9, 1.0)
    height = 0.16 + 0.55 * 4 * phase * (1 - phase)
    drift = 0.14 * np.sin(0.9 * t)
    return Pose.at(-0.55 + drift, 0.50, height, axis=(0.3, 1, 0.2), degrees=120 * t)


def _car_pose(t: float) -> Pose:
    angle = 0.9 * t - 2.4
    return Pose.at(0.5 * np.cos(angle), 0.5 * np.sin(angle), 0, degrees=np.degrees(angle) + 90)


def _on_car(x: float, y: float, z: float) -> Callable[[float], Pose]:
    place = Pose.at(x, y, z)
    return lambda t: place.before(_car_pose(t))


def _car() -> list[Item]:
    paint = Material(plain((0.10, 0.32, 0.72)), specular=0.5, shininess=40)
    glass = Material(plain((0.75, 0.88, 0.95)), specular=0.6, shininess=60)
    tyre = Material(plain((0.10, 0.10, 0.12)))
    wheels = [
        Item(f"wheel {i}", Sphere(_WHEEL), tyre, _on_car(x, y, _WHEEL))
        for i, (x, y) in enumerate([(-0.14, -0.1), (-0.14, 0.1), (0.14, -0.1), (0.14, 0.1)])
    ]
    return [
        Item("car body", Box((0.25, 0.11, 0.065)), paint, _on_car(0, 0, 0.135)),
        Item("car cabin", Box((0.12, 0.09, 0.055)), glass, _on_car(-0.03, 0, 0.25)),
        *wheels,
    ]


def items() -> tuple[Item, ...]:
    """Return everything in the scene; poses are functions of time."""
    wood = Material(planks((0.72, 0.50, 0.30), (0.50, 0.31, 0.17)))
    far = Material(wallpaper((0.80, 0.70, 0.50), (0.87, 0.79, 0.62)))
    left = Material(wallpaper((0.24, 0.47, 0.49), (0.31, 0.55, 0.56)))
    gores = ((0.90, 0.20, 0.18), (0.98, 0.80, 0.20), (0.15, 0.50, 0.80)) * 2
    return (
        Item("floor", Box((1.1, 1.1, 0.04)), wood, _still(0, 0, -0.04)),
        Item("far wall", Box((0.04, 1.1, 0.65)), far, _still(1.06, 0, 0.65)),
        Item("left wall", Box((1.02, 0.04, 0.65)), left, _still(0, 1.06, 0.65)),
        Item(
            "pedestal",
            Box((0.15, 0.15, 0.22)),
            Material(plain((0.92, 0.90, 0.87))),
            _still(0.66, 0.62, 0.22),
        ),
        Item(
            "globe",
            Sphere(0.19),
            Material(bands((0.62, 0.12, 0.45), (0.80, 0.30, 0.60), 9), 0.9, 45),
            lambda t: Pose.at(0.66, 0.62, 0.63, axis=(1, 0.4, 0), degrees=70 * t),
        ),
        Item(
            "die",
            Box((_DIE, _DIE, _DIE)),
            Material(dice((0.95, 0.93, 0.88), (0.85, 0.15, 0.15), _DIE), 0.25, 30),
            _die_pose,
        ),
        Item("ball", Sphere(0.16), Material(beach_ball(gores), 0.35, 30), _ball_pose),
        *_car(),
    )
