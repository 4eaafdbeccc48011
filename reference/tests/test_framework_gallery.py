"""Pictures of truth, rendering and error, the page that shows them, and the report of a package."""

import re

import numpy as np
import pytest
from PIL import Image

import nmc
from nmc_framework.cameras.formats import RigDocument
from nmc_framework.cameras.packaged import manifest_cameras
from nmc_framework.evaluation import (
    Evidence,
    Figure,
    Gallery,
    Table,
    Verdict,
    ViewScore,
    page,
    write_report,
    write_scores,
)
from nmc_framework.evaluation.gallery import error_picture, file_names, side_by_side, spread
from nmc_framework.evaluation.held_out import read_scores
from nmc_framework.rendering import write_video
from nmc_framework.scene import arc_rig

NAN = float("nan")


def score(frame, view, psnr):
    return ViewScore(frame, view, psnr, 0.5, NAN, NAN, NAN if not frame else 0.25)


def test_an_error_has_one_scale_in_every_picture():
    truth = np.full((2, 3, 3), 100, np.uint8)
    image = truth.copy()
    image[0, 0] += 20
    image[0, 1] += np.uint8([60, 0, 0])  # the same mean over the channels
    image[1, 2] += 90
    shown = error_picture(image, truth)
    assert (shown[0, 0] == shown[0, 1]).all() and (shown[1, 2] == 255).all()
    assert shown[1, 0].max() < 10 < shown[0, 0].max() < 255
    bright = error_picture(truth, np.zeros_like(truth))
    assert (bright == 255).all()


def test_three_pictures_stand_side_by_side_pixel_by_pixel():
    truth = np.random.default_rng(0).integers(0, 256, (40, 200, 3)).astype(np.uint8)
    image = truth[::-1].copy()
    shown = side_by_side(image, truth, 12.3)
    assert shown.shape == (40 + 22, 600, 3)
    np.testing.assert_array_equal(shown[22:, :200], truth)
    np.testing.assert_array_equal(shown[22:, 200:400], image)
    assert side_by_side(image, truth, float("inf"), width=90).shape[1] == 270


def test_names_of_views_make_no_paths():
    views = ["a/b", "../../etc", "a b", "a_b", "A_B", "", "카메라", "contact", "x" * 300]
    names = file_names(views)
    assert list(names) == views and len({n.lower() for n in names.values()}) == len(views)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names.values())
    assert "contact" not in names.values()


def test_a_gallery_shows_some_of_many_and_writes_all_or_those(tmp_path):
    views, frames = [f"cam_{k}" for k in range(9)], list(range(0, 40, 2))
    assert spread(views, 3) == ["cam_0", "cam_4", "cam_8"] and spread(views, 9) == views
    galleries = [Gallery(tmp_path / str(every), views, frames, every=every) for every in (0, 1)]
    picture = np.zeros((8, 12, 3), np.uint8)
    for gallery in galleries:
        assert gallery.contact_sheet() is None
        for frame in frames:
            for view in views:
                gallery.add(frame, view, picture, picture, 30.0)
    few, all_ = ({path.name for path in gallery.written.values()} for gallery in galleries)
    assert len(few) == 36 and len(all_) == 180 and few < all_
    assert {"cam_0_00000000.png", "cam_8_00000038.png"} <= few
    sheet = galleries[0].contact_sheet()
    with Image.open(sheet) as image:
        assert image.size == (6 * 3 * 150, 6 * (100 + 2 * 22))
    scores = [score(frame, view, 30.0) for frame in frames for view in views]
    figures = galleries[1].figures(scores)
    assert len(figures) == 6 and figures[0].caption == "cam_0, frame 0: 30.00 dB"


@pytest.fixture
def pictures(tmp_path):
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(small)
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3)).astype(np.uint8)
    Image.fromarray(noise).save(large)
    return small, large


def test_a_page_holds_everything_and_fetches_nothing(tmp_path, pictures, monkeypatch):
    evil = '</title><script>alert("x")</script>'
    film = tmp_path / "film.mp4"
    write_video(film, (np.full((16, 16, 3), 9 * k, np.uint8) for k in range(4)), 5)
    parts = page.Page(
        title=evil,
        subtitle=evil,
        numbers={evil: evil},
        films=[Figure(film, evil)],
        pictures=[Figure(path, evil) for path in pictures],
        verdicts=[Verdict(evil, evil, good, [evil]) for good in (True, False, None)],
        tables=[Table(evil, {evil: {evil: evil}, "list": [1, 2.5, True], "none": None})],
    )
    out = tmp_path / "out" / "page.html"
    assert page.write_page(out, parts) == [out]
    text = out.read_text()
    assert "<script" not in text and "http" not in text and not list(out.parent.glob(".partial*"))
    assert text.count("data:video/mp4") == 1
    # What is heavy is packed; what is small stays as it is.
    assert text.count("data:image/png") == 1 and text.count("data:image/jpeg") == 1
    assert "1, 2.5, yes" in text and ">none<" not in text
    # Empty sections are left out.
    assert "<h2>Curves</h2>" not in text and "<h2>Cameras</h2>" in text
    monkeypatch.setattr(page, "_FILM", 10)
    assert page.write_page(out, parts) == [out, out.parent / "page_film.mp4"]
    assert 'src="page_film.mp4"' in out.read_text()
    assert (out.parent / "page_film.mp4").read_bytes() == film.read_bytes()


def test_a_report_of_a_package_that_says_nothing(tmp_path):
    with nmc.Writer(tmp_path / "bare.nmc") as writer:
        writer.append({"w": np.zeros(3, np.float32)})
    write_report(tmp_path / "r.html", tmp_path / "bare.nmc", Evidence())
    text = (tmp_path / "r.html").read_text()
    assert "A chain of one model" in text and "PSNR" not in text and "<h2>Settings</h2>" in text


@pytest.mark.slow(minutes=0.04)
def test_a_report_tells_training_views_apart(tmp_path):
    cameras = arc_rig(2, 1, (16, 16)).cameras
    package = tmp_path / "chain.nmc"
    with nmc.Writer(package, configuration={"levels": 3}) as writer:
        writer.set_cameras(manifest_cameras(RigDocument(cameras)))
        for t in range(3):
            writer.append({"w": np.full(30, t, np.float32)}, seconds=2.0, iterations=10 * (t + 1))
    scores = [
        score(frame, camera.name, 20.0 if camera.name == "test_00" else 40.0)
        for frame in range(3)
        for camera in cameras
    ]
    trained = [camera.name for camera in cameras if camera.name != "test_00"]
    evidence = Evidence(scores, trained, losses={0: 0.5, 1: 0.25, 2: 0.125})
    write_report(tmp_path / "r.html", package, evidence)
    text = (tmp_path / "r.html").read_text()
    assert "<b>20.00 dB</b><span>PSNR on held-out views" in text
    assert "Views that were trained with, mean" in text and "<td>40</td>" in text
    assert text.count("data:image/png") == 4  # bytes, scores, training, cameras
    assert "<b>6.0 s</b><span>training</span>" in text and "<th>levels</th><td>3</td>" in text
    # All were trained with: the page says so.
    write_report(tmp_path / "t.html", package, Evidence(scores, [c.name for c in cameras]))
    assert "PSNR on training views" in (tmp_path / "t.html").read_text()


def test_scores_come_back_from_their_file(tmp_path):
    scores = [score(0, "a", 20.125), score(1, "b,c", float("inf"))]
    write_scores(tmp_path / "s.csv", scores)
    back = read_scores(tmp_path / "s.csv")
    assert [repr(s) for s in back] == [repr(s) for s in scores]
