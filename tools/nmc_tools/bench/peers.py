"""The peers and ourselves as functions of one frame and the frame before.

Each method codes the flat 32-bit words of a frame, given those of the frame before, on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.coding.arithmetic import CodedTensor, Effort

Words: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint32]]"


@dataclass(frozen=True)
class Chain:
    """A chain as arrays.

    Attributes
    ----------
    name : str
        Its name.
    frames : tuple of mapping of str to array
        The float32 states, in order.
    """

    name: str
    frames: tuple[Mapping[str, np.ndarray[Any, Any]], ...]

    def words(self, t: int) -> list[Words]:
        """Return the words of one frame, one flat array for each tensor."""
        return [np.ascontiguousarray(a).reshape(-1).view("<u4") for a in self.frames[t].values()]

    def flat(self, t: int) -> Words:
        """Return all words of one frame as one array."""
        return np.concatenate(self.words(t))


class Method:
    """One way to code a delta frame; may remember what it coded."""

    def encode(self, chain: Chain, t: int) -> bytes:
        """Code frame t given frame t-1."""
        raise NotImplementedError

    def decode(self, data: bytes, chain: Chain, t: int) -> Words | list[Words]:
        """Return the words of frame t."""
        raise NotImplementedError


@dataclass
class FlatMethod(Method):
    """A peer that sees a frame as one array of words."""

    compress: Callable[[Words, Words], bytes]
    decompress: Callable[[bytes, Words], Words]

    def encode(self, chain: Chain, t: int) -> bytes:
        """Code frame t given frame t-1."""
        return self.compress(chain.flat(t), chain.flat(t - 1))

    def decode(self, data: bytes, chain: Chain, t: int) -> Words:
        """Return the words of frame t."""
        return self.decompress(data, chain.flat(t - 1))


def shuffle(words: Words) -> bytes:
    """Return the bytes of some words, byte plane by byte plane."""
    return np.ascontiguousarray(words.view(np.uint8).reshape(-1, 4).T).tobytes()


def unshuffle(data: bytes) -> Words:
    """Undo :func:`shuffle`."""
    planes = np.frombuffer(data, np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view("<u4")


def _zstd_prefix(level: int) -> Method:
    import zstandard as z

    def dictionary(before: Words) -> z.ZstdCompressionDict:
        return z.ZstdCompressionDict(before.tobytes(), dict_type=z.DICT_TYPE_RAWCONTENT)

    def compress(now: Words, before: Words) -> bytes:
        size = (now.nbytes + before.nbytes).bit_length()
        parameters = z.ZstdCompressionParameters.from_level(
            level, window_log=size, enable_ldm=True, threads=0
        )
        compressor = z.ZstdCompressor(compression_params=parameters, dict_data=dictionary(before))
        return compressor.compress(now.tobytes())

    def decompress(data: bytes, before: Words) -> Words:
        decompressor = z.ZstdDecompressor(dict_data=dictionary(before), max_window_size=2**31)
        return np.frombuffer(decompressor.decompress(data), "<u4")

    return FlatMethod(compress, decompress)


def _xor_zstd(level: int) -> Method:
    import zstandard as z

    def compress(now: Words, before: Words) -> bytes:
        return z.ZstdCompressor(level=level).compress(shuffle(now ^ before))

    def decompress(data: bytes, before: Words) -> Words:
        return unshuffle(z.ZstdDecompressor().decompress(data)) ^ before

    return FlatMethod(compress, decompress)


def _zipnn() -> Method:
    import zipnn

    codec = zipnn.ZipNN(
        bytearray_dtype="float32", input_format="byte", delta_compressed_type="byte", threads=1
    )

    def compress(now: Words, before: Words) -> bytes:
        data = codec.compress(
            bytearray(now.tobytes()), delta_second_data=bytearray(before.tobytes())
        )
        return bytes(data)

    def decompress(data: bytes, before: Words) -> Words:
        plain = codec.decompress(data, delta_second_data=bytearray(before.tobytes()))
        return np.frombuffer(bytes(plain), "<u4")

    return FlatMethod(compress, decompress)


def _z4ai() -> Method:
    import z4ai

    def compress(now: Words, before: Words) -> bytes:
        return bytes(z4ai.compress_delta(now.tobytes(), before.tobytes(), dtype="fp32", threads=1))

    def decompress(data: bytes, before: Words) -> Words:
        return np.frombuffer(bytes(z4ai.decompress_delta(data, before.tobytes())), "<u4")

    return FlatMethod(compress, decompress)


def _openzl(*, trained: bool) -> Method:
    from nmc_tools.bench.openzl_peer import OpenZl

    return OpenZl(trained=trained)


def _ordered(words: Words) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return floating-point words as integers that rise with the number they stand for."""
    signed = words.view("<i4")
    return np.where(signed < 0, np.int32(-(2**31)) - signed, signed)


def _pcodec(level: int, *, ordered: bool) -> Method:
    from pcodec import ChunkConfig, standalone

    def number(words: Words) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return _ordered(words) if ordered else words.view("<i4")

    def compress(now: Words, before: Words) -> bytes:
        difference = number(now) - number(before)
        return bytes(standalone.simple_compress(difference, ChunkConfig(compression_level=level)))

    def decompress(data: bytes, before: Words) -> Words:
        total = number(before) + standalone.simple_decompress(data)
        return (_ordered(total.view("<u4")) if ordered else total).view("<u4")

    return FlatMethod(compress, decompress)


def _hdf5(level: int, *, xor: bool) -> Method:
    import io

    import h5py

    def compress(now: Words, before: Words) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            data = now ^ before if xor else now
            file.create_dataset("w", data=data, compression=level, shuffle=True)
        return buffer.getvalue()

    def decompress(data: bytes, before: Words) -> Words:
        with h5py.File(io.BytesIO(data), "r") as file:
            words: Words = file["w"][()]
        return words ^ before if xor else words

    return FlatMethod(compress, decompress)


def _safetensors() -> Method:
    from safetensors import numpy as st

    def compress(now: Words, _: Words) -> bytes:
        return st.save({"w": now})

    def decompress(data: bytes, _: Words) -> Words:
        return st.load(data)["w"]

    return FlatMethod(compress, decompress)


class Coder(Method):
    """The lossless coder of chapter 8 by itself, as the peers: words in, bytes out."""

    def __init__(self, effort: Effort) -> None:
        from nmc.coding.arithmetic import History

        self.effort = effort
        self.encoding, self.decoding = History(), History()

    @staticmethod
    def _coded(chain: Chain, t: int) -> list[CodedTensor]:
        from nmc.coding.arithmetic import CodedTensor

        shapes = [array.shape for array in chain.frames[t - 1].values()]
        pairs = enumerate(zip(shapes, chain.words(t - 1), strict=True))
        return [CodedTensor(i, 32, 8, 23, shape, words) for i, (shape, words) in pairs]

    def encode(self, chain: Chain, t: int) -> bytes:
        """Code frame t given frame t-1."""
        from nmc.coding.arithmetic import History, encode

        if t == 1:
            self.encoding = History()
        return encode(self._coded(chain, t), chain.words(t), self.encoding, self.effort)

    def decode(self, data: bytes, chain: Chain, t: int) -> list[Words]:
        """Return the words of frame t."""
        from nmc.coding.arithmetic import History, decode

        if t == 1:
            self.decoding = History()
        return decode(data, self._coded(chain, t), self.decoding)


METHODS: dict[str, Callable[[], Method]] = {
    "safetensors": _safetensors,
    "HDF5 shuffle + gzip 4": partial(_hdf5, 4, xor=False),
    "XOR, HDF5 shuffle + gzip 9": partial(_hdf5, 9, xor=True),
    "zstd -3 --patch-from": partial(_zstd_prefix, 3),
    "zstd -19 --patch-from": partial(_zstd_prefix, 19),
    "zipnn, XOR delta": _zipnn,
    "z4ai, delta": _z4ai,
    "OpenZL, integer difference": partial(_openzl, trained=False),
    "OpenZL, best graph of the first delta": partial(_openzl, trained=True),
    "XOR, shuffle, zstd -3": partial(_xor_zstd, 3),
    "XOR, shuffle, zstd -19": partial(_xor_zstd, 19),
    "pcodec 8, integer difference": partial(_pcodec, 8, ordered=False),
    "pcodec 12, ordered difference": partial(_pcodec, 12, ordered=True),
    "nmc fast": partial(Coder, "fast"),
    "nmc strong": partial(Coder, "strong"),
    "nmc max": partial(Coder, "max"),
}
"""Every method by the name it has in tables; those of this project begin with ``nmc``."""

MODULES = {
    "z4ai, delta": "z4ai",
    "OpenZL, integer difference": "openzl",
    "OpenZL, best graph of the first delta": "openzl",
}
"""Methods that are left out where their module is not installed: not every platform has one."""
