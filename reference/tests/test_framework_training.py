"""Chains: freezing in both readings, seeds, weight sharing, errors that name the frame."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from grid_samples import CONFIGURATION, grid
from torch import nn

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.evaluation.footprint import live_bytes
from nmc_framework.metrics import MetricError, psnr, ssim
from nmc_framework.models import ModelError, build
from nmc_framework.scene import arc_rig, view_all
from nmc_framework.training import (
    AutoFreezing,
    CheckpointFolder,
    DampedAdam,
    FrameViews,
    FreezingError,
    PackageStore,
    PixelPool,
    Schedule,
    TrainingError,
    ViewsError,
    train_chain,
    train_frame,
    train_into,
)

RIG = arc_rig(4, 1, (24, 24))
PLAN = Schedule(first=24, later=8, rays=256, seed=7)


pytestmark = pytest.mark.usefixtures("one_thread")


def frames(count=3, start=0):
    for index in range(start, count):
        yield FrameViews(index, index * 0.1, view_all(RIG.training, index * 0.1))


def test_a_frame_that_falls_short_of_the_one_before_learns_longer(tmp_path):
    plan = replace(PLAN, first=60, later=4, most_later=16)
    black = [np.zeros_like(image) for image in view_all(RIG.training, 0.0)]

    def shots(first):
        shown = [view_all(RIG.training, 0.0)] * 2 + [black]
        return (FrameViews(t, t * 0.1, shown[t]) for t in range(first, 3))

    whole = list(train_chain(grid(), RIG.training, shots(0), plan))
    assert [frame.iterations for frame in whole] == [60, 4, 16]
    told = list(train_chain(grid(), RIG.training, shots(0), replace(plan, most_later=None)))
    assert [frame.iterations for frame in told] == [60, 4, 4]
    assert whole[2].loss < told[2].loss
    # What it is measured by is the state and the pictures before: an interrupted run does the same.
    store = CheckpointFolder(tmp_path, grid())
    for frame in train_into(store, grid(), RIG.training, shots, plan):
        if frame.index == 1:
            break
    *_, last = train_into(store, grid(seed=5), RIG.training, shots, plan)
    assert last.iterations == 16
    for name, array in whole[2].state.items():
        assert np.array_equal(array, last.state[name]), name


def test_frozen_layers_stay_bit_identical_and_the_rest_learns():
    plan = Schedule(first=16, later=6, rays=256, exclude_layers=(0, 1, 3))
    first, second = train_chain(grid(), RIG.training, frames(2), plan)
    assert all(first.freezing.requires_grad.values()), "frame 0 trains everything"
    assert second.freezing.exclude_layers == (0, 1, 3)
    for name, learns in second.freezing.requires_grad.items():
        assert np.array_equal(first.state[name], second.state[name]) != learns, name


def test_a_chain_reproduces_and_can_be_taken_up_again():
    whole = list(train_chain(grid(), RIG.training, frames(3), PLAN))
    again = list(train_chain(grid(), RIG.training, frames(3), PLAN))
    model = grid(seed=9)
    model.load(whole[1].state)
    before = next(frames(2, start=1))
    (resumed,) = train_chain(model, RIG.training, frames(3, start=2), PLAN, before=before)
    for name, array in whole[2].state.items():
        assert np.array_equal(array, again[2].state[name])
        assert np.array_equal(array, resumed.state[name]), name
    assert [frame.index for frame in whole] == [0, 1, 2] and whole[1].iterations == 8


def test_training_does_not_disturb_the_callers_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    list(train_chain(grid(), RIG.training, frames(1), PLAN))
    assert torch.equal(torch.rand(1), expected)


def test_weight_sharing_beats_random_weights_at_equal_iterations():
    plan = Schedule(first=60, later=15, rays=512)
    shared = list(train_chain(grid(), RIG.training, frames(2), plan))[1]
    scratch = next(train_chain(grid(), RIG.training, frames(1), Schedule(first=15, rays=512)))
    assert 10 * np.log10(scratch.loss / shared.loss) > 2


def test_progress_is_reported_each_iteration():
    seen = []
    list(train_chain(grid(), RIG.training, frames(2), PLAN, report=seen.append))
    assert len(seen) == 32 and seen[-1].frame == 1 and seen[-1].iteration == 8
    # Better than whoever knows the mean colour alone.
    colours = np.concatenate([image.reshape(-1, 3) for image in next(frames(1)).images]) / 255
    guessed = -10 * np.log10(colours.var(axis=0).mean())
    assert np.mean([progress.psnr for progress in seen[-8:]]) > guessed + 1


def test_a_loss_that_is_no_number_names_the_frame_and_keeps_what_is_done():
    model = grid()
    chain = train_chain(model, RIG.training, frames(2), PLAN)
    done = next(chain)
    with torch.no_grad():
        next(model.density_network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"frame 1: the loss became nan at iteration 0 of 8"):
        next(chain)
    assert all(np.isfinite(v).all() for v in done.state.values())


def test_views_that_do_not_fit_the_cameras_are_named():
    views = next(frames(1))
    with pytest.raises(ViewsError, match="frame 0 has 4 images for 3 cameras"):
        PixelPool(RIG.training[:3], views)
    wrong = FrameViews(4, 0, [*views.images[:3], views.images[3][:20]])
    with pytest.raises(ViewsError, match=r"frame 4, camera 'train_03': the image is \(20, 24, 3\)"):
        PixelPool(RIG.training, wrong)


@pytest.mark.slow(minutes=0.02)
def test_drawn_rays_are_the_cameras_own():
    cameras = [
        RIG.training[0],
        Camera.from_field_of_view(50, 10, 16, RIG.training[1].camera_to_world),
    ]
    images = [
        np.arange(c.width * c.height * 3, dtype=np.uint32)
        .astype(np.uint8)
        .reshape(c.height, c.width, 3)
        for c in cameras
    ]
    pool = PixelPool(cameras, FrameViews(0, 0, images))
    batch = pool.draw(400, torch.Generator().manual_seed(0))
    table = {}
    for camera, image in zip(cameras, images, strict=True):
        rays = camera.rays()
        for direction, colour in zip(rays.directions, image.reshape(-1, 3), strict=True):
            table[tuple(np.round(direction, 5))] = colour
    for direction, colour in zip(batch.directions.numpy(), batch.colours.numpy(), strict=True):
        near = min(table, key=lambda d, o=direction: np.abs(np.array(d) - o).max())
        np.testing.assert_allclose(colour * 255, table[near], atol=1e-3)
    # A model of pictures, not of rays, needs to know which one and where.
    assert batch.cameras == tuple(cameras) and {*batch.views.tolist()} == {0, 1}
    for view, (x, y), colour, origin in zip(
        batch.views, batch.pixels.numpy(), batch.colours.numpy(), batch.origins, strict=True
    ):
        np.testing.assert_allclose(colour * 255, images[view][int(y), int(x)], atol=1e-3)
        np.testing.assert_allclose(origin, cameras[view].centre, atol=1e-5)
        assert x % 1 == y % 1 == 0.5


def test_focus_draws_where_things_moved():
    one, two = frames(2)
    pool = PixelPool(RIG.training, two, one, focus=1.0)
    changed = np.concatenate(
        [
            (np.abs(a.astype(int) - b).max(axis=2) > 12).ravel()
            for a, b in zip(one.images, two.images, strict=True)
        ]
    )
    chosen = pool._choose(2000, torch.Generator().manual_seed(0), 1.0).numpy()
    assert changed[chosen].mean() > 0.3 > changed.mean()
    still = PixelPool(RIG.training, one, one, focus=1.0)
    assert still.focus == 0 and len(still.draw(5, torch.Generator()).origins) == 5


def test_psnr_and_ssim_of_known_images():
    black, grey = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 51, np.uint8)
    assert psnr(grey, black) == pytest.approx(-20 * np.log10(0.2))
    assert psnr(grey, grey) == float("inf") and ssim(grey, grey) == pytest.approx(1)
    # Constant images: only the luminance term differs from one.
    assert ssim(grey, black) == pytest.approx(1e-4 / (0.04 + 1e-4), abs=1e-6)  # float32
    noisy = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    assert ssim(noisy, grey) < 0.2
    with pytest.raises(MetricError, match="unequal shape"):
        psnr(grey, grey[:5])
    with pytest.raises(MetricError, match="at least 11"):
        ssim(grey[:8], grey[:8])


class Killed(Exception):
    pass


def killed_in(frame):
    def report(progress):
        if progress.frame == frame and progress.iteration == 3:
            raise Killed

    return report


def start_at(index):
    return frames(4, start=index)


def test_a_killed_run_goes_on_bit_for_bit_in_a_folder(tmp_path):
    whole = [f.state for f in train_chain(grid(), RIG.training, frames(4), PLAN)]
    with pytest.raises(Killed):
        list(train_into(CheckpointFolder(tmp_path, grid()), grid(), RIG.training, start_at, PLAN,
                        report=killed_in(2)))  # fmt: skip
    (tmp_path / "frame_00000002.partial").write_bytes(b"half")
    store = CheckpointFolder(tmp_path, grid(5))
    assert len(store) == 2
    done = list(train_into(store, grid(5), RIG.training, start_at, PLAN))
    assert [frame.index for frame in done] == [2, 3] and len(store) == 4
    for index, state in enumerate(whole):
        assert all(np.array_equal(state[name], store[index][name]) for name in state), index
    with pytest.raises(ModelError, match="with another configuration than this 'hash_grid'"):
        CheckpointFolder(tmp_path, build("hash_grid", CONFIGURATION | {"hidden": 8}))


def test_a_killed_run_goes_on_bit_for_bit_in_a_package(tmp_path):
    whole = [f.state for f in train_chain(grid(), RIG.training, frames(4), PLAN)]
    model = grid()
    path = tmp_path / "a.nmc"
    options = {"family": model.family, "configuration": model.configuration, "key_every": 2}
    options |= {"layers": model.layer_of(), "buffers": ["occupancy.cells"]}
    with pytest.raises(Killed), nmc.Writer(path, **options) as writer:
        list(
            train_into(
                PackageStore(writer), model, RIG.training, start_at, PLAN, report=killed_in(2)
            )
        )
    with nmc.Writer(path, resume=True, **options) as writer:
        done = list(train_into(PackageStore(writer), grid(8), RIG.training, start_at, PLAN))
    assert [frame.index for frame in done] == [2, 3]
    assert nmc.check(path).accepted
    with nmc.open(path) as sequence:
        for state, decoded in zip(whole, sequence, strict=True):
            assert all(np.array_equal(state[name], decoded[name]) for name in state)


def test_frames_that_begin_elsewhere_are_refused(tmp_path):
    store = CheckpointFolder(tmp_path, grid())
    next(train_into(store, grid(), RIG.training, start_at, PLAN))
    with pytest.raises(TrainingError, match="were to begin with frame 0"):
        next(train_into(store, grid(), RIG.training, lambda _: frames(4, start=2), PLAN))


def test_a_step_of_the_damped_adam_is_adams_without_damping():
    torch.manual_seed(0)
    one, two = (nn.Parameter(torch.ones(5)) for _ in range(2))
    ours = DampedAdam([one], lr=0.1, betas=(0.9, 0.99), damping=0.0)
    adam = torch.optim.Adam([two], lr=0.1, betas=(0.9, 0.99), eps=1e-15)
    for _ in range(4):
        gradient = torch.randn(5)
        one.grad, two.grad = gradient.clone(), gradient.clone()
        ours.step()
        adam.step()
    torch.testing.assert_close(one, two)


def test_damping_keeps_what_sees_next_to_no_gradient():
    def moved(damping):
        weights = nn.Parameter(torch.zeros(4))
        weights.grad = torch.tensor([1.0, 1.0, 1.0, 1e-4])
        DampedAdam([weights], lr=1.0, betas=(0.2, 0.95), damping=damping).step()
        return weights.detach().abs()

    assert moved(0.0)[3] == pytest.approx(1.0, rel=1e-3)
    assert moved(2.0)[3] < 1e-3 * moved(2.0)[0]


def test_the_share_of_changed_pixels_falls():
    plan = Schedule(focus=0.8, last_focus=0.2)
    assert plan.focus_at(0.0) == plan.focus_at(0.3) == 0.8
    assert plan.focus_at(0.65) == pytest.approx(0.5) and plan.focus_at(1.0) == pytest.approx(0.2)


@pytest.mark.slow(minutes=0.02)
def test_fine_tuning_spares_what_stands_still():
    # The first step from a finished frame must not undo it, as plain Adam's does.
    (first,) = frames(1)
    batch = PixelPool(RIG.training, first).draw(3000, torch.Generator().manual_seed(0))
    model = grid()
    parent = train_frame(model, RIG.training, first, Schedule(first=150, rays=512)).state

    def error():
        with torch.no_grad():
            return float(model.eval().loss(batch))

    def after_one_step(**options):
        model.load(parent)
        before = error()
        plan = Schedule(later=1, rays=512, **options)
        train_frame(model, RIG.training, replace(first, index=1), plan, before=first)
        return error() / before

    plain = after_one_step(betas=(0.9, 0.99), damping=0.0)
    assert after_one_step() - 1 < 0.5 * (plain - 1), "the step undoes less than half as much"


def test_a_policy_gives_what_naming_its_layers_would_and_resumes(tmp_path):
    policy = replace(PLAN, auto=AutoFreezing(0.4, 2))
    whole = list(train_chain(grid(), RIG.training, frames(3), policy))
    chosen = [frame.freezing.exclude_layers for frame in whole]
    assert chosen[0] == () and all(chosen[1:]), "frame 0 learns all, later ones not"
    named = grid()
    named.load(whole[0].state)
    one, two = frames(2)
    plan = replace(PLAN, exclude_layers=chosen[1])
    (told,) = train_chain(named, RIG.training, [two], plan, before=one)
    assert all(np.array_equal(told.state[k], whole[1].state[k]) for k in told.state)
    store = CheckpointFolder(tmp_path, grid())
    with pytest.raises(Killed):
        source = lambda t: frames(3, start=t)  # noqa: E731
        list(train_into(store, grid(), RIG.training, source, policy, report=killed_in(1)))
    done = list(train_into(store, grid(4), RIG.training, source, policy))
    assert [frame.freezing.exclude_layers for frame in done] == chosen[1:]
    assert all(np.array_equal(done[-1].state[k], whole[2].state[k]) for k in done[-1].state)


def test_a_policy_leaves_the_weights_alone_and_is_refused_beside_a_choice():
    model = grid()
    before = model.save()
    pool = PixelPool(RIG.training, next(frames(1)))
    frozen = AutoFreezing(0.5, 1).choose(model, pool, 64, 1e-2, 2.0, torch.Generator())
    assert frozen and all(np.array_equal(before[k], v) for k, v in model.save().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    with pytest.raises(FreezingError, match="a policy picks what is frozen"):
        Schedule(auto=AutoFreezing(), exclude_layers=(1,))
    with pytest.raises(FreezingError, match=r"0 to below 1, not 1\.5"):
        AutoFreezing(1.5)


@pytest.mark.slow(minutes=0.06)
def test_training_holds_no_more_after_many_frames(tmp_path):
    pair = list(frames(2))
    instants = (replace(pair[index % 2], index=index) for index in range(14))
    model = build("hash_grid", CONFIGURATION | {"log2_entries": 12}, seed=0)
    held = {}
    plan = Schedule(first=2, later=1, rays=64)
    tracemalloc.start()
    try:
        with nmc.Writer(tmp_path / "a.nmc", key_every=2, effort="fast") as writer:
            for frame in train_chain(model, RIG.training, instants, plan):
                writer.append(frame.state)
                if frame.index in (5, 13):
                    gc.collect()
                    held[frame.index] = live_bytes()
    finally:
        tracemalloc.stop()
    state = sum(array.nbytes for array in model.save().values())
    assert held[13] - held[5] < state, "eight frames are not even one state"
