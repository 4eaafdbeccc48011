"""Element types: every dtype of safetensors becomes words and comes back, bit for bit."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize

from nmc_format.dtypes import (
    DTYPES,
    PackedArray,
    byte_size,
    dtype_of,
    from_words,
    numpy_dtype,
    to_words,
    word_dtype,
)

NUMPY = [d for d in DTYPES.values() if d.numpy_name]
PACKED = [d for d in DTYPES.values() if not d.numpy_name]
names = pytest.mark.parametrize("dtype", NUMPY, ids=lambda d: d.name)


def test_the_table_is_that_of_the_safetensors_library() -> None:
    """A safetensors file with a tensor of each type is one the library reads."""
    for dtype in DTYPES.values():
        size = byte_size(dtype, (8,))
        text = json.dumps({"x": {"dtype": dtype.name, "shape": [8], "data_offsets": [0, size]}})
        file = len(text).to_bytes(8, "little") + text.encode() + bytes(size)
        ((name, found),) = deserialize(file)
        assert name == "x"
        assert found["dtype"] == dtype.name, dtype.name
        assert list(found["shape"]) == [8]


def test_words_fill_elements_and_fields_fill_words() -> None:
    for dtype in DTYPES.values():
        assert dtype.word_bytes in {1, 2, 4, 8}
        assert dtype.bits % (8 * dtype.word_bytes) == 0 or dtype.bits < 8
        if dtype.exponent_bits:
            assert 1 + dtype.exponent_bits + dtype.mantissa_bits == 8 * dtype.word_bytes


@names
def test_field_widths_are_those_of_the_type(dtype) -> None:
    if not dtype.exponent_bits:
        return
    info = ml_dtypes.finfo(np.float32 if dtype.name == "C64" else numpy_dtype(dtype))
    assert (dtype.exponent_bits, dtype.mantissa_bits) == (info.nexp, info.nmant)


@names
@given(data=st.data())
def test_every_bit_pattern_survives(dtype, data) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    size = byte_size(dtype, shape)
    bits = data.draw(st.binary(min_size=size, max_size=size))
    array = np.frombuffer(bits, numpy_dtype(dtype)).reshape(shape)
    assert dtype_of(array) is dtype
    words = to_words(array)
    assert words.dtype == word_dtype(dtype)
    assert words.ndim == 1
    assert words.tobytes() == bits
    back = from_words(words, dtype, shape)
    assert back.shape == shape
    assert back.dtype == numpy_dtype(dtype)
    assert back.tobytes() == bits


@names
def test_words_share_memory_with_a_contiguous_array(dtype) -> None:
    array = np.zeros((3, 4), numpy_dtype(dtype))
    assert np.shares_memory(to_words(array), array)
    assert np.shares_memory(from_words(to_words(array), dtype, (3, 4)), array)


@pytest.mark.parametrize(
    "dtype",
    [d for d in NUMPY if d.bits > 8],
    ids=lambda d: d.name,
)
def test_big_endian_and_strided_input_become_little_endian_in_c_order(dtype) -> None:
    rng = np.random.default_rng(1)
    little = np.frombuffer(rng.bytes(24 * dtype.bits // 8), numpy_dtype(dtype)).reshape(4, 6)
    big = little.astype(little.dtype.newbyteorder(">"))
    assert big.dtype.byteorder == ">"
    assert big.tobytes() != little.tobytes()
    assert dtype_of(big) is dtype
    assert to_words(big).tobytes() == little.tobytes()
    assert to_words(np.asfortranarray(little)).tobytes() == little.tobytes()
    assert to_words(little[::-1, ::2]).tobytes() == little[::-1, ::2].tobytes()
    assert to_words(big[1:, ::-1]).tobytes() == little[1:, ::-1].tobytes()


def test_big_endian_nan_payloads_survive() -> None:
    for width, quiet, signalling in (
        (4, 0x7FC01234, 0x7F801234),
        (8, 0x7FF8 << 48, 0x7FF0 << 48 | 5),
    ):
        for pattern in (quiet, signalling):
            big = np.frombuffer(pattern.to_bytes(width, "big"), f">f{width}")
            assert int(to_words(big)[0]) == pattern


def test_aliases_of_integer_types_are_the_same() -> None:
    assert dtype_of(np.zeros(1, np.longlong)).name == "I64"
    assert dtype_of(np.zeros(1, np.ulonglong)).name == "U64"
    assert dtype_of(np.zeros(1, np.intc)).name == "I32"


def test_scalars_of_rank_0_have_one_word() -> None:
    words = to_words(np.array(1.5, "f4"))
    assert words.tolist() == [0x3FC00000]
    assert from_words(words, DTYPES["F32"], ()).shape == ()


@pytest.mark.parametrize("dtype", ["complex128", "longdouble", "datetime64[s]", "U3", "O", "S2"])
def test_other_types_are_refused_by_name(dtype) -> None:
    with pytest.raises(TypeError, match="cannot be stored; known are"):
        dtype_of(np.zeros(2, dtype))


@pytest.mark.parametrize("dtype", PACKED, ids=lambda d: d.name)
def test_packed_types_are_bytes(dtype) -> None:
    size = 16 * dtype.bits // 8
    data = np.arange(size, dtype=np.uint8)
    packed = PackedArray(dtype.name, (4, 4), data)
    assert dtype_of(packed) is dtype
    assert to_words(packed) is data
    back = from_words(data, dtype, (4, 4))
    assert isinstance(back, PackedArray)
    assert back.shape == (4, 4)
    with pytest.raises(TypeError, match="see PackedArray"):
        numpy_dtype(dtype)


def test_packed_bytes_must_fit_the_shape() -> None:
    with pytest.raises(ValueError, match="needs 2 bytes"):
        PackedArray("F4", (4,), np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="does not fill whole bytes"):
        PackedArray("F4", (3,), np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="not a packed dtype"):
        PackedArray("F32", (1,), np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="not a packed dtype"):
        PackedArray("F5", (1,), np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="uint8, flat"):
        PackedArray("F4", (4,), np.zeros(2, np.int8))


def test_sizes() -> None:
    assert byte_size(DTYPES["F6_E2M3"], (4,)) == 3
    assert byte_size(DTYPES["C64"], (2, 3)) == 48
    assert byte_size(DTYPES["F32"], ()) == 4
    assert byte_size(DTYPES["F32"], (7, 0)) == 0
