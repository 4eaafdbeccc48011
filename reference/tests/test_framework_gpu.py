"""What needs a CUDA device: ``pytest -m gpu``. Without one each is skipped, by name."""

import numpy as np
import pytest
import torch

import nmc
from nmc_framework.cameras import Camera, look_at
from nmc_framework.device import usable_device
from nmc_framework.models import build
from nmc_framework.rendering import orbit, render_image, render_package
from nmc_framework.training import (
    ClipPixels,
    FrameViews,
    GroupPixels,
    PackageStore,
    Schedule,
    train_chain,
    train_on,
)

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
VIEWS = {
    "hash_grid": {"levels": 3, "log2_entries": 9, "coarsest": 4, "finest": 16, "occupancy": 8},
    "nerf_mlp": {"width": 16, "depth": 3, "skip": 2, "samples": 12, "fine_samples": 8},
    "nerf_plus_plus": {
        "width": 16, "depth": 3, "skip": 2, "samples": 12, "fine_samples": 0,
        "sphere": [0.0, 0.0, 0.0, 3.0],
    },
    "plenoxels": {"finest": 12, "samples": 24, "voxels": 1200, "occupancy": 8},
    "splats": {"splats": 200, "background": [0.2, 0.3, 0.4]},
    "tensorf": {"finest": 12, "ranks": [2, 3], "features": 6, "hidden": 8, "samples": 24},
    "voxel_grid": {"cells": [4, 8], "samples": 24, "occupancy": 8},
}  # fmt: skip
CLIPS = ("coin", "ffnerv", "hnerv", "inric", "nerv", "nvp", "psnerv", "siren")
GROUPS = {
    "dnerf": {"levels": 2, "samples": 16, "instants": 2},
    "dynerf": {"width": 16, "depth": 2, "samples": 16, "instants": 2},
    "mixvoxels": {
        "levels": 2, "hidden": 8, "samples": 16, "log2_entries": 8, "static_entries": 8,
        "instants": 2,
    },
}  # fmt: skip
SIZE = {"width": 32, "height": 24, "pictures": 4}


def cameras():
    eyes = [(2.5, 0.3, 0.2), (-0.4, 2.4, 0.5), (1.7, 1.7, 0.9)]
    return [
        Camera.from_field_of_view(50, 32, 24, look_at(eye, (0, 0, 0)), f"c{k}")
        for k, eye in enumerate(eyes)
    ]


def views(frames=2):
    random = np.random.default_rng(0)
    base = [
        random.integers(0, 256, (6, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(3)
    ]
    for t in range(frames):
        yield FrameViews(t, t / 10, [np.roll(image, t, axis=1) for image in base])


@pytest.mark.parametrize("precision", ["single", "mixed"])
@pytest.mark.parametrize("name", sorted(VIEWS))
def test_views_are_learned_and_shown_as_on_the_cpu(name, precision):
    model = build(name, VIEWS[name], seed=1).to(DEVICE)
    plan = Schedule(first=60, later=20, rays=1024, precision=precision)
    frames = list(train_chain(model, cameras(), views(), plan))
    assert all(np.isfinite(frame.loss) for frame in frames) and frames[0].loss < 0.15
    there = render_image(model.eval(), cameras()[0])
    here = build(name, VIEWS[name])
    here.load(frames[-1].state)
    apart = np.abs(render_image(here.eval(), cameras()[0]).astype(int) - there)
    assert np.percentile(apart, 99) <= 3


@pytest.mark.parametrize("precision", ["single", "mixed"])
@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_learned(name, precision):
    random = np.random.default_rng(0)
    clip = random.integers(0, 256, (4, 3, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    model = build(name, SIZE, seed=1).to(DEVICE)
    plan = Schedule(first=150, rays=2048, precision=precision)
    frame = train_on(model, ClipPixels(model, clip), plan, frame=0)
    assert frame.loss < 0.05


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_groups_are_learned_and_shown_as_on_the_cpu(name):
    model = build(name, GROUPS[name], seed=1).to(DEVICE)
    plan = Schedule(first=60, rays=1024)
    frame = train_on(model, GroupPixels(model, cameras(), list(views())), plan, frame=0)
    assert np.isfinite(frame.loss) and frame.loss < 0.15
    here = build(name, GROUPS[name])
    here.load(frame.state)
    for time in (0.0, 1.0):
        there = render_image(model.eval(), cameras()[0], time=time)
        apart = np.abs(render_image(here.eval(), cameras()[0], time=time).astype(int) - there)
        assert np.percentile(apart, 99) <= 3


def test_blending_in_torch_has_the_gradients_of_the_kernels():
    model = build("splats", VIEWS["splats"], seed=2)
    other = build("splats", VIEWS["splats"], seed=2).to(DEVICE)
    from nmc_framework.training import PixelPool

    losses = []
    for one in (model, other):
        device = next(one.parameters()).device
        pool = PixelPool(cameras(), next(views(1)), device=device, side=16)
        batch = pool.draw(2048, torch.Generator().manual_seed(0))
        loss = one.eval().loss(batch)
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        apart = float((one.grad - two.grad.cpu()).norm() / one.grad.norm().clamp_min(1e-12))
        assert apart < 0.02, name


def test_each_device_has_a_worker(tmp_path):
    devices = [f"cuda:{k}" for k in range(torch.cuda.device_count())]
    model = build("voxel_grid", VIEWS["voxel_grid"], seed=1)
    with nmc.Writer(tmp_path / "a.nmc", **model.in_package()) as writer:
        store = PackageStore(writer)
        for frame in train_chain(model, cameras(), views(), Schedule(first=8, later=4, rays=256)):
            store.append(frame)
    track = orbit((0, 0, 0), 12, distance=2, azimuths=(200, 250), elevations=(10, 30))
    shown = [k % 2 for k in range(12)]
    seen = render_package(tmp_path / "a.nmc", track, cameras()[0], shown, devices=[*devices, "cpu"])
    alone = render_package(tmp_path / "a.nmc", track, cameras()[0], shown)
    for one, other in zip(seen, alone, strict=True):
        assert np.percentile(np.abs(one.astype(int) - other), 99) <= 2


def test_a_device_that_is_there_is_usable():
    assert usable_device("cuda:0") == "cuda:0"


def test_meshes_and_generators_are_learned_as_on_the_cpu():
    from nmc_framework.inverse.layer_groups import made
    from nmc_framework.inverse.learning import ViewPairs, scored
    from nmc_framework.inverse.multiview import filmed_cars
    from nmc_framework.inverse.pictures import PictureSet
    from nmc_framework.inverse.renderer import RenderedViews, fidelity, renderer_of

    cars = filmed_cars(6, 3, 32, 0)
    shapes = {"size": 32, "viewpoints": 3, "divisions": 4, "texture": 16, "code": 16, "width": 8}
    network = build("inverse_graphics", shapes, seed=1).to(DEVICE)
    done = train_on(network, ViewPairs(cars), Schedule(first=6, rays=4), frame=0)
    here = build("inverse_graphics", shapes)
    here.load(done.state)
    assert scored(network, cars).other == pytest.approx(scored(here, cars).other, abs=0.02)

    maps = {"sides": [4, 8, 16], "layers": [1, 3, 3], "channels": [8, 8, 8]}
    generator = build("style_generator", maps, seed=1).to(DEVICE)
    pictures = PictureSet(cars.pictures.reshape(-1, 32, 32, 3)[:, ::2, ::2])
    done = train_on(generator, pictures, Schedule(first=4, rays=4), frame=0)
    alike = build("style_generator", maps)
    alike.load(done.state)
    seen = []
    for one in (generator, alike):
        seen.append(made(one, one.drawn(4, torch.Generator().manual_seed(2))).astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 3

    renderer = renderer_of(generator, network).to(DEVICE)
    examples = RenderedViews(cars, network, 16)
    train_on(renderer, examples, Schedule(first=3, rays=4), frame=0)
    assert np.isfinite(fidelity(renderer, examples))
