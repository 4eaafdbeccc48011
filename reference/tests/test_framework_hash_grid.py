"""The hash grid: its two code paths, its occupancy, and what freezing saves."""

import numpy as np
import pytest
import torch
from field_samples import SMALL, rays
from torch.utils.flop_counter import FlopCounterMode

from nmc_framework.cameras import Camera, look_at
from nmc_framework.models import RayBatch, build
from nmc_framework.models.radiance import hash_kernels
from nmc_framework.models.radiance.grid_encoding import GridLevel, _interpolate_in_torch, encode
from nmc_framework.models.radiance.occupancy import Occupancy
from nmc_framework.models.radiance.space import Space

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_motion_opens_cells_however_far_from_all_matter():
    space = Space(torch.full((3,), -1.0), torch.full((3,), 1.0))
    occupancy = Occupancy(16, 0.1, space)
    occupancy.cells = torch.zeros(16, 16, 16, dtype=torch.bool)
    occupancy.cells[8, 8, 1] = True
    poses = look_at((0, -4, 0), (0, 0, 0)), look_at((0, 0, 4), (0, 0, 0), up=(0, 1, 0))
    everywhere = [
        (Camera.from_field_of_view(40, 32, 32, pose), np.ones((32, 32), dtype=bool))
        for pose in poses
    ]

    def ball(points):
        return 50.0 * ((points - torch.tensor([0.8, 0.5, 0.5])).norm(dim=1) < 0.12)

    occupancy.begin_frame(lambda points: torch.zeros(len(points)), everywhere, space)
    assert occupancy.searching
    assert occupancy.cells[8, 8, 13]
    torch.manual_seed(0)
    for _ in range(6):
        occupancy.update(ball, 2.0)
    assert not occupancy.searching
    assert occupancy.cells[8, 8, 13]
    assert float(occupancy.cells.float().mean()) < 0.1


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
    unknown = build("hash_grid", SMALL["hash_grid"] | {"background": None})
    assert [g["lr"] for g in unknown.parameter_groups(1.0)] == [1.0, 0.2]
    assert unknown.parameter_groups(1.0, later=True)[1]["lr"] == later[1]["lr"]
