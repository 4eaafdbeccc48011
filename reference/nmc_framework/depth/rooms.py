"""Made-up rooms with exact depth, drawn by chance and traced: what trains a network without data.

A room is a box with furniture, paintings and windows, lit by lamps at its ceiling; photographs are
taken from eye level anywhere in it. Everything follows from the seed and the room's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nmc_framework.cameras import Camera, look_at
from nmc_framework.depth import furniture, surfaces
from nmc_framework.depth.pairs import Pair
from nmc_framework.scene.imaging import Handheld
from nmc_framework.scene.item import Item, still
from nmc_framework.scene.lighting import Lamp, Lighting, one_colour
from nmc_framework.scene.rig import Rig
from nmc_framework.scene.scene import Scene
from nmc_framework.scene.solids import Box, Pose

#: Horizontal field of view in degrees, from and to: about that of a Kinect.
FIELDS: Final = (54.0, 62.0)
#: Nothing is nearer to a camera, in metres; so many places are tried for that.
_CLEAR, _TRIES = 0.45, 24
#: Half of what is seen is farther than this share of the room's longer side.
_FAR = 0.35
#: Half the thickness of a wall, and how far it is from the next piece of furniture.
_WALL = 0.05


@dataclass(frozen=True, eq=False)
class MadeRoom:
    """A room: its number, its size (x, y, z) in metres about the origin of its floor, the scene."""

    number: int
    size: tuple[float, float, float]
    scene: Scene

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"room {self.number}"


def made_room(number: int, seed: int = 0) -> MadeRoom:
    """Return the room of a number; the same one for a seed on every machine."""
    random = np.random.default_rng([seed, number])
    x, y = random.uniform(2.8, 7.0, 2)
    z = random.uniform(2.3, 3.1)
    size = (float(x), float(y), float(z))
    things = [*_shell(random, size), *_on_walls(random, size), *_furniture(random, size)]
    grain = Handheld(stops=0.25, warmth=0.2, breath=0, instants=1, grain=0.006, seed=seed)
    lighting = _lighting(random, size)
    scene = Scene(
        name=f"made_{number}",
        summary="a made-up room",
        things=tuple(things),
        lighting=lighting,
        cameras=lambda _: Rig((), ()),
        bounds=None,
        background=None,
        told=False,
        rate=1,
        frames=1,
        size=(128, 96),
        imaging=grain,
    )
    return MadeRoom(number, size, scene)


def photographs(
    room: MadeRoom, count: int, size: tuple[int, int], seed: int = 0, *, supersampling: int = 1
) -> Iterator[Pair]:
    """Yield pictures of a room with exact depth, ``size`` (width, height) in pixels."""
    random = np.random.default_rng([seed, room.number, 1])
    for index in range(count):
        camera = _camera(room, random, size, f"{room.number}-{index}")
        picture = room.scene.render(camera, 0.0, supersampling=supersampling)
        depth = room.scene.depth(camera, 0.0)
        depth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
        yield Pair(picture, depth, f"{room.name}, picture {index}", room.name, camera.fx)


def photographed(
    rooms: Sequence[int],
    each: int,
    size: tuple[int, int],
    seed: int = 0,
    *,
    report: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """Return ``each`` pictures of every room by number; ``report`` is told rooms done, of all."""
    pairs: list[Pair] = []
    for done, number in enumerate(rooms):
        if report:
            report(done, len(rooms))
        pairs += photographs(made_room(number, seed), each, size, seed)
    if report:
        report(len(rooms), len(rooms))
    return pairs


def _shell(random: np.random.Generator, size: tuple[float, float, float]) -> list[Item]:
    """Return floor, ceiling and four walls; none throws a shadow into the room."""
    x, y, z = (0.5 * side for side in size)
    papers = [surfaces.wall(random)] * 4
    if random.random() < 0.4:
        papers[int(random.integers(4))] = surfaces.wall(random)
    flat = Box((x + 2 * _WALL, y + 2 * _WALL, _WALL))
    along_y, along_x = Box((_WALL, y + _WALL, z)), Box((x + _WALL, _WALL, z))
    places = (
        ("floor", flat, surfaces.floor(random), (0.0, 0.0, -_WALL)),
        ("ceiling", flat, surfaces.ceiling(random), (0.0, 0.0, 2 * z + _WALL)),
        ("wall", along_y, papers[0], (-x - _WALL, 0.0, z)),
        ("wall", along_y, papers[1], (x + _WALL, 0.0, z)),
        ("wall", along_x, papers[2], (0.0, -y - _WALL, z)),
        ("wall", along_x, papers[3], (0.0, y + _WALL, z)),
    )
    return [
        Item(name, solid, material, still(Pose.at(*at)), shades=False)
        for name, solid, material, at in places
    ]


def _at_wall(
    random: np.random.Generator, size: tuple[float, float, float], away: float
) -> tuple[float, float, float]:
    """Draw a place along a wall: x, y and the degrees by which the x axis turns into the room."""
    side = int(random.integers(4))
    along = random.uniform(-0.4, 0.4) * size[1 - side % 2]
    off = 0.5 * size[side % 2] - away
    return ((-off, along, 0.0), (along, -off, 90.0), (off, along, 180.0), (along, off, 270.0))[side]


def _on_walls(random: np.random.Generator, size: tuple[float, float, float]) -> list[Item]:
    """Return paintings, windows and a door."""
    found = []
    for _ in range(int(random.integers(1, 6))):
        x, y, turn = _at_wall(random, size, 0.0)
        wide, high = random.uniform(0.15, 0.5), random.uniform(0.15, 0.4)
        at = Pose.at(x, y, random.uniform(1.2, 1.8), degrees=turn)
        material = surfaces.painting(random)
        found.append(Item("painting", Box((0.02, wide, high)), material, still(at), shades=False))
    for _ in range(int(random.integers(0, 3))):
        x, y, turn = _at_wall(random, size, 0.0)
        half = Box((0.015, random.uniform(0.4, 0.9), random.uniform(0.4, 0.65)))
        at = Pose.at(x, y, 1.45, degrees=turn)
        found.append(Item("window", half, surfaces.glowing(random), still(at), shades=False))
    x, y, turn = _at_wall(random, size, 0.0)
    at = Pose.at(x, y, 1.0, degrees=turn)
    material = surfaces.furniture(random)
    found.append(Item("door", Box((0.02, 0.42, 1.0)), material, still(at), shades=False))
    return found


def _furniture(random: np.random.Generator, size: tuple[float, float, float]) -> list[Item]:
    found: list[Item] = []
    area = int(size[0] * size[1])
    for _ in range(int(random.integers(3, 5 + area // 8))):
        piece = furniture.AT_WALLS[int(random.integers(len(furniture.AT_WALLS)))]
        x, y, turn = _at_wall(random, size, 0.5 if piece is not furniture.bed else 1.1)
        found += piece(random, Pose.at(x, y, 0, degrees=turn))
    for _ in range(int(random.integers(1, 4 + area // 8))):
        piece = furniture.ANYWHERE[int(random.integers(len(furniture.ANYWHERE)))]
        x, y = random.uniform(-0.32, 0.32, 2) * size[:2]
        found += piece(random, Pose.at(x, y, 0, degrees=random.uniform(0, 360)))
    return found


def _lighting(random: np.random.Generator, size: tuple[float, float, float]) -> Lighting:
    """Draw one or two lamps below the ceiling, and the light from all sides."""
    count = int(random.integers(1, 3))
    lamps = []
    for _ in range(count):
        x, y = random.uniform(-0.3, 0.3, 2) * size[:2]
        warm = random.uniform(0.8, 1.0)
        strength = random.uniform(0.4, 0.75) / count
        lamps.append(Lamp((float(x), float(y), size[2] - 0.15), strength, (1.0, warm, warm * 0.95)))
    return Lighting(tuple(lamps), random.uniform(0.35, 0.6), one_colour((0.9, 0.92, 0.95)))


def _camera(
    room: MadeRoom, random: np.random.Generator, size: tuple[int, int], name: str
) -> Camera:
    """Draw a camera that stands clear of everything, and looks into the room."""
    x, y, z = room.size
    fields = random.uniform(*FIELDS)
    best, farthest = None, -1.0
    tries = 0
    while best is None or tries < _TRIES:
        tries += 1
        eye = np.array(
            [
                random.uniform(-0.46, 0.46) * x,
                random.uniform(-0.46, 0.46) * y,
                random.uniform(0.9, min(1.8, z - 0.3)),
            ]
        )
        aim = np.append(random.uniform(-0.38, 0.38, 2) * (x, y), random.uniform(0.3, 1.5))
        away = aim - eye
        if np.hypot(away[0], away[1]) < 0.3 * max(x, y) or abs(away[2]) > 0.6 * np.hypot(*away[:2]):
            continue
        pose = look_at(eye, aim)
        roll = Pose.at(0, 0, 0, degrees=random.normal(0, 2)).rotation.astype(np.float64)
        pose[:3, :3] = pose[:3, :3] @ roll
        camera = Camera.from_field_of_view(fields, *size, pose, name)
        seen = room.scene.depth(camera.resized(16, 12), 0.0)
        nearest = float(seen.min())
        if nearest > _CLEAR and float(np.median(seen)) > _FAR * max(x, y):
            return camera
        if nearest > farthest:
            best, farthest = camera, nearest
    return best
