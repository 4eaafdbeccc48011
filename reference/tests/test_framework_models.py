"""Families: the protocol, volume rendering, the hash grid's two code paths."""

from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from field_samples import SMALL, rays

from nmc_framework.models import (
    ModelError,
    RadianceModel,
    RayBatch,
    Rendered,
    build,
    families,
    family,
    registry,
)
from nmc_framework.models.radiance.cuboid import enter_and_leave
from nmc_framework.models.radiance.grid_encoding import GridLevel, _interpolate_in_torch
from nmc_framework.models.radiance.hash_grid import HashGrid
from nmc_framework.models.radiance.nerf_mlp import encode_positions
from nmc_framework.models.radiance.nerf_plus_plus import InverseSphere
from nmc_framework.models.radiance.volume import composite

ALL = sorted(SMALL)

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_tensorf_becomes_finer_without_becoming_another():
    model = build("tensorf", SMALL["tensorf"] | {"finest": 11}, seed=2)
    model.begin_frame(0)
    assert {factor.used for factor in model.factors} == {4}
    unit = torch.rand(50, 3)
    coarse = model.encoded(unit)
    for factor in model.factors:
        factor.refine(7)
    # Every second place of seven is one of four: what lies between is theirs, interpolated.
    torch.testing.assert_close(model.encoded(unit), coarse, atol=0.02, rtol=0.1)
    lines = torch.cat([f.line[0, :, :7:2] for f in model.factors])
    again = torch.cat([f.line[0, :, :7] for f in model.factors])
    torch.testing.assert_close((lines[:, 1:] + lines[:, :-1]) / 2, again[:, 1::2])
    model.progress = 0.5
    assert model.after_step(0) and not model.after_step(1)
    assert {factor.used for factor in model.factors} == {11}
    model.begin_frame(1)
    assert {factor.used for factor in model.factors} == {11}, "a later frame has all of them"


def test_a_frame_that_is_too_short_ends_with_all_of_its_tables():
    model = build("tensorf", SMALL["tensorf"] | {"finest": 11}, seed=2)
    model.begin_frame(0)
    coarse = model.encoded(torch.full((1, 3), 0.5))
    model.end_frame()
    assert {factor.used for factor in model.factors} == {11}
    torch.testing.assert_close(model.encoded(torch.full((1, 3), 0.5)), coarse, atol=0.05, rtol=0.2)


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


class Fog(RadianceModel):
    """A veil that lets a quarter of the light through, over the background."""

    family = "fog"

    @classmethod
    def defaults(cls):
        return {"bounds": [[-1.0] * 3, [1.0] * 3], "near": 0.0, "background": [0.0] * 3}

    def layers(self):
        return []

    def render_rays(self, origins, directions):
        near, _ = self.spans(origins, directions)
        opacity = torch.full_like(near, 0.75)
        return Rendered(0.25 * self.background.expand(len(near), 3), opacity, near)


def test_a_radiance_model_hides_nothing_before_an_unknown_background():
    origins = torch.tensor([[-3.0, 0, 0], [0, 0, 0], [-3, 5, 0]]).repeat(500, 1)
    directions = torch.tensor([[1.0, 0, 0]]).expand(1500, 3)
    known = Fog.build({"background": [0.4, 0.4, 0.4]})
    unknown = Fog.build({"background": None, "near": 2.5})
    batch = RayBatch(origins, directions, torch.full((1500, 3), 0.1))
    assert float(known.loss(batch)) < 1e-12
    grey = unknown.render_rays(origins, directions).colour
    assert torch.equal(grey, torch.full((1500, 3), 0.125))
    # A sixteenth of the variance 1/12 of what is behind, and the square of 0.125 less 0.1.
    assert float(unknown.loss(batch)) == pytest.approx(1 / 192 + 0.025**2, rel=0.1)
    near, far = unknown.spans(origins[:3], directions[:3])
    assert near.tolist() == [2.5, 2.5, 2.5] and far.tolist() == [4, 2.5, 2.5]


def test_no_points_are_encoded_as_none():
    """What lies before empty space has no samples at all."""
    assert encode_positions(torch.zeros(0, 3), 4).shape == (0, 3 + 2 * 3 * 4)
    assert encode_positions(torch.zeros(2, 3), 4).shape == (2, 3 + 2 * 3 * 4)
