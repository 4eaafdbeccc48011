"""The scene ``walk``: photographs taken on a walk about a thing in a meadow, without an end.

Ground to the horizon, trees, houses and hills at 10 to 250 times the thing's size, a sky. It stands
still for the photographs; filmed, its head turns and somebody walks past behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from nmc_framework.cameras import Camera, look_at
from nmc_framework.scene.figure import Clothes, Gait, figure
from nmc_framework.scene.item import Item, Material, still
from nmc_framework.scene.lighting import Haze, Lamp, Lighting
from nmc_framework.scene.noise import noise
from nmc_framework.scene.rig import Rig
from nmc_framework.scene.round_solids import Capsule, Ellipsoid, Ground
from nmc_framework.scene.solids import Box, Pose, Vectors
from nmc_framework.scene.texture import Colour, Texture, plain

_PHOTOGRAPHS, _HELD_OUT_EVERY = 50, 8
_HAZE: Colour = (0.74, 0.80, 0.86)


def lighting() -> Lighting:
    """Return the sun, as a lamp so far away that its shadows are parallel, and a cloudy sky."""
    sun = Lamp((-260.0, -180.0, 290.0), 0.62, (1.0, 0.97, 0.9))
    return Lighting((sun,), 0.46, _sky, Haze(_HAZE, 420.0))


def _sky(directions: Vectors) -> Vectors:
    up = np.maximum(directions[2], 0)
    high = np.array([[0.32], [0.52], [0.82]], np.float32)
    blue = np.array(_HAZE, np.float32)[:, None] + (
        high - np.array(_HAZE, np.float32)[:, None]
    ) * np.sqrt(up)
    # Clouds lie on a level sheet: they shrink towards the horizon, and drown in haze there.
    x, y = (directions[k] / (up + np.float32(0.12)) for k in (0, 1))
    cloud = np.clip(3 * noise(1.7 * x + 5, 1.7 * y + 9, 3) - np.float32(1.55), 0, 1)
    cloud *= np.clip(up * 5, 0, 1)
    return np.asarray(blue + (np.float32(0.95) - blue) * cloud, np.float32)


def things() -> tuple[Item, ...]:
    """Return everything in the scene; poses are functions of time."""
    return (
        Item("ground", Ground(), Material(_meadow()), still(Pose.at(0, 0, 0)), shades=False),
        *_owl(),
        *_about(),
        *_trees(),
        *_houses(),
        *_hills(),
    )


def _meadow() -> Texture:
    """Grass with a gravel path round the middle; far away it is one green."""
    grass, dry = (np.array(c, np.float32)[:, None] for c in ((0.2, 0.36, 0.12), (0.46, 0.5, 0.22)))
    gravel, stone = (
        np.array(c, np.float32)[:, None] for c in ((0.55, 0.5, 0.43), (0.76, 0.73, 0.68))
    )

    def texture(points: Vectors, _: Vectors) -> Vectors:
        x, y = points[0], points[1]
        away = np.hypot(x, y)
        near = np.clip(np.float32(1.2) - away / np.float32(14), 0, 1)
        blades = noise(x * 9, y * 9, 3) * near + np.float32(0.5) * (1 - near)
        patches = noise(x * np.float32(0.12) + 7, y * np.float32(0.12), 2)
        green = grass + (dry - grass) * (np.float32(0.55) * patches + np.float32(0.45) * blades)
        pebbles = noise(x * 13 + 3, y * 13 + 1, 2)
        path = gravel + (stone - gravel) * np.clip(4 * pebbles - np.float32(1.7), 0, 1)
        wobble = np.float32(0.3) * (noise(x, y) - np.float32(0.5))
        on_path = np.clip((np.float32(0.6) - np.abs(away - 3 + wobble)) * 6, 0, 1)
        return np.asarray(green + (path - green) * on_path, np.float32)

    return texture


def _owl() -> tuple[Item, ...]:
    """Return an owl as high as a child, carved of wood, on a stump."""
    brown = Material(_plumage((0.46, 0.28, 0.14), (0.80, 0.62, 0.38)), 0.15, 14)
    belly = Material(_plumage((0.86, 0.77, 0.6), (0.55, 0.36, 0.2)), 0.1, 14)
    bark = Material(_bark())
    yellow = Material(plain((0.95, 0.72, 0.12)), 0.5, 40)
    black = Material(plain((0.04, 0.04, 0.05)), 0.9, 60)
    beak = Material(plain((0.85, 0.5, 0.1)), 0.3, 25)

    def on_head(pose: Pose) -> Callable[[float], Pose]:
        return lambda t: pose.before(Pose.at(0, 0, 1.17, degrees=40 * np.sin(1.3 * t)))

    eyes = []
    for side in (-1, 1):
        eyes += [
            Item("eye", Ellipsoid((0.03, 0.075, 0.075)), yellow,
                 on_head(Pose.at(0.165, 0.085 * side, 0.04, degrees=22 * side))),
            Item("pupil", Ellipsoid((0.02, 0.032, 0.032)), black,
                 on_head(Pose.at(0.185, 0.092 * side, 0.04, degrees=22 * side))),
            Item("ear", Ellipsoid((0.03, 0.05, 0.12)), brown,
                 on_head(Pose.at(0.02, 0.12 * side, 0.2, axis=(1, 0, 0), degrees=-25 * side))),
            Item("wing", Ellipsoid((0.17, 0.06, 0.32)), brown,
                 still(Pose.at(-0.02, 0.245 * side, 0.74, axis=(1, 0, 0), degrees=8 * side))),
            Item("foot", Ellipsoid((0.1, 0.06, 0.04)), beak,
                 still(Pose.at(0.16, 0.1 * side, 0.42))),
        ]  # fmt: skip
    return (
        Item("stump", Capsule(0.3, 0.3), bark, still(Pose.at(0, 0, 0.1))),
        Item("body", Ellipsoid((0.22, 0.26, 0.38)), brown, still(Pose.at(0, 0, 0.76))),
        Item("belly", Ellipsoid((0.15, 0.19, 0.3)), belly, still(Pose.at(0.09, 0, 0.72))),
        Item("head", Ellipsoid((0.19, 0.22, 0.18)), brown, on_head(Pose.at(0, 0, 0))),
        Item("beak", Ellipsoid((0.06, 0.028, 0.05)), beak, on_head(Pose.at(0.2, 0, -0.03))),
        *eyes,
    )


def _plumage(ground: Colour, mark: Colour) -> Texture:
    a, b = (np.array(c, np.float32)[:, None] for c in (ground, mark))

    def texture(points: Vectors, _: Vectors) -> Vectors:
        around = np.arctan2(points[1], points[0] + np.float32(1e-6))
        up = points[2] * 13
        row = np.floor(up)
        across = np.mod(around * np.float32(3.2) + np.float32(0.5) * np.mod(row, 2), 1) - 0.5
        along = np.mod(up, 1)
        scale = np.clip((np.float32(0.34) - np.hypot(across, along - 0.6)) * 12, 0, 1)
        grain = np.float32(0.8) + np.float32(0.4) * noise(around * 6, points[2] * 30)
        return np.asarray((a + (b - a) * scale) * grain, np.float32)

    return texture


def _bark() -> Texture:
    a, b = (np.array(c, np.float32)[:, None] for c in ((0.2, 0.14, 0.1), (0.5, 0.38, 0.27)))

    def texture(points: Vectors, _: Vectors) -> Vectors:
        around = np.arctan2(points[1], points[0] + np.float32(1e-6))
        groove = noise(around * 7 + 20, points[2] * np.float32(2.5), 2)
        return np.asarray(a + (b - a) * groove, np.float32)

    return texture


def _about() -> tuple[Item, ...]:
    """Return what stands near: a bench, posts with a rope, stones, and somebody who walks past."""
    wood = Material(_bark())
    rope = Material(plain((0.78, 0.7, 0.52)))
    stone = Material(_speckled((0.42, 0.42, 0.4), (0.66, 0.65, 0.62)))
    made = [
        Item("bench", Box((0.75, 0.2, 0.035)), wood, still(Pose.at(-2.5, 4.3, 0.45, degrees=30))),
        Item("leg", Box((0.05, 0.18, 0.22)), stone, still(Pose.at(-3.0, 4.0, 0.22, degrees=30))),
        Item("leg", Box((0.05, 0.18, 0.22)), stone, still(Pose.at(-2.0, 4.6, 0.22, degrees=30))),
    ]
    posts = [
        np.array([5.5 * np.cos(a), 5.5 * np.sin(a), 0.9]) for a in np.radians([15, 40, 65, 90])
    ]
    for post in posts:
        pose = Pose.at(post[0], post[1], 0.45)
        made.append(Item("post", Capsule(0.9, 0.06), wood, still(pose)))
    for a, b in pairwise(posts):
        length = float(np.linalg.norm(b - a))
        made.append(Item("rope", Capsule(length, 0.022), rope, still(Pose.between(a, b))))
    random = np.random.default_rng(7)
    for _ in range(9):
        turn, away, big = (
            random.uniform(0, 2 * np.pi),
            random.uniform(1.0, 7.5),
            random.uniform(1, 3),
        )
        solid = Ellipsoid((0.09 * big, 0.07 * big, 0.05 * big))
        pose = Pose.at(away * np.cos(turn), away * np.sin(turn), 0.02 * big, degrees=40 * big)
        made.append(Item("stone", solid, stone, still(pose)))
    return (*made, *_walker())


def _walker() -> tuple[Item, ...]:
    coat = Material(plain((0.16, 0.3, 0.5)))
    clothes = Clothes(
        skin=Material(plain((0.7, 0.5, 0.4))),
        hair=Material(plain((0.25, 0.15, 0.08))),
        shirt=coat,
        sleeves=coat,
        trousers=Material(plain((0.3, 0.26, 0.2))),
        shoes=Material(plain((0.1, 0.08, 0.07))),
    )
    gait = Gait(
        arms=(
            lambda t: 22 * float(np.sin(2 * np.pi * 0.9 * t)),
            lambda t: -22 * float(np.sin(2 * np.pi * 0.9 * t)),
        ),
        spread=(lambda _: 4.0, lambda _: 4.0),
        elbows=(lambda _: 18.0, lambda _: 18.0),
        stride=26,
        rate=0.9,
    )
    return figure("walker", lambda t: Pose.at(-6.5, 3.0 - 1.2 * t, 0, degrees=-90), gait, clothes)


def _speckled(a: Colour, b: Colour) -> Texture:
    first, second = (np.array(c, np.float32)[:, None] for c in (a, b))

    def texture(points: Vectors, _: Vectors) -> Vectors:
        grain = noise(points[0] * 17 + points[2] * 5, points[1] * 17 - points[2] * 11, 2)
        return np.asarray(first + (second - first) * grain, np.float32)

    return texture


def _trees() -> tuple[Item, ...]:
    bark = Material(_bark())
    random = np.random.default_rng(5)
    made = []
    for k in range(26):
        turn, away = random.uniform(0, 2 * np.pi), 11 * (75 / 11) ** random.random()
        tall = random.uniform(3.5, 8)
        x, y = away * np.cos(turn), away * np.sin(turn)
        green = np.array([0.16, 0.32, 0.1]) * random.uniform(0.7, 1.35, 3)
        crown = Material(_leafy((float(green[0]), float(green[1]), float(green[2]))))
        wide = tall * random.uniform(0.22, 0.36)
        trunk = Capsule(0.5 * tall, 0.03 * tall)
        made.append(Item(f"trunk {k}", trunk, bark, still(Pose.at(x, y, 0.25 * tall)), away < 20))
        for j in range(2):
            at = Pose.at(
                x + random.normal(0, 0.15 * wide), y + random.normal(0, 0.15 * wide),
                (0.62 + 0.22 * j) * tall,
            )  # fmt: skip
            solid = Ellipsoid((wide * (1 - 0.3 * j), wide * (1 - 0.25 * j), 0.26 * tall))
            made.append(Item(f"crown {k}.{j}", solid, crown, still(at), away < 20))
    return tuple(made)


def _leafy(colour: Colour) -> Texture:
    green = np.array(colour, np.float32)[:, None]

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        around = np.arctan2(normals[1], normals[0] + np.float32(1e-6))
        clumps = noise(around * 4 + 30, points[2] * 3 + 11, 3)
        return np.asarray(green * (np.float32(0.35) + np.float32(1.3) * clumps), np.float32)

    return texture


def _houses() -> tuple[Item, ...]:
    random = np.random.default_rng(12)
    made = []
    for k, turn in enumerate((20, 34, 51, 118, 161, 214, 230, 305)):
        away = random.uniform(62, 140)
        x, y = away * np.cos(np.radians(turn)), away * np.sin(np.radians(turn))
        half = (random.uniform(4, 9), random.uniform(4, 7), random.uniform(3, 11))
        wall = np.array([0.72, 0.62, 0.52]) * random.uniform(0.75, 1.25, 3)
        colour = (float(wall[0]), float(wall[1]), float(wall[2]))
        pose = Pose.at(x, y, half[2], degrees=random.uniform(0, 90))
        made.append(Item(f"house {k}", Box(half), Material(_windows(colour)), still(pose), False))
    return tuple(made)


def _windows(wall: Colour) -> Texture:
    ground = np.array(wall, np.float32)[:, None]
    glass = np.array([[0.18], [0.22], [0.28]], np.float32)
    roof = np.array([[0.42], [0.2], [0.15]], np.float32)

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        along = np.where(np.abs(normals[0]) > 0.5, points[1], points[0])
        u, v = np.mod(along / 3, 1), np.mod(points[2] / 3, 1)
        window = (np.abs(u - 0.5) < 0.24) & (np.abs(v - 0.5) < 0.27)
        colour = np.where(window, glass, ground)
        return np.asarray(np.where(normals[2] > 0.5, roof, colour), np.float32)

    return texture


def _hills() -> tuple[Item, ...]:
    random = np.random.default_rng(3)
    made = []
    for k in range(11):
        turn = 2 * np.pi * (k + random.uniform(-0.3, 0.3)) / 11
        away = random.uniform(185, 250)
        solid = Ellipsoid((random.uniform(55, 90), random.uniform(50, 80), random.uniform(14, 38)))
        green = np.array([0.22, 0.34, 0.2]) * random.uniform(0.85, 1.2, 3)
        material = Material(_fields((float(green[0]), float(green[1]), float(green[2]))))
        pose = Pose.at(away * np.cos(turn), away * np.sin(turn), -4, degrees=np.degrees(turn) + 90)
        made.append(Item(f"hill {k}", solid, material, still(pose), False))
    return tuple(made)


def _fields(colour: Colour) -> Texture:
    green = np.array(colour, np.float32)[:, None]

    def texture(points: Vectors, _: Vectors) -> Vectors:
        patch = noise(points[0] / 16, points[1] / 16 + points[2] / 9, 2)
        return np.asarray(green * (np.float32(0.6) + np.float32(0.8) * patch), np.float32)

    return texture


def rig(size: tuple[int, int]) -> Rig:
    """Return 50 cameras on the path of somebody who goes about the thing; every eighth is to test.

    One camera took them all: its focal length breathes with the focus, and it is held by hand.
    """
    random = np.random.default_rng(50)
    training: list[Camera] = []
    held_out: list[Camera] = []
    width, height = size
    for k in range(_PHOTOGRAPHS):
        share = k / (_PHOTOGRAPHS - 1)
        turn = np.radians(-150 + 305 * share + random.normal(0, 2))
        away = 2.75 + 0.75 * np.sin(7 * share + 0.5) + random.normal(0, 0.1)
        tall = 1.42 + 0.3 * np.sin(11 * share) + random.normal(0, 0.05)
        eye = np.array([away * np.cos(turn), away * np.sin(turn), tall])
        pose = look_at(eye, np.array([0, 0, 0.78]) + random.normal(0, (0.12, 0.12, 0.1)))
        roll = Pose.at(0, 0, 0, degrees=random.normal(0, 2.5)).rotation.astype(np.float64)
        pose[:3, :3] = pose[:3, :3] @ roll
        focal = 1.02 * max(size) * (1 + random.normal(0, 0.004))
        cx, cy = width / 2 + 0.004 * width, height / 2 - 0.006 * height
        camera = Camera(focal, focal, cx, cy, width, height, pose, f"photo_{k:02d}")
        (held_out if k % _HELD_OUT_EVERY == 0 else training).append(camera)
    return Rig(tuple(training), tuple(held_out))
