"""Quality put into a finished package: segments, table and cameras stay bit for bit."""

import numpy as np
import pytest

import nmc
from nmc.writing import amend
from nmc_format.issues import FormatError
from nmc_format.manifest.read import read_objects
from nmc_format.package.form import open_package


def make(path, *, directory=False):
    rng = np.random.default_rng(0)
    with nmc.Writer(path, directory=directory, family="voxel_grid", key_every=2) as writer:
        for _ in range(3):
            writer.append({"w": rng.normal(size=(20, 30)).astype(np.float32)})
        writer.set_cameras(
            nmc.Cameras(["a", "b"], np.array([[4, 4]] * 2), np.array([[4.0, 4, 2, 2]] * 2),
                        np.eye(4)[None, :3].repeat(2, 0), np.eye(4))
        )  # fmt: skip
    return path


def members(path):
    with open_package(path) as package:
        objects = read_objects(package.manifest(), package.manifest_path)
        lengths = objects["/frames/segment_length"].tolist()
        return objects, [package.segment(t, size) for t, size in enumerate(lengths)]


QUALITY = nmc.Quality(["b"], {"psnr": np.array([[30.0], [np.nan], [31.0]])})


@pytest.mark.parametrize("directory", [False, True])
def test_only_the_quality_record_changes(tmp_path, directory):
    path = make(tmp_path / "a.nmc", directory=directory)
    before, segments = members(path)
    amend.write_quality(path, QUALITY)
    after, same = members(path)
    assert same == segments
    assert set(after) - set(before) == {"/quality/view", "/quality/psnr"}
    for name in set(before) - {"/@manifest_digest"}:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert nmc.check(path).accepted
    assert [p.name for p in tmp_path.iterdir()] == ["a.nmc"]
    amend.write_quality(path, QUALITY)  # replaced, not added
    np.testing.assert_array_equal(members(path)[0]["/quality/psnr"], QUALITY.metrics["psnr"])


def test_it_is_what_a_writer_would_have_written(tmp_path):
    late, early = make(tmp_path / "late.nmc"), tmp_path / "early.nmc"
    amend.write_quality(late, QUALITY)
    with nmc.open(make(tmp_path / "b.nmc")) as sequence:
        cameras = sequence.cameras
        states = [dict(sequence[t]) for t in range(3)]
    with nmc.Writer(early, family="voxel_grid", key_every=2) as writer:
        for state in states:
            writer.append(state)
        writer.set_cameras(cameras)
        writer.set_quality(QUALITY)
    assert late.read_bytes() == early.read_bytes()


def test_a_target_leaves_the_source_alone(tmp_path):
    path = make(tmp_path / "a.nmc", directory=True)
    amend.write_quality(path, QUALITY, tmp_path / "b.nmc")
    with nmc.open(path) as one, nmc.open(tmp_path / "b.nmc") as two:
        assert one.quality is None
        assert two.quality.views == ["b"]


def test_what_does_not_fit_changes_nothing(tmp_path, monkeypatch):
    path = make(tmp_path / "a.nmc")
    whole = path.read_bytes()
    with pytest.raises(FormatError, match=r"\(2, 1\), expected \(3, 1\)"):
        amend.write_quality(path, nmc.Quality(["a"], {"psnr": np.zeros((2, 1))}))
    with pytest.raises(FormatError):
        amend.write_quality(tmp_path / "none.nmc", QUALITY)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(amend, "compare_file", full)
    with pytest.raises(FormatError) as caught:
        amend.write_quality(path, QUALITY)
    assert caught.value.finding.code == "host/no-space"
    assert path.read_bytes() == whole and [p.name for p in tmp_path.iterdir()] == ["a.nmc"]


def test_measured_lies_over_what_was_known():
    old = nmc.Quality(["a", "b"], {"psnr": np.array([[1.0, 2], [3, 4]])})
    new = nmc.Quality(["b", "c"], {"psnr": np.array([[9.0, 8], [np.nan, 7]]),
                                   "lpips": np.array([[0.1, 0.2], [0.3, np.nan]])})  # fmt: skip
    found = amend.merged(old, new)
    assert found.views == ["a", "b", "c"]
    np.testing.assert_array_equal(found.metrics["psnr"], [[1, 9, 8], [3, 4, 7]])
    nan = np.nan
    np.testing.assert_array_equal(found.metrics["lpips"], [[nan, 0.1, 0.2], [nan, 0.3, nan]])
    assert amend.merged(None, new) is new
