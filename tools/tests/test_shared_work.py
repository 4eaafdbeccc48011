"""``--anew`` and ``--on``: groups by themselves, and clusters that are not there."""

import sys
import zipfile

import pytest

import nmc

SMALL = [
    "--scene", "room", "--size", "12x12", "--frames", "3", "--iterations", "4", "--later", "2",
    "--rays", "64", "--family", "voxel_grid", "--set", "cells=[4]", "--set", "occupancy=4",
    "--set", "samples=8",
]  # fmt: skip


def segments(path):
    with zipfile.ZipFile(path) as file:
        return {n: file.read(n) for n in file.namelist() if n.startswith("segments")}


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
        (["--on", "ray:nowhere"], "is no address"),
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
