"""Small chains of the embedded room that train in a minute or two: an MLP, and one of 60 frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from nmc_framework.training import Schedule
    from nmc_tools.bench_rd.chains import BenchChain

#: The room's held-out cameras, those that train, and the sides of their pictures in pixels.
HELD_OUT, _VIEWS, _PIXELS = 3, 12, 48
_RATE = 15


@dataclass(frozen=True)
class Small:
    """What is trained: a family with its options, iterations of the first frame and of others."""

    family: str
    options: Mapping[str, Any]
    iterations: tuple[int, int]
    frames: int


KINDS = {
    "mlp": Small(
        "nerf_mlp",
        {"width": 64, "depth": 3, "skip": 2, "samples": 32, "fine_samples": 0,
         "position_frequencies": 6, "direction_frequencies": 2},
        (300, 40),
        10,
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

    path = folder / "scene.nmc"
    if not path.exists():
        train(path, KINDS[name])
    return embedded_chain(name, folder, "room", KINDS[name].frames)


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
    rig = arc_rig(_VIEWS, HELD_OUT, (_PIXELS, _PIXELS))
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
    plain = Schedule(first=first, later=later, rays=512)
    if price is None:
        return plain
    rate = Rate(price, key_every=KEY_EVERY)
    return replace(plain, first=TIMES * first, later=TIMES * later, rate=rate)
