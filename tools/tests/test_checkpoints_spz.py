"""Gaussians as .spz: within the bounds of the format, and refused where it is wrong.

The reader here is written by the published layout, one Gaussian after the other, and knows
nothing of the package.
"""

import gzip
import math
import struct

import numpy as np
import pytest
import zstandard
from gaussian_samples import gaussians, same, spz_by_hand

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

# y, z, x; xy, yz, zz, xz, xx-yy; and so on: which of them change sign with y and z
TURNED = [-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz_is_within_its_bounds(tmp_path, degree):
    state = gaussians(60, degree)
    checkpoints.write(tmp_path / "a.spz", state, to="spz")
    number = (degree + 1) ** 2 - 1
    rows = spz_by_hand((tmp_path / "a.spz").read_bytes())
    assert len(rows) == 60
    for i, row in enumerate(rows):
        x, y, z = state["xyz"][i]
        assert np.abs(np.array(row["xyz"]) - (x, -y, -z)).max() <= 1 / 8192 + 1e-6
        assert abs(row["alpha"] - 1 / (1 + math.exp(-state["opacity"][i, 0]))) <= 1 / 510 + 1e-6
        clipped = np.clip(state["f_dc"][i], -1 / 0.3, 1 / 0.3)
        assert np.abs(row["f_dc"] - clipped).max() <= 0.0131
        assert np.abs(row["scale"] - state["scale"][i]).max() <= 1 / 32 + 1e-6
        w, qx, qy, qz = state["rotation"][i] / np.linalg.norm(state["rotation"][i])
        turned = np.array([qx, -qy, -qz, w])
        sign = np.sign(turned[np.abs(turned).argmax()])
        assert np.abs(np.array(row["xyzw"]) - sign * turned).max() <= 0.0021
        rest = state["f_rest"][i].reshape(3, number).T if degree else np.zeros((0, 3))
        for k in range(number):
            bound = 0.036 if k < 3 else 0.067
            assert np.abs(row["sh"][k] - TURNED[k] * rest[k]).max() <= bound


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_spz_back_to_ply_is_within_its_bounds_and_stays(tmp_path, degree):
    state = gaussians(30, degree)
    checkpoints.write(tmp_path / "a.spz", state, to="spz")
    stored = checkpoints.read(tmp_path / "a.spz")
    assert stored.source_format == "spz"
    checkpoints.write(tmp_path / "a.ply", stored.state, to="ply", extra=stored.extra)
    back = checkpoints.read(tmp_path / "a.ply").state
    assert list(back) == [n for n in state if n != "normals"]
    assert np.abs(back["xyz"] - state["xyz"]).max() <= 1 / 8192 + 1e-6
    assert np.abs(back["scale"] - state["scale"]).max() <= 1 / 32 + 1e-6
    if degree:
        assert np.abs(back["f_rest"] - state["f_rest"]).max() <= 0.067
    unit = state["rotation"] / np.linalg.norm(state["rotation"], axis=1, keepdims=True)
    assert (1 - np.abs((unit * back["rotation"]).sum(axis=1))).max() < 1e-5
    checkpoints.write(tmp_path / "b.spz", stored.state, to="spz", extra=stored.extra)
    same(checkpoints.read(tmp_path / "b.spz").state, stored.state)


@pytest.mark.parametrize("version", [2, 3])
def test_older_spz_comes_back_as_it_was(tmp_path, version):
    rng = np.random.default_rng(0)
    width = 9 + 1 + 3 + 3 + (3 if version == 2 else 4) + 9
    body = rng.integers(0, 256, 5 * width, dtype="u1").tobytes()
    data = b"NGSP" + struct.pack("<IIBBBB", version, 5, 1, 12, 1, 0) + body
    (tmp_path / "a.spz").write_bytes(gzip.compress(data))
    stored = checkpoints.read(tmp_path / "a.spz")
    checkpoints.write(tmp_path / "b.spz", stored.state, to="spz", extra=stored.extra)
    assert gzip.decompress((tmp_path / "b.spz").read_bytes()) == data
    checkpoints.write(tmp_path / "b.ply", stored.state, to="ply", extra=stored.extra)
    lengths = np.linalg.norm(checkpoints.read(tmp_path / "b.ply").state["rotation"], axis=1)
    assert np.isfinite(lengths).all()


def test_the_extensions_of_spz_stay(tmp_path):
    checkpoints.write(tmp_path / "a.spz", gaussians(3, 0), to="spz")
    data = bytearray((tmp_path / "a.spz").read_bytes())
    record = struct.pack("<II", 0xADBE0002, 12) + bytes(12)
    data[14] |= 2
    data[16:20] = struct.pack("<I", 32 + len(record))
    data[32:32] = record
    (tmp_path / "a.spz").write_bytes(data)
    stored = checkpoints.read(tmp_path / "a.spz")
    checkpoints.write(tmp_path / "b.spz", stored.state, to="spz", extra=stored.extra)
    assert (tmp_path / "b.spz").read_bytes()[:52] == data[:52]
    with pytest.raises(CheckpointError, match="extensions"):
        checkpoints.write(tmp_path / "b.ply", stored.state, to="ply", extra=stored.extra)


def test_coordinates_that_need_more_room(tmp_path):
    state = gaussians(4, 0)
    state["xyz"][0] = [5000, -3, 0.25]
    checkpoints.write(tmp_path / "a.spz", state, to="spz")
    assert np.allclose(spz_by_hand((tmp_path / "a.spz").read_bytes())[0]["xyz"], [5000, 3, -0.25])
    for wrong, words in ((1e9, "which .spz cannot hold"), (np.nan, "not finite")):
        state["xyz"][0, 0] = wrong
        with pytest.raises(CheckpointError, match=words):
            checkpoints.write(tmp_path / "b.spz", state, to="spz")
    assert not (tmp_path / "b.spz").exists()


def test_spz_says_what_is_lost(tmp_path, run):
    checkpoints.write(tmp_path / "a.ply", gaussians(5, 0), to="ply")
    run("pack", tmp_path / "a.ply", "-o", tmp_path / "p.nmc")
    outcome = run("unpack", tmp_path / "p.nmc", "-o", tmp_path / "o", "--to", "spz")
    assert "1/8192" in outcome.out + outcome.err
    run("pack", tmp_path / "o", "-o", tmp_path / "q.nmc")
    outcome = run("unpack", tmp_path / "q.nmc", "-o", tmp_path / "r", "--to", "spz")
    assert "1/8192" not in outcome.out + outcome.err


def head(version=4, count=4, degree=0, streams=5, table=32):
    return struct.pack("<4sIIBBBBI12x", b"NGSP", version, count, degree, 12, 0, streams, table)


BAD_SPZ = {
    "versions 2 to 4 are read": head(version=5),
    "of degree 9": head(degree=9),
    "promises 4294967295 Gaussians": head(count=2**32 - 1),
    "has 4 columns": head(streams=4),
    "at byte 31": head(table=31),
    "ends within its header": head()[:20],
    "bytes of extensions": head(table=36) + bytes(4 + 80),
    "column positions has 0 bytes": head() + bytes(80),
    "column positions has 36 bytes in 99": head() + struct.pack("<QQ", 99, 36) + bytes(64),
}


@pytest.mark.parametrize("words", BAD_SPZ)
def test_spz_that_is_wrong(tmp_path, words):
    (tmp_path / "a.spz").write_bytes(BAD_SPZ[words])
    with pytest.raises(CheckpointError, match=words):
        checkpoints.read(tmp_path / "a.spz")


def test_a_bomb_in_spz(tmp_path):
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    sizes = b"".join(
        struct.pack("<QQ", len(bomb) if i == 0 else 0, 4 * w) for i, w in enumerate((9, 1, 3, 3, 4))
    )
    (tmp_path / "a.spz").write_bytes(head() + sizes + bomb)
    with pytest.raises(CheckpointError, match="column positions has 37 bytes or more"):
        checkpoints.read(tmp_path / "a.spz")
