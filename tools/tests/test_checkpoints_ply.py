"""PLY files: read into tensors, and written to the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checkpoint_samples import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc_framework.ply_header import with_count
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError

INRIA = [
    *("x", "y", "z", "nx", "ny", "nz"),
    *(f"f_dc_{i}" for i in range(3)),
    *(f"f_rest_{i}" for i in range(45)),
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
]


def ply(names, rows, *, kinds=None, encoding="binary_little_endian", comments=(), end="\n"):
    kinds = kinds or ["float"] * len(names)
    lines = ["ply", f"format {encoding} 1.0", *comments, f"element vertex {len(rows)}"]
    lines += [f"property {kind} {name}" for kind, name in zip(kinds, names, strict=True)]
    return (end.join([*lines, "end_header"]) + end).encode("latin-1") + rows.tobytes()


def floats(count, width):
    return np.random.default_rng(1).standard_normal((count, width)).astype("<f4")


def test_blank_lines_of_a_header_cost_no_more_than_they_are(tmp_path):
    """A pattern went over them anew from each: hours for a header of 60 kB."""
    blank = "\n" * 60_000
    head = f"ply\nformat ascii 1.0\n{blank}element vertices 1\nelement vertex 2\nend_header\n"
    assert with_count(head, 7).endswith("element vertices 1\nelement vertex 7\nend_header\n")
    head = head.replace("element vertices 1\n", "")
    path = tmp_path / "a.ply"
    path.write_bytes(head.replace("end_header", "property int x\nend_header").encode() + b"1\n2\n")
    checkpoint = checkpoints.read(path)
    checkpoints.write(tmp_path / "b.ply", checkpoint.state, to="ply", extra=checkpoint.extra)
    assert (tmp_path / "b.ply").read_bytes() == path.read_bytes()


def test_gaussians(tmp_path):
    rows = floats(7, len(INRIA))
    path = tmp_path / "a.ply"
    path.write_bytes(ply(INRIA, rows))
    checkpoint = checkpoints.read(path)
    assert {n: a.shape for n, a in checkpoint.state.items()} == {
        "xyz": (7, 3), "normals": (7, 3), "f_dc": (7, 3), "f_rest": (7, 45), "opacity": (7, 1),
        "scale": (7, 3), "rotation": (7, 4),
    }  # fmt: skip
    assert np.array_equal(np.hstack(list(checkpoint.state.values())), rows)
    json.dumps(checkpoint.extra)
    checkpoints.write(tmp_path / "b.ply", checkpoint.state, to="ply", extra=checkpoint.extra)
    checkpoints.write(tmp_path / "c.ply", checkpoint.state, to="ply")
    assert (tmp_path / "b.ply").read_bytes() == path.read_bytes()
    assert (tmp_path / "c.ply").read_bytes() == path.read_bytes()


def test_gaussians_that_grow(tmp_path):
    """The count of a later frame may differ from that in the header of the first."""
    path = tmp_path / "a.ply"
    path.write_bytes(ply(INRIA, floats(2, 62), comments=["comment element vertex 2"]))
    checkpoint = checkpoints.read(path)
    grown = {name: np.repeat(array, 3, 0) for name, array in checkpoint.state.items()}
    checkpoints.write(path, grown, to="ply", extra=checkpoint.extra)
    assert_same(checkpoints.read(path).state, grown)
    assert b"comment element vertex 2\nelement vertex 6\n" in path.read_bytes()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_ply_comes_back_to_the_same_bytes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    types = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4"}
    types |= {"uint": "u4", "float": "f4", "double": "f8", "float32": "f4", "uint8": "u1"}
    if data.draw(st.booleans()):  # a 3DGS model, in any order
        names = data.draw(st.permutations([n for n in INRIA if n[0] != "n" and "rest" not in n]))
        kinds = ["float"] * len(names)
    else:
        word = st.text("abcxyz_019", min_size=1, max_size=4)
        names = data.draw(st.lists(word, min_size=1, max_size=6, unique=True))
        kinds = [data.draw(st.sampled_from(sorted(types))) for _ in names]
    encoding = data.draw(st.sampled_from(["binary_little_endian", "binary_big_endian"]))
    order = "<" if "little" in encoding else ">"
    row = np.dtype([(n, order + types[k]) for n, k in zip(names, kinds, strict=True)])
    count = data.draw(st.integers(0, 4)) * row.itemsize
    rows = np.frombuffer(data.draw(st.binary(min_size=count, max_size=count)), row)
    comments = data.draw(st.lists(st.sampled_from(["comment é\x85 x", "obj_info a", ""])))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    original = ply(names, rows, kinds=kinds, encoding=encoding, comments=comments, end=end)
    path.write_bytes(original)
    checkpoint = checkpoints.read(path)
    extra = json.loads(json.dumps(checkpoint.extra))
    checkpoints.write(path, checkpoint.state, to="ply", extra=extra)
    assert path.read_bytes() == original


@pytest.mark.parametrize(
    ("numbers", "same"),
    [
        (["1.0 0.1 -3.0 255", "1e-07 inf nan 0"], True),
        (["1 0.1 -3 255", "1e-07 -2.5 0.25 0"], True),
        (["1.000000 0.100000 -3.000000 255", "2.500000 0.000000 0.250000 0"], True),
        (["1.0 0.10 -3. 255", "+2 3 4 0"], False),
        (["  1 2   3 4", "", "5 6 7 8"], False),
    ],
)
def test_ascii_ply(tmp_path, numbers, same):
    path = tmp_path / "a.ply"
    header = ply(["a", "b", "c", "d"], np.empty(2), kinds=["float", "float", "double", "uchar"],
                 encoding="ascii")[:-16]  # fmt: skip
    path.write_bytes(header + "".join(f"{line}\n" for line in numbers).encode())
    original, checkpoint = path.read_bytes(), checkpoints.read(path)
    values = [line.split() for line in numbers if line]
    assert checkpoint.state["a"].dtype == np.float32
    assert checkpoint.state["d"].tolist() == [int(row[3]) for row in values]
    checkpoints.write(path, checkpoint.state, to="ply", extra=checkpoint.extra)
    assert (path.read_bytes() == original) == same
    assert bool(checkpoint.skipped) != same
    assert_same(checkpoints.read(path).state, checkpoint.state)


def test_ply_with_faces_and_with_trailing_bytes(tmp_path):
    path = tmp_path / "a.ply"
    rows = floats(2, 3)
    faces = b"element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_bytes(ply("xyz", rows).replace(b"end_header\n", faces) + b"\3" + b"\0" * 12)
    checkpoint = checkpoints.read(path)
    assert checkpoint.skipped == ("element face (1 rows): not of the model",)
    checkpoints.write(path, checkpoint.state, to="ply", extra=checkpoint.extra)
    assert path.read_bytes() == ply("xyz", rows)
    path.write_bytes(path.read_bytes() + b"12345")
    assert checkpoints.read(path).skipped == ("5 bytes after the 2 vertices of the header",)


def test_states_that_are_no_ply(tmp_path):
    good = {n: floats(2, w) for n, w in
            (("xyz", 3), ("f_dc", 3), ("opacity", 1), ("scale", 3), ("rotation", 4))}  # fmt: skip
    header = {"ply_header": ply("ab", np.empty((0, 2))).decode()}
    for state, extra, match in (
        ({"w": np.ones((2, 2))}, {}, "no rows for the vertices"),
        ({"w": np.ones(2)}, {}, "a 3DGS model has float32 xyz"),
        (good | {"w": np.ones(2)}, {}, "no rows"),
        ({n: a for n, a in good.items() if n != "scale"}, {}, "a 3DGS model has"),
        (good | {"xyz": floats(2, 4)}, {}, "'xyz' has 4 columns, expected 3"),
        (good | {"xyz": floats(3, 3)}, {}, "one row for each vertex"),
        (good | {"xyz": np.ones((2, 3))}, {}, "a 3DGS model has"),
        (good, header, "the .ply header wants a, b"),
        ({"a": np.ones(1, "f4"), "b": np.ones(1)}, header, "wants b"),
        ({n: np.ones(1, "f4") for n in "abc"}, header, "wants fewer properties"),
        ({"a": np.ones(1, "f4")}, {"ply_header": "nonsense"}, "its header needs"),
    ):
        with pytest.raises(CheckpointError, match=match):
            checkpoints.write(tmp_path / "a.ply", state, to="ply", extra=extra)
    assert list(tmp_path.iterdir()) == []
