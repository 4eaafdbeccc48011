"""A cluster of Ray, two nodes on this machine: training, rendering, a worker that is killed."""

import os
import signal
from functools import partial

import numpy as np
import pytest

import nmc
from nmc_framework.distributed import (
    DistributionError,
    GroupJob,
    Item,
    LocalExecutor,
    ViewMaterial,
    train_shared,
)
from nmc_framework.distributed.sharing import Spool
from nmc_framework.distributed.views import rendered_views
from nmc_framework.models import build
from nmc_framework.rendering import Moment, orbit, render_package
from nmc_framework.training import FrameViews, PackageStore, Schedule

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.cluster_utils import Cluster  # noqa: E402

from nmc_framework.cameras import Camera, look_at  # noqa: E402
from nmc_framework.distributed.on_ray import RayCluster, RayExecutor, RayPool  # noqa: E402

pytestmark = [
    pytest.mark.slow(2),
    pytest.mark.filterwarnings("ignore"),  # those of Ray, of which there are many
    pytest.mark.usefixtures("one_thread"),
]

OPTIONS = {"cells": [4, 8], "samples": 8, "occupancy": 4, "warm_up": 2}
PLAN = Schedule(first=40, later=40, rays=512)
LONG = Schedule(first=40, later=800, rays=512)
"""While a frame after the first one is trained, there is time to kill who does."""
COUNT, EVERY = 6, 2
MOMENTS = [Moment(t, t, None) for t in range(COUNT)]
STORE = 80 * 2**20


@pytest.fixture(scope="module")
def cluster():
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False},
    )
    nodes.add_node(num_cpus=1, object_store_memory=STORE)
    with RayCluster(nodes.address) as connected:
        yield connected
    nodes.shutdown()


def camera(name="c"):
    return Camera.from_field_of_view(50, 10, 8, look_at((2, 0.3, 0.1), (0, 0, 0)), name)


def job(first, end, begun, plan=PLAN):
    random = np.random.default_rng(3)
    views = [
        FrameViews(t, t / 5, [random.integers(0, 256, (8, 10, 3), np.uint8)]) for t in range(COUNT)
    ]
    material = ViewMaterial([camera()], views[first:end])
    return GroupJob(first, "voxel_grid", OPTIONS, 0, plan, material, begun=begun)


def packed(tmp_path, name, executor, *, plan=PLAN, **options):
    model = build("voxel_grid", OPTIONS)
    firsts = list(range(0, COUNT, EVERY))
    target = tmp_path / f"{name}.nmc"
    with nmc.Writer(target, key_every=EVERY, **model.in_package()) as writer:
        store = PackageStore(writer, anew=firsts)
        spool = Spool(tmp_path / name, model)
        jobs = partial(job, plan=plan)
        for frame in train_shared(executor, firsts, COUNT, jobs, spool, **options):
            store.append(frame)
    return target


def segments(package):
    import zipfile

    with zipfile.ZipFile(package) as file:
        return {n: file.read(n) for n in file.namelist() if not n.startswith("manifest")}


def test_the_cluster_has_two_nodes(cluster):
    assert cluster.resources == "Ray: 2 nodes, 2 CPUs, 0 GPUs" and cluster.slots == 2


def test_a_chain_has_the_same_bytes_as_on_one_machine(cluster, tmp_path):
    shared = packed(tmp_path, "shared", RayExecutor(cluster))
    assert segments(shared) == segments(packed(tmp_path, "alone", LocalExecutor()))


class Killing(RayExecutor):
    """Kills a worker that trains a group, once the first frame has come back."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.killed, self.finished = None, []

    def next(self):
        event = super().next()
        if isinstance(event, Item):
            self.finished.append(event.value.frame.index)
            if self.killed is None:
                self.killed = training()[0]
                os.kill(self.killed, signal.SIGKILL)
        return event


def training():
    """Return the ids of processes of ours that train a group now."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ray::train_group" in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_killed_worker_costs_its_unfinished_frames_only(cluster, tmp_path):
    told = []
    executor = Killing(cluster)
    shared = packed(tmp_path, "shared", executor, plan=LONG, tell=told.append)
    assert executor.killed and len(told) == 1 and "a worker was lost" in told[0]
    assert sorted(executor.finished) == list(range(COUNT)), "no finished frame was trained again"
    assert segments(shared) == segments(packed(tmp_path, "alone", LocalExecutor(), plan=LONG))


def test_images_are_the_same_bytes(cluster, tmp_path):
    package = packed(tmp_path, "alone", LocalExecutor())
    alone = list(rendered_views(Here(), package, MOMENTS, [camera()], slots=1))
    shared = list(rendered_views(RayPool(cluster), package, MOMENTS, [camera()], slots=2))
    assert len(shared) == COUNT
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(alone, shared, strict=True))
    track = orbit((0, 0, 0), COUNT, distance=2, azimuths=(200, 250), elevations=(10, 30))
    here = render_package(package, track, camera())
    there = render_package(package, track, camera(), workers=2, pool=RayPool(cluster))
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


class Here:
    def submit(self, function, run):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function(run))
        return future


def test_what_a_task_raises_comes_back(cluster):
    def fails(job):
        raise ValueError(job)
        yield

    executor = RayExecutor(cluster)
    executor.start(7, fails, "no")
    with pytest.raises(ValueError, match="no"):
        executor.next()


def test_an_address_that_nobody_answers_at(cluster):
    with pytest.raises(DistributionError, match=r"nothing answers at ray://127\.0\.0\.1:9"):
        RayCluster("ray://127.0.0.1:9")
    with pytest.raises(DistributionError, match="is not an address"):
        RayCluster("somewhere")
