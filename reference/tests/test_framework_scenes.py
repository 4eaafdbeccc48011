"""The embedded scenes beside the room: cameras, depth, motion and colour against one another."""

import numpy as np
import pytest

from nmc_framework.cameras import Camera, look_at
from nmc_framework.metrics import psnr
from nmc_framework.scene import scenes
from nmc_framework.scene.blocks import Blocks, camera_rays, in_rows
from nmc_framework.scene.imaging import display, linear
from nmc_framework.scene.item import Item, Material, Placed, place, still
from nmc_framework.scene.lighting import Lamp, Lighting, one_colour
from nmc_framework.scene.round_solids import Capsule, Ellipsoid, Ground, Shell
from nmc_framework.scene.solids import Box, Pose, Sphere
from nmc_framework.scene.texture import plain
from nmc_framework.scene.tracer import picture, trace

SCENES = scenes()
NAMES = list(SCENES)
NEW = [name for name in NAMES if name != "room"]


def small(name):
    """Return a scene and its rig at about 48 pixels of width."""
    scene = SCENES[name]
    width, height = scene.size
    return scene, scene.rig((48, round(48 * height / width)))


def rays(count, seed=3):
    rng = np.random.default_rng(seed)
    origin = np.array([0.3, -3, 0.5], np.float32)
    aim = rng.uniform(-1.2, 1.2, (3, count)).astype(np.float32)
    directions = aim - origin[:, None]
    return origin, directions / np.linalg.norm(directions, axis=0)


@pytest.mark.parametrize(
    "solid",
    [Ellipsoid((0.9, 0.4, 0.6)), Capsule(1.4, 0.3), Capsule(1.8, 0.01), Shell((6.0, 5.0, 4.0))],
)
def test_round_solids_are_hit_on_their_surface(solid):
    origin, directions = rays(4000)
    distance = solid.hit(origin, directions)
    hit = np.isfinite(distance)
    points = origin[:, None] + distance[hit] * directions[:, hit]
    if isinstance(solid, Capsule):
        middle = np.clip(points[2], -solid.length / 2, solid.length / 2)
        off = np.hypot(np.hypot(points[0], points[1]), points[2] - middle) - solid.radius
    else:
        off = np.linalg.norm(points / np.array(solid.radii)[:, None], axis=0) - 1
    assert hit.sum() > 5
    np.testing.assert_allclose(off, 0, atol=2e-5)
    normals = solid.normal(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=2e-3)
    assert ((normals * directions[:, hit]).sum(axis=0) < 1e-2).all()


def test_a_capsule_is_met_wherever_its_axis_comes_near():
    solid = Capsule(1.0, 0.2)
    origin, directions = rays(600)
    along = np.linspace(1, 6, 1001)
    points = origin[:, None, None] + directions[:, :, None] * along
    rest = np.abs(points[2]) - 0.5
    apart = np.sqrt(points[0] ** 2 + points[1] ** 2 + np.maximum(rest, 0) ** 2).min(axis=1)
    clear = np.abs(apart - 0.2) > 5e-3
    met = np.isfinite(solid.hit(origin, directions))
    assert (met == (apart < 0.2))[clear].all() and met.any()


def test_a_capsule_is_met_along_its_own_axis():
    down = np.array([[0.0], [0.0], [-1.0]], np.float32)
    assert Capsule(1.0, 0.2).hit(np.array([0, 0, 3], np.float32), down)[0] == pytest.approx(2.3)


def test_rays_with_origins_of_their_own_meet_the_same():
    origin, directions = rays(500)
    origins = np.repeat(origin[:, None], 500, axis=1)
    for solid in (Sphere(0.7), Box((0.5, 0.8, 0.3)), Ellipsoid((0.9, 0.4, 0.6)), Capsule(1, 0.3)):
        np.testing.assert_allclose(
            solid.hit(origins, directions), solid.hit(origin, directions), rtol=1e-4
        )


def test_what_is_small_and_far_is_met_where_it_is():
    ball = Ellipsoid((0.02, 0.02, 0.02))
    for far in (10.0, 100.0, 250.0):
        start = np.array([-far, 0, 0], np.float32)
        ahead = np.array([[1.0], [0.0], [0.0]], np.float32)
        assert ball.hit(start, ahead)[0] == pytest.approx(far - 0.02, rel=1e-6)
        aside = start + np.array([0, 0.0205, 0], np.float32)
        assert np.isinf(ball.hit(aside, ahead)[0])


@pytest.mark.parametrize("name", NAMES)
def test_blocks_pass_over_nothing_that_is_hit(name):
    scene, rig = small(name)
    items = scene.items(0.7)
    camera = rig.training[5]
    origin = camera.centre.astype(np.float32)
    directions = camera_rays(camera, 2)
    found = trace(items, origin, directions).distance
    brute = np.full(directions.shape[1], np.inf, np.float32)
    for placed in items:
        turned = placed.pose.rotation.T
        start = turned @ (origin - placed.pose.translation)
        brute = np.minimum(brute, placed.item.solid.hit(start, turned @ directions))
    np.testing.assert_allclose(found, brute, rtol=1e-4)


def test_blocks_of_scattered_origins_pass_over_nothing():
    rng = np.random.default_rng(0)
    origins = rng.uniform(-2, 2, (3, 700)).astype(np.float32)
    directions = rng.normal(size=(3, 700)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    rod = Placed(
        Item("rod", Capsule(2, 0.1), Material(plain((1, 1, 1))), still(Pose.at(0, 0, 0))),
        Pose.at(0.3, 0.2, 0.1, axis=(1, 1, 0), degrees=50),
    )
    start = rod.pose.rotation.T @ (origins - rod.pose.translation[:, None])
    hit = np.flatnonzero(np.isfinite(rod.item.solid.hit(start, rod.pose.rotation.T @ directions)))
    near = Blocks.about(origins, directions).near(rod)
    assert len(hit) and (near is None or np.isin(hit, near).all())


def test_rays_in_tiles_are_the_cameras_rays():
    camera = SCENES["dome"].rig((21, 13)).training[2]
    ordered = in_rows(camera_rays(camera, 2), camera, 2)
    np.testing.assert_allclose(ordered.T, camera.rays(2).directions, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_depth_agrees_between_cameras(name):
    """What one camera sees at a depth, another sees there or sees something before it."""
    scene, rig = small(name)
    one, other = rig.training[4], rig.training[5]
    depth = scene.depth(one, 0.4)
    assert depth.dtype == np.float32 and depth.shape == (one.height, one.width)
    rows, columns = np.nonzero(np.isfinite(depth))
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=1)
    ahead = one.rays_at(pixels).directions
    along = ahead @ one.rotation[:, 2]
    points = one.centre + ahead * (depth[rows, columns] / along)[:, None]
    distance = scene.depth(one, 0.4, along="ray")[rows, columns]
    np.testing.assert_allclose(np.linalg.norm(points - one.centre, axis=1), distance, rtol=1e-5)
    seen, behind = other.project(points)
    inside = (
        (behind > 0)
        & (seen > 1).all(axis=1)
        & (seen < [other.width - 1, other.height - 1]).all(axis=1)
    )
    directions = points[inside] - other.centre
    length = np.linalg.norm(directions, axis=1)
    first = trace(
        scene.items(0.4),
        other.centre.astype(np.float32),
        (directions / length[:, None]).T.astype(np.float32),
    ).distance
    assert (first <= length * (1 + 1e-3) + 1e-3).all()
    assert np.isclose(first, length, rtol=1e-3).mean() > 0.15


@pytest.mark.parametrize("name", NAMES)
def test_motion_is_that_of_the_things(name):
    scene, rig = small(name)
    camera = rig.training[4]
    assert np.nanmax(np.abs(scene.motion(camera, 0.3, 0.3))) < 1e-5
    motion = scene.motion(camera, 0.3, 0.4)
    moved = np.linalg.norm(motion, axis=2)
    assert motion.shape == (camera.height, camera.width, 3)
    assert (np.isnan(moved) == np.isinf(scene.depth(camera, 0.3))).all()
    assert 0.001 < (moved > 1e-3).mean() < 0.6, "something moves, and most stands still"
    assert np.nanmax(moved) < 0.6


@pytest.mark.parametrize("name", NEW)
def test_rigs_are_as_real_ones_are(name):
    rig = SCENES[name].rig()
    assert len(rig.training) >= 12 and len(rig.held_out) >= 3
    assert len({camera.name for camera in rig.cameras}) == len(rig.cameras)
    assert SCENES[name].held_out == tuple(camera.name for camera in rig.held_out)
    if name == "exposure":
        return  # the room's rig, so that its figures compare
    assert len({camera.fx for camera in rig.cameras}) > 10
    axes = np.array([camera.rotation[:, 2] for camera in rig.cameras])
    centres = np.array([camera.centre for camera in rig.cameras])
    target = np.array([0, 0, 1.0])
    apart = np.linalg.norm(np.cross(target - centres, axes), axis=1)
    assert apart.std() > 0.01, "they do not all face one point"


@pytest.mark.slow(minutes=0.03)
def test_the_dome_is_around_its_cameras():
    scene = SCENES["dome"]
    low, high = np.array(scene.bounds)
    assert not np.allclose((high - low)[2], (high - low)[0])
    rig = scene.rig((32, 18))
    assert (len(rig.training), len(rig.held_out)) == (27, 4)
    for camera in rig.cameras:
        assert (camera.centre > low).all() and (camera.centre < high).all()
        depth = scene.depth(camera, 0.0, along="ray")
        assert np.isfinite(depth).all() and depth.min() > 0.2
        ahead = camera.rays().directions.reshape(camera.height, camera.width, 3)
        points = camera.centre + ahead * depth[..., None]
        assert (points > low - 1e-3).all() and (points < high + 1e-3).all()
    heights = {round(camera.centre[2], 1) for camera in rig.cameras}
    assert len(heights) > 8
    bright = [np.mean(scene.render(camera, 0.0, supersampling=1) > 250) for camera in rig.cameras]
    assert sum(share > 0.002 for share in bright) > 8, "lamps are in the pictures"


def test_the_walk_goes_on_to_the_horizon():
    scene = SCENES["walk"]
    assert scene.bounds is None and scene.background is None
    rig = scene.rig((36, 48))
    depths = np.concatenate([scene.depth(c, 0.0).ravel() for c in rig.training[::6]])
    known = depths[np.isfinite(depths)]
    assert np.isinf(depths).mean() > 0.02 and known.min() < 3
    assert (known > 20).mean() > 0.05 and known.max() > 150
    order = sorted(camera.name for camera in rig.cameras)
    assert scene.held_out == tuple(order[::8]) and len(order) == 50


def test_exposure_tells_its_colours_exactly():
    scene = SCENES["exposure"]
    camera, other = scene.rig((40, 40)).training[:2]
    clean, taken = (f(camera, 0.5).astype(float) / 255 for f in (scene.clean, scene.render))
    transform = scene.imaging.transform(camera, 0.5)
    assert transform.gains != scene.imaging.transform(other, 0.5).gains
    assert transform.gains != scene.imaging.transform(camera, 0.8).gains
    told = transform.apply(clean)
    still_there = np.abs(told - taken).mean(axis=2)
    # Noise and blur are left; the exposure is not.
    assert np.median(still_there) < 0.02 and np.abs(clean - taken).mean() > 2 * still_there.mean()
    unclipped = told < 0.999
    np.testing.assert_allclose(transform.undo(told)[unclipped], clean[unclipped], atol=1e-9)
    assert (SCENES["room"].render(camera, 0.5) == scene.clean(camera, 0.5)).all()


def test_exposure_blurs_what_moves():
    scene = SCENES["exposure"]
    camera = scene.rig((64, 64)).training[7]
    quiet = type(scene.imaging)(stops=0, warmth=0, breath=0, grain=0)
    taken = display(linear(quiet.take(lambda t: scene._seen(camera, t, 2), camera, 0.4)))
    apart = np.abs(taken - scene.clean(camera, 0.4) / 255).max(axis=2)
    moved = np.nan_to_num(np.linalg.norm(scene.motion(camera, 0.4, 0.41), axis=2)) > 1e-3
    assert apart[moved].max() > 0.05 and np.median(apart[~moved]) < 0.005


def test_display_curve_has_an_inverse():
    values = np.linspace(0, 1, 300)
    np.testing.assert_allclose(display(linear(values)), values, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_the_same_bytes_again(name):
    scene, rig = small(name)
    first = scene.render(rig.training[3], 0.2)
    again = scenes()[name].render(small(name)[1].training[3], 0.2)
    assert first.dtype == np.uint8 and (first == again).all()
    assert psnr(first, scene.render(rig.training[12], 0.2)) < 40


def test_a_mirror_shows_what_stands_before_it():
    red = Item(
        "wall",
        Box((0.1, 5, 5)),
        Material(plain((0.9, 0.1, 0.1)), glow=1.0),
        still(Pose.at(-9, 0, 0)),
    )
    ball = Item(
        "ball",
        Ellipsoid((1, 1, 1)),
        Material(plain((0, 0, 0)), mirror=1.0),
        still(Pose.at(0, 0, 0)),
    )
    light = Lighting((Lamp((0, 0, 9), 0.5),), 0.4, one_colour((0.0, 0.0, 1.0)))
    camera = Camera.from_field_of_view(4, 8, 8, look_at((-4, 0, 0), (0, 0, 0)))
    seen = picture(place([ball, red], 0.0), light, camera)
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), [0.9, 0.1, 0.1], atol=0.01)
    seen = picture(place([ball], 0.0), light, camera)
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), [0, 0, 1], atol=0.01)


def test_the_ground_has_no_end_and_no_underside():
    ground = Ground()
    down = np.array([[0.6, 0.0, 0.001], [0, 0, 0], [-0.8, 1.0, -1e-4]], np.float32)
    start = np.array([0, 0, 1], np.float32)
    assert ground.hit(start, down)[0] == pytest.approx(1.25)
    assert np.isinf(ground.hit(start, down)[1])
    assert np.isinf(ground.hit(-start, down)).all()


def test_depth_along_something_else_is_refused():
    scene, rig = small("room")
    with pytest.raises(ValueError, match="axis or the ray"):
        scene.depth(rig.training[0], 0.0, along="z")
