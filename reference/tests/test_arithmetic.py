"""Round trips, hostile payloads and determinism of the lossless coder (clause 8)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmc.coding.arithmetic import CodedTensor, CoderError, History, coder, decode, encode
from nmc.coding.arithmetic.tensors import lines_of

EFFORTS = ("fast", "strong", "max")
WORD_FORMATS = {
    "I8": (8, 0, 0),
    "F8_E4M3": (8, 4, 3),
    "F8_E5M2": (8, 5, 2),
    "I16": (16, 0, 0),
    "F16": (16, 5, 10),
    "BF16": (16, 8, 7),
    "I32": (32, 0, 0),
    "F32": (32, 8, 23),
    "I64": (64, 0, 0),
    "F64": (64, 11, 52),
}
DTYPES = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
KINDS = ("same", "near", "noise", "flip", "special", "mixed")

SLOW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def tensor(row, word_format, words, shape=None):
    bits, exponent, mantissa = WORD_FORMATS[word_format]
    return CodedTensor(row, bits, exponent, mantissa, shape or words.shape, words.reshape(-1))


def random_words(rng, bits, count):
    return rng.integers(0, 1 << bits, count, dtype=DTYPES[bits], endpoint=False)


def float_like(rng, word_format, count):
    """Words of normal deviates, or small integers for integers."""
    bits, exponent, mantissa = WORD_FORMATS[word_format]
    if not exponent:
        return rng.integers(0, 40, count).astype(DTYPES[bits])
    values = rng.normal(size=count) * 0.1
    words = values.astype(np.float64).view(np.uint64)
    sign = words >> np.uint64(63)
    field = ((words >> np.uint64(52)) & np.uint64(2047)).astype(np.int64) - 1023
    field = np.clip(field + (1 << (exponent - 1)) - 1, 0, (1 << exponent) - 2)
    fraction = (words & np.uint64((1 << 52) - 1)) >> np.uint64(52 - mantissa)
    packed = sign << np.uint64(bits - 1) | field.astype(np.uint64) << np.uint64(mantissa) | fraction
    return packed.astype(DTYPES[bits])


def moved(rng, word_format, words, kind):
    """Words of a next frame."""
    bits, exponent, mantissa = WORD_FORMATS[word_format]
    dtype = words.dtype
    top = 1 << (bits - 1)
    if kind == "same":
        return words.copy()
    if kind == "near":
        step = rng.integers(0, 1 << max(2, bits // 2), words.size).astype(dtype)
        return np.where(rng.random(words.size) < 0.5, words + step, words - step).astype(dtype)
    if kind == "noise":
        return random_words(rng, bits, words.size)
    if kind == "flip":
        return words ^ dtype.type(top)
    if kind == "special":
        infinity = ((1 << exponent) - 1) << mantissa
        patterns = [
            0,
            top,
            1,
            top | 1,
            infinity,
            top | infinity,
            infinity | 1,
            2 * top - 1,
            top - 1,
        ]
        return np.array(patterns, dtype)[rng.integers(0, len(patterns), words.size)]
    choice = rng.integers(0, 5, words.size)
    others = [moved(rng, word_format, words, name) for name in KINDS[:5]]
    return np.choose(choice, others).astype(dtype)


def frames(seed, spec, length):
    """States of a chain: for each tensor of spec, (word_format, shape, kind)."""
    rng = np.random.default_rng(seed)
    state = [float_like(rng, word_format, int(np.prod(shape))) for word_format, shape, _ in spec]
    chain = [state]
    for _ in range(length):
        state = [
            moved(rng, word_format, words, kind)
            for (word_format, _, kind), words in zip(spec, state, strict=True)
        ]
        chain.append(state)
    return chain


def round_trip(spec, chain, effort, skip=lambda t, i: False):
    sent, received = History(), History()
    payloads = []
    for t in range(1, len(chain)):
        rows = [i for i in range(len(spec)) if not skip(t, i)]
        tensors = [tensor(i, spec[i][0], chain[t - 1][i], spec[i][1]) for i in rows]
        current = [chain[t][i] for i in rows]
        payload = encode(tensors, current, sent, effort)
        decoded = decode(payload, tensors, received)
        for want, got in zip(current, decoded, strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(want, got)
        stored = sum(words.nbytes for words in current)
        assert len(payload) <= stored + 1
        payloads.append(payload)
    return payloads


specs = st.lists(
    st.tuples(
        st.sampled_from(sorted(WORD_FORMATS)),
        st.sampled_from([(0,), (1,), (), (7,), (40,), (3, 5), (60, 2), (4, 0, 3), (6, 4, 3, 3)]),
        st.sampled_from(KINDS),
    ),
    max_size=5,
)


@pytest.mark.parametrize("effort", EFFORTS)
@SLOW
@given(seed=st.integers(0, 1 << 30), spec=specs, skipped=st.sets(st.integers(0, 14)))
def test_round_trip_of_any_tensors(effort, seed, spec, skipped):
    chain = frames(seed, spec, 3)
    round_trip(spec, chain, effort, skip=lambda t, i: (t - 1) * 5 + i in skipped)


@pytest.mark.sweep(7)
@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word_format", sorted(WORD_FORMATS))
def test_round_trip_of_each_word_format(word_format, kind, effort):
    spec = [(word_format, (50, 40), kind), (word_format, (33,), kind)]
    round_trip(spec, frames(5, spec, 3), effort)


@pytest.mark.parametrize("effort", EFFORTS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), word_format=st.sampled_from(sorted(WORD_FORMATS)))
def test_round_trip_of_any_pair_of_words(data, word_format, effort):
    bits = WORD_FORMATS[word_format][0]
    word = st.integers(0, (1 << bits) - 1)
    pairs = data.draw(st.lists(st.tuples(word, word), min_size=1, max_size=20))
    # Repeated, so that coding pays and the payload is not stored.
    old, new = (np.array(side * 20, DTYPES[bits]) for side in zip(*pairs, strict=True))
    tensors = [tensor(0, word_format, old)]
    payload = encode(tensors, [new], History(), effort)
    np.testing.assert_array_equal(decode(payload, tensors, History())[0], new)


@pytest.mark.parametrize("effort", EFFORTS)
def test_no_tensors_and_empty_tensors_take_one_byte(effort):
    assert encode([], [], History(), effort) == b"\0"
    assert decode(b"\0", [], History()) == []
    empty = np.empty(0, np.uint32)
    tensors = [tensor(0, "F32", empty, (0, 3))]
    assert encode(tensors, [empty], History(), effort) == b"\0"


@pytest.mark.parametrize("effort", EFFORTS)
def test_long_lines_are_cut(effort):
    spec = [("F32", (70_000,), "near"), ("I16", (2, 66_000), "mixed")]
    round_trip(spec, frames(9, spec, 2), effort)


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_small_change_to_many_words_is_small(effort):
    spec = [("F32", (300, 100), "near")]
    chain = frames(1, spec, 2)
    payloads = round_trip(spec, chain, effort)
    assert len(payloads[0]) < 0.66 * chain[0][0].nbytes
    same = [("F32", (300, 100), "same")]
    assert len(round_trip(same, frames(1, same, 1), effort)[0]) < 200


def test_a_history_of_mixed_efforts_round_trips():
    spec = [("F32", (40, 30), "near"), ("BF16", (500,), "mixed"), ("I64", (9, 9), "near")]
    chain = frames(2, spec, 9)
    sent, received = History(), History()
    for t, effort in enumerate(("fast", "max", "strong", "fast", "strong", "max", "max", "fast")):
        tensors = [tensor(i, s[0], chain[t][i], s[1]) for i, s in enumerate(spec)]
        payload = encode(tensors, chain[t + 1], sent, effort)
        for want, got in zip(chain[t + 1], decode(payload, tensors, received), strict=True):
            np.testing.assert_array_equal(want, got)


def test_history_helps_and_can_be_copied():
    rng = np.random.default_rng(3)
    scale = np.exp(rng.normal(size=(200, 50)) * 2).astype(np.float32) * 1e-4
    state = rng.normal(size=(200, 50)).astype(np.float32)
    history = History()
    sizes = []
    for _ in range(4):
        new = state + scale * rng.normal(size=state.shape).astype(np.float32)
        tensors = [tensor(0, "F32", state.view(np.uint32))]
        words = [new.reshape(-1).view(np.uint32)]
        fork = history.copy()
        payload = encode(tensors, words, history, "strong")
        assert encode(tensors, words, fork, "strong") == payload
        sizes.append(len(payload))
        state = new
    assert sizes[-1] < 0.97 * sizes[0]


@pytest.fixture
def by_effort(monkeypatch):
    """Let each effort code by its own variant: on few words a lesser one is smaller."""
    monkeypatch.setattr(coder, "_FEW", 0)
    monkeypatch.setattr(coder, "_TURNED", 1)
    monkeypatch.setattr(coder, "_WORTH", 2)


def example(effort):
    spec = [("F32", (60, 32), "near"), ("F32", (50,), "mixed"), ("F16", (300,), "near")]
    chain = frames(11, spec, 2)
    tensors = [[tensor(i, s[0], chain[t][i], s[1]) for i, s in enumerate(spec)] for t in range(2)]
    history = History()
    encode(tensors[0], chain[1], history, effort)
    before = history.copy()
    return encode(tensors[1], chain[2], history, effort), tensors[1], before


def attempt(payload, tensors, before):
    """Decode; True where the payload was refused, and then nothing may have moved."""
    history = before.copy()
    try:
        decoded = decode(payload, tensors, history)
    except CoderError:
        for row, entries in before.entries.items():
            assert history.entries[row] is entries
        return True
    for got, wanted in zip(decoded, tensors, strict=True):
        assert got.dtype == wanted.reference.dtype
        assert got.size == wanted.count
    return False


@pytest.mark.usefixtures("by_effort")
@pytest.mark.parametrize("effort", EFFORTS)
def test_truncated_payloads_are_refused(effort):
    payload, tensors, before = example(effort)
    assert payload[0] == EFFORTS.index(effort) + 1
    assert not attempt(payload, tensors, before)
    for size in [*range(60), *range(60, len(payload), 97), len(payload) - 1]:
        assert attempt(payload[:size], tensors, before)
    assert attempt(payload + b"\0", tensors, before)


@pytest.mark.usefixtures("by_effort")
@pytest.mark.parametrize("effort", EFFORTS)
def test_damaged_payloads_neither_crash_nor_hang(effort):
    payload, tensors, before = example(effort)
    rng = np.random.default_rng(4)
    refused = 0
    for trial in range(400):
        damaged = bytearray(payload)
        limit = 80 if trial % 2 else len(payload)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(0, limit)] ^= 1 << rng.integers(0, 8)
        refused += attempt(bytes(damaged), tensors, before)
    assert refused > 100


@SLOW
@given(junk=st.binary(max_size=300), variant=st.integers(0, 4))
def test_junk_neither_crashes_nor_hangs(junk, variant):
    spec = [("F32", (6, 5), "near"), ("I8", (9,), "near"), ("F64", (3,), "near")]
    chain = frames(7, spec, 1)
    tensors = [tensor(i, s[0], chain[0][i], s[1]) for i, s in enumerate(spec)]
    attempt(bytes([variant]) + junk, tensors, History())


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_announced_sizes_are_not_allocated(variant):
    tensors = [tensor(0, "F32", np.zeros(10, np.uint32))]
    for huge in (
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff" * 12,
        b"\x80\x80\x80\x80\x80\x01",
    ):
        for prefix in (b"", b"\0", b"\2\2", b"\0\0"):
            assert attempt(bytes([variant]) + prefix + huge + bytes(40), tensors, History())


@pytest.mark.parametrize("effort", EFFORTS)
def test_words_at_odd_addresses_and_read_only_words(effort):
    rng = np.random.default_rng(8)
    data = bytearray(4 * 5000 + 1)
    data[1:] = (rng.integers(0, 1 << 20, 5000) + (1 << 29)).astype("<u4").tobytes()
    odd = np.frombuffer(bytes(data), np.uint32, 5000, offset=1)
    assert not odd.flags.aligned
    assert not odd.flags.writeable
    new = np.frombuffer((odd + np.uint32(7)).tobytes(), np.uint32)
    strided = np.repeat(new, 2)[::2]
    history = History()
    payload = encode([tensor(0, "F32", odd)], [strided], history, effort)
    assert len(payload) < 10_000
    np.testing.assert_array_equal(decode(payload, [tensor(0, "F32", odd)], History())[0], new)


def test_an_unknown_variant_and_an_empty_payload_are_refused():
    tensors = [tensor(0, "F32", np.zeros(10, np.uint32))]
    with pytest.raises(CoderError, match="variant 9"):
        decode(b"\x09" + bytes(40), tensors, History())
    with pytest.raises(CoderError):
        decode(b"", tensors, History())


def test_tensors_are_checked():
    words = np.zeros(6, np.uint32)
    good = tensor(0, "F32", words, (2, 3))
    with pytest.raises(CoderError, match="bits"):
        encode([CodedTensor(0, 24, 0, 0, (6,), words)], [words], History())
    with pytest.raises(CoderError, match="expected uint32"):
        encode([CodedTensor(0, 32, 8, 23, (7,), words)], [words], History())
    with pytest.raises(CoderError, match="do not fill"):
        encode([CodedTensor(0, 32, 8, 20, (6,), words)], [words], History())
    with pytest.raises(CoderError, match="twice"):
        encode([good, good], [words, words], History())
    with pytest.raises(CoderError, match="words are"):
        encode([good], [words[:5]], History())
    with pytest.raises(CoderError, match="2 tensors"):
        encode([good], [words, words], History())


def test_lines():
    assert lines_of(()) == (1, 1)
    assert lines_of((7,)) == (1, 7)
    assert lines_of((256, 63)) == (256, 63)
    assert lines_of((1000, 2)) == (1000, 2)
    assert lines_of((64, 32, 3, 3)) == (64, 288)
    assert lines_of((3, 8, 128, 128)) == (3 * 8 * 128, 128)
    assert lines_of((500, 15, 3)) == (500, 45)
    assert lines_of((100_000,)) == (2, 65536)
    assert lines_of((4, 0, 3)) == (0, 1)


def lcg(count, seed):
    """Words from integers alone, the same with any version of numpy."""
    values = np.empty(count, np.uint64)
    state = seed
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values[i] = state >> 32
    return values


@pytest.mark.usefixtures("by_effort")
@pytest.mark.parametrize(
    ("effort", "digest"),
    [
        ("fast", "20d3d871c48c6f1a"),
        ("strong", "52a69345fdfce696"),
        ("max", "0713f04476be77b3"),
    ],
)
def test_the_payload_is_the_same_everywhere(effort, digest):
    first = (lcg(3000, 1) % 50_000_000 + 1_000_000_000).astype(np.uint32)
    history, digests = History(), hashlib.sha256()
    for t in range(3):
        step = (lcg(3000, t + 2) % 60_001).astype(np.uint32) * (lcg(3000, t + 9) % 5).astype(
            np.uint32
        )
        second = (first + step - np.uint32(90_000)).astype(np.uint32)
        tensors = [tensor(0, "F32", first, (60, 50)), tensor(1, "I32", first)]
        digests.update(encode(tensors, [second, second], history, effort))
        first = second
    assert digests.hexdigest()[:16] == digest
