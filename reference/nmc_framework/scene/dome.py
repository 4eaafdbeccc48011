"""The scene ``dome``: a studio that its cameras stand in, and two people who throw a ball.

After the rigs of the CMU Panoptic Studio (Joo et al. 2015): cameras all round on the inside of a
dome, at several heights, so that floor, lamps and the dome itself stand behind the subject in every
picture. Most of what is seen is dark and has little texture.
"""

from __future__ import annotations

import numpy as np

from nmc_framework.cameras import Camera, look_at
from nmc_framework.scene.figure import Clothes, Gait, figure
from nmc_framework.scene.item import Item, Material, still
from nmc_framework.scene.lighting import Lamp, Lighting, one_colour
from nmc_framework.scene.noise import noise
from nmc_framework.scene.rig import Rig
from nmc_framework.scene.round_solids import Ellipsoid, Ground, Shell
from nmc_framework.scene.solids import Box, Pose, Vectors
from nmc_framework.scene.texture import Texture, beach_ball, plain

_RADIUS, _MIDDLE = 2.95, 1.25
#: The dome's sphere above the floor.
BOUNDS = ((-2.95, -2.95, -0.02), (2.95, 2.95, 4.2))
#: Twelve cameras' heights, dealt out in turn; as in a studio there are more low than high ones.
_HEIGHTS = (0.75, 1.5, 2.4, 1.2, 3.1, 1.95, 0.95, 2.4, 1.55, 3.35, 1.2, 2.0)
_CAMERAS = 31
_HELD_OUT = (4, 11, 17, 26)
#: A full turn divided by the golden ratio: directions that never line up.
_GOLDEN = 137.508

_SKIN = Material(plain((0.66, 0.46, 0.36)), specular=0.12, shininess=12)
_PALE = Material(plain((0.74, 0.55, 0.45)), specular=0.12, shininess=12)


def lighting() -> Lighting:
    """Return three lamps that throw shadows, and much light from all sides."""
    lamps = (
        Lamp((1.35, 0.6, 3.55), 0.5, (1.0, 0.97, 0.9)),
        Lamp((-1.2, 1.0, 3.6), 0.42, (0.95, 0.98, 1.0)),
        Lamp((-0.2, -1.7, 3.4), 0.34),
    )
    return Lighting(lamps, 0.42, one_colour((0.02, 0.02, 0.022)))


def things() -> tuple[Item, ...]:
    """Return everything in the scene; poses are functions of time."""
    return (*_room(), *_lamps(), *_players(), *_furniture())


def _room() -> tuple[Item, ...]:
    floor = Material(_floor(), specular=0.10, shininess=22)
    shell = Material(_panels(), specular=0.05, shininess=10)
    middle = Pose.at(0, 0, _MIDDLE)
    return (
        Item("floor", Ground(), floor, still(Pose.at(0, 0, 0)), shades=False),
        Item("dome", Shell((_RADIUS,) * 3), shell, still(middle), shades=False),
    )


def _floor() -> Texture:
    """Dark rubber, scuffed, with the edge of a mat that is hardly lighter."""
    dark = np.array([[0.085], [0.085], [0.095]], np.float32)
    worn = np.array([[0.125], [0.12], [0.12]], np.float32)

    def texture(points: Vectors, _: Vectors) -> Vectors:
        x, y = points[0], points[1]
        scuffed = noise(x * np.float32(1.3), y * np.float32(1.3), 3)
        mat = np.float32(0.25) * (np.hypot(x * np.float32(0.9), y + np.float32(0.1)) < 1.75)
        return np.asarray(dark + (worn - dark) * (scuffed * scuffed + mat), np.float32)

    return texture


def _panels() -> Texture:
    """Dark hexagons between struts that are a little lighter; some are open, some are screens."""
    dark = np.array([[0.105], [0.095], [0.09]], np.float32)
    strut = np.array([[0.25], [0.21], [0.17]], np.float32)
    opening = np.array([[0.018], [0.018], [0.02]], np.float32)
    screen = np.array([[0.62], [0.62], [0.6]], np.float32)

    def texture(points: Vectors, _: Vectors) -> Vectors:
        around = np.arctan2(points[1], points[0]) * np.float32(8 / np.pi)
        up = points[2] * np.float32(1.5)
        row = np.floor(up)
        column = around + np.float32(0.5) * np.mod(row, 2)
        across, along = np.mod(column, 1) - 0.5, np.mod(up, 1) - 0.5
        edge = np.maximum(np.abs(across), np.abs(along) * 0.9 + np.abs(across) * 0.2)
        lines = np.clip((edge - np.float32(0.44)) * 25, 0, 1)
        shade = noise(np.mod(np.floor(column), 16) * np.float32(7.31), row * np.float32(3.77))
        panel = dark * (np.float32(0.6) + np.float32(1.1) * shade)
        panel = np.where(shade > np.float32(0.8), opening, panel)
        panel = np.where(shade < np.float32(0.2), screen, panel)
        return np.asarray(panel + (strut - panel) * lines, np.float32)

    return texture


def _lamps() -> tuple[Item, ...]:
    """Return panels of light on the dome, where pictures see them; they shine past white."""
    glow = Material(plain((1.0, 0.985, 0.95)), glow=1.25)
    dim = Material(plain((0.95, 0.97, 1.0)), glow=0.92)
    made = []
    for k in range(14):
        turn = np.radians(_GOLDEN * k + 60)
        height = (2.35, 3.0, 1.85, 3.5, 2.6)[k % 5]
        level = np.sqrt((_RADIUS - 0.08) ** 2 - (height - _MIDDLE) ** 2)
        at = np.array([level * np.cos(turn), level * np.sin(turn), height])
        pose = Pose.between(at, at + 0.1 * (np.array([0, 0, 1.3]) - at))
        solid = Box((0.24, 0.17, 0.02)) if k % 3 else Ellipsoid((0.15, 0.15, 0.03))
        made.append(Item(f"lamp {k}", solid, dim if k % 4 == 1 else glow, still(pose), False))
    return tuple(made)


def _players() -> tuple[Item, ...]:
    red = Clothes(
        skin=_SKIN,
        hair=Material(plain((0.06, 0.045, 0.04)), specular=0.15, shininess=20),
        shirt=Material(_stripes((0.62, 0.10, 0.10), (0.72, 0.68, 0.62), 14)),
        sleeves=Material(plain((0.6, 0.1, 0.1))),
        trousers=Material(plain((0.12, 0.15, 0.24))),
        shoes=Material(plain((0.7, 0.7, 0.68))),
    )
    grey = Clothes(
        skin=_PALE,
        hair=Material(plain((0.32, 0.2, 0.1)), specular=0.15, shininess=20),
        shirt=Material(plain((0.15, 0.25, 0.22))),
        sleeves=Material(plain((0.15, 0.25, 0.22))),
        trousers=Material(plain((0.34, 0.31, 0.27))),
        shoes=Material(plain((0.05, 0.05, 0.055))),
    )
    ball = Material(beach_ball(((0.85, 0.42, 0.1), (0.2, 0.16, 0.14)) * 3), 0.25, 20)
    return (
        *figure("thrower", lambda t: _stand(t, 1), _gait(0.0), red),
        *figure("catcher", lambda t: _stand(t, -1), _gait(0.5), grey),
        Item("ball", Ellipsoid((0.12, 0.12, 0.12)), ball, _ball),
    )


def _stand(t: float, side: int) -> Pose:
    """Step to and fro about two places that face one another, and turn a little."""
    x = side * (-0.85 + 0.16 * np.sin(1.1 * t + side))
    y = 0.22 * side + 0.2 * np.sin(0.7 * t + 2 * side)
    facing = (0 if side > 0 else 180) + 14 * np.sin(0.9 * t + side)
    return Pose.at(x, y, 0, degrees=facing - 8 * side)


def _gait(phase: float) -> Gait:
    def throw(t: float) -> float:
        return 62 + 48 * float(np.sin(2 * np.pi * (0.5 * t + phase)))

    return Gait(
        arms=(throw, lambda t: 0.8 * throw(t + 0.12)),
        spread=(lambda t: 6 + 5 * float(np.sin(2.3 * t)), lambda _: 9.0),
        elbows=(lambda t: 55 - 30 * float(np.sin(2 * np.pi * (0.5 * t + phase))), lambda _: 48.0),
        stride=13,
        rate=0.7,
        phase=phase,
    )


def _ball(t: float) -> Pose:
    """Fly from hand to hand and back in two seconds, each way on a parabola."""
    way = np.mod(0.5 * t + 0.15, 1.0)
    share = 2 * way if way < 0.5 else 2 - 2 * way
    arc = 4 * share * (1 - share)
    y = 0.16 * (1 - 2 * share) + 0.1 * np.sin(0.5 * t)
    return Pose.at(-0.42 + 0.84 * share, y, 1.2 + 0.55 * arc, axis=(0.2, 1, 0.3), degrees=230 * t)


def _furniture() -> tuple[Item, ...]:
    board = Material(plain((0.42, 0.42, 0.40)))
    dark = Material(plain((0.10, 0.09, 0.09)))
    return (
        Item("stool", Box((0.17, 0.17, 0.22)), board, still(Pose.at(0.35, 1.25, 0.22, degrees=24))),
        Item("case", Box((0.3, 0.18, 0.16)), dark, still(Pose.at(-0.7, -1.45, 0.16, degrees=-31))),
    )


def _stripes(a: tuple[float, float, float], b: tuple[float, float, float], count: float) -> Texture:
    first, second = np.array(a, np.float32)[:, None], np.array(b, np.float32)[:, None]

    def texture(points: Vectors, _: Vectors) -> Vectors:
        bands = np.clip(6 * np.sin(points[2] * np.float32(2 * np.pi * count)) + 0.5, 0, 1)
        return np.asarray(first + (second - first) * bands, np.float32)

    return texture


def rig(size: tuple[int, int]) -> Rig:
    """Return 27 cameras to train with and 4 to test with, none quite like another.

    They stand on the dome as they could be fixed there, look about the middle of it and not at one
    point, and differ in focal length, principal point and roll.
    """
    random = np.random.default_rng(31)
    cameras = [_camera(k, size, random) for k in range(_CAMERAS)]
    return Rig(
        tuple(c for k, c in enumerate(cameras) if k not in _HELD_OUT),
        tuple(c for k, c in enumerate(cameras) if k in _HELD_OUT),
    )


def _camera(k: int, size: tuple[int, int], random: np.random.Generator) -> Camera:
    height = _HEIGHTS[k % len(_HEIGHTS)] + random.uniform(-0.06, 0.06)
    radius = 2.72 + random.uniform(-0.12, 0.06)
    level = np.sqrt(radius**2 - (height - _MIDDLE) ** 2)
    turn = np.radians(_GOLDEN * k + random.uniform(-7, 7))
    eye = np.array([level * np.cos(turn), level * np.sin(turn), height])
    target = np.array([0.0, 0.0, 1.0]) + random.normal(0, (0.16, 0.16, 0.12))
    roll = random.normal(0, 2.0)
    pose = look_at(eye, target)
    pose[:3, :3] = pose[:3, :3] @ Pose.at(0, 0, 0, degrees=roll).rotation.astype(np.float64)
    # About two makes of lens; the rest is how each was screwed on.
    wide = 0.728 if k % 4 else 0.852
    width, tall = size
    focal = width * wide * (1 + random.normal(0, 0.012))
    cx, cy = width * (0.5 + random.normal(0, 0.006)), tall * (0.5 + random.normal(0, 0.012))
    name = f"cam_{k:02d}"
    return Camera(focal, focal * (1 + random.normal(0, 0.001)), cx, cy, width, tall, pose, name)
