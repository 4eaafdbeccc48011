"""What stands in a scene: solids, what they are made of, and where they are as time goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmc_framework.scene.solids import Pose, Solid
from nmc_framework.scene.texture import Texture


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    Parameters
    ----------
    texture
        Its colour.
    specular, shininess
        The share of the lamps' highlight and its sharpness (Blinn 1977).
    mirror
        The share of what it reflects, seen straight on; more at a slant (Schlick 1994).
    glow
        Where above 0, the surface shines by itself, so many times its texture, and no light
        matters to it.
    """

    texture: Texture
    specular: float = 0.0
    shininess: float = 30.0
    mirror: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True)
class Item:
    """A solid, what it is made of and where it is at time t in seconds.

    ``shades`` is whether it throws a shadow; what is around everything need not.
    """

    name: str
    solid: Solid
    material: Material
    pose: Callable[[float], Pose]
    shades: bool = True


@dataclass(frozen=True)
class Placed:
    """An item frozen at one time."""

    item: Item
    pose: Pose


def place(items: Sequence[Item], t: float) -> tuple[Placed, ...]:
    """Freeze items at time ``t`` in seconds."""
    return tuple(Placed(item, item.pose(t)) for item in items)


def still(pose: Pose) -> Callable[[float], Pose]:
    """Return the motion of what stands still."""
    return lambda _: pose
