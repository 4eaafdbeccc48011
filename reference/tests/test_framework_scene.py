"""The embedded scene: the tracer against brute force, the rig, and footage on disk."""

import av
import numpy as np
import pytest

from nmc_framework.cameras import Camera, look_at, read_rig
from nmc_framework.metrics import psnr
from nmc_framework.scene import BACKGROUND, BOUNDS, arc_rig, film, render
from nmc_framework.scene.diorama import LIGHTING, items
from nmc_framework.scene.item import Item, Material, place
from nmc_framework.scene.solids import Box, Pose, Sphere
from nmc_framework.scene.texture import plain
from nmc_framework.scene.tracer import as_bytes, picture, trace


@pytest.mark.parametrize("solid", [Sphere(0.7), Box((0.5, 0.8, 0.3))])
def test_hits_lie_on_the_surface(solid):
    rng = np.random.default_rng(1)
    origin = np.array([0.2, -3, 0.4], np.float32)
    aim = rng.uniform(-0.9, 0.9, (3, 500)).astype(np.float32)
    directions = aim - origin[:, None]
    directions /= np.linalg.norm(directions, axis=0)
    distance = solid.hit(origin, directions)
    hit = np.isfinite(distance)
    points = origin[:, None] + distance[hit] * directions[:, hit]
    if isinstance(solid, Sphere):
        off = np.linalg.norm(points, axis=0) - solid.radius
    else:
        off = (np.abs(points) / np.array(solid.half)[:, None]).max(axis=0) - 1
    assert 50 < hit.sum() < 500
    np.testing.assert_allclose(off, 0, atol=1e-5)
    assert ((solid.normal(points) * directions[:, hit]).sum(axis=0) < 0).all()


def test_culling_changes_nothing():
    scene = place(items(), 0.4)
    camera = arc_rig(3, 1, (24, 24)).training[1]
    directions = camera.rays().directions.T.astype(np.float32)
    origin = camera.centre.astype(np.float32)
    hits = trace(scene, origin, directions)
    brute = []
    for placed in scene:
        rotation = placed.pose.rotation.T
        local = rotation @ (origin - placed.pose.translation)
        brute.append(placed.item.solid.hit(local, rotation @ directions))
    np.testing.assert_allclose(hits.distance, np.min(brute, axis=0), rtol=1e-5)


def test_everything_stays_inside_the_bounds():
    low, high = np.array(BOUNDS)
    for t in np.linspace(0, 20, 81):
        for item in items():
            if isinstance(item.solid, Sphere):
                centre = item.pose(t).translation
                assert (centre - item.solid.radius > low).all(), (item.name, t)
                assert (centre + item.solid.radius < high).all(), (item.name, t)


def test_things_move_and_walls_do_not():
    camera = arc_rig(3, 1, (48, 48)).held_out[0]
    first, later = render(camera, 0.0), render(camera, 0.5)
    changed = (first != later).any(axis=2)
    assert 0.02 < changed.mean() < 0.5


def test_highlight_depends_on_the_view():
    ball = Item(
        "ball", Sphere(0.5), Material(plain((0.2, 0.2, 0.2)), 0.9), lambda _: Pose.at(0, 0, 0.5)
    )
    brightest = []
    for eye in ((-3, 0, 1.0), (-3, -2, 1.0)):
        camera = Camera.from_field_of_view(30, 64, 64, look_at(eye, (0, 0, 0.5)))
        with_ball, without = (
            as_bytes(picture(place(things, 0), LIGHTING, camera)) for things in ([ball], [])
        )
        image = with_ball.astype(int).sum(axis=2)
        image[(without == with_ball).all(axis=2)] = 0
        row, column = np.unravel_index(image.argmax(), image.shape)
        ray = camera.rays_at([[column + 0.5, row + 0.5]]).directions[0]
        offset = camera.centre - [0, 0, 0.5]
        t = -(ray @ offset) - np.sqrt((ray @ offset) ** 2 - offset @ offset + 0.25)
        brightest.append(camera.centre + t * ray)
    assert np.linalg.norm(brightest[0] - brightest[1]) > 0.05


def test_rays_that_miss_see_the_background():
    camera = Camera.from_field_of_view(20, 8, 8, look_at((-3, 0, 1), (-9, 0, 1)))
    expected = np.rint(np.array(BACKGROUND) * 255)
    assert (render(camera, 0.0) == expected).all()


def test_rig_sees_the_whole_room():
    rig = arc_rig()
    assert len(rig.training) >= 12 and len(rig.held_out) >= 1
    assert len({camera.name for camera in rig.cameras}) == len(rig.cameras)
    centres = np.array([camera.centre for camera in rig.cameras])
    gaps = np.linalg.norm(centres[:, None] - centres, axis=2) + np.eye(len(centres)) * 9
    assert gaps.min() > 0.1, "two cameras stand at one place"
    for camera in rig.cameras:
        image, depth = camera.project([[0.0, 0, 0], [0.66, 0.62, 0.63]])
        assert (depth > 0).all() and (image > 0).all() and (image < 128).all()


def test_footage_on_disk_is_what_was_rendered(tmp_path):
    rig = arc_rig(2, 1, (48, 48))
    paths = film(tmp_path, rig.cameras, frames=3, rate=10)
    assert [path.name for path in paths] == ["train_00.mp4", "train_01.mp4", "test_00.mp4"]
    cameras = read_rig(tmp_path / "cameras.json")
    with av.open(str(paths[1])) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    assert len(frames) == 3
    assert psnr(frames[2], render(cameras[1], 0.2)) > 28
