"""Damaged and hostile files: each is refused with one line."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
from checkpoint_samples import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_format.dtypes import to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

torch = pytest.importorskip("torch")


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
        ("a.onnx", b"\x08\x08", "holds no tensors"),
        ("a.gguf", b"GGUF", "GGUF"),
        ("__0_0.distcp", b"PK", "torch.distributed"),
        ("a.tflite", b"\0\0\0\0TFL3", "Lite"),
        ("a.msgpack", b"\x81\xa1a\xc0", "save a Flax file|no snapshot of instant-ngp"),
        ("m.safetensors.index.json", b"{}", "in several files"),
        ("a.zip", b"PK\x05\x06" + bytes(18), "holds no PyTorch data.pkl"),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_refused_or_read(tmp_path, name):
    data = FILES[name]
    for size in range(0, len(data), max(1, len(data) // 150)):
        (tmp_path / name).write_bytes(data[:size])
        if name == "b.ply" and size > len(data) - 5:
            continue  # a number that lost digits is still a number
        refused(tmp_path / name)


@pytest.mark.slow
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


def test_hdf5_files_that_crash_or_exhaust_the_library(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["w"] = np.ones(100)
    whole = path.read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "HDF5 library fails")
    path.write_bytes(whole)
    script = tmp_path / "child"
    script.write_text("#!/bin/sh\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    refused(path, "HDF5 library fails")
    monkeypatch.setattr("nmc_tools.checkpoints.keras_files._SECONDS", 0.1)
    script.write_text("#!/bin/sh\nexec sleep 20\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    refused(path, "took the HDF5 library over")


def test_errors_cross_process_borders():
    error = CheckpointError("a\nb", "is odd", "do this")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == r"'a\nb': is odd (do this)"
    assert (again.path, again.reason, again.hint) == (error.path, "is odd", "do this")
