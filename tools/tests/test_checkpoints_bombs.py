"""Tiny files that ask for much work or memory: each is survived in a process with limits."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from checkpoint_samples import field, varint

MEMORY = 1_200 * 2**20
SECONDS = 60
READ = """
import resource, sys
from nmc_tools import checkpoints
import nmc_tools.checkpoints.baselines_files, nmc_tools.checkpoints.keras_files
import nmc_tools.checkpoints.msgpack_files, nmc_tools.checkpoints.onnx_files
import nmc_tools.checkpoints.tensorflow_files
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]),) * 2)
for path in sys.argv[4:]:
    for keep in ("weights", "all"):
        try:
            print("read", len(checkpoints.read(path, keep=keep).state))
        except checkpoints.CheckpointError as error:
            assert "MemoryError" not in str(error), error
            print("refused", error.reason)
"""


def survive(*paths, memory=MEMORY):
    """Return what became of each file, both ways of reading it."""
    done = subprocess.run(
        [sys.executable, "-c", READ, "-", str(memory), str(SECONDS), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout.splitlines()


def torch_zip(path, data, members=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in dict(members).items():
            archive.writestr(f"archive/{name}", content)
    return path


def number(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(data)) + data


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


HEAD = b"\x80\x04"
MANY = 100_000
PUT, GET = b"q\x01", b"h\x01"
INTEGERS = b"(" + b"".join(b"M" + struct.pack("<H", i) for i in range(300)) + b"l" + PUT + b"0"
WIDE = b"(" + b"K\x01" * 60_000 + b"l" + PUT + b"0"
SET = b"cbuiltins\nset\n"
ORDERED = b"ccollections\nOrderedDict\n"
ENCODE = b"c_codecs\nencode\n"


def repeated(first, again, count=MANY):
    """A value that is remembered, and something done with it many times."""
    return HEAD + first + b"(" + again * count + b"l."


PAIRS = b"(" + b"".join(b"M" + struct.pack("<H", i) + b"K\x01\x86" for i in range(300)) + b"l"
TUPLE_BOMB = b")" + PUT + b"0" + (GET + GET + b"\x86" + PUT + b"0") * 60
COLLIDING = 2**61 - 1

PICKLES = {
    "sets copied": repeated(INTEGERS, SET + GET + b"\x85R"),
    "frozensets copied": repeated(INTEGERS, b"cbuiltins\nfrozenset\n" + GET + b"\x85R"),
    "ordered dicts copied": repeated(PAIRS + PUT + b"0", ORDERED + GET + b"\x85R"),
    "strings encoded": repeated(text(b"a" * 500_000) + PUT + b"0", ENCODE + GET + b"\x85R"),
    "built through another name": repeated(
        WIDE, b"ctorch._tensor\n_rebuild_from_type_v2\n" + SET + b"N" + GET + b"\x85N\x87R"
    ),
    "big number as key": repeated(
        number(2**4_000_000) + PUT + b"0", b"}" + GET + b"Ns", 100_000
    ),
    "long text as key": repeated(text(b"k" * 500_000) + PUT + b"0", b"}" + GET + b"Ns"),
    "tuple as key": repeated(
        b"(" + (text(b"t" * 60_000) * 60) + b"t" + PUT + b"0", b"}" + GET + b"Ns"
    ),
    "tuples of tuples as key": HEAD + TUPLE_BOMB + b"}" + GET + b"Ns.",
    "tuples of tuples in a set": HEAD + TUPLE_BOMB + b"\x8f(" + GET + b"\x90.",
    "tuples of tuples": HEAD + TUPLE_BOMB + GET + b".",
    "colliding numbers": HEAD + b"}("
    + b"".join(number(COLLIDING * i) + b"N" for i in range(20_000)) + b"u.",
    "sets": HEAD + b"\x8f" * 2_000_000 + b".",
    "dicts": HEAD + b"}" * 2_000_000 + b".",
    "marks": HEAD + b"(" * 2_000_000 + b".",
    "objects": HEAD + b"ca\nb\n" + PUT + b"0" + (GET + b")R") * 500_000 + b".",
    "long names": repeated(text(b"m" * 500_000) + PUT + b"0", GET + GET + b"\x93"),
    "many bytes": HEAD + (b"B" + struct.pack("<I", 2**31) + b"a") + b".",
    "shared containers": HEAD + b"}" + PUT + b"0"
    + (b"}(" + text(b"a") + GET + text(b"b") + GET + b"u" + PUT + b"0") * 60 + GET + b".",
    "list of itself": HEAD + b"]" + PUT + GET * 100_000 + b"e.",
    "deep": HEAD + b"]" * 500_000 + b"a" * 499_999 + b".",
}  # fmt: skip
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"


def tensor(key=b"0", sides=(4,), strides=(1,)):
    def numbers(values):
        return b"(" + b"".join(number(v) for v in values) + b"t"

    storage = TENSOR + text(key) + text(b"cpu") + b"K\x04tQK\x00"
    return storage + numbers(sides) + numbers(strides) + b"\x89}tR"


def named(tensors):
    items = (text(b"w%d" % i) + t for i, t in enumerate(tensors))
    return HEAD + b"}(" + b"".join(items) + b"u."


def deep_names():
    """A tensor at the end of each of 2**30 paths, each name of which is long."""
    node = b"}" + text(b"w") + tensor() + b"s" + PUT + b"0"
    level = b"}(" + text(b"a" * 60_000) + GET + text(b"b" * 60_000) + GET + b"u" + PUT + b"0"
    return HEAD + node + level * 30 + GET + b"."


TENSORS = {
    "one storage many times": named(tensor() for _ in range(60_000)),
    "a view of no stride": named([tensor(sides=(2**40,), strides=(0,))]),
    "many views of no stride": named(tensor(sides=(2**20,), strides=(0,)) for _ in range(500)),
    "tensors at every path": deep_names(),
    "one tensor at many names": HEAD + tensor() + PUT + b"0}("
    + b"".join(text(b"n%d" % i) + GET for i in range(200_000)) + b"u.",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PICKLES)
def test_pickles(tmp_path, name):
    zipped = torch_zip(tmp_path / "a.pt", PICKLES[name])
    magic = HEAD + number(0x1950A86A20F9469CFC6C) + b"."
    (tmp_path / "b.pt").write_bytes(magic + HEAD + b"M\xe9\x03." + HEAD + b"}." + PICKLES[name])
    outcomes = survive(zipped, tmp_path / "b.pt")
    assert all(line.startswith("refused") for line in outcomes), outcomes


@pytest.mark.slow
@pytest.mark.parametrize("name", TENSORS)
def test_tensors(tmp_path, name):
    storage = {"data/0": np.arange(4, dtype="<f4").tobytes()}
    survive(torch_zip(tmp_path / "a.pt", TENSORS[name], storage))


def scripted(path, code, module="m", pickle=HEAD + b"}."):
    members = {"constants.pkl": HEAD + b")."} | {f"code/__torch__/{module}.py": code}
    return torch_zip(path, pickle, members)


@pytest.mark.slow(minutes=0.03)
def test_code_of_torchscript(tmp_path):
    """The quadratic pattern, names times classes, and objects times declarations."""
    begin = b"class A(Module):\n  __parameters__ = ["
    classes = b"".join(b"class C%d(Module):\n" % i for i in range(100_000))
    listed = b", ".join(b'"p%d"' % i for i in range(50_000))
    objects = b"c__torch__.m\nA\n" + PUT + b"0]("
    objects += (GET + b")\x81}b") * 50_000 + b"e."
    chain = b"c__torch__.m\nA\n" + PUT + b"0" + b"".join(GET + b")\x81" for _ in range(2))
    paths = [
        scripted(tmp_path / "a.pt", begin * 100_000),
        scripted(tmp_path / "b.pt", begin + b'"' * 3_000_000),
        scripted(tmp_path / "c.pt", b"class " + b"w" * 3_000_000),
        scripted(tmp_path / "d.pt", classes, module="m" * 60_000),
        scripted(tmp_path / "e.pt", begin + listed + b"]\n", pickle=HEAD + objects),
        scripted(tmp_path / "f.pt", begin, pickle=HEAD + chain + b"."),
    ]
    survive(*paths)


@pytest.mark.slow
def test_archives(tmp_path):
    """Much in little: by deflate, and by entries that share the same bytes."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(8):
            archive.writestr(f"w{i}.npy", bytes(40 * 2**20))
    torch_zip(tmp_path / "b.pt", HEAD + b"}." + bytes(40 * 2**20))
    torch_zip(tmp_path / "c.pt", HEAD + b"}" * (40 * 2**20))
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 9_000) + b"(" * 8_999 + b"\n"
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(2_000):
            archive.writestr(f"w{i}.npy", header)
    survive(*sorted(tmp_path.iterdir()))


def test_headers(tmp_path):
    """Many entries, deep ones, long numbers; rows that are only promised."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"w{i}": entry for i in range(100_000)}).encode()
    for name, data in (
        ("many", header),
        ("deep", b"[" * 1_000_000),
        ("long", b'{"w":{"dtype":"F32","shape":[' + b"9" * 1_000_000 + b"]}}"),
        ("same", b'{"w":{"dtype":"F32","shape":[' + b"1," * 400_000 + b'1],"data_offsets":[0,4]}}'),
    ):
        content = struct.pack("<Q", len(data)) + data + bytes(4)
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    vertices = b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\n%send_header\n"
    for name, data in (
        ("a", vertices % (b"ascii", 10**18, b"")),
        ("b", vertices % (b"binary_little_endian", 10**18, b"")),
        ("c", vertices % (b"ascii", 1, b"property float y\n" * 3_000)),
        ("d", vertices % (b"ascii", 1, b"element e 1\n" * 3_000)),
        ("e", vertices % (b"ascii", 1, b"") + b" " * 1_000_000),
    ):
        (tmp_path / f"{name}.ply").write_bytes(data)
    survive(*sorted(tmp_path.iterdir()))


@pytest.mark.slow(minutes=0.02)
def test_msgpack(tmp_path):
    """Lengths that are only claimed, at every depth; and much in little by gzip."""

    def gz(data):
        stream = zlib.compressobj(wbits=31)
        return stream.compress(data) + stream.flush()

    lists = b"\xdd\x00\x0f\x42\x40" * 40 + bytes(1_000_000)
    for name, data in (
        ("a.msgpack", b"\xdd\xff\xff\xff\xff"),
        ("b.msgpack", b"\xdf\xff\xff\xff\xff"),
        ("c.msgpack", lists),
        ("d.msgpack", b"\x91" * 1_000_000),
        ("e.msgpack", b"\xc6\xff\xff\xff\xff"),
        ("f.ingp", gz(b"\x90" * (40 * 2**20))),
        ("g.ingp", gz(b"\xdd\x02\x00\x00\x00" + b"\x80" * 2**25)),
    ):
        (tmp_path / name).write_bytes(data)
    outcomes = survive(*sorted(tmp_path.iterdir()))
    assert all(line.startswith("refused") for line in outcomes), outcomes


@pytest.mark.slow
def test_hdf5(tmp_path):
    """Chunks of nothing, an attribute that names one text many times, links to one weight."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(20):
            file.create_dataset(
                f"w{i}", (50_000_000,), "f4", chunks=(2**20,), compression="gzip", fillvalue=1
            )
    with h5py.File(tmp_path / "b.h5", "w", libver="latest") as file:
        file["w"] = np.ones(3)
        for i in range(5_000):
            file[f"x{i}"] = file["w"]
    with h5py.File(tmp_path / "c.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = ["l"] * 3_000
        file.create_group("l").attrs["weight_names"] = [f"w{i}" for i in range(3_000)]
        for i in range(3_000):
            file["l"][f"w{i}"] = np.empty(0)
    outcomes = survive(*sorted(tmp_path.iterdir()))
    assert all(line.startswith("refused") for line in outcomes), outcomes


@pytest.mark.slow(minutes=0.1)
def test_protobuf(tmp_path):
    """Graphs in graphs, and tensors that claim what they have not."""
    graph = b""
    for _ in range(2_000):
        graph = field(1, field(5, field(6, graph)))
    empty = field(5, field(8, b"w") + b"\x08" + varint(2**62) + b"\x10\x01")
    paths = []
    for name, data in (("a", field(7, graph)), ("b", field(7, empty)), ("c", b"\x3a\x00" * 10**6)):
        paths.append(tmp_path / f"{name}.onnx")
        paths[-1].write_bytes(data)
    survive(*paths)


@pytest.mark.slow(minutes=0.1)
def test_tables(tmp_path):
    """Keys that each share nearly all of a long one before, and blocks that point to each other."""
    from nmc_tools.checkpoints import tensorflow_table

    def masked_crc(data):
        found = tensorflow_table._crc()(np.frombuffer(data, np.uint8))
        return (((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    shared = b"".join(varint(4_000) + varint(1) + varint(0) + b"x" for _ in range(500_000))
    block = varint(0) + varint(4_000) + varint(0) + b"k" * 4_000 + shared + struct.pack("<II", 0, 1)
    block += b"\x00" + masked_crc(block + b"\x00")
    handle = varint(0) + varint(len(block) - 5)
    index = b"".join(
        varint(0) + varint(1) + varint(len(handle)) + b"a" + handle for _ in range(50_000)
    )
    index += struct.pack("<II", 0, 1)
    index += b"\x00" + masked_crc(index + b"\x00")
    where = handle + varint(len(block)) + varint(len(index) - 5)
    footer = where.ljust(40, b"\x00") + bytes.fromhex("57fb808b247547db")
    (tmp_path / "a.index").write_bytes(block + index + footer)
    outcomes = survive(tmp_path / "a.index")
    assert all(line.startswith("refused") for line in outcomes), outcomes


def test_agents(tmp_path):
    """A zip in a zip, in a zip."""
    inner = io.BytesIO()
    torch_zip(inner, HEAD + b"}." + bytes(20 * 2**20))
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("policy.pth", inner.getvalue())
            archive.writestr("data", b"[" * 1_000_000 if name == "a.zip" else b'{"a":' * 100_000)
        inner = io.BytesIO((tmp_path / name).read_bytes())
    survive(tmp_path / "a.zip", tmp_path / "b.zip")


@pytest.mark.slow
def test_honest_files_are_far_from_the_bounds(tmp_path):
    """A file of very many small tensors, the costliest for its bytes, is read."""
    count = 20_000
    data = named(tensor(key=b"%d" % i) for i in range(count))
    members = {f"data/{i}": bytes(16) for i in range(count)}
    path = torch_zip(tmp_path / "a.pt", data, members)
    assert survive(path) == [f"read {count}"] * 2


def test_work_grows_no_faster_than_the_file(tmp_path):
    """The budget that a real kind of file uses, for each of its bytes."""
    from nmc_tools.checkpoints import budget, pickles, torch_tensors

    for count in (10, 100, 1_000):
        data = named(tensor(key=b"%d" % i) for i in range(count))
        left = budget.Budget(len(data))
        before = left.left
        builders = torch_tensors.builders(left)
        pickles.load(io.BytesIO(data), builders, torch_tensors.storage_of, left)
        assert before - left.left < budget.WORK_PER_BYTE * len(data)
