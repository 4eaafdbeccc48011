"""Colour maps of views, budgets of time, pixels kept back, options that follow from a rig."""

import numpy as np
import pytest
import torch

from nmc_framework.cameras.extent import scene_extent
from nmc_framework.models import build, family
from nmc_framework.models.radiance.fitting import fit, iterations
from nmc_framework.scene import scenes
from nmc_framework.training import (
    Course,
    FrameViews,
    PixelPool,
    Progress,
    Schedule,
    train_chain,
    train_frame,
)
from nmc_framework.training.clock import Clock
from nmc_framework.training.colour import ColourMaps

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {
    "levels": 3, "features": 2, "log2_entries": 10, "coarsest": 4, "finest": 24, "hidden": 16,
    "samples": 32, "occupancy": 12, "warm_up": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def room():
    scene = scenes()["room"]
    rig = scene.rig((24, 24))
    return rig.training[:6], scene.view_all(rig.training[:6], 0.0, supersampling=1)


def model_of(room, **options):
    scene = scenes()["room"]
    told = {"bounds": [list(c) for c in scene.bounds], "background": list(scene.background)}
    return build("hash_grid", TINY | told | options, seed=0)


def dyed(pictures, gains):
    return [
        np.clip(picture * np.asarray(gain) + 0.5, 0, 255).astype(np.uint8)
        for picture, gain in zip(pictures, gains, strict=True)
    ]


GAINS = [(1.25, 1.2, 1.2), (0.8, 0.8, 0.85), (1, 1, 1), (1.1, 1, 0.8), (0.9, 1, 1.15), (1, 1, 1)]


@pytest.mark.slow
def test_gains_of_cameras_are_found(room):
    cameras, pictures = room
    views = FrameViews(0, 0.0, dyed(pictures, GAINS))
    frame = train_frame(model_of(room), cameras, views, Schedule(first=240, colour="on"))
    found = np.array([np.diag(frame.colour[c.name][:, :3]).mean() for c in cameras])
    true = np.array(GAINS).mean(axis=1)
    assert np.corrcoef(found, true)[0, 1] > 0.8
    mean = np.mean([frame.colour[c.name] for c in cameras], axis=0)
    np.testing.assert_allclose(mean, np.eye(3, 4), atol=1e-5)


@pytest.mark.slow
def test_colour_is_left_out_where_cameras_saw_alike(room):
    cameras, pictures = room
    schedule = Schedule(first=120, later=4, colour="auto")
    alike = train_frame(model_of(room), cameras, FrameViews(0, 0.0, pictures), schedule)
    assert alike.colour is None
    differ = FrameViews(0, 0.0, dyed(pictures, GAINS))
    frames = [differ, FrameViews(1, 0.1, dyed(pictures, GAINS[::-1]))]
    first, second = train_chain(model_of(room), cameras, frames, schedule)
    assert first.colour is not None and second.colour is not None


@pytest.mark.slow(minutes=0.1)
def test_a_new_exposure_is_anticipated(room):
    cameras, pictures = room
    model = model_of(room)
    first = train_frame(model, cameras, FrameViews(0, 0.0, pictures), Schedule(first=200))
    assert first.colour is None
    dark = FrameViews(1, 0.1, dyed(pictures, [(0.7,) * 3] * 3 + [(1.3,) * 3] * 3))
    maps = ColourMaps([c.name for c in cameras])
    pool = PixelPool(cameras, dark)
    maps.anticipate(model, pool.draw(1500, torch.Generator().manual_seed(0)))
    gains = [np.diag(m[:, :3]).mean() for m in maps.matrices().values()]
    assert max(gains[:3]) < min(gains[3:]) - 0.1


def test_pixels_kept_back_are_in_no_batch(room):
    cameras, pictures = room
    pool = PixelPool(cameras, FrameViews(0, 0.0, pictures))
    kept = pool.kept_back(7)
    known = {(int(v), *p.tolist()) for v, p in zip(kept.views, kept.pixels, strict=True)}
    assert 20 < len(known) == len(kept.colours)
    batch = pool.draw(20000, torch.Generator().manual_seed(1))
    drawn = {(int(v), *p.tolist()) for v, p in zip(batch.views, batch.pixels, strict=True)}
    assert not known & drawn and len(drawn) > 2000


@pytest.mark.slow(minutes=0.02)
def test_reports_change_no_bit(room):
    cameras, pictures = room
    views = FrameViews(0, 0.0, pictures)
    seen = []
    told = train_frame(model_of(room), cameras, views, Schedule(first=60), report=seen.append)
    quiet = train_frame(model_of(room), cameras, views, Schedule(first=60))
    assert all(np.array_equal(told.state[name], quiet.state[name]) for name in quiet.state)
    assert np.isnan(seen[0].held_out) and np.isfinite(seen[-1].held_out)


def test_a_budget_ends_by_the_clock():
    now = iter(np.arange(0.0, 100.0, 0.5))
    clock = Clock(5, 10.0, now=lambda: next(now))
    steps = 0
    while clock.progress(steps) < 1:
        steps += 1
    assert 18 <= steps <= 20
    plain = Clock(5, None)
    assert [plain.progress(i) for i in (0, 5)] == [0, 1] and plain.total(2) == 5
    assert Clock(0, None).progress(0) == 1
    plain.prolong(0, 5)
    assert plain.progress(5) == 1
    plain.prolong(4, 5)
    assert (plain.progress(5), plain.progress(7), plain.total(7)) == (0, 0.5, 9)


def test_a_budget_that_gains_nothing_is_cut_short():
    now = [0.0]
    clock = Clock(0, 100.0, now=lambda: now[0])
    now[0] = 50.0
    for _ in range(6):
        clock.heard(20.0, 10)
    assert clock.progress(10) == 0.5, "four scores within a moment say nothing"
    now[0] = 61.0
    clock.heard(20.0, 10)
    assert clock.progress(10) == pytest.approx(0.8)
    gaining = Clock(0, 100.0, now=lambda: now[0] - 50)
    for score in range(6):
        gaining.heard(20.0 + score, 10)
    assert gaining.progress(10) < 0.8


def test_scores_that_stand_still_in_the_fog_end_no_budget():
    now = [0.0]
    clock = Clock(0, 100.0, now=lambda: now[0])
    for at in (10.0, 20.0, 30.0, 39.0, 41.0, 45.0):
        now[0] = at
        clock.heard(15.0, 10)
    assert clock.progress(10) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("each", "usual", "share"), [(0.1, 1000, 1.0), (0.1, 4000, 0.5), (0.1, 10**6, 0.25)]
)
def test_a_short_budget_takes_smaller_batches(each, usual, share):
    now = [0.0]
    clock = Clock(usual, 100.0, now=lambda: now[0])
    for iteration in range(40):
        found = clock.share_of_batch(iteration)
        assert found == 1 or iteration >= 16
        now[0] += each if iteration else 20.0  # the first one compiles
    assert found == pytest.approx(share, abs=0.12)
    assert Clock(usual, None).share_of_batch(16) == 1


def test_training_by_time_records_its_iterations(room):
    cameras, pictures = room
    schedule = Schedule(first=10**9, first_seconds=0.5)
    frame = train_frame(model_of(room), cameras, FrameViews(0, 0.0, pictures), schedule)
    assert 0 < frame.iterations < 10**6 and np.isfinite(frame.loss)


def test_how_far_a_chain_is_follows_what_its_frames_tell():
    plain = Course(Schedule(first=20, later=5), 3)
    assert plain.at(Progress(1, 2, 5, 0.1)) == (22, 30)
    groups = Course(Schedule(first=20, later=5), 4, anew=(0, 2))
    assert groups.at(Progress(3, 5, 5, 0.1)) == (50, 50)
    # By time, the numbers of iterations are the machine's doing and not the schedule's.
    timed = Course(Schedule(first=2000, later=70, first_seconds=10, later_seconds=1), 3)
    assert timed.at(Progress(0, 3, 300, 0.1)) == (3, 360)
    assert timed.at(Progress(0, 100, 200, 0.1)) == (100, 240)
    assert timed.at(Progress(1, 30, 40, 0.1)) == (230, 280)
    assert timed.at(Progress(2, 50, 50, 0.1)) == (290, 290)
    first = Course(Schedule(first=2000, later=70, first_seconds=10), 3)
    assert first.at(Progress(0, 150, 300, 0.1)) == (150, 440)


@pytest.mark.parametrize("name", sorted(scenes()))
def test_options_follow_from_the_rig(name):
    scene = scenes()[name]
    cameras = list(scene.rig().training)
    known = family("hash_grid").defaults()
    told = {"bounds": scene.bounds, "background": scene.background} if scene.told else {}
    chosen = fit(known, cameras, scene_extent(cameras), **told)
    assert set(chosen) <= set(known)
    build("hash_grid", chosen)
    if not scene.told:
        assert chosen["background"] is None and chosen["near"] > 0
        lower, upper = np.array(chosen["bounds"])
        if chosen["contracted"]:
            assert all(((c.centre > lower) & (c.centre < upper)).all() for c in cameras)
    assert fit({"bounds": None}, cameras, scene_extent(cameras)).keys() == {"bounds"}


def test_larger_pictures_take_longer():
    scene = scenes()["room"]
    small, large = (iterations(scene.rig((n, n)).training) for n in (64, 256))
    assert small < large <= 2000
    assert iterations([]) == 300
