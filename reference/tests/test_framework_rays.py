"""Samples on rays, compositing and its gradients, space and its contraction, what cameras see."""

import numpy as np
import pytest
import torch

from nmc_framework.cameras import Camera, look_at
from nmc_framework.models import RayBatch, build
from nmc_framework.models.radiance import quadrature
from nmc_framework.models.radiance.lit import lit
from nmc_framework.models.radiance.occupancy import Occupancy
from nmc_framework.models.radiance.sampling import _place_in_torch, most_steps, place
from nmc_framework.models.radiance.space import Space, stretch
from nmc_framework.models.radiance.volume import composite

pytestmark = pytest.mark.usefixtures("one_thread")

LOWER, UPPER = torch.tensor([-1.0, -1, -1]), torch.tensor([1.0, 1, 1])


def rays(count, seed=0, distance=3.0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator)
    origins = distance * origins / origins.norm(dim=1, keepdim=True)
    targets = torch.rand(count, 3, generator=generator) - 0.5
    return origins, torch.nn.functional.normalize(targets - origins, dim=1)


def placed(contracted, share_open=0.4, count=100, distance=3.0):
    space = Space(LOWER, UPPER, contracted)
    occupancy = Occupancy(8, 0.05, space)
    generator = torch.Generator().manual_seed(2)
    occupancy.cells = torch.rand(8, 8, 8, generator=generator) < share_open
    origins, directions = rays(count, distance=distance)
    span = space.spans(origins, directions)
    offset = torch.rand(count, generator=generator)
    room = most_steps(space, 0.05)
    return (origins, directions, span, offset, 0.05, room, occupancy, space)


@pytest.mark.parametrize("contracted", [False, True])
def test_samples_of_kernel_and_torch_agree(contracted):
    arguments = placed(contracted)
    fast, slow = place(*arguments), _place_in_torch(*arguments)
    assert len(fast) > 500
    few, many = fast.starts.diff(), slow.starts.diff()
    # A float's last bit may put one sample in the neighbouring cell.
    assert (few - many).abs().max() <= 2
    same = (few == many).nonzero()[:, 0]
    assert len(same) > 85
    for n in same[:40]:
        a, b = slice(*fast.starts[n : n + 2]), slice(*slow.starts[n : n + 2])
        close = torch.isclose(fast.distance[a], slow.distance[b], rtol=1e-3, atol=1e-3)
        assert close.float().mean() > 0.9


@pytest.mark.parametrize("contracted", [False, True])
def test_every_sample_is_where_it_says(contracted):
    arguments = placed(contracted)
    origins, directions, _, _, _, _, occupancy, space = arguments
    samples = place(*arguments)
    points = origins[samples.ray] + samples.distance[:, None] * directions[samples.ray]
    torch.testing.assert_close(space.unit(points), samples.unit, rtol=1e-3, atol=1e-4)
    cell = (samples.unit * 8).long().clamp(0, 7)
    assert occupancy.cells[cell[:, 2], cell[:, 1], cell[:, 0]].float().mean() > 0.99
    assert (samples.length > 0).all() and (samples.starts.diff() >= 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_rays_left_in_the_dark_show_what_they_would_show_in_full(training):
    samples = place(*placed(contracted=True, share_open=0.9))
    assert samples.starts.diff().max() > 80, "not enough for three looks"
    generator = torch.Generator().manual_seed(5)
    # Walls and fog, and a point before them that is not a number.
    density = 40 * torch.rand(len(samples), generator=generator) ** 8
    density[samples.starts[3] : samples.starts[3] + 30] = 0
    density[samples.starts[3] + 30] = torch.nan
    looked = torch.zeros(len(samples), dtype=torch.int64)

    def look(part):
        begin = samples.starts[:-1] + done - part.starts[:-1]
        index = torch.arange(len(part)) + begin[part.ray]
        done.add_(part.starts.diff())
        assert torch.equal(samples.unit[index], part.unit)
        looked[index] += 1
        return index[:, None].float(), density[index]

    def seen(weight, left):
        return ~(weight + left <= 1e-2) if training else ~(weight <= 1e-2)

    done = torch.zeros(len(samples.starts) - 1, dtype=torch.int64)
    kept, stored = lit(samples, look, seen, 1e-2)
    weight, left = quadrature.weights(samples, density)
    expected = seen(weight, left)
    assert torch.equal(stored[:, 0].long(), expected.nonzero()[:, 0])
    assert torch.equal(kept.distance, samples.distance[expected])
    assert torch.equal(kept.starts, samples.where(expected).starts)
    assert looked.max() == 1
    assert 2 * looked.sum() < len(samples), "what lies behind walls was looked at"


def test_rays_without_samples_show_nothing():
    samples = place(*placed(False, share_open=-1.0))
    kept, stored = lit(samples, lambda part: (part.unit, part.length), lambda w, _: w > 0, 1e-3)
    assert len(kept) == 0
    assert stored.shape == (0, 3)
    assert kept.starts.tolist() == [0] * 101


def test_an_unbounded_ray_reaches_far_in_few_steps():
    arguments = placed(contracted=True, share_open=1.1, distance=0.3)
    samples = place(*arguments)
    assert samples.distance.max() > 100
    assert samples.starts.diff().max() < most_steps(arguments[-1], 0.05)
    # What is inside is sampled as finely as in a bounded scene.
    assert samples.length.min() == pytest.approx(0.05)


def test_contraction_is_undone_and_keeps_the_middle():
    space = Space(LOWER, UPPER, contracted=True)
    points = torch.randn(500, 3) * torch.logspace(-1, 1.5, 500)[:, None]
    unit = space.unit(points)
    assert ((unit > 0) & (unit < 1)).all()
    torch.testing.assert_close(space.world(unit), points, rtol=1e-2, atol=1e-4)
    near = points.abs().amax(dim=1) <= 1
    torch.testing.assert_close(unit[near], points[near] / 4 + 0.5)
    flat = Space(LOWER, UPPER)
    torch.testing.assert_close(flat.world(flat.unit(points)), points, rtol=1e-4, atol=1e-5)


def packed(seed=3, count=20):
    generator = torch.Generator().manual_seed(seed)
    samples = place(*placed(contracted=False, count=count))
    density = torch.rand(len(samples), generator=generator) * 3
    colour = torch.rand(len(samples), 3, generator=generator)
    background = torch.rand(count, 3, generator=generator)
    return samples, density, colour, background


@pytest.mark.parametrize("blur", [(0.0, 1.0), (5.0, 2.5)])
def test_kernels_and_torch_composite_alike(blur):
    samples, density, colour, background = packed()
    results = []
    for render in (quadrature.render, quadrature._in_torch):
        d, c = density.clone().requires_grad_(), colour.clone().requires_grad_()
        out = render(samples, d, c, background, blur)
        (out.colour.square().sum() + 0.3 * out.opacity.square().sum()).backward()
        results.append((out.colour, out.opacity, out.depth, d.grad, c.grad))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_empty_rays_show_the_background():
    samples, density, colour, background = packed()
    none = samples.where(torch.zeros(len(samples), dtype=torch.bool))
    out = quadrature.render(none, density[:0], colour[:0], background)
    assert torch.equal(out.colour, background) and not out.opacity.any()


def test_distortion_has_the_gradient_of_its_definition():
    samples, density, colour, background = packed()
    got = density.clone().requires_grad_()
    quadrature.render(samples, got, colour, background, (1.0, 1.0)).colour.sum().backward()
    plain = density.clone().requires_grad_()
    quadrature.render(samples, plain, colour, background).colour.sum().backward()
    wanted = density.double().requires_grad_()
    middle, width = (v.double() for v in quadrature.normalised(samples, 1.0))
    total = 0
    for n in range(len(samples.starts) - 1):
        mine = slice(*samples.starts[n : n + 2])
        optical = wanted[mine] * samples.length[mine].double()
        weight = torch.exp(optical - torch.cumsum(optical, 0)) * -torch.expm1(-optical)
        apart = (middle[mine][:, None] - middle[mine]).abs()
        total = total + (weight[:, None] * weight * apart).sum()
        total = total + (weight.square() * width[mine]).sum() / 3
    (total / (len(samples.starts) - 1)).backward()
    torch.testing.assert_close((got.grad - plain.grad).double(), wanted.grad, rtol=2e-3, atol=2e-5)


def test_what_no_camera_sees_is_ruled_out():
    cameras = [
        Camera.from_field_of_view(40, 32, 32, look_at(eye, (0, 0, 0)), str(eye))
        for eye in ((3.0, 0.1, 0.2), (0.1, 3.0, 0.2))
    ]
    space = Space(LOWER, UPPER)
    occupancy = Occupancy(16, 0.05, space)
    occupancy.survey(cameras, space, near=2.5)
    assert occupancy.warm, "nothing is ruled out by density yet"
    assert occupancy.cells[8, 8, 8], "both see the middle"
    assert not occupancy.cells[8, 8, 15], "nearer to a camera than it looks"
    assert not occupancy.cells[0, 0, 15], "seen by one camera alone, or by none"
    unbounded = Space(LOWER, UPPER, contracted=True)
    far = Occupancy(16, 0.05, unbounded)
    far.survey(cameras, unbounded, near=0.0)
    assert far.cells[8, 8, 0], "behind the scene what one camera sees is kept"
    assert far.inside.sum() < far.whole.sum(), "and what nobody sees is not"
    far.survey(cameras[:1], unbounded, near=0.0)
    assert far.cells[8, 8, 8], "of a lone camera everything in its picture is kept"


def test_far_matter_counts_by_how_long_its_steps_are():
    # As dense everywhere as mist: a step of the middle hardly sees it, long steps behind it do.
    space = Space(LOWER, UPPER, contracted=True)
    occupancy = Occupancy(16, 0.05, space)
    for _ in range(8):
        occupancy.update(lambda unit: torch.full((len(unit),), 0.2), 2.0)
    assert not occupancy.cells[8, 8, 8], "mist in the middle is nothing"
    assert occupancy.cells[8, 8, 0], "mist behind the scene is what one sees there"
    assert stretch(torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 0.125]])).tolist() == [1.0, 4.0]


@pytest.mark.parametrize("family", ["hash_grid", "nerf_mlp", "voxel_grid"])
def test_an_unknown_background_is_never_the_same_in_training(family):
    small = {
        "hash_grid": {"levels": 2, "log2_entries": 8, "finest": 8},
        "voxel_grid": {"cells": [4]},
    }
    small["nerf_mlp"] = {"width": 8, "depth": 2, "skip": 1, "samples": 8, "fine_samples": 4}
    model = build(family, small[family] | {"background": None})
    origins, directions = rays(64)
    batch = RayBatch(origins, directions, torch.full((64, 3), 0.5))
    losses = {float(model.train().loss(batch).detach()) for _ in range(3)}
    assert len(losses) == 3
    with torch.no_grad():
        seen = {model.eval().render_rays(origins, directions).colour.sum().item() for _ in range(2)}
    assert len(seen) == 1


def test_a_unit_of_length_makes_no_odds():
    small = {"levels": 2, "log2_entries": 8, "finest": 8, "samples": 32, "occupancy": 8}
    origins, directions = rays(50)
    pictures = []
    for scale in (1.0, 1000.0):
        bounds = [[-scale] * 3, [scale] * 3]
        model = build("hash_grid", small | {"bounds": bounds}, seed=4).eval()
        with torch.no_grad():
            pictures.append(model.render_rays(origins * scale, directions).colour)
    torch.testing.assert_close(*pictures, rtol=1e-3, atol=1e-4)


def test_composite_of_one_colour_a_ray_agrees_with_one_background():
    shade = composite(
        torch.rand(4, 5), torch.rand(4, 5, 3), torch.rand(4, 5), 0.1, torch.ones(4, 3)
    )
    assert np.isfinite(shade.colour.numpy()).all()
