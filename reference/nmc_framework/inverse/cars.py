"""Synthetic objects: cars of a few solids, whose shape, paint and background are drawn apart.

A car's axes: x to the front, y to the left, z up; its middle is the origin, and it is about two
units long. It is its own mirror image left and right.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from nmc_framework.scene.convex import Convex
from nmc_framework.scene.item import Item, Material, Placed, place, still
from nmc_framework.scene.lighting import Lamp, Lighting, Sky
from nmc_framework.scene.round_solids import Ellipsoid
from nmc_framework.scene.solids import Pose, Vectors
from nmc_framework.scene.texture import Colour, Texture

#: What a car is like: where its cabin begins and ends, from rear (-1) to front (1), and how steep.
_BODIES = {
    "sedan": ((-0.62, 0.34), (0.30, 0.40)),
    "hatchback": ((-0.92, 0.34), (0.12, 0.42)),
    "van": ((-0.95, 0.62), (0.06, 0.26)),
    "pickup": ((-0.12, 0.46), (0.06, 0.30)),
}
_GLASS: Colour = (0.06, 0.08, 0.11)
_TYRE: Colour = (0.03, 0.03, 0.035)


@dataclass(frozen=True)
class Shape:
    """The shape of a car, lengths in scene units.

    ``cabin`` are the x of its rear and front end at the height of the doors, ``slopes`` by how much
    each end has come in at the roof.
    """

    kind: str
    length: float
    width: float
    body: float
    cabin_height: float
    cabin: tuple[float, float]
    slopes: tuple[float, float]
    wheel: float


@dataclass(frozen=True)
class Paint:
    """The colours of a car: of its body, its roof, a stripe that may be missing, and its hubs."""

    body: Colour
    roof: Colour
    stripe: Colour | None
    pattern: str
    hub: Colour


@dataclass(frozen=True)
class Background:
    """What is around a car: colours below and above the horizon, and where the lamp stands."""

    ground: Colour
    sky: Colour
    lamp: tuple[float, float, float]


@dataclass(frozen=True)
class Car:
    """A car and what is around it, each part drawn for itself."""

    shape: Shape
    paint: Paint
    background: Background


def draw_shape(random: np.random.Generator) -> Shape:
    """Draw a shape."""
    kind = str(random.choice(list(_BODIES)))
    (rear, front), slopes = _BODIES[kind]
    length = float(random.uniform(1.7, 2.05))
    half = length / 2
    shift = random.uniform(-0.06, 0.06, 2)
    tall = 1.3 if kind == "van" else 1.0
    return Shape(
        kind=kind,
        length=length,
        width=float(random.uniform(0.74, 0.92)),
        body=float(random.uniform(0.26, 0.36)),
        cabin_height=float(random.uniform(0.24, 0.34)) * tall,
        cabin=(half * rear + float(shift[0]) * 0.5, half * front + float(shift[1])),
        slopes=(
            slopes[0] * float(random.uniform(0.8, 1.2)),
            slopes[1] * float(random.uniform(0.8, 1.2)),
        ),
        wheel=float(random.uniform(0.16, 0.21)),
    )


def draw_paint(random: np.random.Generator) -> Paint:
    """Draw the colours of a car."""
    body = _colour(random, (0.35, 1.0), (0.35, 0.95))
    other = _colour(random, (0.0, 0.9), (0.25, 1.0))
    pattern = str(random.choice(["plain", "plain", "waist", "bonnet", "checks"]))
    roof = body if random.random() < 0.6 else other
    stripe = None if pattern == "plain" else _colour(random, (0.0, 1.0), (0.3, 1.0))
    hub = float(random.uniform(0.35, 0.8))
    return Paint(body, roof, stripe, pattern, (hub, hub, hub))


def draw_background(random: np.random.Generator) -> Background:
    """Draw colours of ground and sky, and where the lamp stands."""
    ground = _colour(random, (0.05, 0.45), (0.35, 0.75))
    sky = _colour(random, (0.05, 0.5), (0.7, 1.0))
    turn = float(random.uniform(0, 2 * np.pi))
    lamp = (3.0 * float(np.cos(turn)), 3.0 * float(np.sin(turn)), float(random.uniform(3.5, 5.0)))
    return Background(ground, sky, lamp)


def draw_car(seed: int, number: int) -> Car:
    """Draw car ``number``: the same for the same two numbers, on any machine."""
    random = np.random.default_rng([seed, number])
    return Car(draw_shape(random), draw_paint(random), draw_background(random))


def lighting(background: Background) -> Lighting:
    """Return the lamp, the light from all sides, and what rays see that pass the car."""
    return Lighting((Lamp(background.lamp, 0.55),), 0.58, _around(background))


def solids(car: Car) -> tuple[Placed, ...]:
    """Return the solids of a car, placed."""
    shape, paint = car.shape, car.paint
    half, side = shape.length / 2, shape.width / 2
    low = -(shape.body + shape.cabin_height) / 2
    waist = low + shape.body
    nose = 0.10
    # (nx, ny, nz, d): bottom, top, sides that come in upwards, a slanted nose and tail.
    body = Convex(
        (
            (0, 0, -1, -low),
            (0, 0, 1, waist),
            (0, 1, 0.12, side + 0.12 * low),
            (0, -1, 0.12, side + 0.12 * low),
            (1, 0, nose, half + nose * low),
            (-1, 0, nose * 0.6, half + nose * 0.6 * low),
            (0.30, 0, 1, waist + 0.30 * (half - 0.34)),
        )
    )
    rear, front = shape.cabin
    behind, before = (slope / shape.cabin_height for slope in shape.slopes)
    inner = side - 0.12 * shape.body - 0.01
    cabin = Convex(
        (
            (0, 0, -1, -waist + 0.04),
            (0, 0, 1, waist + shape.cabin_height),
            (0, 1, 0.30, inner + 0.30 * waist),
            (0, -1, 0.30, inner + 0.30 * waist),
            (1, 0, before, front + before * waist),
            (-1, 0, behind, -rear + behind * waist),
        )
    )
    origin = still(Pose.at(0, 0, 0))
    items = [
        Item("body", body, Material(_painted(shape, paint, low, waist), specular=0.12), origin),
        Item("cabin", cabin, Material(_glazed(shape, paint, waist), specular=0.12), origin),
    ]
    tyre = Ellipsoid((shape.wheel, 0.075, shape.wheel))
    for x in (-0.58 * half, 0.60 * half):
        for y in (-side + 0.05, side - 0.05):
            pose = still(Pose.at(x, y, low + 0.02))
            items.append(Item("wheel", tyre, Material(_wheel(shape, paint)), pose))
    return place(items, 0.0)


def _painted(shape: Shape, paint: Paint, low: float, waist: float) -> Texture:
    """Paint, a pattern, head lamps in front and red ones behind."""
    body, stripe = _column(paint.body), _column(paint.stripe or paint.body)
    half, side = shape.length / 2, shape.width / 2

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        x, y, z = points
        height = (z - low) / (waist - low)
        on = np.zeros(points.shape[1], bool)
        if paint.pattern == "waist":
            on = (height > 0.45) & (height < 0.72)
        elif paint.pattern == "bonnet":
            on = (np.abs(y) < 0.22 * side) | (height < 0.25)
        elif paint.pattern == "checks":
            on = (np.floor(4 * x / half) + np.floor(2 * height)) % 2 == 0
        colour = np.where(on, stripe, body)
        lamps = (np.abs(np.abs(y) - 0.68 * side) < 0.17 * side) & (np.abs(height - 0.62) < 0.2)
        colour = np.where(lamps & (normals[0] > 0.6), _column((1.0, 0.95, 0.70)), colour)
        colour = np.where(lamps & (normals[0] < -0.6), _column((0.75, 0.03, 0.03)), colour)
        plate = (np.abs(y) < 0.25 * side) & (np.abs(height - 0.35) < 0.12)
        colour = np.where(plate & (np.abs(normals[0]) > 0.6), _column((0.9, 0.9, 0.85)), colour)
        return np.asarray(colour, np.float32)

    return texture


def _glazed(shape: Shape, paint: Paint, waist: float) -> Texture:
    """Glass between the waist and the roof, with pillars, and a roof in its own colour."""
    roof, glass = _column(paint.roof), _column(_GLASS)
    rear, front = shape.cabin
    middle = (rear + front) / 2

    def texture(points: Vectors, normals: Vectors) -> Vectors:
        height = (points[2] - waist) / shape.cabin_height
        pane = (height > 0.12) & (height < 0.86) & (normals[2] < 0.9)
        sideways = np.abs(normals[1]) > 0.6
        pane &= ~(sideways & (np.abs(points[0] - middle) < 0.035))
        pane &= ~(sideways & (shape.kind == "van") & (points[0] < middle))
        return np.asarray(np.where(pane, glass, roof), np.float32)

    return texture


def _wheel(shape: Shape, paint: Paint) -> Texture:
    tyre, hub = _column(_TYRE), _column(paint.hub)

    def texture(points: Vectors, _: Vectors) -> Vectors:
        inside = np.hypot(points[0], points[2]) < 0.55 * shape.wheel
        return np.asarray(np.where(inside, hub, tyre), np.float32)

    return texture


def _around(background: Background) -> Sky:
    ground, sky = _column(background.ground), _column(background.sky)

    def around(directions: Vectors) -> Vectors:
        share = np.clip(0.5 + 2.2 * (directions[2] + 0.22), 0, 1)
        return np.asarray(ground + (sky - ground) * share, np.float32)

    return around


def _colour(
    random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    hue = float(random.random())
    return colorsys.hsv_to_rgb(
        hue, float(random.uniform(*saturation)), float(random.uniform(*value))
    )


def _column(colour: Colour) -> Vectors:
    return np.array(colour, np.float32)[:, None]
