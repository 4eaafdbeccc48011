"""``nmc inverse``: from objects to a package, its scores and a mesh; and what it refuses."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from command_samples import refused

pytest.importorskip("torch")
from PIL import Image

import nmc
from nmc_framework.inverse.annotator import Annotations, Annotator

CARS = ["--count", 5, "--viewpoints", 3, "--size", 32]
TRAIN = ["--held-out", 2, "--iterations", 3, "--batch", 2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("inverse")


@pytest.fixture
def cars(run, made):
    if not (made / "cars").exists():
        done = run("inverse", "objects", "-o", made / "cars", *CARS)
        assert done.code == 0 and "5 cars from 3 viewpoints, 32x32" in done.out, done
    return made / "cars"


@pytest.fixture
def network(run, made, cars):
    if not (made / "net.nmc").exists():
        done = run("inverse", "train", cars, "-o", made / "net.nmc", *TRAIN, "--json")
        assert done.code == 0, done
        told = json.loads(done.out)
        assert told["iterations"] == 3 and 0 < told["other"] < 1 and told["held_out_objects"] == 2
    return made / "net.nmc"


def test_from_objects_to_a_mesh(run, network, cars, tmp_path):
    assert run("check", network).code == 0
    with nmc.open(network) as sequence:
        assert sequence.family == "inverse_graphics" and len(sequence) == 1
    assert "inverse_graphics" in run("inspect", network).out
    done = run("inverse", "evaluate", network, cars, "--held-out", 2, "--json")
    assert done.code == 0 and 0 < json.loads(done.out)["same"] < 1
    assert (
        "IoU of 2 held-out objects"
        in run("inverse", "evaluate", network, cars, "--held-out", 2).out
    )
    assert run("evaluate", network, cars, "--json").code == 1  # five objects are not twenty
    done = run("inverse", "evaluate", network, cars, "--another", "--json")
    assert done.code == 0 and json.loads(done.out)["held_out_objects"] == 5
    done = run("evaluate", network, cars, "--csv", tmp_path / "x.csv")
    assert done.code == 2 and "--csv" in done.err and "makes meshes" in done.err
    picture = cars / "object_00004" / "view_01.png"
    made = [tmp_path / name for name in ("car.obj", "car.glb", "car.mp4")]
    options = [item for path in made for item in ("-o", path)]
    done = run("inverse", "reconstruct", network, picture, *options, "--size", 32)
    assert done.code == 0, done
    assert all(path.stat().st_size > 0 for path in [*made, tmp_path / "car.mtl"])
    sheet = tmp_path / "seen.png"
    options = ["--beside", network, "--objects", "1,4", "--scale", 1]
    done = run("inverse", "show", network, cars, "-o", sheet, *options)
    assert done.code == 0 and "2 objects, 2 networks" in done.out, done
    with Image.open(sheet) as image:
        assert image.size == (4 * 34 + 2, 6 * 34 + 2)
    done = run("inverse", "show", network, cars, "-o", tmp_path / "x.png", "--objects", "5")
    assert done.code == 2 and "from 0 to 4" in done.err
    done = run("inverse", "reconstruct", network, picture, "-o", tmp_path / "car.obj")
    assert done.code == 1 and "host/exists" in done.err


@pytest.mark.parametrize(
    ("family", "command"),
    [
        ("inverse_graphics", "nmc inverse train"),
        ("style_generator", "nmc inverse generator"),
        ("style_renderer", "nmc inverse renderer"),
        ("depth_unet", "nmc depth train"),
        ("edsr", "nmc sr pretrain"),
        ("vdsr", "nmc sr pretrain"),
    ],
)
def test_training_says_which_command_it_is(run, family, command, tmp_path):
    done = run("train", "--scene", "room", "--family", family, "-o", tmp_path / "x.nmc")
    told = " ".join(done.err.replace("│", " ").split())
    assert done.code == 2 and command in told and not list(tmp_path.iterdir())


def test_single_view_is_trained_too(run, cars, tmp_path):
    done = run("inverse", "train", cars, "-o", tmp_path / "one.nmc", *TRAIN, "--single-view")
    assert done.code == 0 and "from the others" in done.out, done


def test_bad_input_is_one_line_and_leaves_nothing(run, cars, network, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(cars, bad)
    path = bad / "object_00001" / "view_02.png"
    with Image.open(path) as opened:
        image = np.asarray(opened).copy()
    image[..., 3] = 0
    Image.fromarray(image).save(path)
    out = tmp_path / "net.nmc"
    done = run("inverse", "train", bad, "-o", out, *TRAIN)
    assert "the mask of object_00001/view_02.png is empty" in refused(done, "input/unreadable")
    done = run("inverse", "train", cars, "-o", out, "--held-out", 5)
    assert "hold fewer out" in refused(done, "input/unreadable")
    done = run("inverse", "train", tmp_path, "-o", out)
    assert "not a multi-view set" in refused(done, "input/unreadable")
    done = run("inverse", "objects", "-o", tmp_path / "o", "--size", 1)
    assert "pictures of 1x1 cannot be learned from" in refused(done, "input/unreadable")
    done = run("inverse", "objects", "-o", tmp_path / "o", "--count", 10**9)
    assert "take fewer or smaller ones" in refused(done, "input/unreadable")
    done = run("inverse", "objects", "-o", cars)
    assert "host/exists" in refused(done, "host/exists")
    (tmp_path / "dot.png").write_bytes(b"")
    done = run("inverse", "reconstruct", network, tmp_path / "dot.png", "-o", tmp_path / "x.glb")
    assert "cannot be read as a picture" in refused(done, "input/unreadable")
    assert run("inverse", "reconstruct", network, path, "-o", tmp_path / "x.stl").code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "dot.png"]


def test_a_package_of_another_family_is_refused(run, cars, network, tmp_path):
    with nmc.Writer(tmp_path / "w.nmc", family="mine") as writer:
        writer.append({"w": np.zeros(3, "f4")})
    done = run("render", network, "-o", tmp_path / "film.mp4")
    assert "are not seen by cameras" in refused(done, "input/unsupported")
    done = run("inverse", "evaluate", tmp_path / "w.nmc", cars)
    assert "where inverse_graphics is needed" in refused(done, "input/unreadable")


def test_a_device_that_is_not_there_is_wrong_usage(run, cars, network, generator, tmp_path):
    out = tmp_path / "x.nmc"
    picture = cars / "object_00004" / "view_01.png"
    for words in (
        ["train", cars, "-o", out],
        ["evaluate", network, cars],
        ["reconstruct", network, picture, "-o", tmp_path / "x.glb"],
        ["show", network, cars, "-o", tmp_path / "x.png"],
        ["generator", cars, "-o", out, "--size", 32],
        ["adapt", generator, cars, "-o", out],
        ["sample", generator, "-o", tmp_path / "x.png"],
        ["layers", generator, cars, network],
        ["multiview", generator, cars, "-o", tmp_path / "set"],
        ["renderer", cars, network, generator, "-o", out, "--held-out", 2],
        ["swap", network, cars, network, "-o", tmp_path / "x.png"],
    ):
        done = run("inverse", *words, "--device", "meta")
        told = " ".join(done.err.replace("│", " ").split())
        assert done.code == 2 and "--device" in told and "cpu always can" in told, (words, done)
    done = run("evaluate", network, cars, "--device", "meta")
    assert done.code == 2 and not list(tmp_path.iterdir())
    done = run("evaluate", network, cars, "--device", "cpu", "--json")
    assert "twenty" in done.err or "hold fewer" in done.err, done


def test_general_training_refuses_the_family(run, tmp_path):
    done = run("train", "--scene", "room", "--family", "inverse_graphics", "-o", tmp_path / "x.nmc")
    assert done.code == 2, done


@pytest.fixture
def small_generator(monkeypatch):
    from nmc_tools.commands import inverse_generator

    tiny = {"sides": [4, 8, 16, 32], "layers": [1, 3, 6, 5], "channels": [4, 4, 4, 4]}
    monkeypatch.setitem(inverse_generator.SIZES, 32, tiny)
    monkeypatch.setattr(inverse_generator, "ANNOTATED", 2)


@pytest.fixture
def generator(run, made, cars, small_generator):
    path = made / "generator.nmc"
    if not path.exists():
        pictures = made / "pictures"
        done = run("inverse", "objects", "-o", pictures, "--count", 6, "--viewpoints", 3,
                   "--size", 32, "--seed", 4)  # fmt: skip
        options = ["--size", 32, "--iterations", 2, "--batch", 4, "--json"]
        done = run("inverse", "generator", pictures, "-o", path, *options)
        assert done.code == 0 and json.loads(done.out)["iterations"] == 2, done
    return path


def test_generators_are_chains(run, made, cars, generator, tmp_path):
    variants = tmp_path / "variants.nmc"
    options = ["-o", variants, "--iterations", 3, "--batch", 4]
    done = run("inverse", "adapt", generator, made / "pictures", *options, "--learn", "1-4")
    assert done.code == 0 and "frame 1, layers 1-4 learned" in done.out, done
    twice = tmp_path / "twice.nmc"
    options[1] = twice
    done = run("inverse", "adapt", variants, made / "pictures", *options, "--learn", "13-16")
    assert done.code == 0, done
    assert run("check", twice).code == 0
    with nmc.open(twice) as sequence:
        frozen = [set(f.exclude_layers or ()) for f in sequence.frames]
        assert frozen == [set(), set(range(17)) - {1, 2, 3, 4}, set(range(13))]
        one, two = sequence[1], sequence[2]
        changed = {name for name in one if (one[name] != two[name]).any()}
        assert changed and all(name.startswith("synthesis.b32") for name in changed)
        sizes = [frame.segment_length for frame in sequence.frames]
        assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.6 * sizes[0]
    done = run("inverse", "sample", twice, "-o", tmp_path / "grid.png", "--rows", 2, "--columns", 3)
    assert done.code == 0, done
    with Image.open(tmp_path / "grid.png") as image:
        assert image.size == (3 * 66 + 2, 2 * 66 + 2)
    done = run("inverse", "adapt", generator, cars, "-o", tmp_path / "x.nmc", "--learn", "15-17")
    assert done.code == 2 and "layers 1 to 16" in done.err


def test_layers_are_measured_and_sets_made(run, cars, network, generator, tmp_path, monkeypatch):
    done = run("inverse", "layers", generator, cars, network, "--pairs", 4, "--json")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert [g["first"] for g in told["groups"]] == [1, 5, 9, 13]
    assert "13-16" in run("inverse", "layers", generator, cars, network, "--pairs", 2).out
    found = partial(
        run, "inverse", "multiview", generator, cars, "--count", 4, "--viewpoints", 3,
        "--bins", "0,4,8"
    )  # fmt: skip
    # Two iterations make no cars: what the annotator sees is given here, good masks and bad ones.
    masks = np.full((32, 32), 0.2, np.float32)

    def annotate(_, pictures):
        return Annotations(np.arange(float(len(pictures))), np.stack([masks] * len(pictures)))

    monkeypatch.setattr(Annotator, "annotate", annotate)
    assert "good mask in all 3 views" in refused(found("-o", tmp_path / "bad"), "input/unreadable")
    assert not (tmp_path / "bad").exists()
    masks[8:20, 8:24] = 0.9
    done = found("-o", tmp_path / "made", "--json")
    told = json.loads(done.out)
    assert (told["kept"], told["made"], told["bins"]) == (4, 4, [0, 4, 8])
    assert json.loads((tmp_path / "made" / "views.json").read_text())["size"] == 32
    assert (
        run("inverse", "multiview", generator, cars, "-o", tmp_path / "m", "--bins", "1").code == 2
    )


def test_bad_generators_are_refused(run, cars, network, tmp_path):
    (tmp_path / "few").mkdir()
    done = run("inverse", "generator", tmp_path / "few", "-o", tmp_path / "g.nmc")
    assert "few has 0 pictures" in refused(done, "input/unreadable")
    done = run("inverse", "generator", cars, "-o", tmp_path / "g.nmc", "--size", 48)
    assert done.code == 2 and "take 32 or 64" in done.err
    done = run("inverse", "sample", network, "-o", tmp_path / "g.png")
    assert "where style_generator is needed" in refused(done, "input/unreadable")
    assert [p.name for p in tmp_path.iterdir()] == ["few"]


def test_parts_are_swapped(run, cars, network, generator, tmp_path):
    path = tmp_path / "renderer.nmc"
    options = ["--held-out", 2, "--iterations", 2, "--batch", 4, "--json"]
    done = run("inverse", "renderer", cars, network, generator, "-o", path, *options)
    assert done.code == 0 and json.loads(done.out)["psnr"] > 0, done
    assert run("check", path).code == 0
    sheet = tmp_path / "swap.png"
    done = run("inverse", "swap", path, cars, network, "-o", sheet, "--scale", 1)
    assert done.code == 0 and "texture of 1" in done.out, done
    with Image.open(sheet) as image:
        assert image.size == (5 * 34 + 2, 3 * 34 + 2)
    done = run(
        "inverse", "swap", path, cars, network, "-o", tmp_path / "s.png", "--objects", "0,9,1"
    )
    assert done.code == 2 and "from 0 to 4" in done.err
    done = run("inverse", "swap", path, cars, network, "-o", tmp_path / "s.gif")
    assert "written as .png" in refused(done, "input/unsupported")
