"""Gaussians as glTF: exact both ways, files of others too, and refused where it is wrong.

The reader here is written by the specification of glTF 2.0, and knows nothing of the package.
"""

import base64
import json
import math
import struct

import gltf_schema
import jsonschema
import numpy as np
import pytest
from command_samples import refused
from gaussian_samples import KHR, gaussians, same
from importer_samples import glb, strangers
from safetensors.numpy import save_file

import nmc
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError


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
    jsonschema.Draft202012Validator(gltf_schema.SCHEMA).validate(document)
    views, accessors = document["bufferViews"], document["accessors"]
    for accessor in accessors:  # what a schema cannot say
        view = views[accessor["bufferView"]]
        width = 4 * {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert accessor.get("byteOffset", 0) + accessor["count"] * width <= view["byteLength"]
        assert accessor["count"] == 20
        assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
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


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["asset"].pop("version"),
        lambda d: d["accessors"][0].update(componenttype=5126),
        lambda d: d["accessors"][0].update(count=0),
        lambda d: d["meshes"][0]["primitives"][0]["extensions"][KHR].pop("kernel"),
        lambda d: d["meshes"][0]["primitives"][0]["attributes"].update({f"{KHR}:SCALES": 0}),
        lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop(f"{KHR}:OPACITY"),
    ],
    ids=range(6),
)
def test_the_schema_refuses(tmp_path, change):
    checkpoints.write(tmp_path / "a.glb", gaussians(5, 1), to="gltf")
    document, _, _ = glb_by_hand((tmp_path / "a.glb").read_bytes())
    change(document)
    assert not jsonschema.Draft202012Validator(gltf_schema.SCHEMA).is_valid(document)


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


def test_attributes_that_name_one_accessor_again_and_again(tmp_path):
    """Each would be a copy: 20,000 times a megabyte."""
    document, binary = strangers()
    size = 2_000_000
    view = {"buffer": 0, "byteOffset": 0, "byteLength": size, "byteStride": 2}
    document["bufferViews"].append(view)
    document["buffers"][0]["byteLength"] = size
    count = {"componentType": 5121, "count": size // 2, "type": "SCALAR"}
    document["accessors"].append({"bufferView": 4} | count)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    attributes |= {f"_{k}": 5 for k in range(20_000)}
    (tmp_path / "a.glb").write_bytes(glb(document, binary.ljust(size, b"\0")))
    with pytest.raises(CheckpointError, match="copied, compared or hashed"):
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
