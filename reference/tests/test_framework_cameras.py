"""Cameras and viewpoints: the canonical convention and its round trips."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmc_framework.cameras import (
    Camera,
    CameraError,
    Viewpoint,
    look_at,
    read_rig,
    write_rig,
)
from nmc_framework.cameras.viewpoint import angles_from_rotation, rotation_from_angles

angle = st.floats(-180, 180)
coordinate = st.floats(-100, 100)


def camera(**changes):
    values = {"fx": 100.0, "fy": 90.0, "cx": 33.0, "cy": 21.0, "width": 64, "height": 48}
    return Camera(**(values | {"camera_to_world": look_at((-3, 1, 2), (0, 0, 0))} | changes))


def test_look_at_faces_its_target_upright():
    matrix = look_at((-3.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(matrix[:3, 2], [1, 0, 0], atol=1e-15)  # forward
    np.testing.assert_allclose(matrix[:3, 1], [0, 0, -1], atol=1e-15)  # down
    np.testing.assert_allclose(matrix[:3, 0], [0, -1, 0], atol=1e-15)  # right


def test_pixel_centres_lie_half_a_pixel_from_the_corner():
    one = camera()
    image, depth = one.project(one.centre + one.rays().directions[[0, 63, -1]] * 2.5)
    np.testing.assert_allclose(image, [[0.5, 0.5], [63.5, 0.5], [63.5, 47.5]], atol=1e-9)
    assert (depth > 0).all()


def test_supersampled_rays_average_to_the_pixel():
    one = camera(width=3, height=2, cx=1.5, cy=1.0)
    fine = one.rays(4).directions.reshape(2, 4, 3, 4, 3)
    image, _ = one.project(one.centre + fine[0, :, 0, :].reshape(-1, 3))
    np.testing.assert_allclose(image.mean(axis=0), [0.5, 0.5], atol=1e-9)


def test_resizing_keeps_the_view():
    one = camera()
    small = one.resized(32, 24)
    np.testing.assert_allclose(
        one.rays_at([[12.0, 30.0]]).directions, small.rays_at([[6.0, 15.0]]).directions, atol=1e-15
    )


@given(coordinate, coordinate, coordinate, angle, angle, angle)
def test_viewpoint_round_trip_through_the_matrix(x, y, z, yaw, pitch, roll):
    matrix = Viewpoint(x, y, z, yaw, pitch, roll).camera_to_world()
    again = Viewpoint.from_camera_to_world(matrix).camera_to_world()
    np.testing.assert_allclose(again, matrix, atol=1e-9)


@given(angle, st.floats(-89.9, 89.9), angle)
def test_angles_round_trip_away_from_the_poles(yaw, pitch, roll):
    found = np.array(angles_from_rotation(rotation_from_angles(yaw, pitch, roll)))
    difference = (found - [yaw, pitch, roll] + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=1e-6)


def test_positive_pitch_looks_down_and_positive_yaw_turns_left():
    down = Viewpoint(0, 0, 0, 0, 30, 0).camera_to_world()[:3, 2]
    assert down[2] == pytest.approx(-0.5)
    left = Viewpoint(0, 0, 0, 90, 0, 0).camera_to_world()[:3, 2]
    np.testing.assert_allclose(left, [0, 1, 0], atol=1e-15)


def test_rig_file_keeps_every_bit(tmp_path):
    rig = [camera(name="a", fx=np.pi * 100), camera(name="b")]
    write_rig(tmp_path / "rig.json", rig)
    for old, new in zip(rig, read_rig(tmp_path / "rig.json"), strict=True):
        assert old.as_json() == new.as_json()


def test_rig_of_another_convention_is_refused(tmp_path):
    (tmp_path / "rig.json").write_text(json.dumps({"convention": "OpenGL", "cameras": []}))
    with pytest.raises(CameraError, match=r"rig\.json: expected the convention"):
        read_rig(tmp_path / "rig.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "empty"),
        ({"fx": -1.0}, "focal lengths"),
        ({"camera_to_world": np.diag([1.0, 1, -1, 1])}, "not a rotation"),
        ({"camera_to_world": np.diag([2.0, 2, 2, 1])}, "not a rotation"),
        ({"camera_to_world": np.full((4, 4), np.nan)}, "finite"),
    ],
)
def test_impossible_cameras_are_named(changes, message):
    with pytest.raises(CameraError, match=message):
        camera(name="left", **changes)


def test_look_at_straight_down_needs_another_up():
    with pytest.raises(CameraError, match="one line"):
        look_at((0, 0, 3), (0, 0, 0))
