"""Families: the protocol, volume rendering, the hash grid's two code paths."""

from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nmc_framework.cameras import Camera, look_at
from nmc_framework.models import (
    ModelError,
    RayBatch,
    build,
    families,
    family,
    registry,
)
from nmc_framework.models.radiance import hash_kernels
from nmc_framework.models.radiance.grid_encoding import GridLevel, _interpolate_in_torch, encode
from nmc_framework.models.radiance.hash_grid import HashGrid
from nmc_framework.models.radiance.nerf_plus_plus import InverseSphere
from nmc_framework.models.radiance.occupancy import Occupancy
from nmc_framework.models.radiance.space import Space
from nmc_framework.models.radiance.volume import composite, enter_and_leave

SMALL = {
    "hash_grid": {
        "levels": 3, "features": 2, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8,
        "geometry": 3, "samples": 24, "occupancy": 8, "warm_up": 4,
    },
    "nerf_mlp": {
        "width": 16, "depth": 3, "skip": 2, "position_frequencies": 4, "direction_frequencies": 2,
        "samples": 12, "fine_samples": 8,
    },
    "nerf_plus_plus": {
        "width": 16, "depth": 3, "skip": 2, "position_frequencies": 4, "direction_frequencies": 2,
        "samples": 12, "fine_samples": 8, "sphere": [0.0, 0.0, 0.0, 3.3],
    },
    "plenoxels": {"finest": 12, "voxels": 1000, "samples": 24, "occupancy": 8, "warm_up": 4},
    "tensorf": {
        "finest": 12, "ranks": [2, 3], "features": 6, "hidden": 8, "samples": 24, "occupancy": 8,
        "warm_up": 4,
    },
    "voxel_grid": {"cells": [4, 8], "samples": 24, "occupancy": 8, "warm_up": 4, "harmonics": 4},
}  # fmt: skip
ALL = sorted(SMALL)


pytestmark = pytest.mark.usefixtures("one_thread")


def rays(count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator)
    origins = 3 * origins / origins.norm(dim=1, keepdim=True)
    targets = torch.rand(count, 3, generator=generator) - 0.5
    return origins, torch.nn.functional.normalize(targets - origins, dim=1)


@pytest.mark.parametrize("name", ALL)
def test_a_family_keeps_its_promises(name):
    model = build(name, SMALL[name], seed=3)
    assert model.family == name and name in families()
    parameters = dict(model.named_parameters())
    assert set(model.layer_of()) == set(parameters), "every parameter belongs to a layer"
    assert set(model.save()) == set(parameters) | dict(model.named_buffers()).keys() - {
        key for key in dict(model.named_buffers()) if key not in model.state_dict()
    }
    rendered = model.eval().render_rays(*rays())
    assert rendered.colour.shape == (64, 3) and rendered.opacity.shape == (64,)
    assert ((rendered.colour >= 0) & (rendered.colour <= 1.001)).all()
    assert ((rendered.opacity >= 0) & (rendered.opacity <= 1.001)).all()


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_weights_other_seed_others(name):
    one, two, three = (build(name, SMALL[name], seed=s).save() for s in (1, 1, 2))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert any(not np.array_equal(one[k], three[k]) for k in one)


@pytest.mark.parametrize("name", ALL)
def test_a_saved_state_renders_the_same(name):
    model, other = build(name, SMALL[name], seed=1).eval(), build(name, SMALL[name], seed=2).eval()
    other.load(model.save())
    with torch.no_grad():
        assert torch.equal(model.render_rays(*rays()).colour, other.render_rays(*rays()).colour)


@pytest.mark.parametrize("name", ALL)
def test_loss_reaches_every_layer(name):
    model = build(name, SMALL[name], seed=1).train()
    origins, directions = rays(256)
    model.loss(RayBatch(origins, directions, torch.rand(256, 3))).backward()
    for index, layer in enumerate(model.layers()):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()), index


def test_other_architectures_are_refused_by_name():
    small, wide = (
        build("nerf_mlp", SMALL["nerf_mlp"]),
        build("nerf_mlp", SMALL["nerf_mlp"] | {"width": 20}),
    )
    with pytest.raises(ModelError, match=r"another architecture: 'coarse.trunk.0.weight' is"):
        small.load(wide.save())
    grid = build("hash_grid", SMALL["hash_grid"])
    with pytest.raises(ModelError, match="lacks 'coarse"):
        small.load(grid.save())
    state = small.save()
    with pytest.raises(ModelError, match="has also 'extra'"):
        small.load(state | {"extra": np.zeros(1)})
    name = next(iter(state))
    with pytest.raises(ModelError, match="float64, expected"):
        small.load(state | {name: state[name].astype(np.float64)})


def test_unknown_options_and_families_are_named():
    with pytest.raises(ModelError, match="nerf_mlp knows no option colour; it has"):
        build("nerf_mlp", {"colour": 1})
    with pytest.raises(ModelError, match="no model family 'gaussian'; there are coin, "):
        build("gaussian")


def test_another_package_can_add_a_family(monkeypatch):
    points = EntryPoints(
        [
            EntryPoint("mine", "nmc_framework.models.radiance.hash_grid:HashGrid", registry.GROUP),
            EntryPoint("wrong", "pathlib:Path", registry.GROUP),
        ]
    )
    monkeypatch.setattr(registry, "entry_points", points.select)
    assert "mine" in families() and family("mine") is HashGrid
    with pytest.raises(ModelError, match="is not a ChainModel"):
        family("wrong")


@pytest.mark.parametrize("decomposition", ["vm", "cp"])
def test_tensorf_is_a_sum_of_products_along_the_axes(decomposition):
    model = build("tensorf", SMALL["tensorf"] | {"decomposition": decomposition, "finest": 5})
    with torch.no_grad():
        points = torch.tensor([[0.25, 0.5, 1.0]])
        found = model.encoded(points)[0]
    parts = []
    for axis, factor in enumerate(model.factors):
        # The vertices lie at 0, 1/4 … 1; the line runs along the third of the turned axes.
        x, y, z = (points.roll(axis, dims=1)[0] * 4).long().tolist()
        part = factor.line[0, :, z, 0]
        parts.append(part if factor.plane is None else part * factor.plane[0, :, y, x])
    if decomposition == "vm":
        expected = torch.cat([*(p[:2] for p in parts), *(p[2:] for p in parts)])
    else:
        expected = torch.stack(parts).prod(dim=0)
    torch.testing.assert_close(found, expected)
    weights = sum(p.numel() for p in model.factors.parameters())
    assert weights == 3 * 5 * 5 + (3 * 5 * 25 if decomposition == "vm" else 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"decomposition": "svd"}, "decomposed by vm or cp, not 'svd'"),
        ({"ranks": [1]}, "two ranks from 1 on"),
        ({"ranks": [0, 4]}, "two ranks from 1 on"),
        ({"finest": 1}, "finest from 2 on"),
    ],
)
def test_tensorf_refuses_what_is_no_decomposition(options, told):
    with pytest.raises(ModelError) as refused:
        build("tensorf", options)
    assert told in str(refused.value)


def test_the_outside_of_a_sphere_is_inverted():
    origins = torch.tensor([[0.2, -0.1, 0.3], [0.0, 0, 0], [4.0, 3.0, 0.0]])
    directions = torch.nn.functional.normalize(
        torch.tensor([[1.0, 2, -1], [0, 0, 1], [-1, 0, 0]]), dim=1
    )
    ray = InverseSphere(origins, directions)
    leaves = ray.points(ray.within(0.0)[1][:, None])[:, 0].norm(dim=1)
    assert leaves[:2].tolist() == pytest.approx([1, 1])
    # The third misses the sphere: it begins where it is nearest, and has no way inside.
    assert ray.outermost().tolist() == pytest.approx([1, 1, 1 / 3])
    near, last = ray.within(0.0)
    assert float(last[2] - near[2]) < 1e-4 < 1 < float(last[0] - near[0])
    inverse = torch.tensor([[1.0, 0.5, 0.01, 0.0]] * 2 + [[1 / 3, 0.2, 0.01, 0.0]])
    found = ray.inverted(inverse)
    torch.testing.assert_close(found[..., :3].norm(dim=2), torch.ones(3, 4))
    assert torch.equal(found[..., 3], inverse)
    torch.testing.assert_close(found[:, 3, :3], directions, msg="at infinity all is direction")
    distance = ray.distance(inverse)[:, :3]
    points = origins[:, None] + distance[..., None] * directions[:, None]
    torch.testing.assert_close(points * inverse[:, :3, None], found[:, :3, :3])


def test_what_is_outside_is_seen_through_what_is_inside():
    model = build("nerf_plus_plus", SMALL["nerf_plus_plus"] | {"fine_samples": 0}, seed=1).eval()
    with torch.no_grad():
        model.coarse.inside.density.bias.fill_(-60)
        model.coarse.outside.density.bias.fill_(60)
        clear = model.render_rays(*rays())
        model.coarse.inside.density.bias.fill_(60)
        opaque = model.render_rays(*rays())
    assert (clear.depth > 3.3).all() and (opaque.depth < 3.3).all()
    assert (clear.opacity > 0.99).all() and (opaque.opacity > 0.99).all()


def plenoxels(**options):
    return build("plenoxels", SMALL["plenoxels"] | options, seed=1)


def test_voxels_mix_the_corners_and_nothing_where_there_is_none():
    model = plenoxels()
    voxels = model.voxels
    assert voxels.cells == model.coarse == 6
    torch.nn.init.normal_(voxels.table)
    level = GridLevel(6, voxels.table.shape[1], 62)
    with torch.no_grad():
        level.table.copy_(voxels.table[: 7**3])
    points = torch.rand(300, 3)
    torch.testing.assert_close(voxels(points), _interpolate_in_torch(points, level))
    voxels.place(torch.tensor([0]), 6)
    with torch.no_grad():
        assert torch.equal(voxels(torch.zeros(1, 3))[0], voxels.table[0])
        assert not voxels(torch.full((1, 3), 0.9)).any()


def test_voxels_become_fine_and_sparse_where_there_is_matter():
    model = plenoxels()
    with torch.no_grad():
        model.occupancy.cells.zero_()
        model.occupancy.cells[4, 4, 4] = True
        model.voxels.table[:, 0] = torch.rand(1000)
    inside = 0.5 + torch.rand(200, 3) / 8
    before = model.encoded(inside)
    model.progress = 0.5
    model._refine()
    held = (model.voxels.vertices >= 0).nonzero()[:, 0]
    place = model._unit(model.voxels.vertices[held].long())
    assert len(held) < 100 and ((place > 0.4) & (place < 0.72)).all()
    # Vertices of the fine lattice that those of the coarse one are among: nothing changes.
    torch.testing.assert_close(model.encoded(inside), before)
    assert not model.encoded(torch.full((1, 3), 0.1)).any()
    other = plenoxels()
    other.load(model.save())
    torch.testing.assert_close(other.encoded(inside), model.encoded(inside))


def test_a_state_that_says_too_much_of_voxels_takes_no_more_memory():
    model = plenoxels()
    state = model.save()
    state["voxels.along"] = np.array(2**30, np.int32)
    state["voxels.vertices"] = np.full_like(state["voxels.vertices"], 2**31 - 1)
    model.load(state)
    assert model.voxels.cells == 12 and len(model.voxels.links) == 13**3
    assert not model.encoded(torch.rand(20, 3)).any()


def test_voxels_make_room_where_matter_comes():
    model = plenoxels(voxels=200)
    with torch.no_grad():
        model.occupancy.cells.zero_()
        model.occupancy.cells[2, 2, 2] = True
    model._refine()
    kept = model.save()["voxels.vertices"]
    with torch.no_grad():
        model.voxels.table[:, 0] = 0.7
        model.occupancy.cells[3, 2, 2] = True
    model._make_room()
    after = model.save()["voxels.vertices"]
    held = kept >= 0
    assert (after[held] == kept[held]).all(), "what is held stays where it is"
    assert (after >= 0).sum() > held.sum()
    with torch.no_grad():
        assert (model.encoded(torch.tensor([[0.3, 0.3, 0.45]]))[:, 0] > 0).all()


def test_variation_is_none_of_what_is_even_and_some_of_what_is_not():
    model = plenoxels()
    torch.nn.init.constant_(model.voxels.table, 0.3)
    even = model.voxels.variation(500).detach()
    # At the border of what is stored, there is a step to nothing; the coarse lattice has all of it.
    assert float(even.max()) < 1e-3
    torch.nn.init.normal_(model.voxels.table)
    assert float(model.voxels.variation(500).detach().min()) > 1


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("plenoxels", {"voxels": 3}, "voxels from 27"),
        ("plenoxels", {"finest": 5000}, "finest from 2 to 1024"),
        ("plenoxels", {"colour_variation": -1.0}, "variations from 0 on"),
        ("nerf_plus_plus", {"sphere": [0.0, 0.0, 0.0, 0.0]}, "a radius above 0"),
        ("nerf_plus_plus", {"sphere": [1.0]}, "a radius above 0"),
        ("nerf_plus_plus", {"samples": 2}, "samples from 3 on"),
    ],
)
def test_static_families_refuse_what_they_cannot_be(name, options, told):
    with pytest.raises(ModelError) as refused:
        build(name, options)
    assert told in str(refused.value)


def test_compositing_constant_fog_follows_the_exponential_law():
    count, sigma = 400, 1.7
    distance = (torch.arange(count) + 0.5)[None] / count * 2
    out = composite(
        torch.full((1, count), sigma),
        torch.full((1, count, 3), 0.25),
        distance,
        2 / count,
        torch.ones(3),
    )
    opacity = 1 - np.exp(-sigma * 2)
    assert float(out.opacity) == pytest.approx(opacity, abs=1e-5)
    assert float(out.colour[0, 0]) == pytest.approx(0.25 * opacity + 1 - opacity, abs=1e-5)
    mean = 1 / sigma - 2 * np.exp(-2 * sigma) / opacity
    assert float(out.depth) == pytest.approx(mean, abs=1e-4)


def test_rays_enter_and_leave_a_box():
    origins = torch.tensor([[-3.0, 0, 0], [0, 0, 0], [-3, 5, 0]])
    directions = torch.tensor([[1.0, 0, 0]] * 3)
    near, far = enter_and_leave(origins, directions, -torch.ones(3), torch.ones(3))
    assert near[:2].tolist() == [2, 0] and far[:2].tolist() == [4, 1]
    assert near[2] == far[2]


@pytest.mark.parametrize("cells", [7, 40])
def test_kernels_and_torch_agree_on_the_grid(cells):
    level = GridLevel(cells, 3, 12)
    assert level.hashed == (cells == 40)
    torch.nn.init.normal_(level.table)
    points = torch.rand(500, 3)
    points[:3] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 1, 0]])
    fast, slow = encode(points, [level]), _interpolate_in_torch(points, level)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(fast)
    gradients = [
        torch.autograd.grad((out * weights).sum(), level.table)[0]
        for out in (encode(points, [level]), _interpolate_in_torch(points, level))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_a_frozen_level_gets_no_gradient_and_costs_none():
    levels = [GridLevel(4, 2, 9), GridLevel(8, 2, 9)]
    levels[0].table.requires_grad_(False)
    encode(torch.rand(50, 3), levels).sum().backward()
    assert levels[0].table.grad is None and levels[1].table.grad is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    levels = [GridLevel(8, 4, 9), GridLevel(32, 4, 9)]
    generator = torch.Generator().manual_seed(5)
    for level in levels:
        level.table.data = torch.randn(level.table.shape, generator=generator)
    points = torch.rand(40000, 3, generator=generator)
    reference = encode(points, levels)
    torch.set_num_threads(threads)
    assert torch.equal(encode(points, levels), reference)


def test_occupancy_closes_empty_space_and_opens_it_for_motion():
    space = Space(torch.zeros(3), torch.tensor([1.0, 1.0, 0.5]))
    occupancy = Occupancy(16, 0.05, space)
    assert occupancy.warm and not occupancy.cells[8:].any()

    def ball(points):
        return 50.0 * ((points - torch.tensor([0.5, 0.5, 0.2])).norm(dim=1) < 0.15)

    torch.manual_seed(0)
    for _ in range(12):
        occupancy.update(ball, 2.0)
    closed = float(occupancy.cells.float().mean())
    assert not occupancy.warm and 0.01 < closed < 0.12
    occupancy.begin_frame(ball, (), space)
    assert float(occupancy.cells.float().mean()) > 1.5 * closed
    assert not occupancy.cells[8:].any()
    occupancy.update(ball, 2.0)
    assert float(occupancy.cells.float().mean()) < 1.2 * closed


def test_motion_opens_only_what_two_cameras_see_change():
    space = Space(torch.full((3,), -1.0), torch.full((3,), 1.0))
    occupancy = Occupancy(16, 0.1, space)
    occupancy.cells = torch.zeros(16, 16, 16, dtype=torch.bool)
    occupancy.cells[7:9, 7:9, 3] = True
    occupancy.cells[7:9, 7:9, 12] = True
    # Both have the x axis to the right.
    poses = look_at((0, -4, 0), (0, 0, 0)), look_at((0, 0, 4), (0, 0, 0), up=(0, 1, 0))
    rig = [Camera.from_field_of_view(40, 32, 32, pose) for pose in poses]
    before = occupancy.cells.clone()

    def opened(*halves):
        occupancy.cells = before.clone()
        masks = [np.zeros((32, 32), dtype=bool) for _ in rig]
        for mask, half in zip(masks, halves, strict=True):
            mask[:, slice(*half)] = True
        changes = list(zip(rig, masks, strict=True))
        occupancy.begin_frame(lambda points: torch.zeros(len(points)), changes, space)
        grown = occupancy.cells & ~before
        return bool(grown[:, :, :8].any()), bool(grown[:, :, 8:].any())

    assert opened((0, 32), (0, 32)) == (True, True)
    assert opened((0, 32), (0, 0)) == (False, False)
    assert opened((0, 13), (0, 13)) == (True, False)
    assert opened((19, 32), (19, 32)) == (False, True)
    assert opened((0, 13), (19, 32)) == (False, False)


def test_closed_cells_open_again_where_matter_appears():
    occupancy = Occupancy(16, 0.05, Space(torch.zeros(3), torch.ones(3)))
    torch.manual_seed(0)
    for _ in range(12):
        occupancy.update(lambda points: torch.zeros(len(points)), 2.0)
    assert not occupancy.cells.any()
    for _ in range(80):
        occupancy.update(lambda points: 90.0 * (points[:, 0] > 0.5), 2.0)
    assert occupancy.cells[:, :, 10:].float().mean() > 0.8
    assert not occupancy.cells[:, :, :6].any()


def test_frozen_tables_are_not_deposited_into(monkeypatch):
    deposited = []
    real = hash_kernels.deposit
    monkeypatch.setattr(hash_kernels, "deposit", lambda *a: (deposited.append(a[5]), real(*a))[1])
    model = build("hash_grid", SMALL["hash_grid"], seed=1).train()
    origins, directions = rays(64)
    batch = RayBatch(origins, directions, torch.rand(64, 3))
    model.loss(batch).backward()
    assert len(deposited) == 3
    deposited.clear()
    for level in model.layers()[:2]:
        level.table.requires_grad_(False)
    model.loss(batch).backward()
    assert deposited == [4], "only the third level, which begins at column 4"
    deposited.clear()
    model.layers()[2].table.requires_grad_(False)
    model.loss(batch).backward()
    assert not deposited and model.density_network[0].weight.grad is not None


def test_a_frozen_back_saves_its_weight_gradients_and_no_more():
    def products(frozen):
        model = build("nerf_mlp", SMALL["nerf_mlp"] | {"fine_samples": 0}, seed=1).train()
        for index in frozen:
            model.layers()[index].requires_grad_(False)
        origins, directions = rays(8)
        with FlopCounterMode(display=False) as counter:
            model.loss(RayBatch(origins, directions, torch.rand(8, 3))).backward()
        return counter.get_total_flops()

    network = build("nerf_mlp", SMALL["nerf_mlp"] | {"fine_samples": 0}).coarse
    points = 8 * SMALL["nerf_mlp"]["samples"]
    cost = [2 * points * layer.weight.numel() for layer in network.linear_layers()]
    back = [3, 4, 5, 6]
    # A layer's weight gradient costs as much as its forward pass, and so does its input gradient:
    # freezing the back cannot save the latter, which the front needs.
    assert products([]) - products(back) == sum(cost[i] for i in back)
    assert products([0, 1, 2]) < products([]) - sum(cost[:3])


def test_networks_learn_slower_than_tables_in_later_frames():
    model = build("hash_grid", SMALL["hash_grid"])
    first, later = model.parameter_groups(1.0), model.parameter_groups(1.0, later=True)
    assert [g["lr"] for g in first] == [1.0, 0.5] and later[0]["lr"] == 1.0
    assert later[1]["lr"] < 0.1
