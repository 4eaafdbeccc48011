"""``nmc sr``: what cannot be used is told in one line, and nothing is left half-written."""

import json

import av
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

import torch
from PIL import Image
from super_resolution_samples import picture, write_film, write_pictures

import nmc
from nmc_framework.evaluation.lpips import TRUNKS, Lpips, _features
from nmc_framework.models import build
from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.luma import luma_psnr
from nmc_framework.super_resolution.self_transfer import FineTuning
from nmc_tools.super_resolution import experiment
from nmc_tools.super_resolution.training import read_network
from nmc_tools.super_resolution.transmission import Wanted, transmit

QUICK = ["--iterations", 2, "--batch", 2, "--patch", 8]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A network as it begins."""
    path = tmp_path_factory.mktemp("base") / "base.nmc"
    model = build("edsr", {"blocks": 1, "channels": 4})
    with nmc.Writer(path, **model.in_package()) as writer:
        writer.append(model.save(), presentation_time=-1)
    return path


@pytest.fixture
def refused(run, tmp_path):
    """Run a command that must be refused in one line, and leave what was there alone."""

    def refused(*arguments, code=1):
        before = sorted(tmp_path.rglob("*"))
        done = run("sr", *arguments)
        assert done.code == code and done.out == "", done
        assert sorted(tmp_path.rglob("*")) == before
        if code == 1:
            assert done.err.count("\n") == 1 and done.err.startswith("error "), done.err
        return " ".join(done.err.replace("│", " ").split())

    return refused


def perceptual():
    """The perceptual loss by the smallest network, with random weights."""
    torch.manual_seed(0)
    names = ((k, c) for k, c in enumerate(TRUNKS["squeeze"].channels))
    heads = {f"lin{k}.model.1.weight": 0.1 * torch.rand(1, c, 1, 1) for k, c in names}
    backbone = {f"features.{n}": v for n, v in _features("squeeze").state_dict().items()}
    return criterion("perceptual", Lpips("squeeze", backbone, heads))


def changing(path):
    """A video whose pictures become larger after the fifth."""
    parts = []
    for number, size in enumerate(((64, 48), (80, 64))):
        part = write_film(path.with_name(f"part{number}.ts"), size=size, count=5)
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


def test_a_video_that_changes_its_size(refused, base, tmp_path):
    film = changing(tmp_path / "grows.ts")
    told = refused("train", film, "--model", base, "-o", tmp_path / "x.nmc", *QUICK)
    assert "picture 5 is 80x64, the ones before are 64x48; cut the video there" in told


def test_files_that_are_no_videos(refused, base, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    whole = write_film(tmp_path / "film.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for name in ("text", "empty", "cut", "sound"):
        path = tmp_path / f"{name}.mp4"
        told = refused("train", path, "--model", base, "-o", tmp_path / "x.nmc", *QUICK)
        assert "video" in told
    assert "no video in it" in told


def test_pictures_that_teach_nothing(refused, run, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    output = tmp_path / "x.nmc"
    assert "holds no pictures" in refused("pretrain", folder, "-o", output, *QUICK)
    Image.fromarray(picture(0, (1, 1))).save(folder / "pixel.png")
    Image.new("RGB", (64, 64), (9, 9, 9)).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    told = refused("pretrain", folder, "-o", output, *QUICK)
    assert "pixel.png" in told and "grey.png is of one colour" in told and "at least 16" in told
    Image.fromarray(picture(0, (33, 35))).save(folder / "good.png")
    coded = ["--coded", 40, "--size", "tiny", "--json"]
    done = run("sr", "pretrain", folder, "-o", output, *coded, *QUICK)
    found = json.loads(done.out)
    assert found["coded"] == 40
    assert found["pictures"] == 1 and len(found["left_out"]) == 3
    assert "exists" in refused("pretrain", folder, "-o", output, *QUICK)


def test_checkpoints_of_other_networks(refused, tmp_path):
    film, output = write_film(tmp_path / "film.mp4"), tmp_path / "x.nmc"
    other = tmp_path / "rcan.pt"
    torch.save({"head.0.weight": torch.zeros(4, 1, 3, 3)}, other)
    told = refused("train", film, "--model", other, "-o", output, *QUICK, code=2)
    assert "not one of EDSR-PyTorch" in told
    model = build("siren", {"width": 8, "height": 8, "pictures": 1, "hidden": 4, "depth": 2})
    with nmc.Writer(tmp_path / "siren.nmc", **model.in_package()) as writer:
        writer.append(model.save())
    siren = tmp_path / "siren.nmc"
    told = refused("train", film, "--model", siren, "-o", output, *QUICK, code=2)
    assert "a siren model enlarges no pictures" in told
    assert "enlarges no pictures" in refused("apply", siren, film, "-o", tmp_path / "x.mp4")


def test_options_that_do_not_fit(refused, run, base, tmp_path):
    film, output = write_film(tmp_path / "film.mp4"), tmp_path / "x.nmc"
    train = ["train", film, "--model", base, "-o", output, *QUICK]
    assert "1 to 5 of them" in refused(*train, "--last", 9)
    assert "write all, iframes, or such as 2/s" in refused(*train, "--frames", "few", code=2)
    assert "no loss" in refused(*train, "--loss", "l3", code=2)
    assert "weights of LPIPS" in refused(*train, "--loss", "perceptual", code=2)
    assert "96x96 pixels, and 64x48 has not" in refused(*train, "--by-niqe")
    assert "cannot be made larger" in refused(*train, "--size", "640x480")
    assert "--lpips-backbone, and --lpips-net" in refused(*train, "--loss", "perceptual", code=2)
    backbone = tmp_path / "vgg.pth"
    backbone.write_bytes(b"")
    told = refused(*train, "--lpips-backbone", backbone, code=2)
    assert "the loss l1 takes no --lpips-backbone" in told
    for unmeant in (["--codec", "hevc"], ["--crf", 30], ["--low", film], ["--size", "32x24"]):
        told = refused(*train, "--without-original", *unmeant, code=2)
        assert unmeant[0] in told and "VIDEO is the small video" in told
    told = refused(*train, "--low", film, "--crf", 30, code=2)
    assert "--crf" in told and "coded already" in told
    assert "--device" in refused(*train, "--device", "abacus", code=2)
    tiny = write_film(tmp_path / "tiny.mp4", size=(4, 4), count=2)
    small = ["train", tiny, "--model", base, "-o", output, *QUICK]
    assert "at least 16 pixels a side" in refused(*small, "--without-original")
    done = run("sr", *small, "--codec", "av1")  # SVT-AV1 may say something of its own
    assert done.code == 1 and "choose another codec, rate factor or size" in done.err
    assert not output.exists() and not list(tmp_path.glob(".partial*"))
    assert "name the small video too" in refused("apply", base, "-o", tmp_path / "x.mp4")


def test_a_small_video_of_another_film(refused, run, base, tmp_path):
    film, package = write_film(tmp_path / "film.mp4", count=4), tmp_path / "film.nmc"
    assert run("sr", "train", film, "--model", base, "-o", package, *QUICK).code == 0
    short = write_film(tmp_path / "short.mp4", count=3, size=(32, 24))
    wide = write_film(tmp_path / "wide.mp4", count=4, size=(64, 24))
    told = refused("train", film, "--model", base, "-o", tmp_path / "y.nmc", "--low", short, *QUICK)
    assert "short.mp4 has 3 pictures and film.mp4 4" in told
    told = refused("train", film, "--model", base, "-o", tmp_path / "y.nmc", "--low", wide, *QUICK)
    assert "that is not 2 times as large" in told
    told = refused("apply", package, wide, "-o", tmp_path / "x.mp4")
    assert "not the video of 64x48 that the package was made of" in told


def test_an_original_that_does_not_go_with_the_small_video(run, base, tmp_path):
    film = write_film(tmp_path / "film.mp4", count=4)
    low = write_film(tmp_path / "low.mp4", count=4, size=(32, 24))
    short = write_film(tmp_path / "short.mp4", count=3)
    done = run("sr", "evaluate", base, short, "--low", low)
    assert (done.code, done.out) == (1, "") and done.err.count("\n") == 1
    assert "short.mp4 has 3 pictures, and the small video 4" in done.err

    def doubts(name, **options):
        other = write_film(tmp_path / f"{name}.mp4", **options)
        return json.loads(run("sr", "evaluate", base, other, "--low", low, "--json").out)["doubts"]

    assert doubts("same", count=4) == []
    assert doubts("long", count=6) == [
        "long.mp4 goes on after picture 4: only the first 4 are scored"
    ]
    [told] = doubts("slow", count=4, ticks=[0, 2, 4, 6])
    assert "at other times" in told
    [told] = doubts("other", count=4, cut=0)
    assert "is it another film?" in told
    assert run("sr", "evaluate", base, film, "--low", low).out.startswith(
        f"{base}: 4 of 4 pictures"
    )


def test_options_of_other_kinds_of_packages_are_refused(run, base, tmp_path):
    film = write_film(tmp_path / "film.mp4", count=2)
    for option in (["--csv", "x.csv"], ["--write"], ["--frames", "0"], ["--on", "ray://x:1"]):
        done = run("evaluate", base, film, *option)
        assert done.code == 2 and option[0] in done.err
    output = tmp_path / "x.mp4"
    for option in (["--workers", 2], ["--eye", "left"], ["--device", "cpu", "--device", "cpu"]):
        done = run("render", base, "-o", output, *option)
        assert done.code == 2 and option[0] in done.err and not output.exists()


def test_patches_too_small_for_the_perceptual_loss(base, tmp_path):
    """Refused before anything is written; and large enough ones are learned from."""
    film, output = write_film(tmp_path / "film.mp4", count=2), tmp_path / "x.nmc"
    measure = perceptual()
    before = sorted(tmp_path.iterdir())
    wanted = Wanted(film, output)
    least = measure.lpips.trunk.least
    with pytest.raises(ModelError, match=f"give --patch {least // 2 + 1} or more"):
        transmit(wanted, read_network(base), FineTuning(measure, 1, patch=least // 2), print)
    assert sorted(tmp_path.iterdir()) == before
    tuning = FineTuning(measure, iterations=1, batch=2, patch=24)
    transmit(wanted, read_network(base), tuning, lambda *_, **__: None)
    assert nmc.check(output).accepted


def test_a_film_of_one_colour_and_of_one_picture_come_through(run, base, tmp_path):
    folder = write_pictures(tmp_path / "pictures", 1)
    assert folder.is_dir()
    grey = tmp_path / "grey.mp4"
    with av.open(str(grey), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 120, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    package = tmp_path / "grey.nmc"
    assert run("sr", "train", grey, "--model", base, "-o", package, *QUICK).code == 0
    scores = json.loads(run("sr", "evaluate", package, grey, "--json").out)["scores"]
    assert scores["bicubic"]["psnr"] > 40 and "niqe" not in scores["bicubic"]


def test_people_are_asked_and_counted(run, refused, tmp_path):
    films = [write_film(tmp_path / f"{k}.mp4", count=2, quality=20 * k + 4) for k in range(2)]
    page = tmp_path / "mos.html"
    done = run("sr", "mos-sheet", f"city/a={films[0]}", f"city/</script>={films[1]}", "-o", page)
    assert done.out.strip().endswith("asks about 2 films")
    text = page.read_text()
    assert text.count("data:video/mp4;base64,") == 2 and text.count("</script>") == 1
    answers = tmp_path / "answers.csv"
    answers.write_text("person,film,way,score\r\nann,city,a,4\r\nbob,city,a,5\r\nann,city,b,2\r\n")
    assert run("sr", "mos", answers).out.splitlines() == [
        "a: 4.50 ± 6.35, 2 answers of 2 people",
        "b: 2.00, 1 answer of 1 person",
    ]
    answers.write_text("person,film,way,score\r\nann,city,a,9\r\n")
    assert "a score is 1, 2, 3, 4 or 5, not '9'" in refused("mos", answers)


def test_people_are_asked_which_is_better(run, refused, tmp_path):
    film = write_film(tmp_path / "a.mp4", count=2)
    pictures = write_pictures(tmp_path / "pictures", 2)
    one, two = sorted(pictures.iterdir())[:2]
    page = tmp_path / "better.html"
    films = [f"city/@SOURCES@={film}", f"city/b={film}", f"city/c={one}", f"car/<b>={one}"]
    done = run("sr", "preference-sheet", *films, f"car/d={two}", "-o", page)
    assert done.out.strip().endswith("asks about 4 pairs"), done
    text = page.read_text()
    assert text.count("data:video/mp4;base64,") == 2 and text.count("data:image/png") == 3
    assert "\\u003cb>" in text and "<b>" not in text and text.count("@SOURCES@") == 2
    done = run("sr", "preference-sheet", f"city/a={film}", "-o", tmp_path / "x.html")
    assert done.code == 2 and "nothing to compare" in done.err
    (tmp_path / "a.mkv").write_bytes(b"")
    told = refused("preference-sheet", f"a={film}", f"b={tmp_path / 'a.mkv'}", "-o", tmp_path / "x")
    assert "browsers do not show it" in told and not (tmp_path / "x").exists()
    answers = tmp_path / "answers.csv"
    rows = ["person,film,first,second,chosen", "ann,city,a,b,first", "bob,city,b,a,second"]
    answers.write_text("\r\n".join([*rows, "eve,city,a,b,none"]))
    assert run("sr", "preference", answers).out.splitlines() == [
        "a over b: 2 of 2 (100%, 16% to 100%), 1 undecided, p 0.5; 3 people"
    ]
    told = json.loads(run("sr", "preference", answers, "--json").out)
    assert told["pairs"][0]["wins"] == 2 and told["strengths"]["a"] == pytest.approx(5 / 6)
    answers.write_text("\r\n".join([*rows, "eve,city,a,b,left"]))
    assert "chosen is first, second, none" in refused("preference", answers)


def test_an_experiment_is_kept(run, base, tmp_path):
    film = write_film(tmp_path / "film.mp4", count=4)
    options = ["-o", tmp_path / "out", "--model", base, "--iterations", 2, "--no-rates", "--json"]
    names = ["last layer", "I-frames", "half of the film", "without the original, by NIQE"]
    options += [part for name in names for part in ("--variant", name)]
    options.append(f"toy:a grid={film}@60x44")
    assert run("sr", "experiment", *options, "--into", tmp_path / "no.md").code == 2
    found = json.loads(run("sr", "experiment", *options).out)
    # The pictures are too small for NIQE to choose by.
    assert [gain["variant"] for gain in found["gains"]] == names[:3]
    assert all(gain["video"] == "toy" and gain["networks"] > 0 for gain in found["gains"])
    assert [gain["pictures"] for gain in found["gains"]] == [4, 4, 2]
    assert found["gains"][0]["scores"]["fine-tuned"]["ssim"] > 0
    assert json.loads(run("sr", "experiment", *options).out)["gains"] == found["gains"]
    text = (tmp_path / "out" / "gains.md").read_text()
    assert "| toy | last layer | 4 |" in text and "| toy | a grid | 60x44 | 4 |" in text


def test_whole_films_are_scored_as_enlarged_ones_are(run, tmp_path, monkeypatch):
    """At x3: the same border, the same pictures, and a third of the size."""
    model = build("edsr", {"blocks": 1, "channels": 4, "scale": 3})
    with nmc.Writer(tmp_path / "x3.nmc", **model.in_package()) as writer:
        writer.append(model.save(), presentation_time=-1)
    scored = []

    def psnr(a, b, border):
        scored.append(border)
        return luma_psnr(a, b, border)

    monkeypatch.setattr(experiment, "luma_psnr", psnr)
    for name, factors in (("FACTORS", (30,)), ("SMALL_FACTORS", (30,))):
        monkeypatch.setattr(experiment, name, factors)
    film = write_film(tmp_path / "film.mp4", count=5, size=(60, 48))
    done = run(
        "sr", "experiment", f"toy={film}", "-o", tmp_path / "out", "--model", tmp_path / "x3.nmc",
        "--iterations", 1, "--every", 2, "--variant", "last layer", "--json",
    )  # fmt: skip
    assert done.code == 0, done
    coders = {row["coder"] for row in json.loads(done.out)["rates"]}
    assert {"third size, bicubic", "third size, fine-tuned, all sent"} <= coders
    assert scored == 2 * 3 * [3]  # two coders, pictures 0, 2 and 4
