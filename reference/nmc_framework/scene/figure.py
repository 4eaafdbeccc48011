"""An articulated figure: a person of capsules and ellipsoids, its joints turned as time goes on.

Its own axes: it stands on z = 0 at the origin, faces +x, and its left is +y; 1.72 high.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nmc_framework.scene.item import Item, Material
from nmc_framework.scene.round_solids import Capsule, Ellipsoid
from nmc_framework.scene.solids import Pose, Solid

Motion = Callable[[float], Pose]
Angle = Callable[[float], float]


@dataclass(frozen=True)
class Clothes:
    """What a figure is made of."""

    skin: Material
    hair: Material
    shirt: Material
    sleeves: Material
    trousers: Material
    shoes: Material


@dataclass(frozen=True)
class Gait:
    """How the joints turn, in degrees as functions of seconds.

    ``arms`` are lifted forwards by so much and ``spread`` sideways, ``elbows`` bent; ``stride`` is
    how far a thigh swings, at ``rate`` steps of the same foot a second from ``phase``.
    """

    arms: tuple[Angle, Angle]
    spread: tuple[Angle, Angle]
    elbows: tuple[Angle, Angle]
    stride: float = 18.0
    rate: float = 0.8
    phase: float = 0.0
    twist: float = 8.0


def figure(name: str, place: Motion, gait: Gait, clothes: Clothes) -> tuple[Item, ...]:
    """Return the parts of a figure that stands at ``place`` and moves by ``gait``."""

    def swing(t: float) -> float:
        return float(np.sin(2 * np.pi * (gait.rate * t + gait.phase)))

    def hips(t: float) -> Pose:
        lift = 0.92 - 0.012 * abs(swing(t))
        return Pose.at(0, 0, lift, degrees=0.4 * gait.twist * swing(t)).before(place(t))

    def chest(t: float) -> Pose:
        lean = Pose.at(0, 0, 0.08, axis=(0, 1, 0), degrees=4 + 2 * swing(2 * t))
        turn = Pose.at(0, 0, 0, degrees=-gait.twist * swing(t))
        return turn.before(lean).before(hips(t))

    def part(label: str, solid: Solid, material: Material, parent: Motion, own: Pose) -> Item:
        return Item(f"{name} {label}", solid, material, lambda t: own.before(parent(t)))

    c = clothes
    parts = [
        part("hips", Ellipsoid((0.13, 0.17, 0.13)), c.trousers, hips, Pose.at(0, 0, 0.03)),
        part("belly", Ellipsoid((0.115, 0.155, 0.2)), c.shirt, chest, Pose.at(0, 0, 0.1)),
        part("chest", Ellipsoid((0.13, 0.2, 0.22)), c.shirt, chest, Pose.at(0, 0, 0.28)),
        part("neck", Capsule(0.1, 0.052), c.skin, chest, Pose.at(0.01, 0, 0.5)),
        part("head", Ellipsoid((0.1, 0.08, 0.125)), c.skin, chest, Pose.at(0.03, 0, 0.65)),
        part("hair", Ellipsoid((0.102, 0.09, 0.115)), c.hair, chest, Pose.at(0.008, 0, 0.68)),
    ]
    for k, (side, sign) in enumerate((("left", 1), ("right", -1))):
        parts += _arm(f"{name} {side}", sign, chest, k, gait, clothes)
        parts += _leg(f"{name} {side}", sign, hips, swing, gait, clothes)
    return tuple(parts)


def _arm(
    name: str, sign: int, chest: Motion, k: int, gait: Gait, clothes: Clothes
) -> tuple[Item, ...]:
    def shoulder(t: float) -> Pose:
        out = Pose.at(0, 0, 0, axis=(1, 0, 0), degrees=sign * (8 + gait.spread[k](t)))
        return out.before(
            Pose.at(0, sign * 0.215, 0.4, axis=(0, 1, 0), degrees=-gait.arms[k](t))
        ).before(chest(t))

    def elbow(t: float) -> Pose:
        return Pose.at(0, 0, -0.29, axis=(0, 1, 0), degrees=-gait.elbows[k](t)).before(shoulder(t))

    return (
        _limb(f"{name} upper arm", shoulder, 0.29, 0.052, clothes.sleeves),
        _limb(f"{name} forearm", elbow, 0.25, 0.04, clothes.skin),
        _end(f"{name} hand", elbow, (0.045, 0.03, 0.07), (0, 0, -0.32), clothes.skin),
    )


def _leg(
    name: str, sign: int, hips: Motion, swing: Angle, gait: Gait, clothes: Clothes
) -> tuple[Item, ...]:
    def hip(t: float) -> Pose:
        angle = -sign * gait.stride * swing(t)
        return Pose.at(0, sign * 0.1, 0, axis=(0, 1, 0), degrees=angle).before(hips(t))

    def knee(t: float) -> Pose:
        bent = 0.2 * gait.stride + max(0.0, -sign * swing(t)) * 1.6 * gait.stride
        return Pose.at(0, 0, -0.43, axis=(0, 1, 0), degrees=bent).before(hip(t))

    return (
        _limb(f"{name} thigh", hip, 0.43, 0.078, clothes.trousers),
        _limb(f"{name} shin", knee, 0.4, 0.056, clothes.trousers),
        _end(f"{name} foot", knee, (0.135, 0.05, 0.045), (0.055, 0, -0.44), clothes.shoes),
    )


def _limb(name: str, joint: Motion, length: float, radius: float, material: Material) -> Item:
    own = Pose.at(0, 0, -length / 2)
    return Item(name, Capsule(length, radius), material, lambda t: own.before(joint(t)))


def _end(
    name: str,
    joint: Motion,
    radii: tuple[float, float, float],
    at: tuple[float, float, float],
    material: Material,
) -> Item:
    own = Pose.at(*at)
    return Item(name, Ellipsoid(radii), material, lambda t: own.before(joint(t)))
