"""The tables, each a function from the stage to plain figures that can be kept as JSON."""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_framework.evaluation.footprint import live_bytes, resident_bytes
from nmc_framework.evaluation.study import freezing, from_scratch, weight_sharing
from nmc_framework.models import build
from nmc_framework.rendering import orbit, render_package
from nmc_framework.rendering.parallel import worker_pool
from nmc_framework.scene import TARGET, orbit_camera
from nmc_framework.scene.rig import AZIMUTH
from nmc_framework.training import AutoFreezing, PackageStore, Schedule, back, front, train_chain

if TYPE_CHECKING:
    from nmc_framework.cameras import Viewpoint
    from nmc_framework.models import ChainModel
    from nmc_tools.bench_framework.stage import Family, Stage

Figures = dict[str, Any]

#: Families that weight sharing is measured on: one of a grid, one of a network alone.
SHARED = ("hash_grid", "nerf_mlp")
#: How many times the rays of frame 0 a larger batch has.
_LARGER = 4
#: Images a worker renders before it is timed: it has opened the package and loaded its code then.
_WARM_UP = 16


def sharing(stage: Stage) -> Figures:
    """Measure frame 1 and a frame within the chain, shared and from random weights.

    The grid is fine-tuned with larger batches, too: what is left of its error is their noise.
    """
    figures: Figures = {}
    for name in SHARED:
        family = stage.scale.family(name)
        full = family.schedule.first
        counts = [max(1, full // share) for share in stage.scale.shares]
        plan = stage.scale.schedule(family)
        first, _ = stage.first(family)
        frames: Figures = {}
        for last in (1, stage.scale.middle):
            bench = stage.bench(last)
            options = (name, family.configuration)
            rows = weight_sharing(bench, *options, plan, counts, first=first)
            found = {
                "full": from_scratch(bench, *options, plan, full),
                "rays": plan.rays,
                "rows": [asdict(row) for row in rows],
            }
            if name == SHARED[0]:
                large = replace(plan, later_rays=_LARGER * plan.rays)
                known = {row.iterations: row.scratch for row in rows}
                more = weight_sharing(
                    bench, *options, large, counts[:2], first=first, scratch=known
                )
                found["larger"] = {"rays": large.later_rays, "rows": [asdict(r) for r in more]}
            frames[str(last)] = found
        figures[name] = {"first": full, "frames": frames}
    return figures


def freezing_families(stage: Stage) -> Figures:
    """Measure front, back, the first few and none, the policy, and moves held, on every family."""
    return {
        family.name: [
            asdict(row)
            for row in freezing(
                stage.bench(1),
                family.name,
                family.configuration,
                stage.scale.schedule(family),
                _choices(family, stage.scale.schedule(family)),
                first=stage.first(family)[0],
                rounds=stage.scale.rounds,
            )
        ]
        for family in stage.scale.families
    }


def _choices(family: Family, schedule: Schedule) -> dict[str, Any]:
    def ends(model: ChainModel) -> tuple[int, ...]:
        return back(model.layers(), len(model.layers()) - family.half)

    return {
        "none": replace(schedule, hold=0.0),
        "none, small moves held": lambda _: (),
        "front": lambda model: front(model.layers(), family.half),
        "back": ends,
        "first few": lambda model: front(model.layers(), family.few),
        "auto": AutoFreezing(),
    }


def hash_grid(stage: Stage) -> Figures:
    """Time frame 0 and the frames after it, with all threads, and judge them."""
    family = stage.scale.family("hash_grid")
    state, seconds = stage.first(family)
    model = build(family.name, family.configuration)
    model.load(state)
    bench = stage.bench(stage.scale.middle)
    plan = replace(family.schedule, later=max(1, family.schedule.first // 7))
    rows = [{"frame": 0, "seconds": seconds, "psnr": _quality(stage, model, 0)}]
    frames = iter(bench.frames[1:])
    for done in train_chain(model, bench.training, frames, plan, before=bench.frames[0]):
        quality = _quality(stage, model, done.index)
        rows.append({"frame": done.index, "seconds": done.seconds, "psnr": quality})
    return {"iterations": [plan.first, plan.later], "rows": rows}


def _quality(stage: Stage, model: ChainModel, index: int) -> float:
    return replace(stage.bench(1), truths=stage.truths(index)).quality(model)


def rendering(stage: Stage, workers: int) -> Figures:
    """Render a track alone and with workers: those started for it, and those that stand ready."""
    scale = stage.scale
    with tempfile.TemporaryDirectory() as folder:
        package = _chain_package(stage, Path(folder) / "chain.nmc")
        camera = orbit_camera(AZIMUTH, 24, (scale.track_pixels, scale.track_pixels))
        track = _orbit(scale.track)
        there = list(range(scale.chain))
        shown = [(there + there[-2:0:-1])[i % (2 * scale.chain - 2)] for i in range(scale.track)]

        def alone() -> list[Any]:
            return list(render_package(package, track, camera, shown))

        def fresh() -> list[Any]:
            return list(render_package(package, track, camera, shown, workers=workers))

        with worker_pool(workers) as pool:

            def ready() -> list[Any]:
                return list(
                    render_package(package, track, camera, shown, workers=workers, pool=pool)
                )

            few = min(scale.track, _WARM_UP * workers)
            begun = render_package(
                package, track[:few], camera, shown[:few], workers=workers, pool=pool
            )
            list(begun)
            seconds, images = _best({"alone": alone, "started": fresh, "ready": ready})
    same = (np.array_equal(images["alone"], images[name]) for name in ("started", "ready"))
    return {
        "workers": workers,
        "images": scale.track,
        "pixels": scale.track_pixels,
        "identical": all(same),
        "seconds": seconds,
    }


def _best(
    tasks: dict[str, Callable[[], Any]], rounds: int = 2
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the shortest time of each task, one of each in turn, and what it gave."""
    best: dict[str, float] = {}
    results = {}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            results[name] = task()
            taken = time.perf_counter() - began
            best[name] = min(best.get(name, taken), taken)
    return best, results


def _orbit(count: int) -> list[Viewpoint]:
    around = (AZIMUTH - 40, AZIMUTH + 40)
    return orbit(TARGET, count, distance=3.4, azimuths=around, elevations=(14, 34))


def _chain_package(stage: Stage, path: Path) -> Path:
    family = stage.scale.family("hash_grid")
    state, _ = stage.first(family)
    model = build(family.name, family.configuration)
    with nmc.Writer(
        path, family=family.name, configuration=family.configuration, key_every=16
    ) as writer:
        writer.append(state)
        model.load(state)
        plan = replace(family.schedule, later=4)
        frames = (stage.views(t) for t in range(1, stage.scale.chain))
        for done in train_chain(model, stage.rig.training, frames, plan, before=stage.views(0)):
            writer.append(done.state)
    return path


def memory(stage: Stage) -> Figures:
    """Say what is held after frame 2 and after the last one, while training and rendering."""
    family = stage.scale.family("hash_grid")
    count = stage.scale.memory
    state, _ = stage.first(family)
    model = build(family.name, family.configuration)
    model.load(state)
    rows: list[Figures] = []

    def note(kind: str, frame: int) -> None:
        gc.collect()
        rows.append(
            {
                "kind": kind,
                "frame": frame,
                "held": live_bytes(),
                "resident": resident_bytes(),
            }
        )

    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.nmc"
        with nmc.Writer(path, **model.in_package()) as writer:
            store = PackageStore(writer)
            plan = Schedule(first=2, later=2, rays=family.schedule.rays)
            # Two instants by turns: what the scene itself keeps in memory is not part of the run.
            frames = (replace(stage.views(t % 2), index=t) for t in range(count))
            for done in train_chain(model, stage.rig.training, frames, plan):
                store.append(done)
                if done.index in (2, count - 1):
                    note("training", done.index)
        camera = orbit_camera(AZIMUTH, 24, (stage.scale.pixels, stage.scale.pixels))
        for index, _ in enumerate(render_package(path, _orbit(count), camera)):
            if index in (2, count - 1):
                note("rendering", index)
    tracemalloc.stop()
    return {"state_bytes": sum(v.nbytes for v in state.values()), "rows": rows}


def sfm(stage: Stage) -> Figures:
    """Solve the rig from its own pictures and compare it with the true one."""
    from nmc_framework.cameras.alignment import align
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.scene import BOUNDS, arc_rig, view_all
    from nmc_framework.sfm import SfmOptions, solve_rig

    size = (stage.scale.sfm_pixels, stage.scale.sfm_pixels)
    rig = arc_rig(stage.scale.views, stage.scale.held_out, size)
    images = view_all(rig.cameras, 0.0)
    pictures = {camera.name: [image] for camera, image in zip(rig.cameras, images, strict=True)}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        solved = solve_rig(pictures, Path(folder), options=SfmOptions(shared_intrinsics=True))
    seconds = time.perf_counter() - began
    extent = float(np.linalg.norm(np.subtract(BOUNDS[1], BOUNDS[0])))
    alignment = align(solved.rig, RigDocument(rig.cameras), extent)
    return {
        "cameras": len(rig.cameras),
        "registered": len(solved.rig.cameras),
        "pixels": stage.scale.sfm_pixels,
        "reprojection": solved.error,
        "mean_centre": alignment.mean_centre,
        "worst_centre": alignment.worst_centre,
        "worst_rotation": alignment.worst_rotation,
        "seconds": seconds,
    }
