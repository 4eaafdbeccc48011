"""Chains of the embedded room that train in minutes: two MLPs, and one of 60 frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from nmc_framework.training import Schedule
    from nmc_tools.bench_rd.chains import BenchChain

#: The room's held-out cameras, and those that train.
HELD_OUT, _VIEWS = 3, 12
_RATE = 15


@dataclass(frozen=True)
class Small:
    """What is trained, and what is measured of it.

    Attributes
    ----------
    family, options
        The model.
    iterations : tuple of int
        Of the first frame, and of each other one.
    frames : int
    rays : int
        Of an iteration.
    pixels : int
        Of a side of a picture.
    measured : mapping
        What its :class:`nmc_tools.bench_rd.chains.BenchChain` has other than those of the demo.
    """

    family: str
    options: Mapping[str, Any]
    iterations: tuple[int, int]
    frames: int
    rays: int = 512
    pixels: int = 48
    measured: Mapping[str, Any] = field(default_factory=dict)


KINDS = {
    "mlp": Small(
        "nerf_mlp",
        {"width": 64, "depth": 3, "skip": 2, "samples": 32, "fine_samples": 0,
         "position_frequencies": 6, "direction_frequencies": 2},
        (300, 40),
        10,
    ),
    # Both networks of the first NeRF paper, 1.2 million weights; a picture of them takes seconds.
    "mlp-large": Small(
        "nerf_mlp",
        {"samples": 12, "fine_samples": 12},
        (250, 20),
        10,
        rays=96,
        pixels=24,
        measured={"exponents": (-5, -7, -9), "aims": (56.0, 51.0, 46.0, 41.0), "loss": 0.05},
    ),
    "drift": Small(
        "hash_grid",
        {"levels": 6, "finest": 64, "log2_entries": 12, "hidden": 32, "occupancy": 24,
         "samples": 64, "warm_up": 32},
        (300, 20),
        60,
    ),
}  # fmt: skip


def small_chain(name: str, folder: Path) -> BenchChain:
    """Return a small chain, which is trained where it is missing.

    Parameters
    ----------
    name
        One of ``KINDS``.
    folder
        Where its package is, or is put.
    """
    from nmc_tools.bench_rd.chains import embedded_chain

    kind, path = KINDS[name], folder / "scene.nmc"
    if not path.exists():
        train(path, kind)
    return replace(embedded_chain(name, folder, "room", kind.frames), **kind.measured)


def train(path: Path, kind: Small, price: float | None = None) -> None:
    """Train a small chain into a package, for rate where a kilobyte has a price in dB."""
    import nmc
    from nmc_framework.cameras.extent import scene_extent
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.models import build, family
    from nmc_framework.models.radiance.fitting import fit
    from nmc_framework.scene import arc_rig, scenes
    from nmc_framework.training import FrameViews, PackageStore, train_chain
    from nmc_tools.bench_rd.coded import KEY_EVERY
    from nmc_tools.commands.framework import package_cameras

    room = scenes()["room"]
    rig = arc_rig(_VIEWS, HELD_OUT, (kind.pixels, kind.pixels))
    known = fit(
        family(kind.family).defaults(),
        rig.training,
        scene_extent(rig.training),
        bounds=room.bounds,
        background=room.background,
    )
    model = build(kind.family, known | dict(kind.options), seed=0)
    times = [t / _RATE for t in range(kind.frames)]
    frames = (FrameViews(t, at, room.view_all(rig.training, at)) for t, at in enumerate(times))
    plan = _schedule(kind, price)
    path.parent.mkdir(parents=True, exist_ok=True)
    with nmc.Writer(
        path,
        key_every=KEY_EVERY,
        profile="lossy" if plan.rate else "main",
        timescale=_RATE,
        **model.in_package(),
    ) as writer:
        writer.set_cameras(package_cameras(RigDocument(rig.cameras)))
        store = PackageStore(writer)
        for frame in train_chain(model, rig.training, frames, plan):
            store.append(frame)


def _schedule(kind: Small, price: float | None) -> Schedule:
    from nmc_framework.training import Rate, Schedule
    from nmc_framework.training.rate import TIMES
    from nmc_tools.bench_rd.coded import KEY_EVERY

    first, later = kind.iterations
    plain = Schedule(first=first, later=later, rays=kind.rays)
    if price is None:
        return plain
    rate = Rate(price, key_every=KEY_EVERY)
    return replace(plain, first=TIMES * first, later=TIMES * later, rate=rate)
