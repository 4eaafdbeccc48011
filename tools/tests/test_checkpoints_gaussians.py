"""Gaussians as .ply, .spz, .glb and .splat: exact where the file is, within bounds where it is not.

The readers here are written by the published layouts, one Gaussian after the other, and know
nothing of the package.
"""

import base64
import gzip
import json
import math
import struct
import zlib

import ml_dtypes
import numpy as np
import pytest
import zstandard
from command_samples import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import nmc
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

KHR = "KHR_gaussian_splatting"


def gaussians(count=40, degree=3, seed=0):
    rng = np.random.default_rng(seed)
    rest = 3 * ((degree + 1) ** 2 - 1)
    state = {
        "xyz": rng.normal(size=(count, 3)) * 5,
        "normals": np.zeros((count, 3)),
        "f_dc": rng.normal(size=(count, 3)) * 0.8,
        "f_rest": rng.uniform(-0.9, 0.9, size=(count, rest)),
        "opacity": rng.normal(size=(count, 1)) * 3,
        "scale": rng.uniform(-9, 2, size=(count, 3)),
        "rotation": rng.normal(size=(count, 4)),
    }
    if not rest:
        del state["f_rest"]
    return {name: array.astype("f4") for name, array in state.items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape), name
        assert a[name].tobytes() == b[name].tobytes(), name


def spz_by_hand(data):
    """Gaussians of a .spz file of version 4 as load-spz.cc unpacks them, in RUB."""
    magic, version, count, degree, bits, _, streams = struct.unpack("<4sIIBBBB", data[:16])
    assert (magic, version) == (b"NGSP", 4)
    table = struct.unpack("<I", data[16:20])[0]
    columns, at = [], table + 16 * streams
    for i in range(streams):
        packed, size = struct.unpack_from("<QQ", data, table + 16 * i)
        columns.append(zstandard.ZstdDecompressor().decompress(data[at : at + packed]))
        assert len(columns[-1]) == size
        at += packed
    assert at == len(data)
    positions, alphas, colors, scales, rotations = columns[:5]
    number = (degree + 1) ** 2 - 1
    made = []
    for i in range(count):
        fixed = [
            int.from_bytes(positions[9 * i + 3 * k : 9 * i + 3 * k + 3], "little", signed=True)
            for k in range(3)
        ]
        comp = struct.unpack_from("<I", rotations, 4 * i)[0]
        largest, q, squares = comp >> 30, [0.0] * 4, 0.0
        for k in (3, 2, 1, 0):
            if k != largest:
                q[k] = math.sqrt(0.5) * (comp & 511) / 511 * (-1 if comp >> 9 & 1 else 1)
                squares += q[k] ** 2
                comp >>= 10
        q[largest] = math.sqrt(max(0.0, 1 - squares))
        sh = [(columns[5][3 * number * i + k] - 128) / 128 for k in range(3 * number)]
        made.append(
            {
                "xyz": [v / 2**bits for v in fixed],
                "alpha": alphas[i] / 255,
                "f_dc": [(colors[3 * i + k] / 255 - 0.5) / 0.15 for k in range(3)],
                "scale": [scales[3 * i + k] / 16 - 10 for k in range(3)],
                "xyzw": q,
                "sh": [sh[3 * k : 3 * k + 3] for k in range(number)],
            }
        )
    return made


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


def glb_by_hand(data):
    """Document and attributes of a .glb file by the glTF 2.0 specification."""
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack("<II", data[12:20])
    assert kind == 0x4E4F534A
    assert size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary = data[20 + size + 8 :]
    found = {}
    primitive = document["meshes"][0]["primitives"][0]
    for name, index in primitive["attributes"].items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        assert accessor["componentType"] == 5126
        assert view["byteOffset"] % 4 == 0
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        numbers = struct.unpack_from(f"<{width * accessor['count']}f", binary, view["byteOffset"])
        found[name] = np.array(numbers).reshape(-1, width)
    return document, primitive, found


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gltf_has_what_the_extension_asks_for(tmp_path, degree):
    state = gaussians(20, degree)
    checkpoints.write(tmp_path / "a.glb", state, to="gltf")
    document, primitive, found = glb_by_hand((tmp_path / "a.glb").read_bytes())
    assert document["extensionsUsed"] == [KHR]
    assert primitive["mode"] == 0
    assert primitive["extensions"][KHR]["kernel"] == "ellipse"
    assert document["nodes"][0]["rotation"] == [1, 0, 0, 0]
    assert np.array_equal(found["POSITION"], state["xyz"])
    accessor = document["accessors"][primitive["attributes"]["POSITION"]]
    assert accessor["min"] == state["xyz"].min(axis=0).tolist()
    assert np.allclose(found[f"{KHR}:SCALE"], np.exp(state["scale"]))
    assert np.allclose(found[f"{KHR}:OPACITY"], 1 / (1 + np.exp(-state["opacity"])))
    q = found[f"{KHR}:ROTATION"]
    assert np.allclose(np.linalg.norm(q, axis=1), 1)
    w = state["rotation"] / np.linalg.norm(state["rotation"], axis=1, keepdims=True)
    assert np.allclose(q, np.roll(w, -1, axis=1), atol=1e-6)
    assert np.array_equal(found[f"{KHR}:SH_DEGREE_0_COEF_0"], state["f_dc"])
    flat = 0
    number = (degree + 1) ** 2 - 1
    for d in range(1, degree + 1):
        for k in range(2 * d + 1):
            rest = state["f_rest"].reshape(-1, 3, number)
            assert np.array_equal(found[f"{KHR}:SH_DEGREE_{d}_COEF_{k}"], rest[:, :, flat])
            flat += 1


def test_gltf_is_exact_both_ways(tmp_path):
    state = gaussians(50)
    state["opacity"][:4, 0] = [40, -40, 0, 1e-8]
    state["scale"][0] = [-0.0, 1e-30, 80]
    state["rotation"][0] = 0
    checkpoints.write(tmp_path / "a.glb", state, to="gltf")
    stored = checkpoints.read(tmp_path / "a.glb")
    checkpoints.write(tmp_path / "a.ply", stored.state, to="ply", extra=stored.extra)
    same(checkpoints.read(tmp_path / "a.ply").state, state)
    checkpoints.write(tmp_path / "b.glb", stored.state, to="gltf", extra=stored.extra)
    assert (tmp_path / "b.glb").read_bytes() == (tmp_path / "a.glb").read_bytes()


def glb(document, binary):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def strangers(node=None):
    """A file of somebody else: interleaved positions, normalised integers, no own attributes."""
    rows = np.zeros(3, [("p", "<f4", 3), ("s", "<f4", 3)])
    rows["p"] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    rows["s"] = math.e
    binary = rows.tobytes()
    quaternions = np.array([[0, 0, 0, 127]] * 3, "i1").tobytes()
    shares = np.array([0, 255, 128], "u1").tobytes() + b"\0"
    colours = np.arange(9, dtype="<f4").tobytes()
    offsets = [0, len(binary), len(binary) + 12, len(binary) + 16]
    binary += quaternions + shares + colours
    document = {
        "asset": {"version": "2.0"},
        "meshes": [
            {
                "primitives": [
                    {
                        "mode": 0,
                        "attributes": {
                            "POSITION": 0,
                            f"{KHR}:SCALE": 1,
                            f"{KHR}:ROTATION": 2,
                            f"{KHR}:OPACITY": 3,
                            f"{KHR}:SH_DEGREE_0_COEF_0": 4,
                        },
                        "extensions": {KHR: {"kernel": "ellipse", "colorSpace": "lin_rec709"}},
                    }
                ]
            }
        ],
        "nodes": [{"mesh": 0, **(node or {})}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 72, "byteStride": 24},
            {"buffer": 0, "byteOffset": offsets[1], "byteLength": 12},
            {"buffer": 0, "byteOffset": offsets[2], "byteLength": 3},
            {"buffer": 0, "byteOffset": offsets[3], "byteLength": 36},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 0, "byteOffset": 12, "componentType": 5126, "count": 3, "type": "VEC3"},
            {
                "bufferView": 1,
                "componentType": 5120,
                "normalized": True,
                "count": 3,
                "type": "VEC4",
            },
            {
                "bufferView": 2,
                "componentType": 5121,
                "normalized": True,
                "count": 3,
                "type": "SCALAR",
            },
            {"bufferView": 3, "componentType": 5126, "count": 3, "type": "VEC3"},
        ],
    }
    return document, binary


@pytest.mark.parametrize("form", ["glb", "gltf"])
def test_gltf_of_others(tmp_path, form):
    document, binary = strangers()
    path = tmp_path / f"a.{form}"
    if form == "glb":
        path.write_bytes(glb(document, binary))
    else:
        uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
        document["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(document))
    stored = checkpoints.read(path)
    assert stored.state[f"{KHR}:ROTATION"].dtype == np.int8
    assert stored.state["POSITION"].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    checkpoints.write(tmp_path / "b.ply", stored.state, to="ply", extra=stored.extra)
    back = checkpoints.read(tmp_path / "b.ply").state
    assert back["xyz"].tolist() == [[1, -2, -3], [4, -5, -6], [7, -8, -9]]
    assert np.allclose(back["scale"], 1)
    assert back["rotation"].tolist() == [[1, 0, 0, 0]] * 3
    assert back["opacity"][0, 0] < -13
    assert back["opacity"][1, 0] > 13
    assert abs(back["opacity"][2, 0] - math.log(128 / 127)) < 1e-5
    checkpoints.write(tmp_path / "b.glb", stored.state, to="gltf", extra=stored.extra)
    again = checkpoints.read(tmp_path / "b.glb")
    same(again.state, stored.state)
    assert again.extra == stored.extra


def test_gltf_whose_node_moves_it(tmp_path):
    (tmp_path / "a.glb").write_bytes(glb(*strangers({"translation": [1, 2, 3]})))
    stored = checkpoints.read(tmp_path / "a.glb")
    with pytest.raises(CheckpointError, match="its node moves"):
        checkpoints.write(tmp_path / "b.ply", stored.state, to="ply", extra=stored.extra)
    checkpoints.write(tmp_path / "b.glb", stored.state, to="gltf", extra=stored.extra)
    assert checkpoints.read(tmp_path / "b.glb").extra == stored.extra


def test_an_edited_attribute_is_noticed(tmp_path):
    checkpoints.write(tmp_path / "a.glb", gaussians(5, 0), to="gltf")
    stored = checkpoints.read(tmp_path / "a.glb")
    state = dict(stored.state)
    state[f"{KHR}:SCALE"] = state[f"{KHR}:SCALE"] * np.float32(2)
    with pytest.raises(CheckpointError, match="it was edited"):
        checkpoints.write(tmp_path / "b.ply", state, to="ply", extra=stored.extra)


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


def test_spz_says_what_is_lost(tmp_path, run):
    checkpoints.write(tmp_path / "a.ply", gaussians(5, 0), to="ply")
    run("pack", tmp_path / "a.ply", "-o", tmp_path / "p.nmc")
    outcome = run("unpack", tmp_path / "p.nmc", "-o", tmp_path / "o", "--to", "spz")
    assert "1/8192" in outcome.out + outcome.err
    run("pack", tmp_path / "o", "-o", tmp_path / "q.nmc")
    outcome = run("unpack", tmp_path / "q.nmc", "-o", tmp_path / "r", "--to", "spz")
    assert "1/8192" not in outcome.out + outcome.err


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


def changed(**changes):
    document, binary = strangers()
    for path, value in changes.items():
        kind, index, key = path.split("__")
        document[kind][int(index)][key] = value
    return glb(document, binary)


BAD_GLTF = {
    "which end at byte": changed(accessors__4__count=4),
    "no known type or count": changed(accessors__4__count=-1),
    "no known type": changed(accessors__4__type="MAT4"),
    "refers to bufferViews": changed(accessors__4__bufferView=9),
    "refers to accessors": changed(meshes__0__primitives=[
        {"attributes": {"POSITION": 77}, "extensions": {KHR: {}}}
    ]),
    "no known place": changed(bufferViews__3__byteOffset=-4),
    "in a buffer of": changed(bufferViews__3__byteOffset=10**9),
    "expected one": changed(meshes__0__primitives=[]),
    "data in another file": changed(buffers__0__uri="../secret.bin"),
    "as many rows": changed(accessors__4__count=2),
    "are coded by KHR_spz": changed(meshes__0__primitives=[
        {"attributes": {"POSITION": 0}, "extensions": {KHR: {"extensions": {"KHR_spz": {}}}}}
    ]),
    "is glTF version 1": b"glTF" + struct.pack("<II", 1, 40) + bytes(28),
    "truncated": changed()[:-40],
    "JSON is malformed": glb({}, b"")[:20] + b"{{" + glb({}, b"")[22:],
}  # fmt: skip


@pytest.mark.parametrize("words", BAD_GLTF)
def test_gltf_that_is_wrong(tmp_path, words):
    (tmp_path / "a.glb").write_bytes(BAD_GLTF[words])
    with pytest.raises(CheckpointError, match=words):
        checkpoints.read(tmp_path / "a.glb")


def test_one_line_on_the_command_line(tmp_path, run):
    (tmp_path / "a.glb").write_bytes(BAD_GLTF["truncated"])
    assert "truncated" in refused(
        run("pack", tmp_path / "a.glb", "-o", tmp_path / "p.nmc"), "input/unreadable"
    )
    save_file({"w": np.zeros(3, "f4")}, tmp_path / "a.safetensors")
    with nmc.Writer(tmp_path / "p.nmc") as writer:
        writer.append({"w": np.zeros(3, "f4")})
    outcome = run("unpack", tmp_path / "p.nmc", "-o", tmp_path / "o", "--to", "spz")
    assert "Gaussians have xyz" in refused(outcome, "input/unreadable")
    assert zlib.crc32(b"") == 0
