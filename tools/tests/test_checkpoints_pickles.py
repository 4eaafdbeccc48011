"""Hostile pickles and tensors: refused with one line, or read, and never executed."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import time
import zipfile
import zlib

import numpy as np
import pytest
from checkpoint_samples import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

torch = pytest.importorskip("torch")


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
        ({"shape": (2, 2)}, "not a storage, shape and strides"),
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
    "global that is not text": b"\x80\x04K\x01K\x02\x93.",
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


#: As ``deep tuple``, in other places.
DEEP_ELSEWHERE = {"deep tuple as key", "deep tuple in a set"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            data, marks=[pytest.mark.slow(minutes=0.04)] if name in DEEP_ELSEWHERE else [], id=name
        )
        for name, data in PICKLES.items()
    ],
)
def test_malformed_pickles(tmp_path, data):
    start = time.process_time()  # the work; on a busy machine the clock says nothing
    refused(torch_zip(tmp_path / "a.pt", data))
    (tmp_path / "b.pt").write_bytes(data)
    refused(tmp_path / "b.pt")
    assert time.process_time() - start < 5


def test_too_many_operations(tmp_path, monkeypatch):
    monkeypatch.setattr("nmc_tools.checkpoints.pickles.MAX_OPERATIONS", 1000)
    path = torch_zip(tmp_path / "a.pt", b"\x80\x02" + b"}0" * 1000 + b"}.")
    refused(path, "more than 1000 operations")


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


def test_the_checksum_of_a_member_is_verified(tmp_path):
    path = torch_zip(tmp_path / "a.pt", tensor_pickle(), {"data/0": b"A" * 16})
    path.write_bytes(path.read_bytes().replace(b"A" * 16, b"B" * 16))
    refused(path, "'w': member 'archive/data/0' is damaged: Bad CRC")
    assert zlib.crc32(b"A" * 16) != zlib.crc32(b"B" * 16)
