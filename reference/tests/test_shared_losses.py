"""What is lost on a cluster of Ray, and what is shared out beside chains; without a cluster."""

import numpy as np
import pytest

import nmc
from nmc_framework.cameras import Camera, look_at
from nmc_framework.device import DeviceError, named_device
from nmc_framework.distributed import DistributionError
from nmc_framework.distributed.clips import rendered_clips
from nmc_framework.distributed.views import rendered_track
from nmc_framework.models import build
from nmc_framework.rendering import Moment, render_image
from nmc_framework.rendering.clips import clip_model, package_pictures


class Now:
    """Does what is submitted at once."""

    def __init__(self):
        self.count = 0

    def submit(self, function, run):
        self.count += 1
        return Kept(function(run))


class Kept:
    def __init__(self, value):
        self.result = lambda: value


@pytest.fixture
def lossy(monkeypatch):
    """Ray's exceptions, and a list of what ``ray.get`` and ``ray.wait`` do in turn."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    events = []

    def happens(*_, **__):
        event = events.pop(0)
        if isinstance(event, Exception):
            raise event
        return event

    monkeypatch.setattr(ray, "get", happens)
    monkeypatch.setattr(ray, "wait", happens)
    return ray.exceptions, events


def test_a_run_of_images_that_is_lost_is_begun_again(lossy):
    from nmc_framework.distributed.on_ray import _Result

    exceptions, events = lossy
    begun = []
    events += [exceptions.WorkerCrashedError(), exceptions.NodeDiedError("x"), ["image"]]
    assert _Result(lambda: begun.append(1)).result() == ["image"] and len(begun) == 3
    events += [exceptions.WorkerCrashedError()] * 3
    with pytest.raises(DistributionError, match=r"lost 3 times \(WorkerCrashedError\)"):
        _Result(lambda: None).result()
    assert not events
    events.append(exceptions.RayTaskError("f", "traceback", ValueError("of the task")))
    with pytest.raises(ValueError, match="of the task"):
        _Result(lambda: None).result()


def test_a_cluster_that_goes_away_is_told_in_one_line(lossy):
    from nmc_framework.distributed.on_ray import RayExecutor, _Result

    exceptions, events = lossy

    class Cluster:
        slots, resources = 1, ""

    executor = RayExecutor(Cluster())
    executor._running[0] = "task"
    events.append(exceptions.RaySystemError("no more\nand a traceback"))
    with pytest.raises(DistributionError, match=r"is gone \(.*no more") as told:
        executor.next()
    assert "\n" not in str(told.value)
    events.append(ConnectionError("reset"))
    with pytest.raises(DistributionError, match=r"is gone \(reset\)"):
        _Result(lambda: None).result()


def test_a_device_of_another_machine_is_taken_by_its_name():
    assert named_device("cuda") == "cuda" and named_device("cpu") == "cpu"
    for text, told in (("cuda:1", "write cuda"), ("toaster", "is not a device")):
        with pytest.raises(DeviceError, match=told):
            named_device(text)


@pytest.mark.usefixtures("one_thread")
def test_clips_that_are_shared_out_are_the_same_pictures(tmp_path):
    size = {"pictures": 2, "width": 6, "height": 5, "hidden": 8, "depth": 2}
    model = build("siren", size, seed=1)
    package = tmp_path / "c.nmc"
    with nmc.Writer(package, **model.in_package()) as writer:
        for seed in range(3):
            writer.append(build("siren", size, seed=seed).save())
    with nmc.open(package) as sequence:
        here = list(package_pictures(sequence, clip_model(sequence), [0, 2], size=(9, 7)))
    pool = Now()
    there = list(rendered_clips(pool, package, [0, 2], size=(9, 7), slots=1))
    assert pool.count == 2 and len(here) == len(there) == 4
    for one, other in zip(here, there, strict=True):
        assert one[:2] == other[:2] and np.array_equal(one[2], other[2])


@pytest.mark.usefixtures("one_thread")
def test_few_pictures_of_a_track_are_tasks_in_tiles(tmp_path):
    options = {"cells": [4], "samples": 4, "occupancy": 2}
    model = build("voxel_grid", options, seed=1)
    package = tmp_path / "v.nmc"
    with nmc.Writer(package, **model.in_package()) as writer:
        writer.append(model.save())
    cameras = [
        Camera.from_field_of_view(50, 96, 70, look_at((2, y, 0.1), (0, 0, 0))) for y in (0.1, 0.5)
    ]
    shown = [(Moment(0, 0, None), camera) for camera in cameras]
    pool = Now()
    there = list(rendered_track(pool, package, shown, slots=4))
    assert pool.count == 4
    for camera, image in zip(cameras, there, strict=True):
        assert np.array_equal(image, render_image(model, camera))
