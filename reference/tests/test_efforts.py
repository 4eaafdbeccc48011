"""A greater effort never takes more bytes: whatever share of the words changes, and however."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nmc.coding.arithmetic import CodedTensor, History, decode, encode

COUNT, COLUMNS = 1 << 13, 64


def drifted(weights, rng):
    return weights * (1 + np.float32(1e-2) * rng.standard_normal(weights.shape, dtype="f4"))


def drawn_anew(weights, rng):
    return np.float32(0.02) * rng.standard_normal(weights.shape, dtype="f4")


def stepped(weights, rng):
    return weights + np.float32(1e-4) * np.sign(rng.standard_normal(weights.shape)).astype("f4")


def frames_of(change, share, bits, by_row, rng):
    """Return the words of three frames, of which a share of words, or of rows, changes in each."""
    weights = np.float32(0.02) * rng.standard_normal((COUNT // COLUMNS, COLUMNS), dtype="f4")
    frames = [weights]
    for _ in range(2):
        chosen = rng.random((len(weights), 1 if by_row else COLUMNS)) < share
        frames.append(np.where(chosen, change(frames[-1], rng), frames[-1]).astype("f4"))
    words = [frame.reshape(-1).view("u4") for frame in frames]
    return words if bits == 32 else [(frame >> 16).astype("u2") for frame in words]


def size(frames, effort):
    """Code every frame, decode it, and return the bytes of all."""
    bits = 8 * frames[0].itemsize
    written, read, total = History(), History(), 0
    for before, after in itertools.pairwise(frames):
        tensors = [CodedTensor(0, bits, 8, bits - 9, (COUNT // COLUMNS, COLUMNS), before)]
        data = encode(tensors, [after], written, effort)
        np.testing.assert_array_equal(decode(data, tensors, read)[0], after)
        total += len(data)
    return total


@pytest.mark.parametrize("change", [drifted, drawn_anew, stepped])
@pytest.mark.parametrize("bits", [16, 32])
def test_a_greater_effort_is_never_larger(bits, change):
    rng = np.random.default_rng(bits)
    of_words = [(share, False) for share in (0.05, 0.12, 0.2, 0.3, 0.5, 1)]
    for share, by_row in [*of_words, (0.12, True), (0.2, True)]:
        frames = frames_of(change, share, bits, by_row, rng)
        fast, strong, most = (size(frames, effort) for effort in ("fast", "strong", "max"))
        assert most <= strong <= fast, (share, by_row)
