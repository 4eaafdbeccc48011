"""How much the demo does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmc_framework.training import Schedule

# The two finest levels of the grid keep what they learned in frame 0: freezing them halves the
# bytes of a delta frame, and costs a few tenths of a decibel at first and nothing later.
_SCHEDULE = Schedule(first=700, later=50, rays=1024, later_rays=2560, exclude_layers=(6, 7))


@dataclass(frozen=True)
class Size:
    """How much the demo does.

    ``frames`` models a chain, ``views`` training cameras of ``pixels`` squared, ``track`` pixels
    squared of the user's video, ``turns`` how often the chain is played while the viewpoint swings
    once across the scene and back, ``rate`` frames a second. The cameras are estimated from videos
    of ``filmed`` frames of ``footage`` pixels squared. Scenes other than the room have cameras and
    rate of their own: of ``scale`` times their own pictures' size.
    """

    frames: int = 20
    views: int = 16
    held_out: int = 3
    pixels: int = 128
    footage: int = 512
    filmed: int = 2
    track: int = 256
    scale: float = 1.0
    turns: int = 2
    rate: int = 15
    key_every: int = 10
    schedule: Schedule = _SCHEDULE
    configuration: Mapping[str, Any] = field(default_factory=dict)


FULL = Size()
QUICK = Size(
    frames=3,
    views=12,
    held_out=1,
    pixels=32,
    footage=192,
    filmed=1,
    track=48,
    scale=0.125,
    turns=1,
    key_every=2,
    schedule=Schedule(first=24, later=6, rays=512, exclude_layers=(3,)),
    configuration={
        "levels": 4,
        "finest": 32,
        "log2_entries": 11,
        "hidden": 16,
        "occupancy": 16,
        "samples": 48,
        "warm_up": 16,
    },
)
