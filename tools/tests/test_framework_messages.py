"""Mistaken commands of the framework: one line says what is wrong, where, and what to do."""

import errno
import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("torch")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

import nmc
from nmc_framework.cameras.packaged import cameras_in
from nmc_framework.scene import arc_rig, film
from nmc_tools import demo

RIG = arc_rig(4, 1, (24, 20))
TINY = [
    *("--iterations", 4, "--later", 2, "--rays", 64, "--family", "voxel_grid"),
    *(word for s in ("cells=[4]", "occupancy=8", "samples=16") for word in ("--set", s)),
]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with footage, and with things that are none."""
    folder = tmp_path_factory.mktemp("w")
    film(folder / "footage", RIG.cameras, 2, 10)
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("hello\n")
    (folder / "junk.json").write_text(json.dumps({"a": 1}))
    (folder / "bad.json").write_text("{")
    (folder / "bad.yaml").write_text("model: {famly: x}\n")
    np.savez(folder / "a.npz", w=np.ones(3))
    return folder


@pytest.fixture
def run(command_line, place, monkeypatch):
    monkeypatch.chdir(place)
    return command_line


@pytest.fixture
def frames(run, place):
    if not (place / "frames").exists():
        run("capture", "footage", "-o", "frames", "--cameras", "footage/cameras.json")
    return place / "frames"


TRAIN = ("train", "frames", "-o", "x.nmc", *TINY)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "gone", "-o", "x.nmc"), "host/not-found at gone: there is no such file"),
        (("train", "a.npz", "-o", "x.nmc"), "at a.npz: it is not a folder of pictures ('nmc"),
        (("train", "empty", "-o", "x.nmc"), "at empty: no video files, no pictures"),
        ((*TRAIN, "--cameras", "gone"), "host/not-found at gone: there is no such file"),
        ((*TRAIN, "--cameras", "bad.json"), "at bad.json: it is not JSON: Expecting"),
        ((*TRAIN, "--cameras", "junk.json"), "at junk.json: it is not a camera file"),
        (("capture", "gone", "-o", "c"), "host/not-found at gone: there is no such file"),
        (("capture", "a.npz", "-o", "c"), "at a.npz: it is not a video that can be read"),
        (("capture", "footage", "-o", "text.txt"), "at text.txt: it already exists (the results"),
        (("capture", "footage", "-o", "c", "--cameras", "junk.json"), "at junk.json: it is not a"),
        (("sfm", "gone", "-o", "s"), "host/not-found at gone: there is no such file"),
        (("sfm", "frames", "-o", "text.txt"), "at text.txt: it already exists (the results"),
        (("sfm", "frames", "-o", "s", "--known", "junk.json"), "at junk.json: it is not a cam"),
        (("sfm", "frames", "-o", "s", "--intrinsics", "gone"), "host/not-found at gone: there is"),
        (("cameras", "inspect", "gone"), "host/not-found at gone: there is no such file"),
        (("cameras", "inspect", "a.npz"), "at a.npz: it is not a camera file"),
        (("cameras", "inspect", "junk.json", "--from", "colmap"), "it is a file; colmap cameras"),
        (("cameras", "convert", "footage/cameras.json", "-o", "empty", "--to", "nmc", "-f"),
         "host/exists at empty: it already exists (nmc is one file"),
        (("run", "bad.yaml"), "at bad.yaml: line 1: 'source' is missing"),
        (("run", "a.npz"), "at a.npz: it is not UTF-8 text"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_is_wrong_is_named_once_with_its_place(run, frames, words, said) -> None:
    done = run(*words)
    assert (done.code, done.out) == (1, "")
    assert said in done.err, done.err
    assert done.err.startswith("error ") and done.err.count("\n") == 1
    place = re.match(r"error \S+ at (\S+): ", done.err)[1]
    assert f": {place}" not in done.err, "the file is named once"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TRAIN, "--family", "nosuch"), "--family: no model family 'nosuch'; there are "),
        ((*TRAIN, "--set", "nosuch=3"), "--set: voxel_grid knows no option"),
        ((*TRAIN, "--configuration", "bad.json"), "--configuration: bad.json is not a JSON object"),
        ((*TRAIN, "--exclude-layers", "99"), "--exclude-layers: exclude_layers names layer 99"),
        ((*TRAIN, "--exclude-front", "9"), "--exclude-front: cannot take 9 of 1 layers"),
        ((*TRAIN, "--exclude-like", "z*"), "--exclude-like: no layer is named like 'z*'"),
        ((*TRAIN, "--exclude-auto", "3"), "--exclude-auto: a policy gives up a share"),
        ((*TRAIN, "--rate", "-1"), "--rate: the price of a kilobyte is a finite number of dec"),
        ((*TRAIN, "--rate", "nan"), "from 0 on, such as 0.1; it cannot be nan"),
        ((*TRAIN, "--rate", "cheap"), "is not a price; write such as 0.1, or auto"),
        ((*TRAIN, "--rate", "inf"), "from 0 on, such as 0.1; it cannot be inf"),
        ((*TRAIN, "--size", "big"), "--size: 'big' is not a size; write such as 320x180"),
        (("capture", "footage", "-o", "c", "--reference", "z"), "--reference: no camera 'z'"),
        (("sfm", "frames", "-o", "s", "--camera-model", "z"), "--camera-model: no camera model"),
        (("cameras", "inspect", "junk.json", "--from", "z"), "--from: no camera format 'z'"),
        (("cameras", "convert", "junk.json", "-o", "z.zz"), "--output: the name z.zz does not say"),
        (("cameras", "convert", "junk.json", "-o", "z", "--to", "ncore"), "--to: ncore is only"),
        (("cameras", "plot", "footage/cameras.json", "-o", "z.png", "--mark", "z"), "--mark: no"),
        (("conformance", "run"), "give one of --decoder, --checker, --encoder and --package"),
        (("conformance", "run", "--decoder", "node 'x"), "--decoder: \"node 'x\": No closing quot"),
        (("conformance", "run", "--checker", " "), "--checker: it is empty; give a command"),
        (("conformance", "report", "gone"), "RESULTS: gone: there is no such file"),
        (("conformance", "run", "--decoder", "x", "--xfail", "gone"), "--xfail: gone: there is no"),
    ],
    ids=lambda value: " ".join(map(str, value[-2:])) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_wrong_option_is_wrong_usage_and_named(run, frames, words, said, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert said in " ".join(done.err.replace("│", " ").split()), done.err


def test_training_on_reduced_pictures_is_scored_on_reduced_pictures(run, frames, place) -> None:
    done = run(
        "train", "frames", "-o", "small.nmc", *TINY, "--size", "12x12", "--held-out", "test_00"
    )
    assert done.code == 0, done.err
    with nmc.open(place / "small.nmc") as sequence:
        assert {(c.width, c.height) for c in cameras_in(sequence)} == {(12, 12)}
        stored = sequence.quality.metrics["psnr"]
    scored = json.loads(run("evaluate", "small.nmc", "frames", "--json").out)
    np.testing.assert_allclose(scored["scores"]["psnr"], stored)


def test_training_for_rate_goes_on_where_it_stopped(run, frames, place) -> None:
    words = ("train", "frames", *TINY, "--as", "checkpoints", "--rate", "0.5", "--json")
    whole = json.loads(run(*words, "-o", "dear").out)
    assert all(record["estimated_bytes"] > 0 for record in whole["trained"])
    run(*words, "-o", "halted", "--frames", 1)
    again = json.loads(run(*words, "-o", "halted", "--resume").out)
    assert again["resumed_at"] == 1
    last = max(path.name for path in (place / "dear").glob("frame_*"))
    states = [load_file(place / name / last) for name in ("dear", "halted")]
    for name, array in states[0].items():
        assert np.array_equal(array, states[1][name]), name
    refused = run("train", "frames", *TINY, "-o", "plain", "--as", "checkpoints", "--frames", 1)
    assert refused.code == 0
    mixed = run(*words, "-o", "plain", "--resume")
    assert mixed.code == 1
    assert "trained for rate, but the frame before it was not" in mixed.err


def test_a_film_that_is_none_is_refused_before_anything_is_rendered(run, frames, place) -> None:
    run("train", "frames", "-o", "f.nmc", *TINY, "--held-out", "test_00")
    done = run("evaluate", "f.nmc", "frames", "--html", "r.html", "--film", "text.txt")
    assert done.code == 1 and "at text.txt: it is not an MP4 video" in done.err
    assert not (place / "r.html").exists()
    done = run("render", "f.nmc", "-o", "v.mp4", "--track", "text.txt")
    assert done.code == 1 and "at text.txt: the header lacks x, y, z" in done.err


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("capture", "footage", "-o", "c1"), "c1"),
        (("cameras", "plot", "footage/cameras.json", "-o", "full.png"), "full.png"),
        (("cameras", "convert", "footage/cameras.json", "-o", "full.json"), "full.json"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_a_full_disk_is_said_of_what_was_to_be_written(
    run, frames, place, words, output, monkeypatch
) -> None:
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    monkeypatch.setattr("pathlib.Path.write_text", full)
    done = run(*words)
    assert done.code == 1, done
    assert f"host/no-space at {output}: the disk is full" in done.err
    assert "(free some space and give the same command again)" in done.err
    assert not (place / output).is_file()


def test_a_demo_that_fails_is_one_line(run, place, monkeypatch) -> None:
    def fail(*_args, **_options):
        raise demo.DemoError("frame 0 does not decode to the state that was trained")

    monkeypatch.setattr(demo, "run", fail)
    done = run("demo", "-o", "d")
    assert done.code == 1 and "at d: frame 0 does not decode" in done.err
    done = run("demo", "-o", "text.txt")
    assert done.code == 1 and "at text.txt: it already exists (the results go" in done.err


def test_pictures_too_small_for_ssim_are_scored_by_psnr(run, frames, tmp_path) -> None:
    package, held = tmp_path / "small.nmc", ("--held-out", RIG.cameras[0].name)
    done = run("train", frames, "-o", package, "--size", "10x8", "--json", *TINY, *held)
    assert done.code == 0, done.err
    scored = run("evaluate", package, frames, "--json")
    assert scored.code == 0, scored.err
    mean = json.loads(scored.out)["mean"]
    assert mean["psnr"] > 0 and mean["ssim"] is None


def test_outputs_are_refused_before_anything_is_rendered(
    run, frames, tmp_path, monkeypatch
) -> None:
    from nmc_framework.evaluation import HeldOut

    package = tmp_path / "p.nmc"
    assert run("train", frames, "-o", package, *TINY).code == 0
    (tmp_path / "file").write_text("")
    monkeypatch.delattr(HeldOut, "score")
    for option, name in (("--csv", "s.csv"), ("--plot", "p.png"), ("--html", "h.html")):
        refused = run("evaluate", package, frames, option, tmp_path / "file" / name)
        assert refused.code == 1, refused.err
        assert len(refused.err.splitlines()) == 1
