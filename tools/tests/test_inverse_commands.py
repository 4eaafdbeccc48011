"""``nmc inverse``: from objects to a package, its scores and a mesh; and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from command_samples import refused

pytest.importorskip("torch")
from PIL import Image

import nmc

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
    picture = cars / "object_00004" / "view_01.png"
    made = [tmp_path / name for name in ("car.obj", "car.glb", "car.mp4")]
    options = [item for path in made for item in ("-o", path)]
    done = run("inverse", "reconstruct", network, picture, *options, "--size", 32)
    assert done.code == 0, done
    assert all(path.stat().st_size > 0 for path in [*made, tmp_path / "car.mtl"])
    done = run("inverse", "reconstruct", network, picture, "-o", tmp_path / "car.obj")
    assert done.code == 1 and "host/exists" in done.err


def test_single_view_is_trained_too(run, cars, tmp_path):
    done = run("inverse", "train", cars, "-o", tmp_path / "one.nmc", *TRAIN, "--single-view")
    assert done.code == 0 and "from the others" in done.out, done


def test_bad_input_is_one_line_and_leaves_nothing(run, cars, network, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(cars, bad)
    path = bad / "object_00001" / "view_02.png"
    image = np.asarray(Image.open(path)).copy()
    image[..., 3] = 0
    Image.fromarray(image).save(path)
    out = tmp_path / "net.nmc"
    done = run("inverse", "train", bad, "-o", out, *TRAIN)
    assert "the mask of object_00001/view_02.png is empty" in refused(done, "input/unreadable")
    done = run("inverse", "train", cars, "-o", out, "--held-out", 5)
    assert "hold fewer out" in refused(done, "input/unreadable")
    done = run("inverse", "train", tmp_path, "-o", out)
    assert "no multi-view set" in refused(done, "input/unreadable")
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


def test_a_package_of_another_family_is_refused(run, cars, tmp_path):
    with nmc.Writer(tmp_path / "w.nmc", family="mine") as writer:
        writer.append({"w": np.zeros(3, "f4")})
    done = run("inverse", "evaluate", tmp_path / "w.nmc", cars)
    assert "where inverse_graphics is needed" in refused(done, "input/unreadable")


def test_general_training_refuses_the_family(run, tmp_path):
    done = run("train", "--scene", "room", "--family", "inverse_graphics", "-o", tmp_path / "x.nmc")
    assert done.code == 2, done
