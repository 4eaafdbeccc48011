"""Pictures of kinds that cameras and programs leave: sixteen bits, transparent, turned, apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nmc_framework.capture import CaptureError, background_of, find_sources, open_moving
from nmc_framework.capture.captured_folder import read_capture
from nmc_framework.capture.dataset import open_dataset
from nmc_framework.capture.picture_files import (
    PictureError,
    is_transparent,
    picture_size,
    read_picture,
)
from nmc_framework.capture.timed import instants_of, picture_times

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GREY = PIXELS[..., 0]
LYING = 6
"""Exif's orientation of a picture that is to be turned by a quarter, clockwise."""


def saved(path: Path, pixels, mode: str | None = None, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (image.convert(mode) if mode else image).save(path, exif=exif)
    return path


def test_grey_of_sixteen_bits_keeps_its_upper_eight(tmp_path):
    path = saved(tmp_path / "a.png", GREY.astype(np.uint16) * 256 + 77)
    with Image.open(path) as file:
        assert file.mode == "I;16"
    np.testing.assert_array_equal(read_picture(path), np.stack([GREY] * 3, axis=2))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1", "CMYK"])
def test_other_modes_are_seen_as_they_are_shown(tmp_path, mode):
    path = saved(tmp_path / ("a.tiff" if mode == "CMYK" else "a.png"), PIXELS, mode)
    expected = Image.fromarray(PIXELS).convert(mode).convert("RGB")
    np.testing.assert_array_equal(read_picture(path), np.asarray(expected))
    assert not is_transparent(path)


def test_what_is_transparent_is_seen_before_white(tmp_path):
    alpha = np.full((5, 7, 1), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51
    path = saved(tmp_path / "a.png", np.concatenate([PIXELS, alpha], axis=2))
    seen = read_picture(path)
    assert (seen[0] == 255).all()
    np.testing.assert_allclose(seen[1], 0.2 * PIXELS[1] + 0.8 * 255, atol=1)
    np.testing.assert_array_equal(seen[2:], PIXELS[2:])
    assert is_transparent(path)


def test_pictures_are_turned_where_somebody_wants_them_upright(tmp_path):
    path = saved(tmp_path / "a.png", np.rot90(PIXELS).copy(), orientation=LYING)
    assert picture_size(path) == (5, 7) and picture_size(path, upright=True) == (7, 5)
    np.testing.assert_array_equal(read_picture(path, upright=True), PIXELS)
    np.testing.assert_array_equal(read_picture(path), np.rot90(PIXELS))
    assert open_moving(path).size == (7, 5), "a film of one is shown upright"


def test_what_is_no_picture_of_eight_or_sixteen_bits_is_refused(tmp_path):
    path = saved(tmp_path / "a.tiff", GREY.astype(np.float32))
    with pytest.raises(PictureError, match="not whole numbers of eight or sixteen bits"):
        read_picture(path)
    with pytest.raises(CaptureError, match=r"camera 'a': a\.tiff: its pixels are not whole"):
        next(find_sources(tmp_path)[0].pictures())
    whole = saved(tmp_path / "whole.png", PIXELS).read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:-30])
    with pytest.raises(PictureError):
        read_picture(tmp_path / "b.png")


def pose(k: int) -> list[list[float]]:
    return [[1.0, 0, 0, k], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]


def document(names, **members) -> str:
    frames = [{"file_path": n, "transform_matrix": pose(k)} for k, n in enumerate(names)]
    return json.dumps(members | {"frames": frames})


SIZE = {"fl_x": 8.0, "fl_y": 8.0, "w": 7, "h": 5}


def test_cameras_of_upright_pictures_have_them_turned(tmp_path):
    """Some programs reconstruct the upright picture, others, such as COLMAP, the pixels as laid."""
    for k in range(3):
        saved(tmp_path / "images" / f"{k}.png", np.rot90(PIXELS).copy(), orientation=LYING)
    (tmp_path / "transforms.json").write_text(document(("0.png", "1.png", "2.png"), **SIZE))
    (views,) = open_dataset(tmp_path).views(["1"])
    np.testing.assert_array_equal(views.images[0], PIXELS)
    lying = SIZE | {"w": 5, "h": 7}
    (tmp_path / "transforms.json").write_text(document(("0.png", "1.png", "2.png"), **lying))
    (views,) = open_dataset(tmp_path).views(["1"])
    np.testing.assert_array_equal(views.images[0], np.rot90(PIXELS))


def test_a_background_is_known_where_all_pictures_are_cut_out(tmp_path):
    cut = np.dstack([PIXELS, np.zeros((5, 7), np.uint8)])
    for name in "ab":
        saved(tmp_path / f"{name}.png", cut)
    sources = find_sources(tmp_path)
    assert background_of(sources) == (1.0, 1.0, 1.0)
    saved(tmp_path / "b.png", PIXELS, "RGBA")
    assert background_of(sources) is None
    assert background_of([replace(sources[0], paths=())]) is None


def test_a_background_that_is_no_colour_is_refused(tmp_path):
    record = {"cameras": ["a"], "times": [0.0], "background": [1.0]}
    (tmp_path / "capture.json").write_text(json.dumps(record))
    with pytest.raises(CaptureError, match="its background is not a colour"):
        read_capture(tmp_path)


def test_pictures_to_test_with_that_are_named_alike(tmp_path):
    """NeRF's synthetic scenes count from 0 in train/ and in test/."""
    for k, folder in enumerate(("train", "test", "val")):
        for number in range(3):
            saved(tmp_path / folder / f"r_{number}.png", np.full((5, 7, 3), 9 * k, np.uint8))
    names = [f"./train/r_{k}" for k in range(3)]
    (tmp_path / "transforms_train.json").write_text(document(names, camera_angle_x=0.9))
    assert open_dataset(tmp_path).tested == ()
    tests = [f"./test/r_{k}" for k in range(2)] + ["./test/r_9"]
    (tmp_path / "transforms_test.json").write_text(document(tests, camera_angle_x=0.9))
    found = open_dataset(tmp_path)
    assert found.tested == ("test_r_0", "test_r_1"), "one has no picture"
    assert [c.name for c in found.rig.cameras] == ["r_0", "r_1", "r_2", *found.tested]
    (views,) = found.views(["r_1", "test_r_1"])
    assert [int(image.mean()) for image in views.images] == [0, 9]


def test_times_of_pictures_to_test_with(tmp_path):
    def timed(names, times) -> str:
        text = json.loads(document(names))
        for frame, time in zip(text["frames"], times, strict=True):
            frame["time"] = time
        return json.dumps(text)

    path = tmp_path / "transforms_train.json"
    path.write_text(timed(["./train/r_0", "./train/r_1"], [0.0, 1.0]))
    (tmp_path / "transforms_test.json").write_text(timed(["./test/r_0"], [0.5]))
    found = picture_times(path)
    assert found == {"r_0": 0.0, "r_1": 1.0, "test_r_0": 0.5}
    assert instants_of(found) == ({"r_0": 0.0, "r_1": 2.0, "test_r_0": 1.0}, 3)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"train_filenames": ["images/0.png"]}, ("1", "2")),
        ({"test_filenames": ["images/2.png"], "val_filenames": ["images/0.png"]}, ("0", "2")),
        ({"test_filenames": []}, ()),
        ({"test_filenames": 3}, ()),
    ],
)
def test_lists_of_nerfstudio_say_what_is_tested(tmp_path, lists, expected):
    for k in range(3):
        saved(tmp_path / "images" / f"{k}.png", PIXELS)
    names = [f"images/{k}.png" for k in range(3)]
    (tmp_path / "transforms.json").write_text(document(names, **SIZE, **lists))
    assert open_dataset(tmp_path).tested == expected


def test_pictures_that_are_missing_here_and_there_shift_no_others(tmp_path):
    for camera, numbers in {"a": (0, 1, 2), "b": (0, 2), "c": (1, 2)}.items():
        for number in numbers:
            saved(tmp_path / camera / f"{number:04d}.png", PIXELS)
    times = {s.name: [round(30 * t) for t in s.times()] for s in find_sources(tmp_path)}
    assert times == {"a": [0, 1, 2], "b": [0, 2], "c": [1, 2]}
