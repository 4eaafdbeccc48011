"""What the tests of checkpoints share: equal states, refusals, and words of protocol buffers."""

from __future__ import annotations

import numpy as np
import pytest

from nmc_format.dtypes import dtype_of, from_words, to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints import CheckpointError


def assert_same(state, expected):
    """Check that a state has these tensors, in this order, bit for bit."""
    assert list(state) == list(expected)
    for name, array in expected.items():
        words = to_words(array)
        little = from_words(words, dtype_of(array), array.shape)
        assert (state[name].dtype, state[name].shape) == (little.dtype, array.shape), name
        assert np.array_equal(to_words(state[name]), words), name


def refused(path, match="."):
    """Check that a file is refused in one line of a bearable length; return the error."""
    with pytest.raises(CheckpointError, match=match) as caught:
        checkpoints.read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000 + len(str(path))
    return caught.value


def varint(value):
    """Return a whole number as protocol buffers and tables of TensorFlow have it."""
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def field(number, data):
    """Return a field of a protocol buffer: a whole number, or bytes."""
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data
