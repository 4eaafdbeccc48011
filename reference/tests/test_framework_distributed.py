"""Groups of frames as tasks: the same chain, whoever does them, and whoever is lost."""

from concurrent.futures import Future

import numpy as np
import pytest
import torch

import nmc
from nmc_framework.cameras import Camera, look_at
from nmc_framework.distributed import (
    ClipMaterial,
    DistributionError,
    Done,
    GroupJob,
    Item,
    LocalExecutor,
    Lost,
    ViewMaterial,
    train_shared,
)
from nmc_framework.distributed.sharing import Spool, group_firsts
from nmc_framework.distributed.views import rendered_views
from nmc_framework.models import build
from nmc_framework.rendering.moments import moments
from nmc_framework.scene.rig import orbit_camera
from nmc_framework.training import FrameViews, Schedule

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT, EVERY = 5, 2
CLIP = {"width": 12, "height": 10, "pictures": 2, "hidden": 8, "depth": 2}
PLAN = Schedule(first=6, later=3, rays=64)


def clips():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (2, 10, 12, 3), np.uint8) for _ in range(COUNT)]


def job(first, end, begun):
    material = ClipMaterial(clips()[first:end], [k / 5 for k in range(first, end)])
    return GroupJob(first, "siren", CLIP, 1, PLAN, material, begun=begun)


def trained(folder, executor, **options):
    spool = Spool(folder, build("siren", CLIP))
    firsts = group_firsts(COUNT, EVERY)
    return list(train_shared(executor, firsts, COUNT, job, spool, **options))


def same(one, other):
    return len(one) == len(other) and all(
        a.index == b.index and all(np.array_equal(a.state[n], b.state[n]) for n in a.state)
        for a, b in zip(one, other, strict=True)
    )


class Watched(LocalExecutor):
    """Notes the tasks that it was left with."""

    left: list[int] | None = None

    def close(self):
        self.left = [task for task, _ in self._started]
        super().close()


def test_tasks_that_have_sent_everything_may_end(tmp_path):
    executor = Watched()
    assert trained(tmp_path / "a", executor)
    assert executor.left == [], "Ray does not survive that a task is cancelled while it ends"


class Unreliable(LocalExecutor):
    """Three tasks at a time; results come from the last one, and some tasks are lost."""

    slots = 3

    def __init__(self, lost):
        super().__init__()
        self._lost = list(lost)

    def next(self):
        if self._lost and self._lost[0] == 0:
            self._lost.pop(0)
            task, _ = self._started.pop()
            return Lost(task, "its worker was killed")
        if self._lost:
            self._lost[0] -= 1
        self._started.insert(0, self._started.pop())
        return super().next()


def test_groups_begin_anew_and_come_in_order(tmp_path):
    frames = trained(tmp_path / "a", LocalExecutor())
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.iterations for frame in frames] == [6, 3, 6, 3, 6]
    assert not (tmp_path / "a").exists(), "nothing is left of what is in the chain"


@pytest.mark.parametrize("lost", [(), (0,), (1,), (2, 1), (3, 0, 0)])
def test_who_does_them_and_who_is_lost_changes_nothing(tmp_path, lost):
    told = []
    frames = trained(tmp_path / "b", Unreliable(lost), tell=told.append)
    assert same(frames, trained(tmp_path / "a", LocalExecutor()))
    assert len(told) <= len(lost), "one that had sent all is no loss"


def test_a_lost_worker_costs_the_unfinished_frames_of_its_group_only(tmp_path):
    done = []

    class Counting(Unreliable):
        def next(self):
            event = super().next()
            if isinstance(event, Item):
                done.append(event.value.frame.index)
            return event

    told = []
    trained(tmp_path / "a", Counting([2]), tell=told.append)
    assert sorted(done) == list(range(COUNT)), "no finished frame was trained again"
    assert "finished frames of it are kept" in told[0]


def test_what_is_lost_again_and_again_is_given_up(tmp_path):
    with pytest.raises(DistributionError, match=r"was lost 3 times .* --resume"):
        trained(tmp_path / "a", Unreliable([0] * 9))


def test_an_interruption_is_gone_on_from(tmp_path):
    class Stopping(Unreliable):
        def next(self):
            event = super().next()
            if isinstance(event, Item) and event.task == 4:
                self.stop = True
            if getattr(self, "stop", False) and isinstance(event, Done):
                raise KeyboardInterrupt
            return event

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "a", Stopping(()))
    assert any((tmp_path / "a").rglob("*.safetensors"))
    whole = trained(tmp_path / "b", LocalExecutor())
    assert same(trained(tmp_path / "a", LocalExecutor()), whole)
    assert same(trained(tmp_path / "c", LocalExecutor(), done=3), whole[3:])


def test_what_a_task_raises_is_raised(tmp_path):
    with pytest.raises(ValueError, match="is not one of 2 of 12x10"):
        list(
            train_shared(
                LocalExecutor(),
                [0],
                1,
                lambda first, end, begun: GroupJob(
                    0, "siren", CLIP, 1, PLAN, ClipMaterial([np.zeros((2, 3, 3, 3), "u1")], [0.0])
                ),
                Spool(tmp_path / "a", build("siren", CLIP)),
            )
        )


def test_views_are_trained_as_in_one_chain(tmp_path):
    camera = Camera.from_field_of_view(50, 8, 8, look_at((2, 0, 0), (0, 0, 0)), "c")
    random = np.random.default_rng(1)
    views = [FrameViews(t, t / 5, [random.integers(0, 256, (8, 8, 3), np.uint8)]) for t in range(4)]
    options = {"cells": [4], "samples": 8, "occupancy": 4, "warm_up": 2}

    def shared(first, end, begun):
        material = ViewMaterial([camera], views[first:end])
        return GroupJob(first, "voxel_grid", options, 0, PLAN, material, begun=begun)

    spool = Spool(tmp_path / "a", build("voxel_grid", options))
    found = list(train_shared(LocalExecutor(), [0, 2], 4, shared, spool))
    from nmc_framework.training import train_chain

    alone = [
        frame
        for first in (0, 2)
        for frame in train_chain(
            build("voxel_grid", options),
            [camera],
            [FrameViews(k, v.time, v.images) for k, v in enumerate(views[first : first + 2])],
            PLAN,
        )
    ]
    for one, other in zip(found, alone, strict=True):
        assert all(np.array_equal(one.state[n], other.state[n]) for n in other.state)


@pytest.mark.parametrize(("kind", "slots"), [("voxel_grid", 5), ("dynerf", 3), ("splats", 4)])
def test_pictures_and_tiles_are_the_bytes_of_the_whole(tmp_path, kind, slots):
    """With more slots than runs of instants every picture is a task, and parts of large ones."""
    options = {
        "voxel_grid": {"cells": [4, 8], "samples": 8, "occupancy": 4, "warm_up": 2},
        "dynerf": {"width": 8, "depth": 2, "samples": 6, "instants": 2},
        "splats": {"splats": 30, "degree": 0},
    }[kind]
    model = build(kind, options, seed=1)
    if kind == "dynerf":
        model.length.fill_(2)
    with nmc.Writer(tmp_path / "a.nmc", **model.in_package()) as writer:
        for _ in range(1 if kind == "dynerf" else 2):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.3)
            writer.append(model.save())
    # More pixels than a chunk of rays has, and fewer.
    cameras = [orbit_camera(200, 20, (130, 97), name="a"), orbit_camera(230, 20, (9, 7), name="b")]
    tiles = []

    class Here:
        def submit(self, function, run):
            tiles.append(run.tile)
            future = Future()
            future.set_result(function(run))
            return future

    with nmc.open(tmp_path / "a.nmc") as sequence:
        shown = moments(sequence)
    for each in (cameras, cameras[:1]):
        whole = list(rendered_views(Here(), tmp_path / "a.nmc", shown, each, slots=1))
        assert set(tiles) == {None}
        parts = list(rendered_views(Here(), tmp_path / "a.nmc", shown, each, slots=slots))
        assert len(whole) == len(parts) == 2
        for one, other in zip(whole, parts, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
            assert one[0].std() > 0
        divided = any(tile is not None for tile in tiles)
        assert divided == (kind != "splats" and slots > 2 * len(each))
        tiles.clear()
