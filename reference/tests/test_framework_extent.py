"""How far scenes reach: rigs of every arrangement, with points and without, and stray ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from shared_data import shared

from nmc_framework.cameras import Camera, CameraError, look_at
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.cameras.formats import camera_files
from nmc_framework.scene import BOUNDS, TARGET, arc_rig

RNG = np.random.default_rng(5)


def camera(eye, target, degrees=60.0, up=(0.0, 0.0, 1.0)) -> Camera:
    return Camera.from_field_of_view(degrees, 160, 120, look_at(eye, target, up))


def ring(count=12, radius=4.0, heights=(0.5,), target=(0, 0, 0.5), turn=2 * np.pi) -> list[Camera]:
    eyes = []
    for k in range(count):
        angle, height = turn * k / count, heights[k % len(heights)]
        level = math.sqrt(radius**2 - height**2)
        eyes.append((level * math.cos(angle), level * math.sin(angle), height))
    return [camera(eye, target) for eye in eyes]


def dome() -> list[Camera]:
    return ring(30, radius=3.0, heights=(0.2, 1.3, 2.4), target=(0, 0, 0.9))


def ball(radius: float, count=600, middle=(0, 0, 0.5)) -> np.ndarray:
    """Return points on a sphere."""
    directions = RNG.normal(size=(count, 3))
    return middle + radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def contains(extent, points, share=1.0) -> bool:
    inside = ((points >= extent.lower) & (points <= extent.upper)).all(axis=1)
    return inside.mean() >= share


def test_a_dome_is_bounded_by_its_cameras_and_holds_them():
    found = scene_extent(dome())
    assert found.arrangement == "surrounding" and not found.unbounded and not found.by_points
    assert contains(found, np.array([c.centre for c in dome()]))
    # The floor is seen, though no camera is near it; the cuboid is no larger than it has to be.
    assert found.lower[2] < -0.5 and (found.upper - found.lower).max() < 8
    assert 0.2 < found.near < 1 and found.far > 5.5


def test_a_walk_around_something_outdoors_is_unbounded():
    cameras = ring(24, radius=4.0)
    assert scene_extent(cameras).unbounded
    far_off = ball(40.0, 3000)
    object_ = ball(0.8, 800)
    found = scene_extent(cameras, np.concatenate([object_, far_off]))
    assert found.unbounded and found.by_points and math.isinf(found.far)
    assert contains(found, object_, 0.95)
    assert (found.upper - found.lower).max() < 3
    assert 0.1 * 4 <= found.near <= 3.3


def test_a_room_around_the_cameras_is_bounded_by_its_points():
    cameras = ring(20, radius=2.0, heights=(0.5, 0.9))
    walls = ball(3.0, 4000)
    found = scene_extent(cameras, np.concatenate([walls, ball(0.5, 500)]))
    # Those above and below no camera sees.
    assert not found.unbounded and contains(found, walls, 0.8) and found.far < 12


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_points_astray_move_nothing_much(share):
    cameras = ring(20, radius=4.0)
    points = ball(1.0, 4000)
    astray = RNG.normal(size=(int(share * len(points)), 3)) * 1e5
    clean, dirty = (
        scene_extent(cameras, points),
        scene_extent(cameras, np.concatenate([points, astray, [[np.nan] * 3, [np.inf, 0, 0]]])),
    )
    assert not dirty.unbounded
    np.testing.assert_allclose(dirty.lower, clean.lower, atol=0.2)
    np.testing.assert_allclose(dirty.upper, clean.upper, atol=0.2)


def test_a_camera_that_looks_astray_moves_nothing_much():
    cameras = ring(12, radius=4.0)
    astray = [camera((2.0, 2.0, 1.0), (30.0, -20.0, 9.0)), camera((0, 3.0, 0.5), (9.0, 30.0, 0.5))]
    clean, dirty = scene_extent(cameras), scene_extent(cameras + astray)
    np.testing.assert_allclose(dirty.lower, clean.lower, atol=0.4)
    np.testing.assert_allclose(dirty.upper, clean.upper, atol=0.4)


def test_the_extent_moves_and_scales_with_the_rig():
    small, scale, shift = dome(), 250.0, np.array([1e4, -3e4, 500.0])
    large = []
    for c in small:
        pose = c.camera_to_world.copy()
        pose[:3, 3] = scale * pose[:3, 3] + shift
        large.append(c.at(pose))
    a, b = scene_extent(small), scene_extent(large)
    np.testing.assert_allclose(b.lower, scale * a.lower + shift, rtol=1e-6)
    assert b.near == pytest.approx(scale * a.near, rel=1e-6)
    assert b.arrangement == a.arrangement


def test_cameras_that_face_one_way():
    cameras = [camera((x, 0, 0), (x, 10, 0)) for x in np.linspace(-1, 1, 9)]
    found = scene_extent(cameras)
    assert found.arrangement == "facing" and found.unbounded
    assert found.lower[1] > 0 and found.near > 0
    wall = np.stack([RNG.uniform(-3, 3, 900), np.full(900, 6.0), RNG.uniform(-2, 2, 900)], axis=1)
    found = scene_extent(cameras, wall)
    assert contains(found, wall, 0.95) and found.near < 6 and found.by_points


def test_cameras_that_look_outward():
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ends = [np.array([math.cos(a), math.sin(a), 0.0]) for a in angles]
    found = scene_extent([camera(0.1 * end, end) for end in ends])
    assert found.arrangement == "outward" and found.unbounded
    assert contains(found, np.array([0.1 * end for end in ends]))


def test_what_cannot_be_told_is_refused():
    with pytest.raises(CameraError, match="no cameras"):
        scene_extent([])
    turned = [camera((0, 0, 0), (math.cos(a), math.sin(a), 0)) for a in (0.0, 0.2)]
    with pytest.raises(CameraError, match="one place"):
        scene_extent(turned)
    with pytest.raises(CameraError, match="one place"):
        scene_extent(turned[:1])
    # With points they are enough.
    points = np.stack([RNG.uniform(4, 6, 500), *RNG.uniform(-1, 1, (2, 500))], axis=1)
    found = scene_extent(turned, points)
    assert contains(found, points, 0.95) and 1 < found.near < 5


def test_few_points_count_as_none():
    assert not scene_extent(ring(), ball(1.0, 99)).by_points
    # Nor do points that the cameras do not see.
    assert not scene_extent(ring(6, turn=1.0), ball(1.0, 500, middle=(9, 0, 0.5))).by_points


def test_json_has_no_infinite_number():
    record = scene_extent(ring()).as_json()
    assert record["far"] is None and record["arrangement"] == "around"


def test_near_and_far_bound_a_scene_without_points():
    """Files of Neural 3D Video have them: of a room on an arc nothing else tells where it ends."""
    cameras = list(arc_rig(21, 0, (64, 48)).training)
    alone = scene_extent(cameras)
    told = scene_extent(cameras, None, np.tile([2.1, 4.7], (21, 1)))
    assert alone.unbounded and not told.unbounded
    assert (told.lower < BOUNDS[0]).all() and (told.upper > BOUNDS[1]).all()
    assert np.subtract(told.upper, told.lower).max() < 2 * np.subtract(*BOUNDS[::-1]).max()
    assert told.near <= 2.1
    # What stands for nothing, as writers put it that have to put something, changes nothing much.
    nothing = scene_extent(cameras, None, np.tile([0.1, 100.0], (21, 1)))
    assert nothing.unbounded and nothing.near == pytest.approx(alone.near, rel=0.1)
    for wrong in ([0.0, 1.0], [2.0, 1.0], [1.0, np.inf], [np.nan, 2.0]):
        assert not scene_extent(cameras, None, np.tile(wrong, (21, 1))).by_points


def test_the_embedded_room():
    cameras = arc_rig(16, 3).cameras
    low, high = np.array(BOUNDS)
    room = np.concatenate([[low, high], RNG.uniform(low, high, (900, 3))])
    found = scene_extent(cameras)
    assert ((found.lower < TARGET) & (found.upper > TARGET)).all()
    assert contains(found, room) and 0.35 <= found.near < 1.6
    found = scene_extent(cameras, room)
    assert not found.unbounded and contains(found, room, 0.98)
    assert (found.upper - found.lower).max() < 1.5 * (high - low).max()


def test_the_fox():
    cameras = camera_files.read(shared("scenes", "fox", "transforms.json")).cameras
    found = scene_extent(cameras)
    assert found.arrangement == "around" and found.unbounded
    # The statue, in instant-ngp's unit cube.
    assert ((found.lower < 0.4) & (found.upper > 0.6)).all()
    assert (found.upper - found.lower).max() < 3


def test_four_cameras_about_a_person():
    cameras = camera_files.read(shared("video-4cam", "camera_array.toml")).cameras
    found = scene_extent(cameras)
    distances = [np.linalg.norm(c.centre - (found.lower + found.upper) / 2) for c in cameras]
    assert found.arrangement == "around" and 0 < found.near < min(distances)


def test_one_camera_alone_is_told_what_would_help():
    camera = Camera(30.0, 30.0, 16, 12, 32, 24, look_at((2, 0, 1), (0, 0, 0)), "a")
    with pytest.raises(CameraError, match=r"stand at one place.*poses_bounds\.npy"):
        scene_extent([camera])
    # It does help.
    found = scene_extent([camera], None, np.array([[1.0, 3.0]]))
    assert 0 < found.near <= 1.0 and found.far >= 3.0
