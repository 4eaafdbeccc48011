"""Tracks, images and videos; and the demo at toy size."""

import io
from dataclasses import astuple

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
    TrackError,
    VideoError,
    orbit,
    read_track,
    render_image,
    render_track,
    write_track,
    write_video,
)
from nmc_framework.scene import TARGET, orbit_camera
from nmc_tools import demo

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
