"""Frames in which few words change: round trips, histories and hostile payloads (clause 8.7)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmc.coding.arithmetic import CodedTensor, CoderError, History, coder, decode, encode
from nmc.coding.arithmetic import sparse_kernel as kernels
from nmc.coding.arithmetic.chances import ChanceSet
from nmc.coding.arithmetic.history import SparseWays
from nmc.coding.arithmetic.tensors import widths_of

FORMATS = {
    "I8": (8, 0, 0),
    "F8_E4M3": (8, 4, 3),
    "BF16": (16, 8, 7),
    "F16": (16, 5, 10),
    "F32": (32, 8, 23),
    "I64": (64, 0, 0),
    "F64": (64, 11, 52),
}
SHAPES = [(5000,), (64, 59), (3001, 2), (40, 3, 30), (), (0, 4), (1,)]


def chain(seed, spec, length, share):
    """Frames of bit patterns of which a share changes, by whole rows or single words."""
    rng = np.random.default_rng(seed)
    state = []
    for name, shape, _ in spec:
        bits = FORMATS[name][0]
        words = rng.integers(0, 1 << min(bits, 63), int(np.prod(shape)), dtype=f"u{bits // 8}")
        state.append(words)
    frames = [state]
    for _ in range(length):
        moved = []
        for (_, shape, rows), words in zip(spec, frames[-1], strict=True):
            row = shape[-1] if rows and shape and shape[-1] else 1
            live = np.repeat(rng.random(-(-words.size // row)) < share, row)[: words.size]
            step = rng.integers(0, 100, words.size).astype(words.dtype)
            moved.append(np.where(live, words + step, words).astype(words.dtype))
        frames.append(moved)
    return frames


def tensors_of(spec, state):
    return [
        CodedTensor(i, *FORMATS[name], shape, words)
        for i, ((name, shape, _), words) in enumerate(zip(spec, state, strict=True))
    ]


def round_trip(spec, frames, efforts):
    sent, received = History(), History()
    payloads = []
    for before, after, effort in zip(frames[:-1], frames[1:], efforts, strict=True):
        tensors = tensors_of(spec, before)
        payload = encode(tensors, after, sent, effort)
        for want, got in zip(after, decode(payload, tensors, received), strict=True):
            np.testing.assert_array_equal(want, got)
        payloads.append(payload)
    return payloads


specs = st.lists(
    st.tuples(st.sampled_from(sorted(FORMATS)), st.sampled_from(SHAPES), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    spec=specs,
    share=st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.6]),
    efforts=st.lists(st.sampled_from(["fast", "strong", "max"]), min_size=3, max_size=3),
)
def test_round_trip_of_any_tensors(seed, spec, share, efforts):
    round_trip(spec, chain(seed, spec, 3, share), efforts)


@pytest.mark.parametrize("effort", ["fast", "strong", "max"])
def test_few_changes_are_coded_by_themselves_whatever_the_effort(effort):
    spec = [("BF16", (5000,), False), ("F32", (300, 7), True), ("F32", (9,), False)]
    frames = chain(1, spec, 3, 0.02)
    payloads = round_trip(spec, frames, [effort] * 3)
    assert {payload[0] for payload in payloads} == {coder.SPARSE}
    assert {payload[0] for payload in round_trip(spec, chain(1, spec, 3, 0.9), [effort] * 3)} != {
        coder.SPARSE
    }


def test_a_fifth_that_changes_takes_no_more_bytes_with_a_greater_effort():
    """It did: the adaptive variant alone was tried, which takes a fifth more here."""
    spec = [("BF16", (20_000,), False)]
    frames = chain(2, spec, 3, 0.2)
    coded = {effort: round_trip(spec, frames, [effort] * 3) for effort in ("fast", "strong", "max")}
    assert coded["fast"][0][0] == coder.SPARSE
    fast, strong, most = (sum(map(len, payloads)) for payloads in coded.values())
    assert most <= strong <= fast


def test_the_history_stays_that_of_dense_frames(monkeypatch):
    """A frame after sparse ones is coded as after the same frames coded another way."""
    spec = [("F32", (2500, 2), False)]
    frames = chain(2, spec, 3, 0.05)
    histories = []
    for share in (coder._SPARSE_SHARE, 10**9):
        monkeypatch.setattr(coder, "_SPARSE_SHARE", share)
        history = History()
        for before, after in itertools.pairwise(frames):
            encode(tensors_of(spec, before), after, history, "fast")
        histories.append(history.entries_of(tensors_of(spec, frames[-1])[0]))
    np.testing.assert_array_equal(*histories)


def test_rows_that_change_together_are_cells():
    """A fifth of the rows of a table changes: its words are not asked for one by one."""
    spec = [("F32", (4000, 20), True)]
    (payload,) = round_trip(spec, chain(3, spec, 1, 0.2), ["fast"])
    assert payload[:2] == bytes([coder.SPARSE, 20])


def test_a_tensor_of_more_than_one_piece():
    words = np.zeros(300_000, "u1")
    after = words.copy()
    after[[5, 131_071, 131_072, 299_999]] = 3
    spec = [("I8", words.shape, False)]
    payloads = round_trip(spec, [[words], [after], [words]], ["fast", "strong"])
    assert all(len(payload) < 200 for payload in payloads)


def test_a_change_where_none_was_counted_is_coded():
    """Chances come from a sample: what it missed must have one, too."""
    rng = np.random.default_rng(4)
    words = (rng.normal(size=3 << 20) * 0.02).astype("f4").view("u4") >> 16
    words = words.astype("u2")
    after = words.copy()
    after[::4096] += 1
    words[777_777], after[777_777] = 0x7F00, 0x7F01
    spec = [("BF16", words.shape, False)]
    round_trip(spec, [[words], [after]], ["fast"])


def some_payload():
    spec = [("F32", (3000,), False), ("BF16", (50, 7), True), ("F32", (30,), False)]
    frames = chain(5, spec, 2, 0.1)
    history = History()
    encode(tensors_of(spec, frames[0]), frames[1], history, "fast")
    tensors = tensors_of(spec, frames[1])
    payload = encode(tensors, frames[2], history.copy(), "fast")
    assert payload[0] == coder.SPARSE
    return payload, tensors, history


def attempt(payload, tensors, before):
    """Decode; whether it was refused, and then nothing has moved."""
    history = before.copy()
    try:
        decode(payload, tensors, history)
    except CoderError:
        assert history.entries == before.entries
        return True
    return False


def test_truncated_payloads_are_refused():
    payload, tensors, before = some_payload()
    assert not attempt(payload, tensors, before)
    for size in [*range(200), *range(200, len(payload), 31)]:
        assert attempt(payload[:size], tensors, before)
    assert attempt(payload + b"\0", tensors, before)


def test_damaged_payloads_neither_crash_nor_hang():
    payload, tensors, before = some_payload()
    rng = np.random.default_rng(6)
    refused = 0
    for trial in range(600):
        damaged = bytearray(payload)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(0, 200 if trial % 2 else len(payload))] ^= 1 << rng.integers(0, 8)
        refused += attempt(bytes(damaged), tensors, before)
    assert refused > 200


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=200), start=st.sampled_from([b"", b"\1", b"\1\3", b"\7\1\1"]))
def test_junk_neither_crashes_nor_hangs(junk, start):
    _, tensors, before = some_payload()
    attempt(bytes([coder.SPARSE]) + start + junk, tensors, before)


@pytest.mark.parametrize("seed", range(40))
def test_pieces_come_back_whatever_the_chances(seed):
    """Chances above what a stretch may spend, stretches over several blocks, cells that follow."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 3 * kernels.BLOCK))
    reference = rng.integers(0, 1 << 16, count).astype(np.uint16)
    share = float(rng.choice([0.0005, 0.01, 0.3, 0.99]))
    live = np.flatnonzero(rng.random(count) < share).astype(np.uint32)
    if rng.random() < 0.5:
        live = np.unique(np.concatenate([live, [0, count - 1]])).astype(np.uint32)
    if not live.size:
        return
    steps = np.zeros(kernels.PLACES, np.uint8)
    kinds = [rng.integers(1, 256, 256), rng.integers(1, 30, 256), rng.choice([1, 250, 255], 256)]
    steps[:] = kinds[seed % 3]
    chances = ChanceSet(100, steps).table()
    recent = np.flatnonzero(rng.random(count) < 0.1).astype(np.uint32)
    tensor = CodedTensor(0, 16, 8, 7, (count,), reference)
    rest, past = (int(k) for k in rng.integers((0, 1), (2, 3)))
    seen = kernels.View(reference, widths_of(tensor), 1, rest, recent, past)
    block, sums = kernels.new_block(), kernels.new_sums()
    symbols = np.empty(kernels.PIECE + count, np.uint64)
    number = kernels.encode_cells(*seen, 100, 0, live, chances, block, sums, symbols)
    assert number >= live.size
    octets = np.empty(3 * number + 8, np.uint8)
    lane = np.empty(1, np.int64)
    code = octets[kernels.code_symbols(symbols[:number], octets, lane) :]
    found = np.empty_like(live)
    padded = np.concatenate([code, np.zeros(16, np.uint8)])
    used = kernels.decode_cells(*seen, 100, 0, found, chances, block, padded, lane)
    assert used == code.size
    np.testing.assert_array_equal(found, live)


def test_after_stored_live_words_it_is_not_known_which_way_they_went() -> None:
    """An inner payload of variant 0 leaves way 1, so that the past is 1, not 2 (clause 8.7.3)."""
    tensor = CodedTensor(0, 32, 8, 23, (8,), np.arange(8, dtype=np.uint32))
    history = History()
    history.ways[0] = SparseWays(8, np.array([2, 5], np.uint32), np.array([1, 1], np.uint8))
    _, recent, past = history.recent(tensor)
    assert (recent.tolist(), past) == ([2, 5], 1)
    history.ways[0] = SparseWays(8, np.array([2, 5], np.uint32), np.array([3, 2], np.uint8))
    assert history.recent(tensor)[2] == 2
