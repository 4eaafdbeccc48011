"""Digests, recomputed from the text of clauses 4.5 and 5.3.4 with other code than that."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

import nmc_spec
from nmc_format.dtypes import DTYPES, byte_size, word_dtype
from nmc_format.manifest.digest import manifest_digest
from nmc_format.state_digest import state_digest, tensor_digest

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def frame(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


@given(
    st.sampled_from(sorted(DTYPES)), st.lists(st.sampled_from([0, 1, 2, 8]), max_size=4), st.data()
)
def test_tensor_digest(name, shape, data) -> None:
    dtype = DTYPES[name]
    shape = (*shape, 8)  # packed types fill whole bytes then
    bits = np.random.default_rng(data.draw(st.integers(0, 9))).bytes(byte_size(dtype, shape))
    expected = hashlib.sha256(
        b"nmc tensor 1\0"
        + frame(name)
        + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        + blake3(bits).digest()
    ).digest()
    assert tensor_digest(dtype, shape, np.frombuffer(bits, word_dtype(dtype))) == expected


@given(st.dictionaries(names, st.binary(min_size=32, max_size=32), max_size=6), st.randoms())
def test_state_digest_ignores_order(tensors, random) -> None:
    order = sorted(tensors, key=lambda name: name.encode())
    body = b"".join(frame(name) + tensors[name] for name in order)
    expected = hashlib.sha256(b"nmc state 1\0" + struct.pack("<I", len(tensors)) + body).digest()
    shuffled = list(tensors.items())
    random.shuffle(shuffled)
    assert state_digest(shuffled) == expected


def test_names_and_digests_cannot_run_into_each_other() -> None:
    one, two = bytes(32), b"\1" * 32
    assert state_digest([("a", one), ("b", two)]) != state_digest([("a", two), ("b", one)])
    f32 = DTYPES["F32"]
    words = np.zeros(6, "<u4")
    digests = {
        tensor_digest(f32, (6,), words),
        tensor_digest(f32, (2, 3), words),
        tensor_digest(f32, (3, 2), words),
        tensor_digest(DTYPES["I32"], (6,), words),
        tensor_digest(f32, (5,), words[:5]),
    }
    assert len(digests) == 5


def test_worked_digest_of_one_scalar() -> None:
    """Fixed for good: a change of the digest would orphan every package."""
    digest = tensor_digest(DTYPES["F32"], (), np.array([0x3F800000], "<u4"))
    state = state_digest([("w", digest)])
    assert digest.hex() == "5597e6378bf978a0d9c37118de95ee5c3c78a674116b67b86c67051dc0380d1f"
    assert state.hex() == "c5f3206cf09a4bdd8b7492f65b9e71d9ab15a6f1ed3a0341f76e4983fe081764"


def test_manifest_digest_covers_each_object(objects_of) -> None:
    objects = objects_of(3)
    layout = nmc_spec.manifest_layout()
    body = b""
    for path in sorted(objects):
        array, kind = objects[path], layout[path].type
        body += (
            frame(path) + frame(kind) + struct.pack(f"<I{array.ndim}Q", array.ndim, *array.shape)
        )
        if kind == "str":
            for text in array.reshape(-1).tolist():
                body += struct.pack("<I", len(text)) + text
        else:
            body += array.tobytes()
    expected = hashlib.sha256(b"nmc manifest 1\0" + body).digest()
    assert manifest_digest(objects) == expected
    assert manifest_digest({**objects, "/unknown": np.zeros(1)}) != expected
    assert manifest_digest({**objects, "/@manifest_digest": np.zeros(32, "u1")}) == expected
    for path in objects:
        fewer = {p: a for p, a in objects.items() if p != path}
        assert manifest_digest(fewer) != expected, path
