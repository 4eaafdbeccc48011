"""``nmc train``, ``render`` and ``evaluate`` of videos and pictures."""

import csv
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "reference" / "tests"))
import av
from clip_samples import moving
from command_samples import refused
from PIL import Image
from safetensors.numpy import load_file

import nmc
from nmc_framework.rendering import write_video

TINY = [
    "--model",
    "siren",
    "--set",
    "hidden=12",
    "--set",
    "depth=2",
    "--iterations",
    30,
    "--later",
    8,
]


def flat(text):
    """Return what stands in a box as one line."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, moving(7), 10)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for index, picture in enumerate(moving(3)):
        Image.fromarray(picture).save(folder / f"{index}.png")
    return folder


def test_a_rate_that_is_not_whole_is_kept(run, tmp_path):
    ntsc = Fraction(30000, 1001)
    write_video(tmp_path / "film.mp4", moving(7), ntsc)
    package = tmp_path / "film.nmc"
    done = run("train", tmp_path / "film.mp4", "-o", package, "--clip", 3, *TINY, "--json")
    assert json.loads(done.out)["rate"] == 29.97003
    with nmc.open(package) as sequence:
        assert sequence.manifest.timescale == 30000
        assert [f.presentation_time for f in sequence.frames] == [0, 3003, 6006]
    for options, rate in (([], ntsc), (["--fps", "12.5"], Fraction(25, 2))):
        assert run("render", package, "-o", tmp_path / "out.mp4", "-f", *options).code == 0
        with av.open(tmp_path / "out.mp4") as video:
            assert video.streams.video[0].average_rate == rate
    done = run("render", package, "-o", tmp_path / "x.mp4", "--fps", "fast")
    assert done.code == 2 and "'fast' is no rate; write such as 30, 29.97" in flat(done.err)


def test_a_video_goes_the_whole_way(run, film, tmp_path):
    package = tmp_path / "film.nmc"
    done = run("train", film, "-o", package, "--clip", 3, *TINY)
    assert done.code == 0, done
    assert "film.nmc: 3 frames, " in done.out and " dB\n" in done.out
    assert "frame 3 of 3, 1 pictures, loss" in done.progress[-1]
    assert run("check", package).code == 0
    with nmc.open(package) as sequence:
        assert [f.presentation_time for f in sequence.frames] == [0, 3, 6]
        assert sequence.manifest.timescale == 10
        assert [int(sequence[t]["length"]) for t in range(3)] == [3, 3, 1]
    done = run("render", package, "-o", tmp_path / "out.mp4")
    assert "out.mp4: 7 pictures of 3 frames, 0.7 s" in done.out
    done = run("render", package, "-o", tmp_path / "out", "--frames", "1-")
    names = [f"picture_{k:08d}.png" for k in range(3, 7)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert "4 pictures of 2 frames" in done.out
    run("render", package, "-o", tmp_path / "last.png", "--frames", 2, "--size", "64x48")
    with Image.open(tmp_path / "last.png") as image:
        assert image.size == (64, 48)
    scores = tmp_path / "s.csv"
    plotted = tmp_path / "plot.png"
    record = json.loads(
        run("evaluate", package, film, "--csv", scores, "--plot", plotted, "--json", "--write").out
    )
    assert record["pictures"] == 7 and record["frames"] == [0, 1, 2]
    rows = csv.DictReader(scores.read_text().splitlines())
    assert record["scores"]["psnr"] == pytest.approx([float(r["psnr"]) for r in rows], rel=1e-4)
    with nmc.open(package) as sequence:
        size = sum(f.segment_length for f in sequence.frames)
        np.testing.assert_allclose(
            sequence.quality.metrics["psnr"][2, 0], record["scores"]["psnr"][6]
        )
    assert record["bits_per_pixel"] == pytest.approx(8 * size / (7 * 32 * 24))
    assert plotted.stat().st_size > 1000
    told = run("evaluate", package, film, "--frames", 1).out
    assert "1 frame, 3 pictures: " in told and "bits a pixel" in told


def test_pictures_of_a_folder_are_a_chain_of_pictures(run, pictures, tmp_path):
    package = tmp_path / "p.nmc"
    options = ["--set", 'quality="Q1"', "--iterations", 20, "--later", 5]
    record = json.loads(
        run("train", pictures, "-o", package, "--family", "inric", *options, "--json").out
    )
    assert (record["frames"], record["rate"]) == (3, 30)
    assert [row["pictures"] for row in record["trained"]] == [1, 1, 1]
    assert run("render", package, "-o", tmp_path / "one.png", "--frames", 0).code == 0
    told = refused(run("render", package, "-o", tmp_path / "two.png"), "input/unsupported")
    assert "there is not just one picture" in told
    assert not (tmp_path / "two.png").exists()


def test_a_stopped_run_goes_on(run, film, tmp_path):
    folder = tmp_path / "c"
    train = ["train", film, "--clip", 3, *TINY, "--as", "checkpoints", "-o"]
    run(*train, folder, "--frames", 2)
    assert run(*train, folder, "--resume").code == 0
    run(*train, tmp_path / "whole")
    for index in range(3):
        name = f"frame_{index:08d}.safetensors"
        one, two = (load_file(place / name) for place in (folder, tmp_path / "whole"))
        assert all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--clip", 8], "film.mp4 has 7 pictures"),
        (["--held-out", "cam"], "has no cameras"),
        (["--colour", "on"], "has no cameras"),
        (["--set", "levels=3"], "siren knows no option levels"),
        (["--set", "width=0"], "at least one pixel"),
        (["--set", "width=9"], "as the model has them"),
        (["--size", "0x3"], "is not a size"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_trains(run, film, tmp_path, options, told):
    done = run("train", film, "-o", tmp_path / "x.nmc", *TINY, *options)
    assert done.code in {1, 2} and told in flat(done.err), done
    assert not (tmp_path / "x.nmc").exists()


def test_families_of_cameras_take_no_clips_and_no_videos(run, film, tmp_path):
    done = run("train", film, "-o", tmp_path / "x.nmc", "--clip", 3)
    assert done.code == 2 and "hash_grid is not a model of pictures" in flat(done.err)
    told = refused(run("train", film, "-o", tmp_path / "x.nmc"), "input/unreadable")
    assert "it is not a folder of pictures" in told


def test_cameras_are_not_asked_of_a_chain_of_pictures(run, film, pictures, tmp_path):
    package = tmp_path / "film.nmc"
    run("train", film, "-o", package, "--clip", 7, *TINY)
    done = run("render", package, "-o", tmp_path / "x.mp4", "--length", 3)
    assert done.code == 2 and "not what cameras see" in flat(done.err)
    done = run("evaluate", package, film, "--all-cameras")
    assert done.code == 2 and "not what cameras see" in flat(done.err)
    told = refused(run("evaluate", package, pictures), "input/unreadable")
    assert "picture 3 has no true one: the video is shorter" in told
    told = refused(run("train", tmp_path / "no.mp4", "-o", "x.nmc", *TINY), "host/not-found")
