"""Capture: recognising footage, matching by time and index, reports and named faults."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from shared_data import SHARED

from nmc_framework.cameras import Camera, CameraError
from nmc_framework.cameras.distortion import distort, straightened, undistorted
from nmc_framework.cameras.formats import Lens, RigDocument, native
from nmc_framework.capture import (
    CaptureError,
    ImageSource,
    VideoSource,
    by_index,
    by_time,
    find_sources,
    intervals,
    read_frames,
    read_stamps,
    synchronise,
)
from nmc_framework.capture.captured_folder import read_capture, write_capture
from nmc_framework.rendering import write_video


def grey(value, size=(16, 16)):
    return np.full((*size, 3), value, np.uint8)


def video(path, values, rate=10, size=(16, 16)):
    write_video(path, [grey(v, size) for v in values], rate, quality=0)
    return VideoSource(path.stem, path)


def test_videos_match_by_time_within_half_an_interval(tmp_path):
    a = video(tmp_path / "a.mp4", range(0, 200, 20), rate=10)
    b = video(tmp_path / "b.mp4", range(0, 200, 10), rate=20)
    synchrony = synchronise([a, b])
    assert len(synchrony.instants) == 10
    assert [i.pictures for i in synchrony.instants[:3]] == [(0, 0), (1, 2), (2, 4)]
    frames = list(read_frames([a, b], synchrony, every=3))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    for frame in frames:
        left, right = (int(np.median(image)) for image in frame.images)
        assert abs(left - right) <= 3
    assert frames[1].time == pytest.approx(0.3)
    assert intervals(synchrony)[0] == pytest.approx(0.1)


def test_skew_drops_and_unused_pictures_are_reported():
    times = {
        "front": [0.0, 0.1, 0.2, 0.3, 0.4],
        "left": [0.01, 0.11, 0.31, 0.41],
        "right": [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4],
    }
    synchrony = by_time(times)
    assert [i.pictures for i in synchrony.instants] == [(0, 0, 1), (1, 1, 2), (3, 2, 4), (4, 3, 5)]
    assert synchrony.dropped == (0.2,)
    front, left, right = synchrony.cameras
    assert (front.unused, left.unused, right.unused) == (1, 0, 2)
    assert left.missed == 1 and left.mean_skew == pytest.approx(0.01)
    assert "left: 4 pictures, skew 10.0 ms" in "\n".join(synchrony.lines())


def test_a_picture_serves_one_frame_only():
    synchrony = by_time({"a": [0.0, 0.04, 0.08], "b": [0.03, 0.08]}, tolerance=0.05)
    assert [i.pictures for i in synchrony.instants] == [(1, 0), (2, 1)]


def test_by_index_stops_with_the_shortest():
    synchrony = by_index({"a": [0.0, 1, 2], "b": [5.0, 6]})
    assert [i.pictures for i in synchrony.instants] == [(0, 0), (1, 1)]
    assert synchrony.dropped == (2,) and synchrony.cameras[1].missed == 1


def test_other_clocks_are_named():
    with pytest.raises(CaptureError, match="camera 'b' misses 3 of 3"):
        by_time({"a": [0.0, 0.1, 0.2], "b": [90.0, 90.1]})
    with pytest.raises(CaptureError, match="camera 'b' has no pictures"):
        by_time({"a": [0.0], "b": []})
    with pytest.raises(CaptureError, match="no camera 'c'; there are a, b"):
        by_time({"a": [0.0], "b": [0.0]}, reference="c")


@pytest.mark.parametrize("layout", ["camera", "frame"])
def test_image_folders_by_camera_or_by_frame(tmp_path, layout):
    for camera in ("cam2", "cam10"):
        for frame in range(3):
            value = frame * 10 + (100 if camera == "cam10" else 0)
            name = (
                f"{camera}/{frame:04d}.png" if layout == "camera" else f"{frame:04d}/{camera}.png"
            )
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(grey(value)).save(path)
    sources = find_sources(tmp_path, rate=25)
    assert [source.name for source in sources] == ["cam2", "cam10"]
    frames = list(read_frames(sources, synchronise(sources), size=(8, 4)))
    assert [int(image[0, 0, 0]) for image in frames[2].images] == [20, 120]
    assert frames[2].images[0].shape == (4, 8, 3) and frames[1].time == pytest.approx(0.04)


def test_folders_of_videos_are_recognised_and_empty_ones_named(tmp_path):
    video(tmp_path / "cam_10.mp4", [1, 2])
    video(tmp_path / "cam_9.mp4", [1, 2])
    assert [source.name for source in find_sources(tmp_path)] == ["cam_9", "cam_10"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match="empty: no video files, no pictures and no folders"):
        find_sources(tmp_path / "empty")


def test_faults_of_sources_are_named(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video at all")
    with pytest.raises(CaptureError, match=r"^x\.mp4 is not a video that can be read$"):
        VideoSource("x", tmp_path / "x.mp4").times()
    a = video(tmp_path / "a.mp4", [0, 1, 2])
    late = VideoSource("a", a.path, (0.0, 0.1, 0.1))
    with pytest.raises(
        CaptureError, match=r"camera 'a': picture 2 is at 0\.1 s, not after picture 1"
    ):
        late.times()
    long = VideoSource("a", a.path, tuple(k / 10 for k in range(5)))
    with pytest.raises(CaptureError, match="camera 'a' ends after 3 pictures; picture 3"):
        list(read_frames([long], synchronise([long])))
    Image.fromarray(grey(1)).save(tmp_path / "0.png")
    Image.fromarray(grey(1, (8, 9))).save(tmp_path / "1.png")
    changing = ImageSource("c", (tmp_path / "0.png", tmp_path / "1.png"), (0.0, 0.1))
    with pytest.raises(
        CaptureError, match="camera 'c': picture 1 is 9x8, the ones before were 16x16"
    ):
        list(read_frames([changing], synchronise([changing])))
    with pytest.raises(CaptureError, match="two cameras have one name"):
        synchronise([a, a])
    with pytest.raises(CaptureError, match="not by 'luck'"):
        synchronise([a], by="luck")


@dataclass(frozen=True)
class Stamped:
    """A source of which only the times are asked for."""

    name: str
    stamps: tuple[float, ...]

    def times(self):
        return self.stamps


def at_rate(name, rate, count=60, without=()):
    return Stamped(name, tuple(k / rate for k in range(count) if k not in without))


def test_other_rates_and_lost_pictures_are_warned_about():
    assert synchronise([at_rate("a", 30), at_rate("b", 29.97)]).warnings() == []
    for rate in (30, 60):  # as WebM tells times, and as MP4 does
        whole_ms = Stamped("a", tuple(round(1000 * k / rate) / 1000 for k in range(60)))
        assert synchronise([whole_ms, at_rate("b", rate)]).warnings() == []
    # Four pictures, one of them 17 ms late: no other rate. A second of it is one.
    late = Stamped("a", (0.017, 1 / 6, 2 / 6, 3 / 6))
    assert synchronise([late, at_rate("b", 6, 4)]).warnings() == []
    (rates,) = synchronise([at_rate("a", 6.2, 60), at_rate("b", 6, 60)], by="index").warnings()
    assert "a 6.2, b 6 pictures a second" in rates
    (rates,) = synchronise([at_rate("a", 25), at_rate("b", 50, 119)]).warnings()
    assert rates == "the cameras have other frame rates: a 25, b 50 pictures a second"
    (by_number,) = synchronise([at_rate("a", 25), at_rate("b", 50)], by="index").warnings()
    assert "other frame rates" in by_number
    lost = synchronise([at_rate("a", 30), at_rate("b", 30, without={20, 21, 40})])
    dropped, missing, uneven = lost.warnings()
    assert dropped == (
        "3 of 60 frames are dropped, the first at 0.667 s: camera 'b' has no picture for 3"
    )
    assert missing == "pictures are missing within the footage, by camera: b 2"
    assert "2 gaps, the first after frame 19 of 0.100 s" in uneven
    # A camera that lost its own, matched by number: nothing is dropped but the last, all is late.
    told = synchronise([at_rate("a", 30), at_rate("b", 30, without={9})], by="index").warnings()
    assert any("by camera: b 1" in line for line in told)


@pytest.mark.parametrize("by", ["time", "index"])
def test_what_is_reported_is_about_the_frames_that_are_taken(by):
    sources = [at_rate("a", 30), at_rate("b", 30, without={10, 50})]
    whole = synchronise(sources, by=by)
    few = synchronise(sources, by=by, limit=9)
    assert few.instants == whole.instants[:9] and few.dropped == () and few.warnings() == []
    assert [(c.pictures, c.unused, c.missed) for c in few.cameras] == [(9, 0, 0)] * 2
    thinned = synchronise(sources, by=by, every=4, limit=5)
    assert thinned.instants == whole.instants[::4][:5]
    assert len(thinned.dropped) == (by == "time")
    if by == "time":
        assert thinned.warnings()[0].startswith("1 of 18 frames are dropped")
    beyond = synchronise(sources, by=by, every=4, limit=500)
    assert beyond.instants == whole.instants[::4] and beyond.cameras == whole.cameras


def test_stamp_files(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sync_index,cam_id,frame_time\n0,1,5.0\n0,0,5.1\n1,1,5.2\n")
    assert read_stamps(path) == {"1": (5.0, 5.2), "0": (5.1,)}
    with pytest.raises(CaptureError, match="the header lacks stamp"):
        read_stamps(path, time="stamp")
    path.write_text("cam_id,frame_time\n0,soon\n")
    with pytest.raises(CaptureError, match=r"t.csv, line 2: frame_time is 'soon'"):
        read_stamps(path)


# --- straightened pictures ------------------------------------------------------------------------

WIDE = Camera(60.0, 62.0, 58.0, 47.0, 120, 90, np.eye(4), "wide")
#: Bends outwards: the ideal picture's corners lie outside of the taken one.
PINCUSHION = Lens("opencv", {"k1": 0.16, "k2": 0.02, "p1": 0.01, "p2": -0.006})
WHITE = np.full((90, 120, 3), 255, np.uint8)


def window(camera, of):
    """Return left, top, right and bottom of what a camera sees, in the pixels of another."""
    corners = np.array([[0, 0], [camera.width, camera.height]])
    ideal = (corners - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    return (ideal * [of.fx, of.fy] + [of.cx, of.cy]).ravel()


def test_a_straightened_picture_has_no_empty_pixel_and_could_be_no_wider():
    assert (undistorted(WHITE, WIDE, PINCUSHION) == 0).any()
    straight = straightened(WIDE, PINCUSHION)
    assert (undistorted(WHITE, WIDE, PINCUSHION, straight) == 255).all()
    assert (straight.width, straight.height) == (120, 90)
    assert straight.fx / straight.fy == pytest.approx(WIDE.fx / WIDE.fy)
    left, top, right, bottom = window(straight, WIDE)
    assert left >= 0 and top >= 0 and right <= 120 and bottom <= 90
    # Two columns more, anywhere: some of its corner pixels have no source.
    width, height = right - left + 2, (right - left + 2) * 90 / 120
    for x in np.arange(0, 120 - width + 0.01, 0.5):
        for y in np.arange(0, 90 - height + 0.01, 0.5):
            ends = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
            ideal = (np.array(ends) - [WIDE.cx, WIDE.cy]) / [WIDE.fx, WIDE.fy]
            taken = distort(PINCUSHION, ideal) * [WIDE.fx, WIDE.fy] + [WIDE.cx, WIDE.cy]
            assert (taken < 0).any() or (taken > [120, 90]).any()


def test_a_straightened_picture_shows_what_its_camera_sees():
    straight = straightened(WIDE, PINCUSHION)
    texture = lambda p: np.stack([127 + 90 * np.sin(4 * p[:, k]) for k in (0, 1, 0)], axis=1)  # noqa: E731
    pixels = np.stack(np.meshgrid(np.arange(120) + 0.5, np.arange(90) + 0.5), axis=-1)
    bent = (pixels.reshape(-1, 2) - [WIDE.cx, WIDE.cy]) / [WIDE.fx, WIDE.fy]
    guess = bent.copy()
    for _ in range(200):  # what the taken picture shows at each pixel, by fixed point
        guess -= 0.5 * (distort(PINCUSHION, guess) - bent)
    taken = np.rint(texture(guess)).astype(np.uint8).reshape(90, 120, 3)
    ideal = (pixels.reshape(-1, 2) - [straight.cx, straight.cy]) / [straight.fx, straight.fy]
    found = undistorted(taken, WIDE, PINCUSHION, straight).astype(float)
    assert np.abs(found - texture(ideal).reshape(90, 120, 3)).max() < 3


@pytest.mark.parametrize(
    "lens", [Lens(), Lens("opencv", {"k1": -0.2}), Lens("opencv_fisheye", {"k1": 0.01})]
)
def test_a_lens_that_leaves_no_pixel_empty_narrows_nothing(lens):
    assert straightened(WIDE, lens) is WIDE


def test_mirrored_pixels_of_a_polynomial_beyond_its_range_are_left_out():
    # r (1 - 0.6 r²) turns round at r = 0.745: beyond, the picture would come back mirrored.
    # A pixel is 1 / 60 there.
    lens = Lens("opencv", {"k1": -0.6})
    left, top, right, bottom = window(straightened(WIDE, lens), WIDE)
    corners = np.array([(x, y) for x in (left, right) for y in (top, bottom)])
    radii = np.hypot(*((corners - [WIDE.cx, WIDE.cy]) / [WIDE.fx, WIDE.fy]).T)
    assert 0.7 < radii.max() < 0.745 + 1 / 60


def test_coefficients_of_another_camera_are_refused():
    with pytest.raises(CameraError, match="'wide': its lens takes every pixel from outside"):
        straightened(WIDE, Lens("opencv", {"p1": 1e6, "p2": 1e6, "k1": 1e9}))


def test_captured_pictures_and_cameras_go_together_without_empty_pixels(tmp_path):
    videos = [video(tmp_path / f"{name}.mp4", [250, 250], size=(90, 120)) for name in "ab"]
    rig = RigDocument((WIDE.at(np.eye(4), "a"), WIDE.at(np.eye(4), "b")), (PINCUSHION, Lens()))
    synchrony = synchronise(videos)
    write_capture(tmp_path / "f", ["a", "b"], read_frames(videos, synchrony), synchrony, rig)
    written = read_capture(tmp_path / "f")
    assert min(written.picture(name, 1).min() for name in "ab") > 240
    first, second = native.read(tmp_path / "f" / "cameras.json").cameras
    assert first.intrinsics.tolist() == straightened(WIDE, PINCUSHION).intrinsics.tolist()
    assert second.intrinsics.tolist() == WIDE.intrinsics.tolist()


@pytest.mark.skipif(
    not (SHARED / "video-4cam").is_dir(), reason="the shared video of four cameras is not here"
)
def test_four_real_cameras_by_their_time_stamps():
    folder = SHARED / "video-4cam" / "calibration" / "extrinsic"
    stamps = read_stamps(folder / "timestamps.csv")
    sources = [VideoSource(f"cam_{i}", folder / f"cam_{i}.mp4", stamps[str(i)]) for i in range(4)]
    synchrony = synchronise(sources)
    assert len(synchrony.instants) >= 50
    assert max(camera.worst_skew for camera in synchrony.cameras) < 0.1
    frame = next(read_frames(sources, synchrony, limit=1, size=(320, 180)))
    assert [image.shape for image in frame.images] == [(180, 320, 3)] * 4
    assert len({image.tobytes() for image in frame.images}) == 4
