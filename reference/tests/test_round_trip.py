"""Round trips: whatever states go in come out bit for bit, whichever way they are coded."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmc_samples import PACKED, assert_states, chain, members, same_state, write

import nmc
from nmc_format.dtypes import DTYPES, PackedArray, byte_size, from_words, word_dtype

CODINGS = [
    ("baseline", "none", "fast"),
    ("main", "none", "strong"),
    *[("main", "zstd", effort) for effort in ("fast", "max")],
    *[("main", "nmc", effort) for effort in ("fast", "strong", "max")],
]

SPECIAL = {
    4: [0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x80000000, 0x00000001, 0x807FFFFF, 0x7F800000],
    8: [0x7FF8 << 48, (0x7FF << 52) + 1, 2**64 - 1, 1 << 63, 1, (1 << 63) + 5, 0x7FF << 52],
    2: [0x7E00, 0x7C01, 0xFFFF, 0x8000, 0x0001, 0x83FF, 0x7C00],
    1: [0x7F, 0x80, 0xFF, 0x01, 0x7C, 0x7E, 0x00],
}
"""NaNs quiet and signalling, minus zero, denormals and infinity by width of the word in bytes."""


@st.composite
def tensors(draw, before=None):
    """A tensor; often a small change of one."""
    if before is not None and not isinstance(before, PackedArray):
        kind = draw(st.sampled_from(["same", "near", "far", "other"]))
        if kind == "same":
            return before
        if kind == "near":
            noise = np.random.default_rng(draw(st.integers(0, 99)))
            words = before.reshape(-1).view(f"u{DTYPES_BY_NUMPY[before.dtype].word_bytes}").copy()
            words += noise.integers(0, 3, words.size).astype(words.dtype)
            return words.view(before.dtype).reshape(before.shape)
        if kind == "far":
            return random_tensor(draw, DTYPES_BY_NUMPY[before.dtype], before.shape)
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 8, 40]), max_size=3)))
    if dtype.bits < 8:
        shape = (*shape, 8)
    return random_tensor(draw, dtype, shape)


DTYPES_BY_NUMPY = {
    from_words(np.zeros(8, word_dtype(d)), d, (8 * 8 * d.word_bytes // d.bits,)).dtype: d
    for d in DTYPES.values()
    if d.numpy_name
}


def random_tensor(draw, dtype, shape):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    words = np.frombuffer(rng.bytes(byte_size(dtype, shape)), word_dtype(dtype)).copy()
    special = np.array(SPECIAL[dtype.word_bytes], np.uint64).astype(words.dtype)
    where = rng.random(words.size) < 0.3
    words[where] = rng.choice(special, words.size)[where]
    return from_words(words, dtype, shape)


names = st.sampled_from(["w", "b", "층.가중치", "a" * 200, "x/y z", "0"])


@st.composite
def sequences(draw):
    """States in which tensors stay, change, appear, vanish, and take other shapes and types."""
    states = []
    for _ in range(draw(st.integers(1, 6))):
        before = states[-1] if states else {}
        state = {}
        for name in draw(st.lists(names, unique=True, max_size=4)):
            state[name] = draw(tensors(before.get(name)))
        states.append(state)
    return states


@settings(max_examples=100, deadline=None)
@given(
    sequences(),
    st.sampled_from(CODINGS),
    st.sampled_from([0, 1, 2, 3, 32]),
    st.booleans(),
    st.booleans(),
    st.randoms(),
)
def test_any_sequence_in_any_coding(states, coding, key_every, directory, detect, random) -> None:
    profile, entropy, effort = coding
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.nmc"
        write(
            path,
            states,
            profile=profile,
            entropy=entropy,
            effort=effort,
            key_every=key_every,
            directory=directory,
            detect_frozen=detect,
        )
        assert_states(path, states)
        with nmc.open(path) as sequence:
            order = [random.randrange(len(states)) for _ in range(2 * len(states))]
            for t in order:
                assert same_state(sequence[t], states[t]), f"frame {t} out of order"


@pytest.mark.sweep(5)
@pytest.mark.parametrize("coding", CODINGS, ids="-".join)
@pytest.mark.parametrize("dtype", list(DTYPES), ids=str)
def test_every_dtype_in_every_coding(tmp_path, dtype, coding) -> None:
    kind = DTYPES[dtype]
    rng = np.random.default_rng(3)
    states = []
    words = np.frombuffer(rng.bytes(byte_size(kind, (16, 40))), word_dtype(kind)).copy()
    words[: len(SPECIAL[kind.word_bytes])] = SPECIAL[kind.word_bytes]
    for _ in range(4):
        states.append({"x": from_words(words.copy(), kind, (16, 40)), "fixed": np.zeros(4000)})
        words += rng.integers(0, 4, words.size).astype(words.dtype)
        words[-len(SPECIAL[kind.word_bytes]) :] = SPECIAL[kind.word_bytes]
    profile, entropy, effort = coding
    path = write(tmp_path / "x.nmc", states, profile=profile, entropy=entropy, effort=effort)
    with nmc.open(path) as sequence:
        assert [f.coding for f in sequence.frames] == ["key", "delta", "delta", "delta"]
    assert_states(path, states)


@pytest.mark.parametrize("coding", CODINGS, ids="-".join)
def test_growing_and_shrinking_models(tmp_path, coding) -> None:
    """As with Gaussian splats that densify: the rows of every tensor change in number."""
    rng = np.random.default_rng(4)
    states = []
    for count in (100, 120, 0, 90, 90, 1, 300):
        states.append(
            {
                "means": rng.normal(size=(count, 3)).astype("f4"),
                "opacity": rng.normal(size=(count,)).astype("f2"),
                "background": np.zeros(3, "f4"),
            }
        )
    profile, entropy, effort = coding
    for key_every in (0, 3):
        path = tmp_path / f"{key_every}.nmc"
        write(path, states, profile=profile, entropy=entropy, effort=effort, key_every=key_every)
        assert_states(path, states)


def test_a_tensor_that_comes_back(tmp_path) -> None:
    """Absent in a frame, present again: it is raw then, and a delta after that."""
    w = np.arange(3000, dtype="f4")
    base = {"fixed": np.zeros(9000)}
    states = [
        base | {"w": w},
        base,
        base | {"w": w},
        base | {"w": w + 1},
        base | {"w": w.astype("f8")},
    ]
    path = write(tmp_path / "x.nmc", states, key_every=0)
    assert_states(path, states)
    with nmc.open(path) as sequence:
        assert [row.dtype.name for row in sequence.manifest.tensors] == ["F64", "F32", "F64"]


def test_states_without_tensors(tmp_path) -> None:
    for detect in (False, True):
        path = write(tmp_path / f"{detect}.nmc", [{}, {}], detect_frozen=detect)
        assert_states(path, [{}, {}])
    assert_states(
        write(tmp_path / "x.nmc", [{}, {"w": np.ones(2)}, {}]), [{}, {"w": np.ones(2)}, {}]
    )


def test_scalars_empties_and_packed_arrays(tmp_path) -> None:
    state = {
        "scalar": np.array(np.nan, "f4"),
        "python float": 1.5,
        "numpy scalar": np.float16(2),
        "empty": np.zeros((0, 7), "f2"),
        "packed": PACKED,
        "big endian": np.arange(3, dtype=">f4"),
        "strided": np.arange(24).reshape(4, 6)[::2, ::-1],
        "bool": np.array([True, False]),
    }
    path = write(tmp_path / "x.nmc", [state, state])
    expected = dict(state)
    for name in ("python float", "big endian", "numpy scalar"):
        expected[name] = np.asarray(state[name])
    expected["big endian"] = expected["big endian"].astype("<f4")
    assert_states(path, [expected, expected])


@pytest.mark.parametrize("entropy", ["none", "zstd", "nmc"])
def test_the_same_input_gives_the_same_bytes(tmp_path, entropy) -> None:
    states = chain(5)
    for form in ({"directory": True}, {}):
        options = form | {"entropy": entropy, "key_every": 2}
        first = members(write(tmp_path / f"a{len(form)}", states, **options))
        again = [{n: np.array(a) for n, a in reversed(s.items())} for s in states]
        other = members(write(tmp_path / f"b{len(form)}", states, **options))
        assert first == other
        reordered = members(write(tmp_path / f"c{len(form)}", again, **options))
        assert reordered.keys() == first.keys()
    file = (tmp_path / "a0").read_bytes()
    assert file == (tmp_path / "b0").read_bytes()
    assert members(tmp_path / "a0") == members(tmp_path / "a1")


@pytest.mark.slow(minutes=0.04)
def test_the_same_bytes_in_other_processes(tmp_path) -> None:
    """Neither the hash seed nor the number of threads has an influence."""
    here = Path(__file__).parent
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from nmc_samples import *; "
        "write_trained(Path(sys.argv[2]), chain(4))"
    )
    digests = set()
    for i, (seed, threads) in enumerate([("0", "1"), ("12345", "2")]):
        path = tmp_path / f"{i}.nmc"
        environment = os.environ | {"PYTHONHASHSEED": seed, "NUMBA_NUM_THREADS": threads}
        subprocess.run(
            [sys.executable, "-c", code, str(here), str(path)], check=True, env=environment
        )
        digests.add(path.read_bytes())
    assert len(digests) == 1


def test_delta_frames_are_made_where_they_are_smaller(tmp_path) -> None:
    """Frames that have nothing in common with the one before are coded as key frames."""
    rng = np.random.default_rng(0)
    related = chain(3)
    unrelated = [{"w": rng.integers(0, 2**64, 3000, "u8")} for _ in range(3)]
    with nmc.open(write(tmp_path / "a.nmc", related)) as sequence:
        assert [f.coding for f in sequence.frames] == ["key", "delta", "delta"]
    with nmc.open(write(tmp_path / "b.nmc", unrelated)) as sequence:
        assert [f.coding for f in sequence.frames] == ["key", "key", "key"]


def test_chosen_key_frames(tmp_path) -> None:
    states = chain(8)
    with nmc.Writer(tmp_path / "a.nmc", key_every=0, key_frames=[2, 5]) as writer:
        for t, state in enumerate(states):
            writer.append(state, key=t == 7)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        coding = [f.coding for f in sequence.frames]
    assert [t for t, c in enumerate(coding) if c == "key"] == [0, 2, 5, 7]
    assert_states(tmp_path / "a.nmc", states)
