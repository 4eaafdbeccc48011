"""Models of groups of frames: the protocol, how pixels are drawn, chains, what is shown of them."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import nmc
from nmc_framework.capture.timed import instants_of, picture_times
from nmc_framework.evaluation import HeldOut, Scoring
from nmc_framework.models import ModelError, build, families, family
from nmc_framework.models.dynamic import Drawing, GroupBatch, GroupModel, of_group
from nmc_framework.models.radiance.grid_encoding import GridLevel, _interpolate_in_torch, encode
from nmc_framework.rendering import moments, render_image, render_package
from nmc_framework.rendering.track import orbit
from nmc_framework.scene import orbit_camera, scenes
from nmc_framework.training import (
    CheckpointFolder,
    FrameViews,
    GroupPixels,
    PackageStore,
    Schedule,
    ViewsError,
    freeze,
    train_groups,
    train_on,
)

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = {"levels": 3, "features": 2, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8}
MARCH = {"samples": 24, "occupancy": 8, "warm_up": 4, "instants": 3}
SMALL = {
    "dnerf": MARCH | GRID | {"geometry": 3, "deformation": [8, 2]},
    "dynerf": MARCH | {"code": 4, "width": 16, "depth": 3, "skip": 2, "key_every": 2},
    "mixvoxels": MARCH | GRID | {"geometry": 3, "variation": 8, "query": 4, "static_entries": 9},
}
ALL = sorted(SMALL)
SIZE = (20, 16)
CAMERAS = [orbit_camera(195 + 20 * k, 20, SIZE, name=f"c{k}") for k in range(4)]
PLAN = Schedule(first=30, later=12, rays=96, seed=1, hold=0)


def filmed(count, start=0, cameras=CAMERAS):
    """Return frames of the embedded room, half a second apart: things move a good way."""
    scene = scenes()["room"]
    return [
        FrameViews(k, 0.5 * k, scene.view_all(cameras, 0.5 * k, supersampling=1))
        for k in range(start, start + count)
    ]


@pytest.fixture(scope="module")
def frames():
    return filmed(5)


def small(name, **more):
    bounds = [list(corner) for corner in scenes()["room"].bounds]
    return build(name, SMALL[name] | {"bounds": bounds} | more, seed=3)


def test_every_family_of_groups_is_tried_here():
    assert {name for name in families() if issubclass(family(name), GroupModel)} == set(SMALL)


@pytest.mark.parametrize("name", ALL)
def test_a_family_keeps_its_promises(name):
    model = small(name)
    parameters = dict(model.named_parameters())
    assert model.family == name and set(model.layer_of()) == set(parameters)
    assert {"length", "occupancy.cells"} <= set(model.save())
    other = build(name, model.configuration, seed=9)
    other.load(model.save())
    for time in (0.0, 1.0, 1.5):
        seen = [render_image(each, CAMERAS[0], time=time) for each in (model, other)]
        assert seen[0].shape == (16, 20, 3) and np.array_equal(*seen)


@pytest.mark.parametrize("name", ALL)
def test_the_loss_reaches_every_layer(name, frames):
    model = small(name).train()
    pixels = GroupPixels(model, CAMERAS, frames[:3])
    model.prepare(pixels)
    reached = torch.zeros(len(model.layers()))
    model.progress = 0.0
    for seed in range(3):
        batch = pixels.draw(800, torch.Generator().manual_seed(seed), 0.5)
        if name == "mixvoxels":
            # Both kinds of voxels: half of the places stand still.
            with torch.no_grad():
                table = model.variation.table
                table.copy_(torch.where(torch.arange(len(table)) % 18 < 9, 3.0, -3.0)[:, None])
        model.zero_grad()
        model.loss(batch).backward()
        for index, layer in enumerate(model.layers()):
            grads = [p.grad for p in layer.parameters()]
            reached[index] += any(g is not None and bool(g.abs().sum() > 0) for g in grads)
        model.progress = 0.2  # by then D-NeRF draws more than the first instant, which never moves
    assert reached.min() > 0, reached


@pytest.mark.parametrize("name", ALL)
def test_a_chain_goes_the_whole_way(name, frames, tmp_path):
    model, package = small(name), tmp_path / "moving.nmc"
    with nmc.Writer(package, **model.in_package(), timescale=2) as writer:
        store = PackageStore(writer, span=3, told="instants")
        groups = [frames[:3], frames[3:]]
        done = list(train_groups(store, model, CAMERAS, lambda k: groups[k:], PLAN, rate=2))
    assert nmc.check(package).accepted
    assert [frame.time for frame in done] == [0.0, 1.5]
    with nmc.open(package) as sequence:
        assert [frame.presentation_time for frame in sequence.frames] == [0, 3]
        assert [frame.extras for frame in sequence.frames] == [{"instants": 3}, {"instants": 2}]
        shown = moments(sequence)
        assert [tuple(moment) for moment in shown] == [
            (0, 0, 0.0),
            (1, 0, 1.0),
            (2, 0, 2.0),
            (3, 1, 0.0),
            (4, 1, 1.0),
        ]
        quality = HeldOut(CAMERAS[:1])
        scoring = Scoring(quality, [0, 1], moments=shown)
        scoring.run(sequence, lambda k: frames[k].images[:1], lambda *_: None)
        record = quality.record([0, 1], 2, of=[moment.frame for moment in shown])
    assert [score.frame for score in quality.scores] == [0, 1, 2, 3, 4]
    assert np.isfinite(quality.scores[3].flicker), "from group to group as well"
    first = np.mean([score.psnr for score in quality.scores[:3]])
    assert record.metrics["psnr"][:, 0] == pytest.approx(
        [first, np.mean([score.psnr for score in quality.scores[3:]])]
    )
    track = orbit((0, 0, 0.4), 5, distance=3, azimuths=(200, 250), elevations=(10, 20))
    images = list(
        render_package(
            package,
            track,
            CAMERAS[0],
            [moment.frame for moment in shown],
            times=[moment.time for moment in shown],
        )
    )
    model.load(done[1].state)
    camera = CAMERAS[0].at(track[4].camera_to_world())
    assert np.array_equal(images[4], render_image(model, camera, time=1.0))


def test_a_chain_that_is_taken_up_again_is_the_same(frames, tmp_path):
    groups = [frames[:2], frames[2:4], frames[4:]]
    for name, stops in (("whole", (3,)), ("stopped", (2, 3))):
        for stop in stops:
            model = small("mixvoxels", instants=2)
            store = CheckpointFolder(tmp_path / name, model)
            for _ in train_groups(store, model, CAMERAS, lambda k, s=stop: groups[k:s], PLAN):
                pass
    for index in range(3):
        name = f"frame_{index:08d}.safetensors"
        one, two = (load_file(tmp_path / kind / name) for kind in ("whole", "stopped"))
        assert all(np.array_equal(one[key], two[key]) for key in one)


def test_frozen_layers_stay_as_they_were(frames):
    model = small("dnerf")
    plan = Schedule(first=4, later=4, rays=64, exclude_layers=(0, 1, 2), hold=0)
    before = train_on(model, GroupPixels(model, CAMERAS, frames[:3]), plan, frame=0).state
    after = train_on(model, GroupPixels(model, CAMERAS, frames[2:5]), plan, frame=1).state
    same = {key for key in before if np.array_equal(before[key], after[key])}
    assert {key for key in same if "deformation" in key} == {
        key for key in before if "deformation" in key
    }
    assert any("levels" in key for key in set(before) - same)
    freeze(model, model.layers(), ())


def test_a_pixel_of_a_batch_is_where_and_when_it_says(frames):
    pool = GroupPixels(small("dnerf"), CAMERAS, frames[:3])
    batch = pool._batch(torch.tensor([0, 20 * 16 * 5 + 21, 20 * 16 * 11 + 319]))
    assert isinstance(batch, GroupBatch)
    assert batch.views.tolist() == [0, 1, 3] and batch.times.tolist() == [0.0, 1.0, 2.0]
    for view, time, (x, y), colour in zip(
        batch.views, batch.times, batch.pixels, batch.colours, strict=True
    ):
        true = frames[int(time)].images[view][int(y), int(x)]
        np.testing.assert_allclose(colour.numpy(), true / 255, rtol=1e-6)
    stacked = np.stack([views.images[1] for views in frames[:3]]).astype(float)
    apart = np.abs(stacked - np.median(stacked, axis=0)).max(axis=(0, 3))
    assert float(batch.varies[1]) == pytest.approx(apart[1, 1] / 255, abs=1e-6)


def test_what_is_passed_once_varies_at_every_instant(frames):
    black = [np.zeros((16, 20, 3), np.uint8)] * 4
    lit = [np.full((16, 20, 3), 200, np.uint8), *black[1:]]
    group = [FrameViews(k, k, lit if k == 2 else black) for k in range(3)]
    pool = GroupPixels(small("mixvoxels"), CAMERAS, group)
    batch = pool._batch(torch.tensor([5, 20 * 16 * 4 + 5, 20 * 16 * 8 + 5, 20 * 16 + 5]))
    assert batch.varies.tolist() == pytest.approx([200 / 255] * 3 + [0])


def test_pixels_that_change_are_drawn_more_often(frames):
    model = small("dynerf")
    pool = GroupPixels(model, CAMERAS, frames[:3])
    model.progress = 0.5
    assert model.drawing == Drawing(by="median")
    varies = [
        float(pool.draw(4000, torch.Generator().manual_seed(0), share).varies.mean())
        for share in (0.0, 0.7)
    ]
    assert varies[1] > 2 * varies[0]


def test_dynerf_learns_key_frames_first_and_bridges_their_codes(frames):
    model = small("dynerf", instants=5, key_every=2)
    pool = GroupPixels(model, CAMERAS, frames)
    model.prepare(pool)
    model.begin_frame(0)
    model.progress = 0.1
    assert model.keys == (0, 2, 4)
    drawn = pool.draw(500, torch.Generator().manual_seed(0), 0.5).times
    assert set(drawn.tolist()) == {0.0, 2.0, 4.0}
    model.progress = 0.5
    model.after_step(0)
    table = model.codes.table.detach()
    torch.testing.assert_close(table[1], (table[0] + table[2]) / 2)
    drawn = pool.draw(500, torch.Generator().manual_seed(0), 0.5).times
    assert set(drawn.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    model.progress = 0.9
    assert model.drawing.by == "change"


def test_dnerf_is_canonical_at_the_first_instant_and_gathers_the_others(frames):
    model = small("dnerf")
    with torch.no_grad():
        model.deformation.last.bias.fill_(0.1)
        points = torch.rand(50, 3)
        at = [torch.cat([points, torch.full((50, 1), t)], dim=1) for t in (0.0, 1.0)]
        assert torch.equal(model.deformation(at[0]), torch.zeros(50, 3))
        shift = model.deformation(at[1])
        assert (shift - 0.1).abs().max() < 0.05
        moved = encode(points + shift, model.grid_levels)
        torch.testing.assert_close(model.encoded(at[1]), moved)
    model.progress = 0.0
    assert model.drawing.instants == (0,)
    model.progress = 0.5
    assert model.drawing.instants is None


@pytest.mark.slow(minutes=0.02)
def test_mixvoxels_tells_what_moves_from_what_stands_still(frames):
    model = small("mixvoxels", variation=16)
    plan = Schedule(first=120, rays=512)
    train_on(model, GroupPixels(model, CAMERAS, frames[:3]), plan, frame=0)
    inside = torch.rand(4000, 3) * model.space.extent
    assert float(model.dynamic(inside).float().mean()) < 0.7
    # The car stands there at the first instant, half its length above the floor.
    scene = scenes()["room"]
    names = [item.name for item in scene.things]
    car = scene.items(0.0)[names.index("car body")].pose.translation
    lower = torch.tensor(scene.bounds[0])
    place = (torch.tensor(car, dtype=torch.float32) - lower) / model.space.edge
    assert bool(model.dynamic(place[None])[0])
    # What stands still is so to the bit.
    still = inside[~model.dynamic(inside)]
    with torch.no_grad():
        found = [
            model.field(model.encoded(torch.cat([still, torch.full((len(still), 1), t)], dim=1)))
            for t in (0.0, 1.0)
        ]
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def test_a_model_of_no_time_learns_all_instants_alike(frames):
    grid = build("hash_grid", GRID | {"geometry": 3, "samples": 24, "occupancy": 8})
    pool = GroupPixels(grid, CAMERAS, frames)
    assert set(pool.draw(500, torch.Generator().manual_seed(0)).times.tolist()) == {0, 1, 2, 3, 4}
    assert train_on(grid, pool, Schedule(first=3, rays=32), frame=0).loss > 0
    with pytest.raises(ModelError, match="is of one instant"):
        of_group(grid)


def test_gradients_of_places_are_those_of_torch():
    levels = [GridLevel(5, 3, 12), GridLevel(40, 3, 10)]
    for level in levels:
        torch.nn.init.normal_(level.table)
    points = 0.02 + 0.96 * torch.rand(300, 3)
    weights = torch.randn(300, 6)
    found = []
    for way in (encode, lambda p, ls: torch.cat([_interpolate_in_torch(p, x) for x in ls], dim=1)):
        at = points.clone().requires_grad_()
        found.append(torch.autograd.grad((way(at, levels) * weights).sum(), at)[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_one_camera_and_one_instant_are_learned_too(frames):
    model = small("mixvoxels", instants=1)
    alone = [FrameViews(0, 0.0, frames[0].images[:1])]
    done = train_on(
        model, GroupPixels(model, CAMERAS[:1], alone), Schedule(first=4, rays=32), frame=0
    )
    assert int(done.state["length"]) == 1 and np.isfinite(done.loss)


def test_one_camera_that_moves_is_a_group_of_its_pictures(frames):
    """Each picture is of another instant: at each, one camera sees the scene."""
    model = small("dnerf", instants=4)
    mixed = FrameViews(0, 0.0, [frames[k].images[k] for k in range(4)])
    pool = GroupPixels(model, CAMERAS, [mixed], when=[0.0, 1.0, 2.0, 3.0])
    assert pool.length == 4 and len(pool.cameras) == 4
    model.progress = 0.0
    assert set(pool.draw(200, torch.Generator().manual_seed(0), 0.5).times.tolist()) == {0.0}
    model.progress = 0.9
    batch = pool.draw(500, torch.Generator().manual_seed(0), 0.5)
    assert torch.equal(batch.times, batch.views.float()) and len(set(batch.views.tolist())) == 4
    for view, (x, y), colour in zip(batch.views, batch.pixels, batch.colours, strict=True):
        true = frames[view].images[view][int(y), int(x)]
        np.testing.assert_allclose(colour.numpy(), true / 255, rtol=1e-6)
    done = train_on(model, pool, Schedule(first=6, rays=64), frame=0)
    assert int(done.state["length"]) == 4
    quality = HeldOut(CAMERAS, times=[0.0, 1.0, 2.0, 3.0])
    seen = quality.score(model, 0, mixed.images)
    assert np.array_equal(seen[2], render_image(model, CAMERAS[2], time=2.0))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"frames": [{"file_path": "./a/r_0", "time": 0}, {"file_path": "r_1", "time": 0.5}]}', 2),
        ('{"frames": [{"file_path": "a", "time": 0.5}, {"file_path": "b", "time": 0.5}]}', 0),
        ('{"frames": [{"file_path": "a", "time": 0}, {"file_path": "b"}]}', 0),
        ('{"frames": [{"file_path": "a", "time": "now"}, {"file_path": "b", "time": 1}]}', 0),
        ('{"frames": [{"file_path": "a", "time": 1e999}, {"file_path": "b", "time": 1}]}', 0),
        ('{"frames": 3}', 0),
        ("[1]", 0),
        ("no JSON", 0),
    ],
)
def test_times_of_pictures_are_those_that_a_data_set_says(tmp_path, text, found):
    path = tmp_path / "transforms_train.json"
    path.write_text(text)
    times = picture_times(path)
    assert len(times) == found
    if found:
        assert instants_of({"a": 0.2, "b": 0.4, "c": 0.8}) == (
            pytest.approx({"a": 0, "b": 2 / 3, "c": 2}),
            3,
        )


def test_nothing_that_moves_is_no_fault(frames):
    same = [FrameViews(k, 0.5 * k, frames[0].images) for k in range(3)]
    for name in ALL:
        model = small(name)
        done = train_on(
            model, GroupPixels(model, CAMERAS, same), Schedule(first=8, rays=64), frame=0
        )
        assert np.isfinite(done.loss)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("dnerf", {"instants": 0}, "1 to 65536 instants, not 0"),
        ("dnerf", {"deformation": [8]}, "a width and a depth"),
        ("dynerf", {"key_every": 0}, "from 1 on"),
        ("dynerf", {"code": -1}, "from 1 on"),
        ("mixvoxels", {"query": 0}, "from 1 on"),
        ("dnerf", {"time_frequencies": 1000}, "overflow"),
        ("dynerf", {"position_frequencies": 200}, "overflow"),
        ("dynerf", {"instants": 1e300}, "1 to 65536 instants"),
        ("nerf_mlp", {"position_frequencies": 128}, "overflow"),
        ("nerf_plus_plus", {"direction_frequencies": -1}, "overflow"),
        ("mixvoxels", {"ranks": [1, 2]}, "knows no option ranks"),
    ],
)
def test_configurations_that_are_none_are_refused(name, options, told):
    with pytest.raises(ModelError) as refused:
        build(name, options)
    assert told in str(refused.value)


def test_a_group_that_is_too_long_or_empty_is_refused(frames):
    model = small("dnerf")
    with pytest.raises(ViewsError, match="4 instants is not one of 3"):
        GroupPixels(model, CAMERAS, frames[:4])
    with pytest.raises(ViewsError, match="one instant at least"):
        GroupPixels(model, CAMERAS, [])
    with pytest.raises(ViewsError, match="images for 3 cameras"):
        GroupPixels(model, CAMERAS[:3], frames[:2])
