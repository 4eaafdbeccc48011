"""Segments: parsing undoes serialising, and any safetensors reader can read them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from nmc_format import segment
from nmc_format.issues import FormatError

digests = st.binary(min_size=32, max_size=32)
modes = st.binary(max_size=20).map(lambda b: np.frombuffer(b, np.uint8))
shapes = st.dictionaries(
    st.integers(0, 2**20), st.lists(st.integers(0, 2**60), max_size=32).map(tuple), max_size=4
)
payloads = st.tuples(
    st.sampled_from([None, "raw", "raw.zstd"]),
    st.sampled_from([None, "integer", "integer.zstd", "integer.nmc"]),
    st.binary(max_size=50),
    st.binary(max_size=50),
).map(lambda p: {name: data for name, data in zip(p[:2], p[2:], strict=True) if name})


def joined(**parts) -> bytes:
    return b"".join(bytes(piece) for piece in segment.serialize(**parts))


@given(st.none() | digests, digests, modes, shapes, payloads)
def test_parse_undoes_serialize(parent, state, modes, shapes, payloads) -> None:
    parts = {
        "parent": parent,
        "state": state,
        "modes": modes,
        "shapes": shapes,
        "payloads": payloads,
    }
    data = joined(**parts)
    found = segment.parse(data, "x")
    assert (found.parent, found.state) == (parent, state)
    assert found.modes.tobytes() == modes.tobytes()
    assert found.shapes == shapes
    for stream in (found.raw, found.integer):
        if stream is not None:
            assert bytes(stream.data) == payloads.pop(stream.name)
            assert data[stream.offset : stream.offset + len(stream.data)] == bytes(stream.data)
            assert stream.coding in segment.CODINGS
    assert not payloads
    header = int.from_bytes(data[:8], "little")
    assert (8 + header) % 64 == 0

    library = safetensors.numpy.load(data)
    assert library["modes"].tobytes() == modes.tobytes()
    assert all(array.dtype == np.uint8 for array in library.values())
    metadata = json.loads(data[8 : 8 + header])["__metadata__"]
    assert metadata == {"nmc": "1.0", "state": state.hex()} | (
        {"parent": parent.hex()} if parent else {}
    )


GOOD = joined(
    parent=bytes(32),
    state=b"\1" * 32,
    modes=np.array([1, 2, 3], np.uint8),
    shapes={1: (2, 2)},
    payloads={"raw": bytes(16), "integer.zstd": b"abc"},
)
HEADER = json.loads(GOOD[8 : 8 + int.from_bytes(GOOD[:8], "little")])
BODY = GOOD[8 + int.from_bytes(GOOD[:8], "little") :]


def rebuilt(text: bytes, body: bytes = BODY, *, length: int | None = None) -> bytes:
    text = text.ljust(len(text) + -(8 + len(text)) % 64)
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def with_entry(name: str, entry: object) -> bytes:
    return rebuilt(json.dumps({**HEADER, name: entry}, separators=(",", ":")).encode())


def without(name: str) -> bytes:
    return rebuilt(json.dumps({k: v for k, v in HEADER.items() if k != name}).encode())


def metadata(**values: object) -> bytes:
    return with_entry("__metadata__", {**HEADER["__metadata__"], **values})


def stream(**values: object) -> bytes:
    return with_entry("raw", {**HEADER["raw"], **values})


DEEP = b'{"a":' * 600 + b"1" + b"}" * 600
START, END = HEADER["raw"]["data_offsets"]

BAD = {
    "empty": (b"", "segment/header"),
    "shorter than the length field": (GOOD[:7], "segment/header"),
    "cut in the header": (GOOD[:100], "segment/header"),
    "cut in the data": (GOOD[:-1], "segment/stream-type"),
    "data after the end": (GOOD + b"\0", "segment/header"),
    "huge length": (b"\xff" * 8 + GOOD[8:], "segment/header"),
    "length beyond the limit": ((4097).to_bytes(8, "little") + bytes(9000), "segment/header"),
    "length 0": (bytes(8) + GOOD[8:], "segment/header"),
    "no JSON": (rebuilt(b"{not json"), "segment/header"),
    "not UTF-8": (rebuilt(b'{"\xff": 1}'), "segment/header"),
    "JSON array": (rebuilt(b"[1, 2]"), "segment/header"),
    "JSON number": (rebuilt(b"12"), "segment/header"),
    "deep nesting": (rebuilt(DEEP[:3300]), "segment/header"),
    "deep nesting that closes": (rebuilt(DEEP), "segment/metadata"),
    "deep arrays": (rebuilt(b"[" * 2000 + b"]" * 2000), "segment/header"),
    "a number of 4000 digits": (rebuilt(b'{"raw":' + b"9" * 4000 + b"}"), "segment/metadata"),
    "a number of 4300 digits and more": (
        rebuilt(b'{"raw":' + b"9" * 4080 + b"}"),
        "segment/metadata",
    ),
    "duplicate keys": (
        rebuilt(
            json.dumps(HEADER).encode()[:-1]
            + b',"raw":'
            + json.dumps(HEADER["raw"]).encode()
            + b"}"
        ),
        "segment/not-canonical",
    ),
    "no metadata": (without("__metadata__"), "segment/metadata"),
    "metadata is a list": (with_entry("__metadata__", []), "segment/metadata"),
    "no state": (
        with_entry("__metadata__", {"nmc": "1.0"}),
        "segment/metadata",
    ),
    "state is a number": (metadata(state=5), "segment/metadata"),
    "state is short": (metadata(state="00"), "segment/metadata"),
    "state is not hex": (metadata(state="g" * 64), "segment/metadata"),
    "parent is null": (metadata(parent=None), "segment/metadata"),
    "upper-case digest": (metadata(state="AB" * 32), "segment/not-canonical"),
    "spaces in a digest": (metadata(state=" ".join(["01"] * 32)), "segment/not-canonical"),
    "no version": (with_entry("__metadata__", {"state": "00" * 32}), "segment/metadata"),
    "next major version": (metadata(nmc="2.0"), "segment/metadata"),
    "version is a number": (metadata(nmc=1.0), "segment/metadata"),
    "version with more": (metadata(nmc="1.0x"), "segment/metadata"),
    "empty shapes": (
        with_entry("shapes", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}),
        "segment/header",
    ),
    "a raw tensor in the coder of differences": (
        with_entry("raw.nmc", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}),
        "segment/stream-unknown",
    ),
    "more metadata": (metadata(more="x"), "segment/not-canonical"),
    "unknown stream": (
        with_entry("cooked", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}),
        "segment/stream-unknown",
    ),
    "coding of a plain stream": (
        with_entry("modes.zstd", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}),
        "segment/stream-unknown",
    ),
    "two codings of a stream": (
        joined(
            parent=None,
            state=bytes(32),
            modes=np.zeros(1, np.uint8),
            shapes={},
            payloads={"raw": b"x", "raw.zstd": b"y"},
        ),
        "segment/stream-surplus",
    ),
    "entry is a number": (with_entry("raw", 7), "segment/stream-type"),
    "entry is null": (with_entry("raw", None), "segment/stream-type"),
    "other dtype": (stream(dtype="F32", shape=[4]), "segment/stream-type"),
    "two dimensions": (stream(shape=[4, 4]), "segment/stream-type"),
    "scalar": (stream(shape=[]), "segment/stream-type"),
    "shape is a boolean": (stream(shape=[True]), "segment/not-canonical"),
    "shape disagrees": (stream(shape=[END - START + 1]), "segment/not-canonical"),
    "negative offset": (stream(data_offsets=[-16, 0]), "segment/stream-type"),
    "offsets reversed": (stream(data_offsets=[END, START]), "segment/stream-type"),
    "offset is a boolean": (stream(data_offsets=[True, END]), "segment/header"),
    "offset is a float": (stream(data_offsets=[0.0, 16.0]), "segment/stream-type"),
    "offset is huge": (stream(data_offsets=[0, 2**70]), "segment/stream-type"),
    "offset beyond the end": (stream(data_offsets=[START, END + 1000]), "segment/stream-type"),
    "three offsets": (stream(data_offsets=[0, 8, 16]), "segment/stream-type"),
    "hole": (stream(data_offsets=[START, END - 1], shape=[END - START - 1]), "segment/header"),
    "overlap": (stream(data_offsets=[0, 16]), "segment/not-canonical"),
    "keys in another order": (
        rebuilt(json.dumps(dict(reversed(HEADER.items())), separators=(",", ":")).encode()),
        "segment/not-canonical",
    ),
    "other spaces": (rebuilt(json.dumps(HEADER).encode()), "segment/not-canonical"),
    "more padding": (
        rebuilt(json.dumps(HEADER, separators=(",", ":")).encode() + b" " * 64),
        "segment/not-canonical",
    ),
    "escaped key": (
        rebuilt(json.dumps(HEADER, separators=(",", ":")).replace('"raw"', r'"r\u0061w"').encode()),
        "segment/not-canonical",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_segments(name) -> None:
    data, code = BAD[name]
    with pytest.raises(FormatError) as caught:
        segment.parse(data, "segments/00000000.safetensors")
    found = caught.value.finding
    assert found.code == code, found
    assert found.place.file == "segments/00000000.safetensors"
    assert len(str(found)) < 700


def test_a_segment_without_modes() -> None:
    header = {"__metadata__": {"nmc": "1.0", "state": "00" * 32}}
    with pytest.raises(FormatError) as caught:
        segment.parse(rebuilt(json.dumps(header, separators=(",", ":")).encode(), b""), "x")
    assert caught.value.finding.code == "segment/stream-missing"


@pytest.mark.parametrize(
    "words",
    [b"\0" * 7, [0], [0, 2, 1], [0, 33, *[1] * 33], [1, 0, 0, 0], [1, 0, 1, 0], [0, 2**63]],
    ids=["odd bytes", "no rank", "cut", "rank 33", "descending", "twice", "huge rank"],
)
def test_malformed_shapes(words) -> None:
    data = words if isinstance(words, bytes) else np.array(words, "<u8").tobytes()
    text = joined(
        parent=None,
        state=bytes(32),
        modes=np.zeros(1, np.uint8),
        shapes={},
        payloads={"shapes": data},
    )
    with pytest.raises(FormatError) as caught:
        segment.parse(text, "x")
    assert caught.value.finding.code == "segment/shapes"


@given(st.data())
def test_any_change_of_the_header_is_found(data) -> None:
    """The header has one form: whatever is changed in it shows, or is one of the two digests."""
    size = 8 + int.from_bytes(GOOD[:8], "little")
    changed = bytearray(GOOD)
    changed[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    try:
        found = segment.parse(bytes(changed), "x")
    except FormatError:
        return
    right = segment.parse(GOOD, "x")
    assert found.modes.tobytes() == right.modes.tobytes()
    assert bytes(changed) == GOOD or (found.parent, found.state) != (right.parent, right.state)
    assert bytes(found.raw.data) == bytes(right.raw.data)


@given(st.binary(max_size=300))
def test_garbage(data) -> None:
    with pytest.raises(FormatError):
        segment.parse(data, "x")
