"""Tracks, images and videos; and the demo at toy size."""

import io
import os
from dataclasses import astuple
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from rich.console import Console

import nmc
from nmc_framework.cameras import Viewpoint
from nmc_framework.evaluation import ChainPoint, captioned, plot_chain
from nmc_framework.models import build
from nmc_framework.rendering import (
    KeyPoses,
    TrackError,
    VideoError,
    orbit,
    read_eyenavgs,
    read_track,
    render_image,
    render_package,
    render_track,
    spline,
    write_track,
    write_video,
)
from nmc_framework.rendering.trace import slerp
from nmc_framework.scene import TARGET, orbit_camera
from nmc_tools import demo

TRACES = Path(os.environ.get("NMC_SHARED_DATA", "../shared/data")).resolve() / "traces"
TINY = {"levels": 2, "finest": 12, "log2_entries": 9, "hidden": 8, "samples": 16, "occupancy": 8}


def track(count=5):
    return orbit(TARGET, count, distance=3, azimuths=(200, 250), elevations=(10, 30))


def test_an_orbit_faces_its_target_and_closes():
    camera = orbit_camera(0, 0, (40, 40))
    for viewpoint in track(9):
        image, depth = camera.at(viewpoint.camera_to_world()).project([TARGET])
        np.testing.assert_allclose(image, [[20, 20]], atol=1e-9)
        assert depth == pytest.approx(3)
        assert abs(viewpoint.roll) < 1e-9
    assert astuple(track(8)[1]) == pytest.approx(astuple(track(8)[7]))


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "walk.csv"
    write_track(path, track())
    return path


def test_a_track_reads_back_to_the_same_bits(csv):
    assert read_track(csv, frames=5) == track()


def test_a_track_may_have_other_columns_in_any_order(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("roll,note,yaw,z,y,x,pitch\n6,hello,4,3,2,1,5\n")
    assert read_track(path) == [Viewpoint(1, 2, 3, 4, 5, 6)]


def test_bad_tracks_are_named(csv, tmp_path):
    with pytest.raises(TrackError, match=r"walk.csv: 5 viewpoints for 7 frames"):
        read_track(csv, frames=7)
    csv.write_text(csv.read_text().replace("yaw", "heading"))
    with pytest.raises(TrackError, match="the header lacks yaw"):
        read_track(csv)
    path = tmp_path / "t.csv"
    path.write_text("x,y,z,yaw,pitch,roll\n1,2,3,4,5,6\n1,2,3,nan,5,6\n")
    with pytest.raises(TrackError, match=r"line 3: yaw is 'nan', expected a number"):
        read_track(path)


def test_images_do_not_depend_on_the_chunk():
    model = build("hash_grid", TINY, seed=2)
    camera = orbit_camera(220, 20, (20, 14))
    whole, parts = render_image(model, camera), render_image(model, camera, chunk=37)
    assert whole.shape == (14, 20, 3) and whole.dtype == np.uint8
    assert np.abs(whole.astype(int) - parts).max() <= 1
    assert model.training, "the mode is left as it was"


def test_each_viewpoint_sees_its_own_frame():
    models = [build("hash_grid", TINY, seed=seed) for seed in (1, 2)]
    states = [model.save() for model in models]
    camera = orbit_camera(220, 20, (12, 12))
    images = list(render_track(models[0], states, track(3), camera, [0, 1, 0]))
    models[1].load(states[1])
    expected = render_image(models[1], camera.at(track(3)[1].camera_to_world()))
    assert np.array_equal(images[1], expected)
    with pytest.raises(TrackError, match="3 viewpoints for 2 frames"):
        next(render_track(models[0], states, track(3), camera))


def test_video_of_odd_size_is_padded_and_bad_images_are_named(tmp_path):
    images = [np.full((17, 23, 3), 40 * i, np.uint8) for i in range(4)]
    assert write_video(tmp_path / "a.mp4", images, 12) == 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (24, 18, 12)
        assert sum(1 for _ in container.decode(video=0)) == 4
    with pytest.raises(VideoError, match="no images"):
        write_video(tmp_path / "b.mp4", [], 12)
    with pytest.raises(VideoError, match="image 1 is"):
        write_video(tmp_path / "c.mp4", [images[0], images[0][:4]], 12)


def test_captions_and_plots(tmp_path):
    image = captioned(np.full((20, 90, 3), 9, np.uint8), "truth")
    assert image.shape[0] > 20 and (image[-20:] == 9).all() and image[:-20].std() > 5
    points = [ChainPoint(0, 28.0, 1000, 800, "key"), ChainPoint(1, 27.0, 1000, 500, "delta")]
    plot_chain(tmp_path / "chain.png", points, "two frames")
    assert (tmp_path / "chain.png").stat().st_size > 5000


@pytest.mark.slow(minutes=0.5)
def test_the_demo_at_toy_size(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    screen = Console(file=io.StringIO(), width=110)
    try:
        result = demo.run(tmp_path / "demo", quick=True, console=screen)
    finally:
        torch.set_num_threads(before)
    assert result.accepted and len(result.frames) == 3
    for path in (result.package, result.video, result.plot, result.track):
        assert path.stat().st_size > 100
    with nmc.open(result.package) as sequence:
        assert sequence.family == "hash_grid" and len(sequence) == 3
        model = build(sequence.family, sequence.configuration)
        model.load(sequence[2])
    assert "PSNR dB" in screen.file.getvalue()
    assert all(10 < row.psnr < 40 for row in result.frames)


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "a.nmc"
    model = build("hash_grid", TINY)
    with nmc.Writer(path, family=model.family, configuration=model.configuration) as writer:
        for seed in (1, 2, 3):
            writer.append(build("hash_grid", TINY, seed=seed).save())
    return path


@pytest.mark.slow(minutes=0.03)
def test_workers_render_the_same_bytes_as_one_process(package):
    camera = orbit_camera(220, 20, (20, 16))
    shown = [0, 1, 2, 1, 0]
    alone = list(render_package(package, track(5), camera, shown))
    spread = list(render_package(package, track(5), camera, shown, workers=2))
    assert all(np.array_equal(a, b) for a, b in zip(alone, spread, strict=True))
    assert len({image.tobytes() for image in alone}) == 5
    with pytest.raises(TrackError, match="frame 3 is not in the package, which has 3"):
        next(render_package(package, track(1), camera, [3]))
    with pytest.raises(TrackError, match="5 viewpoints for 3 frames"):
        next(render_package(package, track(5), camera))


def test_a_spline_passes_through_its_keys_smoothly():
    keys = track(7)[:4]
    path = spline(keys, 31)
    for key, found in zip(keys, path[::10], strict=True):
        np.testing.assert_allclose(found.camera_to_world(), key.camera_to_world(), atol=1e-9)
    places = np.array([astuple(v)[:3] for v in path])
    bends = np.linalg.norm(np.diff(places, 2, axis=0), axis=1)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert bends.max() < 0.2 * steps.max()
    with pytest.raises(TrackError, match="two key poses"):
        spline(keys[:1], 5)


def test_key_poses_are_passed_at_their_times():
    keys = KeyPoses(tuple(track(7)[:4]), (1.0, 1.5, 3.5, 4.0))
    for key, found in zip(keys.viewpoints, keys.at(keys.times), strict=True):
        np.testing.assert_allclose(found.camera_to_world(), key.camera_to_world(), atol=1e-9)
    # The velocity has no jump at a key, however uneven the times are.
    step = 1e-5
    for time in keys.times[1:-1]:
        a, b, c = (np.array(astuple(v)[:3]) for v in keys.at([time - step, time, time + step]))
        np.testing.assert_allclose((b - a) / step, (c - b) / step, atol=1e-3)
    # With even times it is the spline of Catmull and Rom.
    even = KeyPoses(keys.viewpoints).at([1.25])[0]
    p = [np.array(astuple(v)[:3]) for v in keys.viewpoints]
    u = 0.25
    expected = 0.5 * (
        2 * p[1] + (p[2] - p[0]) * u + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * u**2
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * u**3
    )  # fmt: skip
    np.testing.assert_allclose(astuple(even)[:3], expected, atol=1e-9)
    with pytest.raises(TrackError, match=r"lasts from 1 to 4; 4\.5 is outside"):
        keys.at([2, 4.5])
    with pytest.raises(TrackError, match="2 times for 4 key poses"):
        KeyPoses(keys.viewpoints, (0.0, 1.0))


def test_slerp_takes_the_shorter_arc():
    a = np.array([[1.0, 0, 0, 0]])
    b = -np.array([[np.cos(0.3), np.sin(0.3), 0, 0]])
    half = slerp(a, b, np.array([0.5]))
    np.testing.assert_allclose(np.abs(half), [[np.cos(0.15), np.sin(0.15), 0, 0]], atol=1e-12)


HEAD = (
    "ViewIndex,FOV1,PositionX,PositionY,PositionZ,"
    "QuaternionX,QuaternionY,QuaternionZ,QuaternionW,timestep\n"
)


def test_head_traces_become_viewpoints(tmp_path):
    path = tmp_path / "user.csv"
    turned = f"0,{np.sin(np.pi / 8)},0,{np.cos(np.pi / 8)}"  # 45 degrees about y: to the left
    path.write_text(
        HEAD + "0,0,-0.1,1.5,-2,0,0,0,1,0\n1,0,0.1,1.5,-2,0,0,0,1,10\n"
        f"0,0,-0.1,1.5,-3,{turned},100\n1,0,0.1,1.5,-3,{turned},110\n"
    )
    trace = read_eyenavgs(path)
    first, middle, last = trace.at([0.0, 0.05, 0.1])
    # OpenXR looks along -z: two units forward of the origin is x = 2 in MIV's axes.
    assert astuple(first) == pytest.approx((2, 0, 1.5, 0, 0, 0), abs=1e-9)
    assert middle.x == pytest.approx(2.5) and middle.yaw == pytest.approx(22.5)
    assert last.yaw == pytest.approx(45) and last.pitch == pytest.approx(0, abs=1e-9)
    assert read_eyenavgs(path, eye="left").at([0.0])[0].y == pytest.approx(0.1)
    with pytest.raises(TrackError, match=r"lasts from 0 s to 0.1 s; 0.2 s is outside"):
        trace.at([0.2])
    path.write_text(HEAD + "0,0,x,1,1,0,0,0,1,0\n")
    with pytest.raises(TrackError, match=r"user.csv, line 2: not a pose of an eye"):
        read_eyenavgs(path)
    path.write_text("a,b\n")
    with pytest.raises(TrackError, match="the header lacks ViewIndex"):
        read_eyenavgs(path)


@pytest.mark.skipif(not TRACES.is_dir(), reason="the shared head traces are not here")
@pytest.mark.parametrize(
    ("name", "tilt"),
    [
        ("room/user10_room", (-0.2164, 0, 0, 0.9763)),
        ("stump/user10_stump", (-0.4226, 0, 0, 0.9063)),
        ("train/user6_train", (0.0872, 0, 0, 0.9962)),
    ],
)
def test_real_head_traces_stand_upright(name, tilt):
    trace = read_eyenavgs(TRACES / "eyenavgs_nthu" / f"{name}.csv", tilt=tilt)
    assert 55 < trace.times[-1] < 61
    viewpoints = trace.at(np.arange(0, 50, 0.5))
    ups = np.array([-v.camera_to_world()[:3, 1] for v in viewpoints])
    assert ups.mean(axis=0)[2] > 0.9
    assert abs(np.median([v.roll for v in viewpoints])) < 10
