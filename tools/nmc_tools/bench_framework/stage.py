"""What the benchmark trains on: the embedded scene, three families, and how much of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmc_framework.evaluation.study import Bench
from nmc_framework.scene import BACKGROUND, BOUNDS, arc_rig, view_all
from nmc_framework.training import FrameViews, Schedule, train_frame

if TYPE_CHECKING:
    from nmc_framework.models import State
    from nmc_framework.scene import Rig


@dataclass(frozen=True)
class Family:
    """One family at the size it is measured: its options, and frame 0's iterations.

    ``halves`` are the layers before which half of the learning is done: the front is frozen up to
    there, the back from there on; ``few`` are the first layers, fewer than the front.
    """

    name: str
    schedule: Schedule
    options: Mapping[str, Any]
    half: int
    few: int

    @property
    def configuration(self) -> dict[str, Any]:
        """All options, those of the scene included."""
        bounds = [list(corner) for corner in BOUNDS]
        return {"bounds": bounds, "background": list(BACKGROUND)} | dict(self.options)


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    ``pixels`` squared images of ``views`` cameras to train with and ``held_out`` to judge by, at
    ``rate`` frames a second. A chain's middle is frame ``middle``. ``shares`` are the parts of
    frame 0's iterations that later frames get. ``rounds`` iterations are timed of each choice.
    ``track`` images of ``track_pixels`` squared are rendered of ``chain`` frames. ``memory`` frames
    are trained to see what stays in memory. ``sfm_pixels`` squared pictures go into SfM.
    """

    families: tuple[Family, ...]
    pixels: int = 128
    views: int = 16
    held_out: int = 3
    rate: int = 15
    middle: int = 4
    shares: tuple[int, ...] = (20, 10, 5)
    rounds: int = 11
    track: int = 48
    track_pixels: int = 128
    chain: int = 8
    memory: int = 12
    sfm_pixels: int = 512

    def family(self, name: str) -> Family:
        """Return the family of that name."""
        return next(each for each in self.families if each.name == name)

    def schedule(self, family: Family) -> Schedule:
        """Return the family's schedule with a tenth of frame 0's iterations for later frames."""
        return replace(family.schedule, later=max(1, family.schedule.first // 10))


#: A NeRF MLP that a CPU trains within a minute: four layers of 64 in the trunk, one network. It
#: starts from random weights at the largest rate that is stable for its width.
_SMALL_NERF = {
    "width": 64, "depth": 4, "skip": 2, "position_frequencies": 6, "direction_frequencies": 2,
    "samples": 32, "fine_samples": 0,
}  # fmt: skip

FULL = Scale(
    families=(
        Family("hash_grid", Schedule(first=420), {}, half=8, few=4),
        Family(
            "nerf_mlp",
            Schedule(first=400, rays=1024, learning_rate=1e-2, later_learning_rate=1e-2),
            _SMALL_NERF,
            4,
            2,
        ),
        Family("voxel_grid", Schedule(first=420), {}, half=2, few=1),
    )
)

_TINY_GRID = {
    "levels": 3, "features": 2, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8,
    "geometry": 3, "samples": 24, "occupancy": 8, "warm_up": 4,
}  # fmt: skip
_TINY_NERF = {
    "width": 12, "depth": 2, "skip": 1, "position_frequencies": 3, "direction_frequencies": 1,
    "samples": 12, "fine_samples": 0,
}  # fmt: skip
_TINY_VOXELS = {"cells": [4, 8], "samples": 24, "occupancy": 8, "warm_up": 4}
_BRIEF = Schedule(first=20, rays=128)

QUICK = Scale(
    families=(
        Family("hash_grid", _BRIEF, _TINY_GRID, half=3, few=1),
        Family("nerf_mlp", _BRIEF, _TINY_NERF, half=3, few=1),
        Family("voxel_grid", _BRIEF, _TINY_VOXELS, half=1, few=1),
    ),
    pixels=20,
    views=4,
    held_out=1,
    middle=2,
    shares=(10,),
    rounds=1,
    track=10,
    track_pixels=12,
    chain=3,
    memory=4,
    sfm_pixels=0,
)


@dataclass(frozen=True, eq=False)
class Stage:
    """The scene filmed at one scale, and a folder for frames 0 that are trained once for all."""

    scale: Scale
    folder: Path
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        scale = self.scale
        rig = arc_rig(scale.views, scale.held_out, (scale.pixels, scale.pixels))
        object.__setattr__(self, "rig", rig)

    def views(self, index: int) -> FrameViews:
        """Return the training views of a frame."""
        time = index / self.scale.rate
        return FrameViews(index, time, _filmed(self.rig.training, time))

    def truths(self, index: int) -> Sequence[Any]:
        """Return the held-out views of a frame."""
        return _filmed(self.rig.held_out, index / self.scale.rate)

    def bench(self, last: int) -> Bench:
        """Return the chain up to frame ``last``, which is the one that is judged."""
        frames = [self.views(t) for t in range(last + 1)]
        return Bench(self.rig.training, self.rig.held_out, frames, self.truths(last))

    def first(self, family: Family) -> tuple[State, float]:
        """Return frame 0 of a family, trained in full, and the seconds that took."""
        from safetensors import safe_open
        from safetensors.numpy import load_file, save_file

        from nmc_framework.models import build

        plan = {"family": asdict(family), "scale": [self.scale.pixels, self.scale.views]}
        digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / f"{family.name}-{digest}.safetensors"
        if not path.exists():
            model = build(family.name, family.configuration, seed=family.schedule.seed)
            done = train_frame(model, self.rig.training, self.views(0), family.schedule)
            partial = path.with_suffix(".partial")
            save_file(done.state, partial, metadata={"seconds": repr(done.seconds)})
            partial.replace(path)
        with safe_open(path, framework="numpy") as file:
            seconds = float((file.metadata() or {})["seconds"])
        return load_file(path), seconds


@lru_cache(maxsize=32)
def _filmed(cameras: tuple[Any, ...], time: float) -> Sequence[Any]:
    return view_all(cameras, time)
