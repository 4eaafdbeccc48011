"""Equal groups of a chain, one after the other in this process and on the workers of a cluster."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nmc_framework.distributed import (
    Executor,
    GroupJob,
    LocalExecutor,
    ViewMaterial,
    train_shared,
)
from nmc_framework.distributed.groups import Begun
from nmc_framework.distributed.sharing import Spool, group_firsts
from nmc_framework.models import build, family
from nmc_framework.training import Schedule
from nmc_tools.commands.footage import SceneName, film_scene

_SCENE: SceneName = "room"
_FAMILY, _FRAMES, _RAYS = "hash_grid", 2, 2048
"""What is trained: the family, frames of a group, rays a batch."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Gain:
    """Seconds by the clock: alone, on the cluster, and until the cluster's workers were ready.

    ``same`` says whether the states of all frames are the same bytes.
    """

    workers: int
    groups: int
    alone: float
    shared: float
    start: float
    same: bool

    @property
    def factor(self) -> float:
        """How many times as fast the cluster is, its start apart."""
        return self.alone / self.shared


def measured(
    workers: int, groups: int, iterations: int, size: tuple[int, int], report: Report
) -> Gain:
    """Train equal groups alone and shared out, each group on one thread.

    Parameters
    ----------
    workers
        Of a cluster of Ray on this machine.
    groups
        Of two frames each.
    iterations
        Of every frame.
    size
        Pixels of a view, (width, height).
    report
        Told which step is next.
    """
    report(0, 4, "one iteration, alone")
    _trained(LocalExecutor(), groups, 1, size)
    report(1, 4, "alone")
    alone, here = _trained(LocalExecutor(), groups, iterations, size)
    report(2, 4, "the cluster starts")
    began = time.perf_counter()
    with _cluster(workers) as executor:
        _trained(executor, groups, 1, size)
        start = time.perf_counter() - began
        report(3, 4, "shared out")
        shared, there = _trained(executor, groups, iterations, size)
    report(4, 4, "")
    return Gain(workers, groups, alone, shared, start, here == there)


@contextmanager
def _cluster(workers: int) -> Iterator[Executor]:
    from nmc_framework.distributed.on_ray import RayCluster, RayExecutor

    with RayCluster(workers=workers) as cluster:
        yield RayExecutor(cluster)


def _trained(
    executor: Executor, groups: int, iterations: int, size: tuple[int, int]
) -> tuple[float, str]:
    """Train the chain; return seconds, and a digest of its states."""
    count = groups * _FRAMES
    footage = film_scene(_SCENE, size, frames=count)
    training, _ = footage.split(None)
    cameras, views = footage.cameras(training), list(footage.views(training))
    # Every group learns the same frames: each has as much to do.
    views = [replace(views[k % _FRAMES], index=k) for k in range(count)]
    options = footage.options(family(_FAMILY).defaults(), training)
    model = build(_FAMILY, options)
    schedule = Schedule(first=iterations, later=iterations, rays=_RAYS)

    def job(first: int, end: int, begun: Begun | None) -> GroupJob:
        material = ViewMaterial(cameras, views[first:end])
        return GroupJob(first, _FAMILY, options, 0, schedule, material, begun=begun)

    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        firsts = group_firsts(count, _FRAMES)
        for frame in train_shared(executor, firsts, count, job, Spool(Path(folder), model)):
            for name, array in sorted(frame.state.items()):
                digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return time.perf_counter() - began, digest.hexdigest()


def table(gain: Gain, machine: str) -> str:
    """Return the figures as Markdown."""
    same = "the same bytes" if gain.same else "NOT the same bytes"
    return (
        f"{gain.groups} equal groups of {_FRAMES} frames, on {machine}; {same}.\n\n"
        "| alone s | on the cluster s | factor | start of the cluster s |\n|---|---|---|---|\n"
        f"| {gain.alone:.1f} | {gain.shared:.1f} on {gain.workers} workers | {gain.factor:.2f} | "
        f"{gain.start:.1f} |\n"
    )
