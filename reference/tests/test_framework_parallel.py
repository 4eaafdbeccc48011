"""Rendering by several workers: in order, the same bytes, little in hand at a time."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest
import torch

import nmc
from nmc.coding.cursor import Cursor
from nmc_framework.models import build
from nmc_framework.rendering import orbit, render_package, render_track
from nmc_framework.rendering import parallel as room
from nmc_framework.scene import TARGET, orbit_camera

TINY = {
    "levels": 2, "features": 2, "log2_entries": 8, "coarsest": 4, "finest": 8, "hidden": 8,
    "geometry": 3, "samples": 12, "occupancy": 4,
}  # fmt: skip
CAMERA = orbit_camera(220, 20, (10, 8))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("parallel") / "a.nmc"
    with nmc.Writer(path, family="hash_grid", configuration=TINY, key_every=3) as writer:
        for seed in range(7):
            writer.append(build("hash_grid", TINY, seed=seed).save())
    return path


def track(count):
    around, heights = (200, 250), (10, 40)
    return orbit(TARGET, count, distance=3, azimuths=around, elevations=heights)


class HereAndNow(Executor):
    """Does the work when its result is asked for, and counts what is waiting."""

    def __init__(self):
        self.waiting, self.most = 0, 0

    def submit(self, task, /, *args, **kwargs):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        outer = self

        class Late(Future):
            def result(self, timeout=None):
                outer.waiting -= 1
                return task(*args, **kwargs)

        return Late()


def test_a_long_track_keeps_few_runs_in_hand(package):
    shown = [i % 7 for i in range(80)]  # ten runs
    pool = HereAndNow()
    images = render_package(package, track(80), CAMERA, shown, workers=2, pool=pool)
    assert sum(1 for _ in images) == 80
    room._close()
    assert pool.most <= 5 and pool.waiting == 0


def test_runs_cover_the_track_and_begin_at_key_frames_where_one_is_near(package):
    shown = tuple(range(20))
    when = (shown, (None,) * 20)
    runs = list(room._deal(package, tuple(track(20)), CAMERA, when, {0, 7, 14}, ["cpu", "meta"]))
    assert [frame for run in runs for frame in run.frames] == list(shown)
    assert [run.frames[0] for run in runs] == [0, 7, 14]
    assert [run.device for run in runs] == ["cpu", "meta", "cpu"]
    assert all(len(run.frames) == len(run.track) <= 8 for run in runs)
    without = list(room._deal(package, tuple(track(20)), CAMERA, when, set(), ["cpu"]))
    assert [run.frames[0] for run in without] == [0, 8, 16]


def test_frames_are_decoded_once_a_run_whatever_their_order(package, monkeypatch):
    decoded = []
    real = Cursor.advance

    def counted(self, manifest, t, data, **options):
        decoded.append(t)
        real(self, manifest, t, data, **options)

    monkeypatch.setattr(Cursor, "advance", counted)
    backwards = [2, 1, 0, 1, 2]
    images = list(render_package(package, track(5), CAMERA, backwards))
    assert decoded == [0, 1, 2]
    monkeypatch.undo()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with nmc.open(package) as sequence:
        model = build("hash_grid", TINY)
        alone = list(render_track(model, sequence, track(5), CAMERA, backwards))
    torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(images, alone, strict=True))


def test_workers_that_stand_ready_take_another_package(package, tmp_path):
    other = tmp_path / "b.nmc"
    with nmc.Writer(other, family="hash_grid", configuration=TINY) as writer:
        writer.append(build("hash_grid", TINY, seed=9).save())
    with room.worker_pool(2) as pool:
        for path, shown in ((package, [0, 3, 6, 3]), (other, [0, 0]), (package, list(range(7)))):
            alone = list(render_package(path, track(len(shown)), CAMERA, shown))
            spread = list(
                render_package(path, track(len(shown)), CAMERA, shown, workers=2, pool=pool)
            )
            assert all(np.array_equal(a, b) for a, b in zip(alone, spread, strict=True))
        stopped = render_package(package, track(60), CAMERA, [0] * 60, workers=2, pool=pool)
        next(stopped)
        stopped.close()
        again = list(render_package(package, track(2), CAMERA, [0, 1], workers=2, pool=pool))
        assert len(again) == 2, "a reader that stops early leaves the workers ready"


def test_each_of_several_devices_has_a_worker_of_its_own(package, monkeypatch):
    made = []
    real = room.worker_pool
    monkeypatch.setattr(room, "worker_pool", lambda count: made.append(count) or real(count))
    shown = [i % 7 for i in range(18)]
    seen = render_package(package, track(18), CAMERA, shown, devices=["cpu", "cpu:0"])
    alone = render_package(package, track(18), CAMERA, shown)
    assert all(np.array_equal(a, b) for a, b in zip(seen, alone, strict=True))
    assert made == [1, 1]
