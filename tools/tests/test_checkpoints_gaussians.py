"""Gaussians from one kind of file to another: exact where the file is, else within bounds."""

import ml_dtypes
import numpy as np
import pytest
from gaussian_samples import gaussians, same, spz_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError


def test_splat_to_the_others(tmp_path):
    row = np.zeros(2, [("p", "<f4", 3), ("s", "<f4", 3), ("c", "u1", 4), ("r", "u1", 4)])
    row["p"], row["s"], row["c"], row["r"] = [1, 2, 3], [0.5, 1, 2], 255, [255, 128, 128, 128]
    (tmp_path / "a.splat").write_bytes(row.tobytes())
    state = checkpoints.read(tmp_path / "a.splat").state
    for to in ("ply", "spz", "gltf"):
        checkpoints.write(tmp_path / f"b.{to}", state, to=to)
    back = checkpoints.read(tmp_path / "b.ply").state
    assert back["xyz"].tolist() == [[1, 2, 3]] * 2
    assert np.allclose(back["scale"], np.log([0.5, 1, 2]))
    assert np.allclose(0.5 + 0.28209479177387814 * back["f_dc"], 1)
    assert np.allclose(back["rotation"], [127 / 128, 0, 0, 0])
    near = spz_by_hand((tmp_path / "b.spz").read_bytes())[0]
    assert near["xyz"] == [1, -2, -3]


@pytest.mark.parametrize("names", ["gsplat", "nerfstudio"])
def test_trainers_to_ply(tmp_path, names):
    state = gaussians(6)
    rest = state["f_rest"].reshape(6, 3, 15).transpose(0, 2, 1)
    parts = {
        "means": state["xyz"],
        "scales": state["scale"],
        "quats": state["rotation"],
        "opacities": state["opacity"] if names == "nerfstudio" else state["opacity"][:, 0],
    }
    if names == "gsplat":
        parts |= {"sh0": state["f_dc"][:, None], "shN": np.ascontiguousarray(rest)}
    else:
        parts |= {"features_dc": state["f_dc"], "features_rest": np.ascontiguousarray(rest)}
    named = {f"_model.gauss_params.{name}": array for name, array in parts.items()}
    checkpoints.write(tmp_path / "a.ply", named, to="ply")
    del state["normals"]
    same(checkpoints.read(tmp_path / "a.ply").state, state)


@pytest.mark.parametrize("degree", [0, 3])
def test_no_gaussians_at_all(tmp_path, degree):
    none = {name: array[:0] for name, array in gaussians(1, degree).items()}
    for to in ("ply", "spz"):
        checkpoints.write(tmp_path / f"a.{to}", none, to=to)
        stored = checkpoints.read(tmp_path / f"a.{to}")
        checkpoints.write(tmp_path / "b.ply", stored.state, to="ply", extra=stored.extra)
        assert len(checkpoints.read(tmp_path / "b.ply").state["xyz"]) == 0
    with pytest.raises(CheckpointError, match="no Gaussians; glTF"):
        checkpoints.write(tmp_path / "a.glb", none, to="gltf")


def test_other_types_of_numbers(tmp_path):
    state = {n: a.astype(ml_dtypes.bfloat16) for n, a in gaussians(5).items()}
    checkpoints.write(tmp_path / "a.glb", state, to="gltf")
    stored = checkpoints.read(tmp_path / "a.glb")
    assert np.array_equal(stored.state["POSITION"], state["xyz"].astype("f4"))
    wide = {n: a.astype("f8") for n, a in gaussians(5).items()}
    checkpoints.write(tmp_path / "a.glb", wide, to="gltf")
    wide["xyz"][0, 0] = 0.1
    with pytest.raises(CheckpointError, match="float32 cannot hold"):
        checkpoints.write(tmp_path / "a.glb", wide, to="gltf")


@pytest.mark.parametrize("to", ["ply", "spz", "gltf"])
def test_what_are_no_gaussians(tmp_path, to):
    with pytest.raises(CheckpointError):
        checkpoints.write(tmp_path / "a", {"weight": np.zeros((3, 4), "f4")}, to=to)


def test_a_sequence_goes_out_and_comes_back(tmp_path, run):
    states = [gaussians(30 + t, 1, seed=t) for t in range(3)]
    (tmp_path / "in").mkdir()
    for t, state in enumerate(states):
        checkpoints.write(tmp_path / "in" / f"f{t}.ply", state, to="ply")
    assert run("pack", tmp_path / "in", "-o", tmp_path / "p.nmc").code == 0
    for to, suffix in (("ply", "ply"), ("gltf", "glb"), ("spz", "spz")):
        outcome = run("unpack", tmp_path / "p.nmc", "-o", tmp_path / to, "--to", to)
        assert outcome.code == 0, outcome
        assert len(list((tmp_path / to).glob(f"*.{suffix}"))) == 3
        assert run("pack", tmp_path / to, "-o", tmp_path / f"{to}.nmc").code == 0
        outcome = run("unpack", tmp_path / f"{to}.nmc", "-o", tmp_path / f"{to}-ply", "--to", "ply")
        assert outcome.code == 0, outcome
        for t, path in enumerate(sorted((tmp_path / f"{to}-ply").iterdir())):
            back = checkpoints.read(path).state
            if to == "spz":
                assert np.abs(back["xyz"] - states[t]["xyz"]).max() <= 1 / 8192 + 1e-6
            else:
                same(back, states[t])
    same_files = [tmp_path / "in", tmp_path / "ply"]
    a, b = ([path.read_bytes() for path in sorted(f.iterdir())] for f in same_files)
    assert a == b


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("g")
    for to, name in (("spz", "a.spz"), ("gltf", "a.glb"), ("ply", "a.ply")):
        checkpoints.write(folder / name, gaussians(4, 1), to=to)
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_or_read(files, tmp_path_factory, data):
    suffix = data.draw(st.sampled_from(sorted(files)))
    whole = files[suffix]
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(max_size=12))
    damaged = whole[:at] + new + whole[at + data.draw(st.integers(0, 12)) :]
    if data.draw(st.booleans()):
        damaged = whole[:at]
    path = tmp_path_factory.mktemp("d") / f"a{suffix}"
    path.write_bytes(damaged)
    try:
        checkpoint = checkpoints.read(path)
        checkpoints.write(path.with_name("b"), checkpoint.state, to="ply", extra=checkpoint.extra)
    except CheckpointError as error:
        assert "malformed: " not in str(error) or "JSON" in str(error) or "header" in str(error)
