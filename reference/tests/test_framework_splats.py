"""3D Gaussians: drawn as the equations say, trained, chained, and read by viewers."""

import math

import numpy as np
import pytest
import torch

import nmc
from nmc_framework.cameras import Camera, look_at
from nmc_framework.models import ModelError, build
from nmc_framework.models.splats.density import FREE, densify
from nmc_framework.models.splats.rasterise import (
    Gaussians,
    Tiles,
    blend_in_torch,
    blended,
    covariances,
    meet,
    picture_of,
    project,
)
from nmc_framework.training import FrameViews, PackageStore, PixelPool, Schedule, train_chain

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"splats": 60, "degree": 1, "background": [0.2, 0.3, 0.4]}


def camera(width=22, height=18, eye=(0.3, 0.4, -3.0), name=""):
    return Camera.from_field_of_view(45, width, height, look_at(eye, (0, 0, 0)), name)


def scene(count=14, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.rand(*shape, generator=random, dtype=dtype)

    means = (drawn(count, 3) - 0.5) * 1.6
    return [
        means,
        drawn(count, 3) * 0.3 + 0.04,
        drawn(count, 4) - 0.5,
        drawn(count) * 0.9 + 0.05,
        drawn(count, 3),
    ]


def drawn(tiles, means, scales, quats, opacities, colours):
    gaussians = Gaussians(means, covariances(scales, quats), opacities)
    met = meet(gaussians, tiles, 0.02)
    places, conics = project(gaussians, met, tiles.cameras)
    return blended(places, conics, opacities[met.index], colours[met.index], met, tiles)


def by_hand(camera, means, scales, quats, opacities, colours):
    """One pixel after the other, one Gaussian after the other: equations 3 to 6."""
    rotation = camera.rotation.T
    picture = np.zeros((camera.height, camera.width, 3))
    left = np.ones((camera.height, camera.width))
    local = (means.numpy() - camera.centre) @ rotation.T
    spreads = covariances(scales, quats).numpy()
    for n in np.argsort(local[:, 2]):
        x, y, z = local[n]
        jacobian = np.array(
            [[camera.fx / z, 0, -camera.fx * x / z**2], [0, camera.fy / z, -camera.fy * y / z**2]]
        )
        flat = jacobian @ rotation @ spreads[n] @ rotation.T @ jacobian.T + 0.3 * np.eye(2)
        place = np.array([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])
        for row in range(camera.height):
            for column in range(camera.width):
                away = np.array([column + 0.5, row + 0.5]) - place
                power = -0.5 * away @ np.linalg.inv(flat) @ away
                alpha = min(float(opacities[n]) * math.exp(power), 0.99)
                if alpha < 1 / 255 or left[row, column] < 1e-4:
                    continue
                picture[row, column] += left[row, column] * alpha * colours[n].numpy()
                left[row, column] *= 1 - alpha
    return picture, left


def test_a_picture_is_what_the_equations_say():
    seen = camera()
    light, left = drawn(Tiles.of(seen), *scene())
    picture, behind = by_hand(seen, *scene())
    assert np.allclose(picture_of(light, seen), picture, atol=1e-12)
    assert np.allclose(picture_of(left[:, :, None], seen)[..., 0], behind, atol=1e-12)
    assert 0.05 < behind.mean() < 0.95


@pytest.mark.slow(minutes=0.04)
def test_gradients_are_those_of_finite_differences():
    cameras = (camera(), camera(eye=(1.5, 0.2, -2.5)))
    tiles = Tiles(cameras, np.array([0, 0, 1]), np.array([[0, 0], [9, 6], [5, 4]]), 9)
    wanted = [tensor.requires_grad_() for tensor in scene()]
    assert torch.autograd.gradcheck(lambda *p: drawn(tiles, *p), wanted, eps=1e-6, atol=1e-5)


def test_torch_blends_as_the_kernels_do():
    means, scales, quats, opacities, colours = scene(dtype=torch.float32)
    tiles = Tiles.of(camera())
    gaussians = Gaussians(means, covariances(scales, quats), opacities)
    met = meet(gaussians, tiles, 0.02)
    places, conics = project(gaussians, met, tiles.cameras)
    pairs = (places, conics, opacities[met.index], colours[met.index])
    light, left = blended(*pairs, met, tiles)
    for t, corner in enumerate(tiles.corners.tolist()):
        part = slice(met.starts[t], met.starts[t + 1])
        one, behind = blend_in_torch(*(p[part] for p in pairs), tuple(corner), tiles.side)
        assert torch.allclose(one, light[t], atol=1e-5)
        assert torch.allclose(behind, left[t], atol=1e-5)


def test_what_is_behind_or_beside_the_camera_is_not_drawn():
    _, scales, quats, opacities, colours = scene(3)
    means = torch.tensor([[0.0, 0, -9], [0.3, 0.4, -3], [40.0, 0, 0]], dtype=torch.float64)
    light, left = drawn(Tiles.of(camera()), means, scales, quats, opacities, colours)
    assert not light.any() and bool((left == 1).all())


def test_no_gaussian_at_all_shows_the_background():
    model = build("splats", SMALL)
    model.load({name: array[:0] for name, array in model.save().items()})
    with torch.no_grad():
        shown = model.render_view(camera())
    assert torch.allclose(shown, torch.tensor([0.2, 0.3, 0.4]).expand_as(shown))


def test_squares_and_single_pixels_have_one_loss():
    model = build("splats", SMALL, seed=1).eval()
    cameras = [camera(name="a"), camera(eye=(2, 0, -2), name="b")]
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (18, 22, 3), np.uint8) for _ in cameras]
    pool = PixelPool(cameras, FrameViews(0, 0.0, images), side=8)
    pool.kept_back(0)
    batch = pool.draw(900, torch.Generator().manual_seed(0))
    assert batch.squares is not None and len(batch.squares.views) == 15
    assert len(batch) < 15 * 64, "some of them are kept back"
    for n in range(0, len(batch), 37):
        view = int(batch.views[n])
        x, y = (int(v) for v in batch.pixels[n])
        assert batch.colours[n].mul(255).round().tolist() == images[view][y, x].tolist()
    from dataclasses import replace

    with torch.no_grad():
        apart = model.loss(replace(batch, squares=None))
        assert float(model.loss(batch)) == pytest.approx(float(apart), rel=1e-5)


@pytest.mark.parametrize("side", [8, 40])
def test_squares_keep_within_pictures_of_any_size(side):
    cameras = [camera(5, 31, name="a"), camera(40, 7, name="b")]
    images = [np.zeros((c.height, c.width, 3), np.uint8) for c in cameras]
    batch = PixelPool(cameras, FrameViews(0, 0.0, images), side=side).draw(
        4000, torch.Generator().manual_seed(0)
    )
    for view, place in zip(batch.views.tolist(), batch.pixels.tolist(), strict=True):
        assert 0 < place[0] < cameras[view].width and 0 < place[1] < cameras[view].height
    assert float(build("splats", SMALL).loss(batch).detach()) > 0


def test_density_prunes_clones_and_splits():
    parts = {
        "means": torch.zeros(8, 3),
        "scales": torch.log(
            torch.tensor([0.01, 0.5, 0.01, 0.01, 1, 1, 1, 1])[:, None].expand(8, 3)
        ),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(8, 1),
        "opacities": torch.tensor([1.0, 1, -9, 1, FREE, FREE, FREE, FREE]),
        "sh0": torch.arange(8.0)[:, None, None].repeat(1, 1, 3),
    }
    parts["scales"] = parts["scales"].clone()
    torch.manual_seed(0)
    pull = torch.tensor([5.0, 4, 9, 1, 0, 0, 0, 0])
    before = torch.sigmoid(parts["opacities"][0])
    # A quarter of three is none: of all living ones that is the most at a time.
    assert densify(parts, pull, 0.1) == (1, 0, 0)
    parts["opacities"][4:] = 1.0
    assert densify(parts, torch.tensor([5.0, 4, 0, 1, 0, 0, 0, 0]), 0.1) == (0, 1, 0)
    assert float(parts["sh0"][2, 0, 0]) == 0.0, "the free row took in the one that is pulled most"
    halved = torch.sigmoid(parts["opacities"][[0, 2]])
    assert float(1 - (1 - halved).prod()) == pytest.approx(float(before), abs=1e-5)
    parts["opacities"][7] = FREE
    assert densify(parts, torch.tensor([0.0, 4, 0, 1, 0, 0, 0, 0]), 0.1) == (0, 0, 1)
    assert torch.allclose(parts["scales"][[1, 7]].exp(), torch.tensor(0.5 / 1.6))
    assert not torch.equal(parts["means"][1], parts["means"][7])


def film(frames=2):
    cameras = [
        camera(24, 24, eye, f"c{k}")
        for k, eye in enumerate([(0.3, 0, -3), (2, 1, -2), (-2, 0, -2)])
    ]
    means, scales, quats, opacities, colours = scene(20, 3)
    for t in range(frames):
        moved = means + torch.tensor([0.1 * t, 0, 0])
        images = []
        for one in cameras:
            light, left = drawn(Tiles.of(one), moved, scales, quats, opacities, colours)
            whole = picture_of(light + left[:, :, None] * torch.tensor(SMALL["background"]), one)
            images.append((whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
        yield cameras, FrameViews(t, t / 10, images)


def trained(options, frames=2, **plan):
    model = build("splats", SMALL | options, seed=2)
    views = list(film(frames))
    schedule = Schedule(**({"first": 120, "later": 20, "rays": 1536} | plan))
    return model, list(train_chain(model, views[0][0], (v for _, v in views), schedule))


def test_a_chain_learns_and_keeps_its_number():
    frames = trained({})[1]
    assert -10 * math.log10(frames[0].loss) > 24 and frames[1].loss < 2 * frames[0].loss
    shapes = [{name: array.shape for name, array in frame.state.items()} for frame in frames]
    assert shapes[0] == shapes[1]
    assert 24 < len(frames[0].state["positions.means"]) <= 60, "it began with 24"
    again = trained({})[1]
    for one, other in zip(frames, again, strict=True):
        assert all(np.array_equal(one.state[n], other.state[n]) for n in one.state)


def test_freezing_a_layer_keeps_its_tensors():
    layers = [name for name, _ in build("splats", SMALL).named_children()]
    chosen = (layers.index("colours"), layers.index("shapes"))
    frames = trained({}, exclude_layers=chosen)[1]
    first, second = (frame.state for frame in frames)
    for name in first:
        same = np.array_equal(first[name], second[name])
        assert same == name.startswith(("colours", "shapes")), name


def test_a_number_that_changes_goes_into_a_package_and_back(tmp_path):
    model, frames = trained({"grow": "always", "splats": 200}, first=5, later=2)
    with nmc.Writer(tmp_path / "a.nmc", **model.in_package()) as writer:
        store = PackageStore(writer)
        for frame in frames:
            store.append(frame)
    counts = [len(frame.state["positions.means"]) for frame in frames]
    assert counts[0] != counts[1] and max(counts) <= 200
    with nmc.open(tmp_path / "a.nmc") as sequence:
        other = build(sequence.family, sequence.configuration)
        for frame in frames:
            state = sequence[frame.index]
            other.load(state)
            assert all(np.array_equal(other.save()[n], a) for n, a in frame.state.items())


def test_points_of_structure_from_motion_are_where_it_begins():
    model = build("splats", SMALL)
    points = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    model.start_at(points)
    found = model.save()["positions.means"][:2]
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, points.astype("f4").tolist()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"degree": 4}, "degree of 0 to 2"),
        ({"splats": 0}, "1 to 4194304 splats"),
        ({"grow": "sometimes"}, "never, first or always"),
    ],
)
def test_options_that_cannot_be_are_refused(options, told):
    with pytest.raises(ModelError, match=told):
        build("splats", options)


def test_a_state_of_unequal_numbers_is_refused():
    model = build("splats", SMALL)
    state = model.save()
    with pytest.raises(ModelError, match="tensors of"):
        model.load(state | {"colours.sh0": state["colours.sh0"][1:]})


def test_gsplat_is_asked_for_what_the_kernels_draw(monkeypatch):
    """A stand-in with gsplat's signature and conventions, which our kernels draw for.

    It shows that what is asked for, and how tiles are cut from it, agree with our kernels. That
    gsplat itself draws the same is for a CUDA device to show.
    """
    import sys
    from types import SimpleNamespace

    from nmc_framework.models.splats import by_gsplat

    model = build("splats", SMALL | {"degree": 2}, seed=4)
    with torch.no_grad():
        model.harmonics.shN.normal_(std=0.1)
    asked = []

    def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height,
        *, near_plane, eps2d, sh_degree, packed,
    ):  # fmt: skip
        asked.append((width, height, near_plane, eps2d, sh_degree, packed, colors.shape[1]))
        pose = np.linalg.inv(viewmats[0].double().numpy())
        intrinsics = Ks[0].numpy()
        seen = Camera(
            float(intrinsics[0, 0]), float(intrinsics[1, 1]), float(intrinsics[0, 2]),
            float(intrinsics[1, 2]), width, height, np.round(pose, 12),
        )  # fmt: skip
        tiles = Tiles.of(seen)
        gaussians = Gaussians(means, covariances(scales, quats), opacities)
        met = meet(gaussians, tiles, near_plane)
        places, conics = project(gaussians, met, (seen,))
        colours = model._coloured(met, (seen,))
        light, left = blended(places, conics, opacities[met.index], colours, met, tiles)
        both = picture_of(torch.cat([light, 1 - left[..., None]], dim=2), seen)
        return both[None, ..., :3], both[None, ..., 3:], {"means2d": places}

    monkeypatch.setitem(sys.modules, "gsplat", SimpleNamespace(rasterization=rasterization))
    cameras = (camera(), camera(30, 20, eye=(1.5, 0.2, -2.5)))
    tiles = Tiles(cameras, np.array([0, 0, 1]), np.array([[0, 0], [15, 12], [25, 4]]), 9)
    with torch.no_grad():
        ours = model._drawn(tiles)
        theirs = by_gsplat.drawn(dict(model._parts()), 2, tiles, 0.02)
    assert asked == [(22, 18, 0.02, 0.3, 2, False, 9), (30, 20, 0.02, 0.3, 2, False, 9)]
    step = np.arange(9)
    for t, (view, corner) in enumerate(zip(tiles.views, tiles.corners, strict=True)):
        x, y = np.meshgrid(corner[0] + step, corner[1] + step)
        inside = torch.from_numpy((x < cameras[view].width) & (y < cameras[view].height)).reshape(
            -1
        )
        assert torch.allclose(ours[0][t][inside], theirs[0][t][inside], atol=1e-4)
        assert torch.allclose(ours[1][t][inside], theirs[1][t][inside], atol=1e-4)
        assert bool((theirs[1][t][~inside] == 1).all()) and not theirs[0][t][~inside].any()
