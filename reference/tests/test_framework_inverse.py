"""Inverse graphics: the rasteriser's gradients, the template, losses, sets of views, meshes."""

import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from nmc_framework.inverse.cars import draw_car, solids
from nmc_framework.inverse.learning import ViewPairs, scored
from nmc_framework.inverse.losses import laplacian, mask_iou, movement, smoothness
from nmc_framework.inverse.mesh_files import write_mesh
from nmc_framework.inverse.multiview import (
    ObjectsError,
    filmed,
    filmed_cars,
    read_views,
    write_views,
)
from nmc_framework.inverse.network import InverseGraphics
from nmc_framework.inverse.rasterise import harmonics, normals, rasterise
from nmc_framework.inverse.reconstruction import found_in, mesh_of, turned
from nmc_framework.inverse.template import template
from nmc_framework.inverse.viewpoints import Bins, apart, camera, drawn_poses, project
from nmc_framework.models import ModelError, build
from nmc_framework.scene.convex import Convex
from nmc_framework.scene.solids import Box
from nmc_framework.training import Schedule, train_on

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"size": 32, "viewpoints": 3, "divisions": 4, "texture": 16, "code": 16, "width": 8}


@pytest.fixture(scope="module")
def views():
    return filmed_cars(5, 3, 32, seed=1)


def lump(divisions=6):
    """Return a template, and vertices (V, 3) of a body that is no sphere."""
    shape = template(divisions)
    random = np.random.default_rng(0)
    half = shape.vertices[shape.half] * np.array([0.9, 0.5, 0.4], np.float32)
    half = half * random.uniform(0.8, 1.1, (len(half), 1)).astype(np.float32)
    return shape, shape.whole(torch.from_numpy(half).double())


def shown(shape, vertices, poses, texture, shading, size=24):
    places, depths = project(vertices[None].expand(len(poses), -1, -1), poses, size)
    return rasterise(places, depths, shape, texture, shading, size)


def test_gradients_are_those_of_finite_differences():
    shape, vertices = lump()
    torch.manual_seed(0)
    known = {
        "vertices": vertices,
        "poses": torch.tensor([[37.0, 14.0, 4.0]], dtype=torch.float64),
        "texture": torch.rand(1, 3, 8, 8, dtype=torch.float64),
        "shading": torch.rand(1, len(vertices), dtype=torch.float64),
    }
    weigh, tint = torch.rand(1, 24, 24).double(), torch.rand(1, 3, 24, 24).double()

    def total(**values):
        seen = shown(shape, values["vertices"], *(values[k] for k in list(known)[1:]))
        return (seen.mask * weigh).sum() + (seen.colour * tint).sum()

    given = {name: value.clone().requires_grad_() for name, value in known.items()}
    total(**given).backward()
    step = 1e-6
    for name, value in known.items():
        gradient = given[name].grad.flatten()
        largest = gradient.abs().argsort(descending=True)[:24]
        assert gradient[largest[0]].abs() > 1e-3, name
        for k in largest.tolist():
            ends = []
            for sign in (1, -1):
                moved = value.clone()
                moved.view(-1)[k] += sign * step
                ends.append(total(**(known | {name: moved})))
            found = float(ends[0] - ends[1]) / (2 * step)
            assert found == pytest.approx(float(gradient[k]), rel=1e-4, abs=1e-5), (name, k)


def test_a_mask_is_the_outline_and_grows_from_far_inside_to_far_outside():
    shape = template(24)
    vertices = torch.from_numpy(shape.vertices)
    pose = torch.tensor([[20.0, 10.0, 4.0]])
    seen = shown(shape, vertices, pose, torch.ones(1, 3, 8, 8), torch.ones(1, len(vertices)), 64)
    # A sphere of radius 1 from 4 away is a disc under asin(1/4).
    radius = 32 / np.tan(np.radians(15)) * np.tan(np.arcsin(1 / 4))
    y, x = np.mgrid[:64, :64] + 0.5
    off = radius - np.hypot(x - 32, y - 32)
    expected = 1 / (1 + np.exp(-off / 0.7))
    assert np.abs(seen.mask[0].numpy() - expected).max() < 0.06
    assert float(seen.mask[0, 32, 32]) == 1 and float(seen.mask[0, 0, 0]) == 0
    assert torch.allclose(seen.colour[seen.solid[:, None].expand(-1, 3, -1, -1)], torch.tensor(1.0))


def test_what_is_in_front_is_seen():
    """The texture's middle is the side of the object; from the front its edge is in the middle."""
    shape = template(12)
    vertices = torch.from_numpy(shape.vertices)
    columns = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    poses = torch.tensor([[90.0, 0, 4], [0.0, 0, 4], [180.0, 0, 4], [270.0, 0, 4]])
    seen = shown(
        shape, vertices, poses, columns.expand(4, -1, -1, -1), torch.ones(4, len(vertices)), 33
    )
    left, front, behind, right = seen.colour[:, 0, 16, 16]
    assert float(front) > 0.95 and float(behind) < 0.05
    assert float(left) == pytest.approx(0.5, abs=0.02) == pytest.approx(float(right), abs=0.02)
    # From the left the front (u = 1) is to the left; the other side mirrors it.
    assert seen.colour[0, 0, 16, 8] > 0.6 > 0.4 > seen.colour[0, 0, 16, 24]
    assert seen.colour[3, 0, 16, 24] > 0.6 > 0.4 > seen.colour[3, 0, 16, 8]


def test_projection_is_the_camera_s():
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (20, 3))
    for pose in drawn_poses(5, 3):
        seen = camera(pose, 48)
        local = (points - seen.centre) @ seen.rotation
        expected = local[:, :2] / local[:, 2:] * [seen.fx, seen.fy] + [seen.cx, seen.cy]
        places, depths = project(torch.from_numpy(points)[None], torch.from_numpy(pose)[None], 48)
        assert np.allclose(places[0], expected) and np.allclose(depths[0], local[:, 2])


@pytest.mark.parametrize("divisions", [2, 3, 7, 12])
def test_the_template_is_closed_mirrored_and_turned_outwards(divisions):
    shape = template(divisions)
    assert len(shape.vertices) == 4 * divisions**2 + 2 == len(shape.faces) // 2 + 2
    assert len(shape.vertices) - len(shape.edges) + len(shape.faces) == 2
    half = torch.from_numpy(shape.vertices[shape.half])
    assert np.allclose(shape.whole(half), shape.vertices, atol=1e-6)
    _, flat = normals(torch.from_numpy(shape.vertices)[None], shape)
    middles = shape.vertices[shape.faces].mean(axis=1)
    assert ((flat[0].numpy() * middles).sum(axis=1) > 0).all()
    sides = np.sign(np.round(shape.vertices[shape.faces][..., 1], 6))
    assert not ((sides.max(axis=1) > 0) & (sides.min(axis=1) < 0)).any()
    # No two vertices of one half have one place in the texture map.
    places = np.round(shape.texture[shape.half], 5)
    assert len(np.unique(places, axis=0)) == len(places)
    assert places.min() >= 0 and places.max() <= 1


def test_a_mirrored_object_stays_on_its_plane():
    shape = template(4)
    whole = shape.whole(torch.rand(len(shape.half), 3))
    on_plane = np.isclose(shape.vertices[:, 1], 0)
    assert (whole[on_plane][:, 1] == 0).all()


def test_losses_of_shapes():
    shape, vertices = lump()
    still = torch.zeros(1, *vertices.shape)
    assert float(laplacian(still, shape)) == 0 == float(movement(still))
    assert float(laplacian(still + 0.5, shape)) == pytest.approx(0, abs=1e-12)
    assert float(movement(still + 0.5)) == pytest.approx(0.75)
    sphere = torch.from_numpy(shape.vertices).double()
    assert float(smoothness(sphere[None], shape)) < float(smoothness(vertices[None], shape))
    ball = torch.zeros(1, 8, 8)
    ball[:, 2:6, 2:6] = 1
    assert float(mask_iou(ball, ball)) == 1
    assert float(mask_iou(ball, ball.roll(2, dims=2))) == pytest.approx(8 / 24)


def test_harmonics_are_orthonormal():
    random = np.random.default_rng(0).normal(size=(200_000, 3))
    unit = torch.from_numpy(random / np.linalg.norm(random, axis=1, keepdims=True))
    values = harmonics(unit)
    products = 4 * np.pi * values.T @ values / len(values)
    assert np.allclose(products, np.eye(9), atol=0.02)


def test_a_convex_of_six_planes_is_a_box():
    half = (0.5, 0.3, 0.2)
    planes = tuple(
        (*(sign * float(axis == k) for k in range(3)), half[axis])
        for axis in range(3)
        for sign in (1, -1)
    )
    one, other = Convex(planes), Box(half)
    random = np.random.default_rng(1)
    starts = random.uniform(-1, 1, (3, 500)).astype(np.float32)
    towards = random.normal(size=(3, 500)).astype(np.float32)
    towards /= np.linalg.norm(towards, axis=0)
    distances, expected = one.hit(starts, towards), other.hit(starts, towards)
    assert np.array_equal(np.isinf(distances), np.isinf(expected)) and np.isinf(expected).any()
    met = np.isfinite(expected)
    assert np.allclose(distances[met], expected[met], atol=1e-5)
    points = starts[:, met] + distances[met] * towards[:, met]
    assert (one.normal(points) == other.normal(points)).all(axis=0).mean() > 0.99
    assert len(one.corners) == 8 and one.reach == pytest.approx(other.reach, rel=1e-4)


def test_a_car_is_the_same_whenever_it_is_drawn_and_parts_are_apart():
    assert draw_car(3, 5) == draw_car(3, 5) != draw_car(3, 6)
    kinds = {draw_car(0, k).shape.kind for k in range(24)}
    assert kinds == {"sedan", "hatchback", "van", "pickup"}
    for number in range(8):
        reach = [
            np.abs(placed.pose.translation) + placed.item.solid.reach
            for placed in solids(draw_car(0, number))
        ]
        assert np.max(reach) < 1.6
    picture, mask = filmed(draw_car(0, 0), (0, 10, 4.2), 32)
    assert set(np.unique(mask)) - {0, 255}, "masks are of parts of pixels at the outline"
    mirrored = np.abs(mask.astype(int) - mask[:, ::-1].astype(int)).max()
    assert picture.shape == (32, 32, 3) and mirrored < 130


def test_bins_and_angles():
    bins = Bins(12)
    assert [bins.of(a) for a in (0, 14, 16, 344, 346, 359.9)] == [0, 0, 1, 11, 0, 0]
    assert bins.pose(3)[0] == 90
    assert apart([[0, 0, 1], [0, 90, 1]], [[90, 0, 2], [50, 90, 3]]) == pytest.approx([90, 0])


def test_a_set_comes_back_from_its_folder(views, tmp_path):
    write_views(tmp_path / "cars", views)
    again = read_views(tmp_path / "cars")
    assert np.array_equal(again.pictures, views.pictures)
    assert np.array_equal(again.masks, views.masks)
    assert again.annotated == views.annotated and np.allclose(again.poses, views.poses)
    with pytest.raises(ObjectsError, match="is there already"):
        write_views(tmp_path / "cars", views)
    assert [path.name for path in tmp_path.iterdir()] == ["cars"]


def spoil(path, change):
    with Image.open(path) as opened:
        image = np.asarray(opened).copy()
    Image.fromarray(change(image)).save(path)


def coloured(image, **parts):
    for name, value in parts.items():
        image[..., {"rgb": slice(0, 3), "alpha": 3}[name]] = value
    return image


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda i: coloured(i, alpha=0), "mask of object_00002/view_01.png is empty: no pixel"),
        (lambda i: coloured(i, alpha=255), "mask of object_00002/view_01.png is full"),
        (lambda i: coloured(i, rgb=7), "is of one colour: there is nothing to learn from"),
        (lambda i: i[:1, :1], "is 1x1; all pictures of the set are 32x32"),
        (lambda i: i[:31], "is 32x31; all pictures"),
        (lambda i: i[..., :3], "has no mask; give it an alpha channel"),
    ],
)
def test_bad_pictures_are_refused_by_name(views, tmp_path, change, told):
    write_views(tmp_path / "cars", views)
    spoil(tmp_path / "cars" / "object_00002" / "view_01.png", change)
    with pytest.raises(ObjectsError, match=told):
        read_views(tmp_path / "cars")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda h: h.pop("bins"), "lacks a size, bins"),
        (lambda h: h.update(size=1), "pictures of 1x1 cannot be learned from"),
        (lambda h: h.update(size=10**9), "cannot be learned from"),
        (lambda h: h.update(viewpoints=[{"bin": 99}]), "bin from 0 to 11"),
        (lambda h: h.update(viewpoints=[]), "bin from 0 to 11"),
        (lambda h: h.update(format="other"), "not one of a multi-view set"),
        (lambda h: h["viewpoints"].append({"bin": 1}), "view_03.png cannot be read"),
    ],
)
def test_bad_descriptions_are_refused(views, tmp_path, change, told):
    write_views(tmp_path / "cars", views)
    path = tmp_path / "cars" / "views.json"
    head = json.loads(path.read_text())
    change(head)
    path.write_text(json.dumps(head))
    with pytest.raises(ObjectsError, match=told):
        read_views(tmp_path / "cars")


def test_a_folder_without_a_set(tmp_path):
    with pytest.raises(ObjectsError, match="not a multi-view set"):
        read_views(tmp_path)
    (tmp_path / "views.json").write_text("{")
    with pytest.raises(ObjectsError, match="cannot be read"):
        read_views(tmp_path)


def test_the_family_keeps_its_promises():
    model = build("inverse_graphics", TINY, seed=1)
    assert set(model.layer_of()) == {name for name, _ in model.named_parameters()}
    one, two, three = (build("inverse_graphics", TINY, seed=s).save() for s in (1, 1, 2))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert any(not np.array_equal(one[k], three[k]) for k in one)
    for wrong, told in (({"size": 40}, "divisible by 16"), ({"texture": 20}, "side of 8, 16")):
        with pytest.raises(ModelError, match=told):
            build("inverse_graphics", TINY | wrong)


def test_every_layer_learns_and_pairs_are_of_one_object(views):
    model = build("inverse_graphics", TINY, seed=1)
    pairs = ViewPairs(views)
    batch = pairs.draw(6, torch.Generator().manual_seed(0))
    assert batch.pictures.shape == (6, 2, 3, 32, 32) and batch.masks.shape == (6, 2, 32, 32)
    assert (batch.viewpoints[:, 0] != batch.viewpoints[:, 1]).all()
    model.loss(batch).backward()
    for index, layer in enumerate(model.layers()):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()), index
    single = ViewPairs(views, single=True).draw(6, torch.Generator().manual_seed(0))
    assert single.viewpoints.shape == (6, 1)
    alone = filmed_cars(2, 1, 32)
    with pytest.raises(ObjectsError, match="--single-view"):
        ViewPairs(alone)


def test_it_learns_a_few_cars(views):
    model = build("inverse_graphics", TINY, seed=1)
    assert isinstance(model, InverseGraphics)
    model.begin_at(views.first_poses())
    before = scored(model, views)
    train_on(model, ViewPairs(views), Schedule(first=60, rays=4), frame=0)
    after = scored(model, views)
    assert after.other > before.other + 0.05 and after.colour < before.colour
    with pytest.raises(ObjectsError, match="make one with its numbers"):
        scored(model, filmed_cars(1, 2, 32))
    with pytest.raises(ModelError, match="3 viewpoints, the set 2"):
        model.begin_at([[0, 0, 4], [90, 0, 4]])


def test_a_mesh_goes_out_as_obj_and_gltf(views, tmp_path):
    model = build("inverse_graphics", TINY, seed=1)
    found = found_in(model, views.pictures[0, 0])
    mesh = mesh_of(model, found)
    names = [path.name for path in write_mesh(tmp_path / "car.obj", mesh)]
    assert names == ["car.obj", "car.mtl", "car.png"]
    lines = (tmp_path / "car.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    assert np.allclose(vertices, mesh.vertices, atol=1e-5)
    assert sum(line.startswith("f ") for line in lines) == len(mesh.faces)
    write_mesh(tmp_path / "car.glb", mesh)
    data = (tmp_path / "car.glb").read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sIIII", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), 0x4E4F534A)
    document = json.loads(data[20 : 20 + size])
    places = document["bufferViews"][0]
    start = 28 + size + places["byteOffset"]
    turned_round = np.frombuffer(data[start : start + places["byteLength"]], "<f4").reshape(-1, 3)
    assert np.allclose(turned_round, mesh.vertices[:, [1, 2, 0]])
    last = document["bufferViews"][4]
    start = 28 + size + last["byteOffset"]
    assert data[start : start + 4] == b"\x89PNG"
    with pytest.raises(ObjectsError, match=r"\.obj or \.glb"):
        write_mesh(tmp_path / "car.fbx", mesh)
    film = list(turned(model, found, pictures=3, size=40))
    assert len(film) == 3 and film[0].shape == (40, 40, 3) and (film[0] != film[1]).any()
