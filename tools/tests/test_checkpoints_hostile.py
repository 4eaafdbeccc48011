"""Damaged and hostile files: each is refused with one line, and none is executed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import time
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_format.dtypes import to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

torch = pytest.importorskip("torch")


def refused(path, match="."):
    with pytest.raises(CheckpointError, match=match) as caught:
        checkpoints.read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000 + len(str(path))
    return caught.value


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def torch_zip(path, data, members=(), root="archive/"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}data.pkl", data)
        for name, content in dict(members).items():
            archive.writestr(root + name, content)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("function", [os.system, subprocess.check_call, eval, exec])
def test_a_pickle_that_runs_commands(tmp_path, zipped, protocol, function):
    marker = tmp_path / "marker"
    run = (
        f"__import__('pathlib').Path({str(marker)!r}).touch()"
        if function in (eval, exec)
        else f"touch '{marker}'"
    )
    args = (["touch", str(marker)],) if function is subprocess.check_call else (run,)
    value = {"w": torch.ones(2), "x": Call(function, *args)}
    path = tmp_path / "a.pt"
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    error = refused(path, "would run .* nothing was run")
    assert not marker.exists()
    assert "do not load this file" in error.hint
    # The file is as hostile as it claims to be.
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_calls_of_unknown_functions_are_not_made(tmp_path):
    marker = tmp_path / "marker"
    value = {"w": torch.ones(2), "x": Call(io.FileIO, str(marker), "w")}
    torch.save(value, tmp_path / "a.pt")
    checkpoint = checkpoints.read(tmp_path / "a.pt")
    assert list(checkpoint.state) == ["w"]
    assert checkpoint.skipped == ("x: _io.FileIO, not a tensor",)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_plain_pickles(tmp_path, protocol):
    marker = tmp_path / "marker"
    for value in ({"w": [1.0]}, Call(os.system, f"touch '{marker}'"), np.ones(3)):
        path = tmp_path / "a.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        refused(path)
        assert not marker.exists()


STORAGE = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("
STORAGE += b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"


def tensor_pickle(count=4, offset=0, shape=(4,), strides=(1,)):
    """A state dict with one tensor that claims what it likes."""

    def number(n):
        return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)

    def numbers(values):
        return b"(" + b"".join(number(v) for v in values) + b"t"

    head = STORAGE + number(count) + b"tQ" + number(offset) + numbers(shape) + numbers(strides)
    return head + b"\x89ccollections\nOrderedDict\n)Rt" + b"Rs."


def test_the_crafted_tensor_is_read_when_it_is_honest(tmp_path):
    path = torch_zip(tmp_path / "a.pt", tensor_pickle(), {"data/0": np.arange(4, dtype="<f4")})
    assert checkpoints.read(path).state["w"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("claims", "match"),
    [
        ({"shape": (5,)}, "reaches byte 20 of storage '0', which has 16"),
        ({"offset": 1}, "reaches byte 20"),
        ({"strides": (2,)}, "reaches byte 28"),
        ({"count": 5}, "has 16 bytes, expected 20"),
        ({"count": 2**61}, "has 16 bytes"),
        ({"shape": (2**40,), "strides": (0,)}, "its tensors claim"),
        ({"shape": (2**61, 2**61), "strides": (0, 0)}, "its tensors claim"),
        ({"shape": (-1,)}, "-1 where a count was expected"),
        ({"strides": (-1,)}, "-1 where a count was expected"),
        ({"offset": -1}, "-1 where a count was expected"),
        ({"shape": (2, 2)}, "no storage, shape and strides"),
        ({"shape": (1,) * 40, "strides": (1,) * 40}, "at most 32 dimensions"),
        ({"shape": (0, 2**61), "strides": (2**61, 1)}, "is malformed"),
    ],
)
def test_tensors_that_claim_too_much(tmp_path, claims, match):
    data = tensor_pickle(**claims)
    refused(torch_zip(tmp_path / "a.pt", data, {"data/0": np.arange(4, dtype="<f4")}), match)


def test_a_stride_along_one_element_means_nothing(tmp_path):
    data = tensor_pickle(shape=(1, 4), strides=(2**60, 1))
    path = torch_zip(tmp_path / "a.pt", data, {"data/0": np.arange(4, dtype="<f4")})
    assert checkpoints.read(path).state["w"].shape == (1, 4)


def test_big_endian_storages(tmp_path):
    members = {"data/0": np.arange(4, dtype=">f4").tobytes(), "byteorder": b"big"}
    path = torch_zip(tmp_path / "a.pt", tensor_pickle(), members)
    assert checkpoints.read(path).state["w"].tolist() == [0, 1, 2, 3]
    refused(torch_zip(path, tensor_pickle(), members | {"byteorder": b"odd"}), "byte order")


DEEP = b"\x80\x02" + b")" + b"\x85" * 200_000
PICKLES = {
    "empty": b"",
    "no stop": b"\x80\x02}",
    "nothing to return": b"\x80\x02.",
    "stack underflow": b"\x80\x02s.",
    "missing mark": b"\x80\x02t.",
    "unknown opcode": b"\x80\x02\xff.",
    "unknown protocol": b"\x80\x63}.",
    "extension": b"\x80\x02\x82\x01.",
    "missing memo": b"\x80\x02h\x05.",
    "huge memo": b"\x80\x02Nr\xff\xff\xff\xff.",
    "huge text": b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"a.",
    "huge bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"a.",
    "huge integer": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
    "item of a number": b"\x80\x02K\x01K\x01K\x01s.",
    "append to a tuple": b"\x80\x02)K\x01a.",
    "list as key": b"\x80\x02}]K\x01s.",
    "deep tuple": DEEP + b".",
    "deep tuple as key": b"\x80\x02}" + DEEP[2:] + b"K\x01s.",
    "deep tuple in a set": b"\x80\x04\x8f(" + DEEP[2:] + b"\x90.",
    "global that is no text": b"\x80\x04K\x01K\x02\x93.",
    "call with no tuple": b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
    "call of a list": b"\x80\x02])R.",
    "build on nothing": b"\x80\x02}b.",
    "strange persistent id": b"\x80\x02K\x01Q.",
    "text persistent id": b"\x80\x02P0\n.",
    "storage of no type": b"\x80\x02(X\x07\x00\x00\x00storageK\x01K\x01K\x01K\x01tQ.",
    "tensor of nothing": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "ordered dict of a number": b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
    "instance": b"(S'touch x'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch x'\no.",
}


@pytest.mark.parametrize("data", PICKLES.values(), ids=PICKLES)
def test_malformed_pickles(tmp_path, data):
    start = time.monotonic()
    refused(torch_zip(tmp_path / "a.pt", data))
    (tmp_path / "b.pt").write_bytes(data)
    refused(tmp_path / "b.pt")
    assert time.monotonic() - start < 5


def test_too_many_operations(tmp_path, monkeypatch):
    monkeypatch.setattr("nmc_tools.checkpoints.pickles.MAX_OPERATIONS", 1000)
    path = torch_zip(tmp_path / "a.pt", b"\x80\x02" + b"}0" * 1000 + b"}.")
    refused(path, "more than 1000 operations")


def test_zip_bombs(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, \
         archive.open("w.npy", "w", force_zip64=True) as member:  # fmt: skip
        for _ in range(300):
            member.write(bytes(2**20))
    refused(path, "its members claim 314572800 B; of a file of")


def test_a_member_that_claims_less_than_it_holds(tmp_path):
    """Decompression stops at the claim, and the checksum then tells."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(2**20))
    data = buffer.getvalue().replace(struct.pack("<I", 2**20), struct.pack("<I", 100))
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", "damaged|malformed")


def test_overlapping_members(tmp_path):
    """Directory entries that share one run of compressed bytes, as in the bombs of D. Fifield."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w000.npy", bytes(10 * 2**20))
        for i in range(1, 100):
            info = zipfile.ZipInfo(f"w{i:03}.npy")
            archive.filelist.append(info)
            first = archive.filelist[0]
            for name in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(info, name, getattr(first, name))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    refused(tmp_path / "a.npz", "its members claim|damaged")


def test_names_that_stand_twice(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("w.npy", b"")
    refused(path, "names member 'w.npy' twice")


def npy(header, data=b""):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY\x09\x00",
        b"\x93NUMPY\x01\x00\xff\xff",
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", b"1234"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"1234"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", b"1234"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps([1])),
        npy("{'descr': 'V0', 'fortran_order': False, 'shape': (1,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}"),
        npy("(" * 110),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{",
    ],
)
def test_malformed_npy_members(tmp_path, data):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("w.npy", data)
    refused(tmp_path / "a.npz", "array 'w'")


def entry(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def safetensors_bytes(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


ONE = entry("F32", [1], 0, 4)
SAFETENSORS = {
    "short": b"1234567",
    "no header": struct.pack("<Q", 10),
    "header beyond the file": safetensors_bytes({}, size=1000),
    "huge header": safetensors_bytes({}, size=2**63),
    "header beyond the bound": safetensors_bytes(b"{}" + b" " * 200, size=10**8 + 1),
    "no json": safetensors_bytes(b"{nonsense}", b"1234"),
    "deep json": safetensors_bytes(b'{"a":' + b"[" * 100_000, b"1234"),
    "a list": safetensors_bytes(b"[1]", b"1234"),
    "a name twice": safetensors_bytes(b'{"a":' + 2 * (json.dumps(ONE).encode() + b',"a":') + b"1}"),
    "overlap": safetensors_bytes(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)
    ),
    "gap": safetensors_bytes({"a": ONE, "b": entry("F32", [1], 8, 12)}, bytes(12)),
    "out of range": safetensors_bytes({"a": entry("F32", [2], 0, 8)}, bytes(4)),
    "reversed": safetensors_bytes({"a": entry("F32", [1], 4, 0)}, bytes(4)),
    "negative": safetensors_bytes({"a": entry("F32", [1], -4, 0)}, bytes(4)),
    "wrong size": safetensors_bytes({"a": entry("F32", [2], 0, 4)}, bytes(4)),
    "overflow": safetensors_bytes({"a": entry("F32", [2**40, 2**40], 0, 4)}, bytes(4)),
    "unknown type": safetensors_bytes({"a": entry("F99", [1], 0, 4)}, bytes(4)),
    "half a byte": safetensors_bytes({"a": entry("F4", [1], 0, 1)}, bytes(1)),
    "trailing bytes": safetensors_bytes({"a": ONE}, bytes(5)),
    "missing field": safetensors_bytes({"a": {"dtype": "F32"}}, bytes(4)),
    "lone surrogate": safetensors_bytes(b'{"\\ud800":' + json.dumps(ONE).encode() + b"}", bytes(4)),
    "no tensors": safetensors_bytes({}),
}


@pytest.mark.parametrize("data", SAFETENSORS.values(), ids=SAFETENSORS)
def test_malformed_safetensors(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    refused(tmp_path / "a.safetensors")


HEAD = "ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nend_header\n"


@pytest.mark.parametrize(
    "text",
    [
        "ply\n",
        "ply\n" + "comment x\n" * 10_000 + HEAD[4:],
        HEAD.replace("vertex 2", "vertex 3"),
        HEAD.replace("vertex 2", "vertex 99999999999999999999999"),
        HEAD.replace("vertex 2", "vertex -2"),
        HEAD.replace("vertex 2", "vertex"),
        HEAD.replace("vertex 2", "vertex \u0662").encode().decode("latin-1"),
        HEAD.replace("element vertex", "element face 0\nproperty list uchar int i\nelement vertex"),
        HEAD.replace("element vertex 2\n", ""),
        HEAD.replace("property float x\n", ""),
        HEAD.replace("property float x\n", "property float x\nproperty int x\n"),
        HEAD.replace("property float x", "property list uchar float x"),
        HEAD.replace("property float x", "property half x"),
        HEAD.replace("binary_little_endian 1.0", "binary_little_endian 2.0"),
        HEAD.replace("binary_little_endian", "binary"),
        HEAD.replace("format binary_little_endian 1.0\n", ""),
        HEAD.replace("binary_little_endian", "ascii"),
        HEAD.replace("binary_little_endian", "ascii").replace("vertex 2", "vertex 9" + "0" * 15),
    ],
)
def test_malformed_ply(tmp_path, text):
    (tmp_path / "a.ply").write_bytes(text.encode("latin-1") + b"one\0two\0")
    refused(tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.pt", b"", "is empty"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.pt", b"\n<!DOCTYPE html>", "web page"),
        ("a.pt", b"garbage", r"begins with b'garbage' \(readable are"),
        ("a.tar", bytes(257) + b"ustar" + bytes(250), "before version 0.1.10"),
        ("a.npz", b"\x1f\x8b" + bytes(9), "compressed by gzip"),
        ("a.npy", b"\x93NUMPY", "numpy.savez"),
        ("a.onnx", b"\x08\x08", "ONNX"),
        ("a.gguf", b"GGUF", "GGUF"),
        ("a.tflite", b"\0\0\0\0TFL3", "Lite"),
        ("a.msgpack", b"\x81", "Flax"),
        ("m.safetensors.index.json", b"{}", "in several files"),
        ("a.zip", b"PK\x05\x06" + bytes(18), "neither a PyTorch"),
        ("a.pt", b"PK\x03\x04", "damaged or truncated zip"),
        ("a.ply", b"plywood", "does not begin with"),
        ("a.h5", b"garbage", "the HDF5 library fails"),
        ("a.npz", b"garbage", "damaged or truncated zip"),
    ],
)
def test_files_of_other_kinds(tmp_path, name, data, match):
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, match)


def test_files_that_cannot_be_read(tmp_path):
    refused(tmp_path / "missing.pt", "cannot be read: No such file")
    refused(tmp_path, "is a directory.*expand")


def test_old_files_without_what_they_promise(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"w": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    count = data.rindex((4).to_bytes(8, "little"))
    path.write_bytes(data[:count] + (2**40).to_bytes(8, "little") + data[count + 8 :])
    refused(path, "claims 4398046511104 bytes, 16 are left")
    path.write_bytes(data[:count] + (3).to_bytes(8, "little") + data[count + 8 :])
    refused(path, "shorter than its tensors")
    path.write_bytes(data[:count])
    refused(path, "ends after 0 of 8 bytes")
    path.write_bytes(data.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1))
    refused(path, "protocol 1000, expected 1001")


def samples():
    """One small file of each kind."""
    files = {}
    state = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.ones(2, dtype=torch.bfloat16)}
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"model": state, "epoch": 1}, buffer, _use_new_zipfile_serialization=zipped)
        files[f"torch-{zipped}.pt"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.ones(3), b=np.arange(4))
    files["a.npz"] = buffer.getvalue()
    files["a.safetensors"] = safetensors_bytes({"a": ONE, "b": entry("F4", [2], 4, 5)}, bytes(5))
    files["a.ply"] = HEAD.encode() + bytes(8)
    ascii_head = HEAD.replace("binary_little_endian", "ascii")
    files["b.ply"] = ascii_head.encode() + b"1.5\n2.5\n"
    return files


FILES = samples()


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_refused_or_read(tmp_path, name):
    data = FILES[name]
    for size in range(0, len(data), max(1, len(data) // 150)):
        (tmp_path / name).write_bytes(data[:size])
        if name == "b.ply" and size > len(data) - 5:
            continue  # a number that lost digits is still a number
        refused(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_damage_is_refused_or_read(tmp_path_factory, name, data):
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(
            st.sampled_from([0, 1, 0x7F, 0xFF, *b"(.0RtcQ}]"]) | st.integers(0, 255)
        )
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(content)
    try:
        checkpoint = checkpoints.read(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        assert sum(to_words(a).nbytes for a in checkpoint.state.values()) < 2**20


@given(ops=st.lists(st.sampled_from([
    b"}", b"]", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"R", b"b", b"\x81", b"s", b"u", b"a",
    b"e", b"l", b"d", b"0", b"1", b"2", b"N", b"K\x01", b"X\x01\0\0\0a", b"q\x01", b"h\x01", b"Q",
    b"\x8f", b"\x90", b"\x91", b"\x94", b"\x93", b"o", b"ccollections\nOrderedDict\n", b"ca\nb\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"X\x07\0\0\0storage",
]), max_size=40))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_operations_are_refused_or_read(tmp_path_factory, ops):
    path = tmp_path_factory.getbasetemp() / "operations.pt"
    torch_zip(path, b"\x80\x02" + b"".join(ops) + b".", {"data/0": b"1234"})
    with contextlib.suppress(CheckpointError):
        checkpoints.read(path)


def test_hdf5_files_that_crash_or_exhaust_the_library(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.ones(100)
    whole = path.read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "HDF5 library fails")
    path.write_bytes(whole)
    monkeypatch.setattr("sys.executable", "false")  # a child that dies
    refused(path, "HDF5 library fails")
    monkeypatch.setattr("nmc_tools.checkpoints.keras_files._SECONDS", 0.1)
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\nexec sleep 20\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    refused(path, "took the HDF5 library over")


def test_errors_cross_process_borders():
    error = CheckpointError("a\nb", "is odd", "do this")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == r"'a\nb': is odd (do this)"
    assert (again.path, again.reason, again.hint) == (error.path, "is odd", "do this")


def test_the_checksum_of_a_member_is_verified(tmp_path):
    path = torch_zip(tmp_path / "a.pt", tensor_pickle(), {"data/0": b"A" * 16})
    path.write_bytes(path.read_bytes().replace(b"A" * 16, b"B" * 16))
    refused(path, "'w': member 'archive/data/0' is damaged: Bad CRC")
    assert zlib.crc32(b"A" * 16) != zlib.crc32(b"B" * 16)
