"""Made-up rooms with exact depth, and what is made of a depth map: surface, film, colours."""

import numpy as np
import pytest

pytest.importorskip("torch")

from depth_samples import pair

from nmc_framework.depth.colouring import coloured
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.rooms import _camera, made_room, photographed, photographs
from nmc_framework.depth.surface import surface, usual_focal, write_ply
from nmc_framework.depth.turning import turning

SIZE = (32, 24)


def test_a_room_is_the_same_for_a_seed_and_no_other_one():
    one, again, other, seeded = (
        next(photographs(made_room(number, seed), 1, SIZE, seed))
        for number, seed in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    assert np.array_equal(one.picture, again.picture) and np.array_equal(one.depth, again.depth)
    assert not np.array_equal(one.depth, other.depth)
    assert not np.array_equal(one.depth, seeded.depth)
    assert one.picture.shape == (24, 32, 3) and one.depth.dtype == np.float32
    assert len(photographed(range(2), 2, SIZE)) == 4


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_is_seen_lies_in_the_room(number):
    room = made_room(number)
    camera = _camera(room, np.random.default_rng(number), SIZE, "c")
    depth = room.scene.depth(camera, 0.0)
    assert np.isfinite(depth).all() and depth.min() > 0.2
    y, x = np.mgrid[:24, :32] + 0.5
    local = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)])
    points = camera.rotation @ (local * depth).reshape(3, -1) + camera.centre[:, None]
    half = np.array([room.size[0] / 2, room.size[1] / 2])[:, None]
    assert (np.abs(points[:2]) < half + 1e-3).all()
    assert (points[2] > -1e-3).all() and (points[2] < room.size[2] + 1e-3).all()
    on_walls = (np.abs(np.abs(points[:2]) - half) < 1e-3).any(axis=0) | (np.abs(points[2]) < 1e-3)
    assert on_walls.any()


def test_pictures_of_another_aspect_are_cut_not_stretched():
    wide = pair(0, (24, 48))
    found = wide.resized(12, 16)
    assert np.array_equal(found.depth, wide.depth[1::2, 9:41:2])
    tall = pair(0, (48, 24)).resized(12, 16)
    assert tall.depth.shape == (12, 16) and tall.picture.shape == (12, 16, 3)


def test_a_surface_is_torn_where_depth_jumps(tmp_path):
    depth = np.full((6, 8), 2.0, np.float32)
    whole = surface(np.zeros((6, 8, 3), np.uint8), depth)
    assert len(whole.points) == 48 and len(whole.faces) == 2 * 5 * 7
    focal = usual_focal(8, 6)
    assert whole.points[0] == pytest.approx([-3.5 * 2 / focal, -2.5 * 2 / focal, 2])
    depth[:, 4:] = 3.0
    torn = surface(np.zeros((6, 8, 3), np.uint8), depth)
    assert len(torn.faces) == 2 * 5 * 6
    assert all(len({float(depth.ravel()[k]) for k in face}) == 1 for face in torn.faces)
    path = tmp_path / "s.ply"
    write_ply(path, torn)
    head, _, body = path.read_bytes().partition(b"end_header\n")
    assert b"element vertex 48" in head and len(body) == 48 * 15 + len(torn.faces) * 13
    for bad in (0.0, -1.0, np.nan, np.inf):
        depth[0, 0] = bad
        with pytest.raises(DepthError, match="above 0"):
            surface(np.zeros((6, 8, 3), np.uint8), depth)
    with pytest.raises(DepthError, match="unequal size"):
        surface(np.zeros((5, 8, 3), np.uint8), depth)


def test_a_film_begins_with_the_picture_and_goes_round():
    found = pair(1, (48, 64))
    frames = list(turning(found.picture, found.depth, pictures=8))
    assert len(frames) == 8 and {frame.shape for frame in frames} == {(48, 64, 3)}
    assert np.abs(frames[0].astype(int) - found.picture).mean() < 12
    assert np.abs(frames[4].astype(int) - frames[0]).mean() > 12  # from behind
    gentle = list(turning(found.picture, found.depth, pictures=8, degrees=30))
    assert np.array_equal(gentle[0], gentle[4])  # to and fro
    tiny = list(turning(found.picture[:1, :1], found.depth[:1, :1], pictures=3))
    assert tiny[0].shape == (1, 1, 3)


def test_colours_of_depth():
    depth = np.linspace(1, 5, 60, dtype=np.float32).reshape(6, 10)
    depth[0, 0] = 0
    found = coloured(depth)
    assert found.shape == (6, 10, 3) and (found[0, 0] == 0).all()
    near, far = found[0, 1].astype(int), found[-1, -1].astype(int)
    assert near[0] > near[2] and far[2] > far[0]  # red is near, blue is far
    assert (coloured(np.zeros((2, 2), np.float32)) == 0).all()
    one = coloured(np.full((2, 2), 3.0, np.float32))
    assert one[0, 0, 1] > 128  # the middle of the colours
