"""The scene ``thin``: wires, poles, a fence, leaves and spokes, and things that mirror them.

Most of it is thinner than a pixel is wide or hardly thicker; a ball and the floor show what stands
about them, at depths where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nmc_framework.cameras import Camera, look_at
from nmc_framework.scene.item import Item, Material, still
from nmc_framework.scene.lighting import Lamp, Lighting
from nmc_framework.scene.noise import noise
from nmc_framework.scene.rig import Rig
from nmc_framework.scene.round_solids import Capsule, Ellipsoid
from nmc_framework.scene.solids import Box, Pose, Vectors
from nmc_framework.scene.texture import Texture, plain

#: A cuboid that holds everything at all times.
BOUNDS = ((-1.62, -1.62, -0.08), (1.62, 1.62, 2.02))

_TRAINING, _HELD_OUT = 20, 4
_STEEL = Material(plain((0.62, 0.64, 0.66)), specular=0.6, shininess=50)
_BLACK = Material(plain((0.07, 0.07, 0.08)), specular=0.2, shininess=20)


def lighting() -> Lighting:
    """Return one lamp, and a sky that is lighter above."""
    return Lighting((Lamp((-2.2, -1.4, 3.0), 0.62),), 0.5, _sky, slack=4e-3)


def _sky(directions: Vectors) -> Vectors:
    low, high = (np.array(c, np.float32)[:, None] for c in ((0.62, 0.6, 0.57), (0.86, 0.88, 0.9)))
    share = np.clip(np.float32(0.5) + directions[2], 0, 1)
    return np.asarray(low + (high - low) * share, np.float32)


def things() -> tuple[Item, ...]:
    """Return everything in the scene; poses are functions of time."""
    return (*_room(), *_fence(), *_cables(), *_plant(), *_wheel(), *_mirrors())


def _room() -> tuple[Item, ...]:
    tiles = Material(_tiles(), specular=0.5, shininess=60, mirror=0.12)
    plaster = Material(_plaster())
    return (
        Item("floor", Box((1.6, 1.6, 0.04)), tiles, still(Pose.at(0, 0, -0.04)), shades=False),
        Item("far wall", Box((0.03, 1.6, 1.0)), plaster, still(Pose.at(1.57, 0, 1.0)), False),
        Item("left wall", Box((1.54, 0.03, 1.0)), plaster, still(Pose.at(0, 1.57, 1.0)), False),
    )


def _tiles() -> Texture:
    light, dark, joint = (
        np.array(c, np.float32)[:, None]
        for c in ((0.52, 0.46, 0.4), (0.3, 0.31, 0.33), (0.2, 0.19, 0.18))
    )

    def texture(points: Vectors, _: Vectors) -> Vectors:
        u, v = points[0] / np.float32(0.4), points[1] / np.float32(0.4)
        odd = np.mod(np.floor(u) + np.floor(v), 2)
        veins = noise(points[0] * 6, points[1] * 6, 3) - np.float32(0.5)
        colour = light + (dark - light) * np.clip(odd + np.float32(0.5) * veins, 0, 1)
        edge = np.maximum(np.abs(np.mod(u, 1) - 0.5), np.abs(np.mod(v, 1) - 0.5))
        return np.asarray(np.where(edge > 0.485, joint, colour), np.float32)

    return texture


def _plaster() -> Texture:
    base, stain = (np.array(c, np.float32)[:, None] for c in ((0.8, 0.76, 0.7), (0.62, 0.58, 0.54)))

    def texture(points: Vectors, _: Vectors) -> Vectors:
        cloudy = noise((points[0] + points[1]) * 2 + 30, points[2] * 2 + 30, 3)
        lower = np.clip((np.float32(-0.35) - points[2]) * 40, 0, 1) * np.float32(0.55)
        return np.asarray(base + (stain - base) * np.clip(cloudy + lower, 0, 1.4), np.float32)

    return texture


def _rod(name: str, start: object, end: object, radius: float, material: Material) -> Item:
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    length = float(np.linalg.norm(b - a))
    return Item(name, Capsule(length, radius), material, still(Pose.between(a, b)))


def _fence() -> Iterator[Item]:
    """Yield pickets and two rails, and a wire fence beside them."""
    paint = Material(plain((0.88, 0.87, 0.83)))
    for k in range(9):
        y = -1.0 + 0.13 * k
        yield _rod("picket", (0.62, y, 0.02), (0.62, y, 0.56), 0.013, paint)
    for z in (0.14, 0.46):
        yield _rod("rail", (0.635, -1.1, z), (0.635, 0.12, z), 0.011, paint)
    for k in range(8):
        y = 0.24 + 0.14 * k
        yield _rod(
            "mesh", (0.62, y, 0.0), (0.62, min(y + 0.5, 1.3), min(0.5, 1.3 - y)), 0.004, _STEEL
        )
        yield _rod(
            "mesh", (0.62, y, 0.0), (0.62, max(y - 0.5, 0.2), min(0.5, y - 0.2)), 0.004, _STEEL
        )
    for y in (0.2, 1.3):
        yield _rod("post", (0.62, y, 0), (0.62, y, 0.54), 0.018, _BLACK)


def _cables() -> Iterator[Item]:
    """Yield two poles with cables that hang between them and swing."""
    ends = (np.array([-0.95, 1.05, 1.55]), np.array([1.2, -1.05, 1.5]))
    for top in ends:
        yield _rod("pole", (top[0], top[1], 0), top + np.array([0, 0, 0.08]), 0.02, _BLACK)
    for k, (drop, lag) in enumerate(((0.0, 0.0), (-0.12, 0.7), (-0.26, 1.5))):
        for j in range(10):
            yield Item(
                f"cable {k}.{j}",
                Capsule(0.30, 0.006),
                _BLACK,
                _hanging(ends, (j / 10, (j + 1) / 10), drop, lag),
            )


def _hanging(
    ends: tuple[np.ndarray, np.ndarray], part: tuple[float, float], drop: float, lag: float
) -> Callable[[float], Pose]:
    """Return the motion of one link of a cable that sags and swings sideways as a whole."""
    across = np.array([0.7, 0.72, 0.0])

    def point(share: float, t: float) -> np.ndarray:
        sag = 4 * share * (1 - share)
        level = ends[0] + (ends[1] - ends[0]) * share + np.array([0, 0, drop])
        swing = 0.06 * np.sin(2.1 * t + lag)
        place: np.ndarray = level + sag * (np.array([0, 0, -0.22]) + swing * across)
        return place

    return lambda t: Pose.between(point(part[0], t), point(part[1], t))


def _plant() -> Iterator[Item]:
    """Yield a pot with stems and thin leaves that sway."""
    clay = Material(plain((0.62, 0.32, 0.2)))
    stem = Material(plain((0.25, 0.34, 0.14)))
    yield Item("pot", Ellipsoid((0.17, 0.17, 0.2)), clay, still(Pose.at(-0.62, -0.35, 0.15)))
    random = np.random.default_rng(9)
    for k in range(7):
        turn, lean = 2 * np.pi * k / 7 + random.normal(0, 0.2), random.uniform(0.1, 0.34)
        base = np.array([-0.62, -0.35, 0.3])
        top = base + np.array(
            [lean * np.cos(turn), lean * np.sin(turn), random.uniform(0.35, 0.62)]
        )
        yield _rod("stem", base, top, 0.007, stem)
        for j in range(4):
            share = 0.45 + 0.55 * j / 3
            green = np.array([0.2, 0.46, 0.16]) * random.uniform(0.7, 1.4, 3)
            leaf = Material(plain((float(green[0]), float(green[1]), float(green[2]))), 0.2, 15)
            at = base + (top - base) * share
            tilt = (random.normal(), random.normal(), 0.4)
            yield Item(
                f"leaf {k}.{j}",
                Ellipsoid((0.085, 0.032, 0.004)),
                leaf,
                _swaying(at, np.degrees(turn) + 50 * j, tilt, float(k + j)),
            )


def _swaying(
    at: np.ndarray, turn: float, tilt: tuple[float, float, float], lag: float
) -> Callable[[float], Pose]:
    out = Pose.at(0.08, 0, 0)
    base = Pose.at(float(at[0]), float(at[1]), float(at[2]), degrees=turn)
    return lambda t: out.before(
        Pose.at(0, 0, 0, axis=tilt, degrees=25 + 9 * np.sin(2.4 * t + lag))
    ).before(base)


def _wheel() -> Iterator[Item]:
    """Yield a wheel with spokes that turns on a stand."""
    rim = Material(plain((0.75, 0.14, 0.12)), specular=0.5, shininess=40)

    def hub(t: float) -> Pose:
        upright = Pose.at(0, 0, 0, axis=(1, 0, 0), degrees=90)
        turned = Pose.at(0, 0, 0, axis=(0, 0, 1), degrees=75 * t)
        return turned.before(upright).before(Pose.at(-0.15, 0.62, 0.62, degrees=25))

    def fixed(pose: Pose) -> Callable[[float], Pose]:
        return lambda t: pose.before(hub(t))

    radius, parts = 0.36, 24
    for k in range(parts):
        a, b = (2 * np.pi * (k + j) / parts for j in (0, 1))
        ends = [radius * np.array([np.cos(v), np.sin(v), 0]) for v in (a, b)]
        length = float(np.linalg.norm(ends[1] - ends[0]))
        yield Item("rim", Capsule(length, 0.016), rim, fixed(Pose.between(*ends)))
        if k % 2 == 0:
            start = 0.03 * np.array([np.cos(a), np.sin(a), 0])
            spoke = Capsule(float(np.linalg.norm(ends[0] - start)), 0.0045)
            yield Item("spoke", spoke, _STEEL, fixed(Pose.between(start, ends[0])))
    yield Item("hub", Ellipsoid((0.04, 0.04, 0.05)), _STEEL, hub)
    yield _rod("stand", (-0.15, 0.62, 0), (-0.15, 0.62, 0.6), 0.014, _BLACK)


def _mirrors() -> tuple[Item, ...]:
    chrome = Material(plain((0.16, 0.16, 0.17)), specular=0.9, shininess=120, mirror=0.78)
    brass = Material(plain((0.55, 0.4, 0.14)), specular=0.8, shininess=50, mirror=0.25)

    def rolling(t: float) -> Pose:
        return Pose.at(0.15 + 0.3 * np.sin(0.8 * t), -0.85, 0.11, axis=(0, 1, 0), degrees=90 * t)

    return (
        Item(
            "mirror ball", Ellipsoid((0.27, 0.27, 0.27)), chrome, still(Pose.at(0.12, -0.1, 0.27))
        ),
        Item("brass ball", Ellipsoid((0.11, 0.11, 0.11)), brass, rolling),
    )


def rig(size: tuple[int, int]) -> Rig:
    """Return 20 cameras to train with and 4 to test with, before the open corner of the room."""
    random = np.random.default_rng(24)
    training = [_camera(k, _TRAINING, 118.0, size, random, "train") for k in range(_TRAINING)]
    held_out = [_camera(k, _HELD_OUT, 84.0, size, random, "test") for k in range(_HELD_OUT)]
    return Rig(tuple(training), tuple(held_out))


def _camera(
    k: int, count: int, arc: float, size: tuple[int, int], random: np.random.Generator, kind: str
) -> Camera:
    turn = np.radians(225 + arc * (k / (count - 1) - 0.5) + random.normal(0, 2))
    away = 3.1 + random.uniform(-0.3, 0.35)
    height = (0.7, 1.35, 2.05, 1.0, 1.7)[k % 5] + random.normal(0, 0.07)
    eye = np.array([away * np.cos(turn), away * np.sin(turn), height])
    pose = look_at(eye, np.array([0.1, 0.05, 0.55]) + random.normal(0, 0.09, 3))
    width, tall = size
    focal = width * (1.05 + 0.12 * (k % 3 == 0)) * (1 + random.normal(0, 0.01))
    cx, cy = width * (0.5 + random.normal(0, 0.006)), tall * (0.5 + random.normal(0, 0.006))
    return Camera(focal, focal, cx, cy, width, tall, pose, f"{kind}_{k:02d}")
