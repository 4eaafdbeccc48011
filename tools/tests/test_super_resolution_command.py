"""``nmc sr``: from pictures to a package that enlarges a video, and what is refused."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

from super_resolution_samples import write_film, write_pictures

import nmc
from nmc_framework.models import build
from nmc_framework.super_resolution.footage import look_through

SMALL = {"blocks": 6, "channels": 16}
QUICK = ["--iterations", 8, "--batch", 4, "--patch", 12]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with pictures and a film of two scenes."""
    folder = tmp_path_factory.mktemp("sr")
    write_pictures(folder / "pictures")
    write_film(folder / "film.mp4", cut=7)
    return folder


@pytest.fixture
def base(run, made):
    path = made / "base.nmc"
    if not path.exists():
        done = run("sr", "pretrain", made / "pictures", "-o", path, "--size", "tiny", *QUICK)
        assert done.code == 0, done
        assert "3 pictures of pictures" in done.out
    return path


def test_a_film_goes_the_whole_way(run, made, base):
    film, package = made / "film.mp4", made / "film.nmc"
    done = run("sr", "train", film, "--model", base, "-o", package, "--json", *QUICK)
    assert done.code == 0, done
    told = json.loads(done.out)
    assert told["scenes"] == [[0, 7], [7, 12]] and told["learned"] == [7, 5]
    assert run("check", package).code == 0
    with nmc.open(package) as sequence:
        assert len(sequence) == 3 and sequence.family == "edsr"
        codings = [frame.coding.name.lower() for frame in sequence.frames]
        assert codings == ["key", "delta", "key"]  # the cut begins with a key frame
        times = [frame.presentation_time for frame in sequence.frames]
        assert times[:2] == [-1, 0] and times[2] * 30 == 7 * sequence.manifest.timescale
        [medium] = sequence.media.values()
        assert (medium.role, medium.type) == ("low-resolution", "video/mp4")
        cut = 7 * sequence.manifest.timescale // 30  # in ticks of the small video
        assert (medium.map.positions, medium.map.frames) == ((0, cut), (1, 2))
        assert medium.map.timescale == sequence.manifest.timescale
    assert not (made / "film.low.mp4").exists()  # it is in the package
    for command in (["sr", "apply", package], ["render", package]):
        large = made / f"{command[0]}.mp4"
        assert run(*command, "-o", large).code == 0
        seen = look_through(large)
        assert (seen.size, len(seen)) == ((64, 48), 12)
    scored = run("sr", "evaluate", package, film, "--json")
    scores = json.loads(scored.out)["scores"]
    assert list(scores) == ["bicubic", "pre-trained", "fine-tuned"]
    assert all(15 < each["psnr"] < 60 and 0 < each["ssim"] < 1 for each in scores.values())
    assert "12 of 12 pictures scored" in run("evaluate", package, film).out


@pytest.mark.slow(minutes=0.03)
def test_fine_tuning_helps(run, made, base):
    film, package = made / "film.mp4", made / "better.nmc"
    options = ["--iterations", 60, "--batch", 8, "--patch", 16, "--no-cuts", "--crf", 8]
    options += ["--learning-rate", 0.004]
    assert run("sr", "train", film, "--model", base, "-o", package, *options).code == 0
    scores = json.loads(run("sr", "evaluate", package, film, "--json").out)["scores"]
    assert scores["fine-tuned"]["psnr"] > scores["pre-trained"]["psnr"] + 0.5


@pytest.mark.slow(minutes=0.02)
def test_the_last_layers_alone_are_smaller_and_the_others_stay(run, made):
    """At cuts too, where a network of which all layers learn is a key frame."""
    base = made / "small-base.nmc"
    with nmc.Writer(base, **(model := build("edsr", SMALL)).in_package()) as writer:
        writer.append(model.save(), presentation_time=-1)
    later = {}
    options = [*QUICK, "--iterations", 2]
    for name, last in (("all", []), ("last", ["--last", 2])):
        package = made / f"{name}.nmc"
        done = run(
            "sr", "train", made / "film.mp4", "--model", base, "-o", package, *options, *last
        )
        assert done.code == 0, done
        with nmc.open(package) as sequence:
            later[name] = [frame.segment_length for frame in sequence.frames[1:]]
            codings = [frame.coding.name.lower() for frame in sequence.frames]
            assert codings == ["key", "delta", "delta" if last else "key"]
            if last:
                changed = {
                    name
                    for before, after in ((0, 1), (1, 2))
                    for name in sequence[0]
                    if not np.array_equal(sequence[before][name], sequence[after][name])
                }
                assert changed and all(n.startswith("tail.") for n in changed)
    assert all(mine <= 0.4 * whole for mine, whole in zip(later["last"], later["all"], strict=True))


def test_without_the_original_the_small_video_is_the_goal(run, made, base):
    small = write_film(made / "small.mp4", size=(50, 38), count=6)
    package = made / "small.nmc"
    options = ["--without-original", "--frames", "iframes", "--quality", 30, *QUICK]
    done = run("sr", "train", small, "--model", base, "-o", package, "--json", *options)
    assert json.loads(done.out)["learned"] == [1]
    assert run("sr", "apply", package, small, "-o", made / "x2.mp4").code == 0
    assert look_through(made / "x2.mp4").size == (100, 76)


def test_odd_sizes_and_varying_rates_come_through(run, made, base):
    ticks = [0, 1, 2, 9, 10, 11, 30]
    film = write_film(made / "odd.mp4", size=(55, 41), count=7, ticks=ticks)
    package = made / "odd.nmc"
    assert run("sr", "train", film, "--model", base, "-o", package, *QUICK).code == 0
    assert run("sr", "apply", package, "-o", made / "odd2.mp4").code == 0
    seen = look_through(made / "odd2.mp4")
    assert [30 * moment.ticks // seen.timescale for moment in seen.moments] == ticks
    assert run("sr", "evaluate", package, film).code == 0


def test_a_film_to_try_with_needs_no_data(run, tmp_path):
    film = tmp_path / "deep" / "film.mp4"
    done = run("sr", "film", "-o", film, "--pictures", 3, "--size", "33x21")
    assert done.code == 0 and "3 pictures" in done.out, done
    assert len(look_through(film)) == 3
    done = run("sr", "film", "-o", film)
    assert done.code == 1 and "host/exists" in done.err
    assert run("sr", "film", "-o", tmp_path / "film.gif").code == 2
    assert run("sr", "film", "-o", film, "--pictures", 2, "--size", "16x16", "--force").code == 0
    assert len(look_through(film)) == 2
