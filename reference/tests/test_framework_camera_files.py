"""Camera formats as plug-ins: told from their files, meant by names, brought by other packages."""

import re
import sys
import types
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from nmc_framework.cameras import Camera, CameraError, look_at
from nmc_framework.cameras.formats import ConversionError, Format, RigDocument, camera_files


def rig(count=3):
    """Return what every format can say: straight and centred cameras with the same intrinsics."""
    poses = [look_at((k, -3, 1), (0, 0, 0)) for k in range(count)]
    return RigDocument(
        tuple(Camera(300, 300, 160, 90, 320, 180, p, f"{k}") for k, p in enumerate(poses))
    )


class OneLine:
    """A camera format of somebody else's package: one camera, as six numbers."""

    @staticmethod
    def read(path, size):
        fx, fy, cx, cy, width, height = map(float, path.read_text().split()[1:])
        return RigDocument((Camera(fx, fy, cx, cy, int(width), int(height), np.eye(4), "one"),))

    @staticmethod
    def write(path, document):
        c = document.cameras[0]
        path.write_text(f"oneline {c.fx} {c.fy} {c.cx} {c.cy} {c.width} {c.height}\n")


def installed(monkeypatch, found):
    module = types.ModuleType("my_formats")
    module.FOUND = found
    monkeypatch.setitem(sys.modules, "my_formats", module)
    points = EntryPoints([EntryPoint("mine", "my_formats:FOUND", camera_files.GROUP)])
    monkeypatch.setattr(camera_files, "entry_points", points.select)


def test_a_format_of_another_package_is_one_value(tmp_path, monkeypatch):
    mine = Format(
        "one-line", OneLine.read, OneLine.write, lambda f: f.suffix == ".one", files="*.one"
    )
    installed(monkeypatch, mine)
    document = rig(1)
    assert camera_files.write(tmp_path / "new" / "a.one", document) == "one-line"
    assert camera_files.detect(tmp_path / "new" / "a.one") == "one-line"
    assert camera_files.read(tmp_path / "new" / "a.one").cameras[0].fx == document.cameras[0].fx
    (tmp_path / "new" / "a.one").write_text("oneline x\n")
    with pytest.raises(ConversionError, match=r"a.one is no one-line file: could not convert"):
        camera_files.read(tmp_path / "new" / "a.one")
    with pytest.raises(CameraError, match=r"no camera format 'x'; there are .*arkit, one-line$"):
        camera_files.read(tmp_path / "new" / "a.one", "x")
    installed(monkeypatch, replace(mine, name="nmc"))
    assert camera_files.formats()["nmc"].files == "*.json", "a package takes no name that is taken"
    installed(monkeypatch, OneLine)
    with pytest.raises(CameraError, match=r"entry point nmc.cameras:mine is not a Format"):
        camera_files.formats()


def test_every_format_tells_its_own_files_and_no_others(tmp_path):
    for name, each in camera_files.formats().items():
        if each.write is None:
            continue
        path = tmp_path / name / ("rig" if each.several_files else each.files.replace("*", "x"))
        if not each.several_files and not each.files:
            path = path / "rig.json"
        camera_files.write(path, rig(), name)
        assert camera_files.detect(path) == name
    unknown = tmp_path / "folder"
    unknown.mkdir()
    (unknown / "notes.json").write_text('{"a": 1}')
    with pytest.raises(CameraError, match="folder is not a camera file of a known format"):
        camera_files.detect(unknown)
    (unknown / "notes.json").write_text("[" * 100_000)
    with pytest.raises(CameraError, match="folder is not a camera file of a known format"):
        camera_files.detect(unknown)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("poses_bounds.NPY", "llff"), ("transforms_train.json", "nerfstudio"),
        ("train_meta.json", "dynamic-gaussians"), ("rig.json", "nmc"), ("sparse", "colmap"),
        ("a.xml", "metashape"), ("a.csv", "realitycapture"),
    ],
)  # fmt: skip
def test_a_name_means_a_format(name, meant):
    assert camera_files.guess(Path(name)) == meant


@pytest.mark.parametrize("name", ["a.toml", "a.txt", "sparse.d"])
def test_a_name_that_means_none_is_refused(name):
    with pytest.raises(CameraError, match="does not say which format to write"):
        camera_files.guess(Path(name))


def test_a_package_that_is_broken_leaves_known_files_readable(tmp_path, monkeypatch):
    camera_files.write(tmp_path / "rig.json", rig())
    points = EntryPoints([EntryPoint("mine", "no_such_module:X", camera_files.GROUP)])
    monkeypatch.setattr(camera_files, "entry_points", points.select)
    assert len(camera_files.read(tmp_path / "rig.json").cameras) == 3
    (tmp_path / "a.one").write_text("1")
    with pytest.raises(CameraError, match=r"entry point nmc.cameras:mine cannot be loaded: No mod"):
        camera_files.read(tmp_path / "a.one")


def test_a_shape_that_the_file_does_not_hold_takes_no_memory(tmp_path):
    path = tmp_path / "poses_bounds.npy"
    np.save(path, np.zeros((2, 17)))
    data = path.read_bytes()
    for wrong in (b"(20000000000, 17)", b"(2, 17"):
        path.write_bytes(data.replace(b"(2, 17)", wrong, 1))
        with pytest.raises(CameraError):
            camera_files.read(path)


def test_a_count_that_no_file_has_ends_it(tmp_path):
    camera_files.write(tmp_path / "model", rig(1), "colmap-bin")
    path = tmp_path / "model" / "images.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-8] + b"\xff" * 8)  # points of the last image
    with pytest.raises(CameraError, match="in the middle of a record"):
        camera_files.read(tmp_path / "model")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN"])
@pytest.mark.parametrize("member", ["fl_x", "cx", "applied_scale"])
def test_numbers_that_are_not_finite_are_refused_without_a_warning(tmp_path, member, number):
    path = tmp_path / "transforms.json"
    camera_files.write(path, rig(1))
    text = re.sub(rf'"{member}": [^,\n]*', f'"{member}": {number}', path.read_text())
    if f'"{member}"' not in text:
        text = text.replace("{", f'{{"{member}": {number},', 1)
    path.write_text(text)
    with pytest.raises(CameraError):
        camera_files.read(path)
