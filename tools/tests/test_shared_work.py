"""``--anew`` and ``--on``: groups by themselves, and clusters that are not there."""

import json
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

import nmc

SMALL = [
    "--scene", "room", "--size", "12x12", "--frames", "3", "--iterations", "4", "--later", "2",
    "--rays", "64", "--family", "voxel_grid", "--set", "cells=[4]", "--set", "occupancy=4",
    "--set", "samples=8",
]  # fmt: skip


def segments(path):
    with zipfile.ZipFile(path) as file:
        return {n: file.read(n) for n in file.namelist() if n.startswith("segments")}


@pytest.mark.slow(minutes=0.1)
def test_groups_begin_anew_on_one_machine(tmp_path, run):
    done = run("train", *SMALL, "-o", tmp_path / "a.nmc", "--key-every", 2, "--anew")
    assert done.code == 0, done
    with nmc.open(tmp_path / "a.nmc") as sequence:
        made = [frame.trained_from for frame in sequence.frames]
        coded = [frame.coding for frame in sequence.frames]
    assert made == [None, 0, None] and coded == ["key", "delta", "key"]
    assert not (tmp_path / "a.nmc.groups").exists()
    again = run("train", *SMALL, "-o", tmp_path / "b.nmc", "--key-every", 2, "--anew")
    assert again.code == 0
    assert segments(tmp_path / "a.nmc") == segments(tmp_path / "b.nmc")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--on", "slurm"], "write ray, or such as ray://host:10001"),
        (["--on", "ray", "--key-every", "0"], "there is one group"),
        (["--on", "ray://127.0.0.1:9"], "nothing answers at ray://127.0.0.1:9"),
        (["--on", "ray:nowhere"], "is not an address"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(tmp_path, run, options, told):
    if options[1].startswith("ray:"):
        pytest.importorskip("ray", reason="the extra ray is not installed")
    done = run("train", *SMALL, "-o", tmp_path / "a.nmc", *options)
    assert done.code in (1, 2)
    assert told in " ".join((done.out + done.err).replace("│", " ").split())
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_without_ray_it_says_how_to_install_it(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run("train", *SMALL, "-o", tmp_path / "a.nmc", "--on", "ray")
    assert done.code == 1 and "pip install 'neural-model-chain[ray]'" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--workers", 2], "the cluster has its own workers and devices"),
        (["--device", "cpu", "--device", "cpu"], "the cluster has its own workers and devices"),
        (["--device", "cuda:1"], "each task has a device of its own; write cuda"),
    ],
)
def test_options_of_this_machine_are_refused_beside_a_cluster(tmp_path, run, options, told):
    package = tmp_path / "a.nmc"
    assert run("train", *SMALL, "-o", package, "--frames", 1).code == 0
    done = run("render", package, "-o", tmp_path / "a.mp4", "--on", "ray://127.0.0.1:9", *options)
    assert done.code == 2 and told in " ".join(done.err.replace("│", " ").split()), done
    assert not (tmp_path / "a.mp4").exists()


def test_a_device_that_only_the_cluster_has_is_no_reason_to_refuse(tmp_path, run):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    on = ["--on", "ray://127.0.0.1:9", "--key-every", "2", "--device", "cuda"]
    done = run("train", *SMALL, "-o", tmp_path / "a.nmc", *on)
    assert "nothing answers at ray://127.0.0.1:9" in " ".join(done.err.split()), done


CLIP = [
    "--family", "siren", "--set", "hidden=8", "--set", "depth=2", "--clip", 2, "--iterations", 5,
    "--later", 3,
]  # fmt: skip
GROUP = [
    "--scene", "room", "--size", "12x12", "--frames", 4, "--family", "mixvoxels", "--group", 1,
    "--iterations", 8, "--later", 4, "--rays", 64, "--set", "levels=2", "--set", "hidden=8",
    "--set", "samples=8", "--set", "log2_entries=8", "--set", "static_entries=8",
]  # fmt: skip


@pytest.mark.slow(minutes=2)
@pytest.mark.filterwarnings("ignore")  # those of Ray, of which there are many
@pytest.mark.parametrize("kind", ["clips", "groups"])
def test_clips_and_groups_on_a_cluster_are_the_same_bytes(tmp_path, run, kind):
    """Trained, shown and scored by the commands, on a cluster of this machine and without one."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    film = tmp_path / "film"
    film.mkdir()
    for k in range(8):
        picture = np.full((6, 8, 3), 20 * k, np.uint8)
        Image.fromarray(picture).save(film / f"{k}.png")
    options = [film, *CLIP] if kind == "clips" else GROUP
    packages = []
    for name, where in (("here", ["--anew"]), ("there", ["--on", "ray"])):
        packages.append(tmp_path / f"{name}.nmc")
        done = run("train", *options, "-o", packages[-1], "--key-every", 2, *where)
        assert done.code == 0, done
    assert len(segments(packages[0])) == 4 and segments(packages[0]) == segments(packages[1])
    truth = [film] if kind == "clips" else ["--scene"]
    found = {}
    for name, where in (("here", []), ("there", ["--on", "ray"])):
        video = tmp_path / f"{name}.mp4"
        assert run("render", packages[0], "-o", video, *where).code == 0
        done = run("evaluate", packages[0], *truth, "--json", *where)
        assert done.code == 0, done
        found[name] = video.read_bytes(), json.loads(done.out)["scores"]
    assert found["here"] == found["there"]
