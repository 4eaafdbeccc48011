"""Packages that say odd things of the files they came from: unpacked without, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_samples import gaussians

import nmc
from nmc_tools import checkpoints


def package(path, extra, state, kind):
    configuration = {"checkpoint": {"format": kind, "extra": extra}}
    with nmc.Writer(path, configuration=configuration) as writer:
        writer.append(state)
    return path


COLUMN = {"x": np.arange(4, dtype="f4")}


@pytest.mark.parametrize(
    ("to", "extra"),
    [
        ("safetensors", {"metadata": 5}),
        ("safetensors", {"metadata": {"a": 7}}),
        ("ply", {"gltf": 7}),
        ("ply", {"gltf": {"properties": {}, "node": []}}),
        ("gltf", {"gltf": {"properties": 5, "normalised": 3, "node": {"rotation": "x"}}}),
        ("spz", {"spz": {"extensions": "no digits"}}),
        ("spz", {"spz": [1]}),
        ("spz", {"spz": {"extensions": {"a": 1}}}),
    ],
)
def test_notes_that_are_malformed_are_left_out(tmp_path, run, to, extra):
    made = package(tmp_path / "a.nmc", extra, gaussians(6, 0), to)
    done = run("unpack", made, "-o", tmp_path / "out", "--to", to)
    assert done.code == 0
    assert "malformed, and left out" in done.err
    (file,) = (tmp_path / "out").iterdir()
    assert len(checkpoints.read(file).state) > 3


HEADER = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n"


@pytest.mark.parametrize("style", ["%999999999d", "%s%s", "%(a)s", 7, ["%g"]])
def test_how_numbers_are_spelt_is_one_of_a_list(tmp_path, run, style):
    """A format of the package's own could ask for gigabytes."""
    extra = {"ply_header": HEADER, "ply_numbers": style}
    made = package(tmp_path / "a.nmc", extra, COLUMN, "ply")
    done = run("unpack", made, "-o", tmp_path / "out", "--to", "ply")
    assert done.code == 0
    assert "ply_numbers is malformed" in done.err


@pytest.mark.parametrize("header", [HEADER.replace("x", "\u20ac"), "ply\n", 7, "x" * 10**6])
def test_a_header_that_is_none(tmp_path, run, header):
    made = package(tmp_path / "a.nmc", {"ply_header": header}, COLUMN, "ply")
    done = run("unpack", made, "-o", tmp_path / "out", "--to", "ply")
    assert "ply_header is malformed" in done.err
    assert done.code == 1
    assert "error input/unreadable at" in done.err
