"""The peers and ourselves as functions of one frame and the frame before.

Each method codes the words of a frame, given those of the frame before, on one thread; it finds
both in the form that it takes, and what it returns is compared off the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc.coding.arithmetic import CodedTensor, Effort
    from nmc_tools.bench.chains import Chain, Words


class Method:
    """One way to code a delta frame; may remember what it coded."""

    def begin(self, chain: Chain) -> None:
        """Stand at frame 0, before all delta frames are coded; not part of a time."""

    def begin_decoding(self, chain: Chain) -> None:
        """Stand at frame 0, before all delta frames are decoded; not part of a time."""
        self.begin(chain)

    def end(self) -> None:
        """Let go of files."""

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
    return np.ascontiguousarray(words.view(np.uint8).reshape(-1, words.itemsize).T).tobytes()


def unshuffle(data: bytes, dtype: np.dtype[Any]) -> Words:
    """Undo :func:`shuffle`."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype)


@dataclass
class Alone(Method):
    """A peer that codes each frame by itself: as a difference from zeros."""

    method: FlatMethod

    def encode(self, chain: Chain, t: int) -> bytes:
        """Code frame t."""
        now = chain.flat(t)
        return self.method.compress(now, np.zeros_like(now))

    def decode(self, data: bytes, chain: Chain, t: int) -> Words:
        """Return the words of frame t."""
        return self.method.decompress(data, np.zeros_like(chain.flat(t)))


def _zstd_prefix(level: int) -> FlatMethod:
    import zstandard as z

    def dictionary(before: Words) -> z.ZstdCompressionDict:
        return z.ZstdCompressionDict(before.data, dict_type=z.DICT_TYPE_RAWCONTENT)

    def compress(now: Words, before: Words) -> bytes:
        size = (now.nbytes + before.nbytes).bit_length()
        parameters = z.ZstdCompressionParameters.from_level(
            level, window_log=size, enable_ldm=True, threads=0
        )
        compressor = z.ZstdCompressor(compression_params=parameters, dict_data=dictionary(before))
        return compressor.compress(now.data)

    def decompress(data: bytes, before: Words) -> Words:
        decompressor = z.ZstdDecompressor(dict_data=dictionary(before), max_window_size=2**31)
        return np.frombuffer(decompressor.decompress(data), before.dtype)

    return FlatMethod(compress, decompress)


def _xor_zstd(level: int) -> FlatMethod:
    import zstandard as z

    def compress(now: Words, before: Words) -> bytes:
        return z.ZstdCompressor(level=level).compress(shuffle(now ^ before))

    def decompress(data: bytes, before: Words) -> Words:
        return unshuffle(z.ZstdDecompressor().decompress(data), before.dtype) ^ before

    return FlatMethod(compress, decompress)


def _zipnn() -> FlatMethod:
    import zipnn

    def codec(words: Words) -> Any:
        dtype = "float32" if words.itemsize == 4 else "bfloat16"
        return zipnn.ZipNN(
            bytearray_dtype=dtype, input_format="byte", delta_compressed_type="byte", threads=1
        )

    def compress(now: Words, before: Words) -> bytes:
        data = codec(now).compress(
            bytearray(now.tobytes()), delta_second_data=bytearray(before.tobytes())
        )
        return bytes(data)

    def decompress(data: bytes, before: Words) -> Words:
        plain = codec(before).decompress(data, delta_second_data=bytearray(before.tobytes()))
        return np.frombuffer(bytes(plain), before.dtype)

    return FlatMethod(compress, decompress)


def _z4ai() -> FlatMethod:
    import z4ai

    def compress(now: Words, before: Words) -> bytes:
        dtype = "fp32" if now.itemsize == 4 else "bf16"
        return bytes(z4ai.compress_delta(now.tobytes(), before.tobytes(), dtype=dtype, threads=1))

    def decompress(data: bytes, before: Words) -> Words:
        plain = bytes(z4ai.decompress_delta(data, before.tobytes()))
        return np.frombuffer(plain, before.dtype)

    return FlatMethod(compress, decompress)


def _openzl(*, trained: bool, alone: bool = False) -> Method:
    from nmc_tools.bench.openzl_peer import OpenZl

    return OpenZl(trained=trained, alone=alone)


def _signed(words: Words) -> np.ndarray[tuple[int], np.dtype[np.signedinteger[Any]]]:
    return words.view(f"<i{words.itemsize}")


def _ordered(words: Words) -> np.ndarray[tuple[int], np.dtype[np.signedinteger[Any]]]:
    """Return floating-point words as integers that rise with the number they stand for."""
    signed = _signed(words)
    return np.where(signed < 0, np.iinfo(signed.dtype).min - signed, signed)


def _pcodec(level: int, *, ordered: bool) -> FlatMethod:
    from pcodec import ChunkConfig, standalone

    number = _ordered if ordered else _signed

    def compress(now: Words, before: Words) -> bytes:
        difference = number(now) - number(before)
        return bytes(standalone.simple_compress(difference, ChunkConfig(compression_level=level)))

    def decompress(data: bytes, before: Words) -> Words:
        total = (number(before) + standalone.simple_decompress(data)).view(before.dtype)
        return _ordered(total).view(before.dtype) if ordered else total

    return FlatMethod(compress, decompress)


def _pcodec_floats(level: int) -> FlatMethod:
    """Return pcodec for the FP32 numbers of a frame, the frame before unseen."""
    from pcodec import ChunkConfig, standalone

    def compress(now: Words, _: Words) -> bytes:
        config = ChunkConfig(compression_level=level)
        return bytes(standalone.simple_compress(now.view("<f4"), config))

    def decompress(data: bytes, before: Words) -> Words:
        words: Words = standalone.simple_decompress(data).view(before.dtype)
        return words

    return FlatMethod(compress, decompress)


def _hdf5(level: int, *, xor: bool) -> FlatMethod:
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


def _safetensors() -> FlatMethod:
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
        self.history = History()
        self._before: list[list[CodedTensor]] = []
        self._words: list[list[Words]] = []

    def begin(self, chain: Chain) -> None:
        """Forget what earlier frames taught; name the tensors of every frame."""
        from nmc.coding.arithmetic import CodedTensor, History

        self.history = History()
        self._words = [chain.words(t) for t in range(len(chain.frames))]
        self._before = [
            [
                CodedTensor(i, 8 * words.itemsize, 8, 8 * words.itemsize - 9, array.shape, words)
                for i, (array, words) in enumerate(zip(frame.values(), own, strict=True))
            ]
            for frame, own in zip(chain.frames, self._words, strict=True)
        ]

    def encode(self, chain: Chain, t: int) -> bytes:  # noqa: ARG002 - that of the other methods
        """Code frame t given frame t-1."""
        from nmc.coding.arithmetic import encode

        return encode(self._before[t - 1], self._words[t], self.history, self.effort)

    def decode(self, data: bytes, chain: Chain, t: int) -> list[Words]:  # noqa: ARG002 - as above
        """Return the words of frame t."""
        from nmc.coding.arithmetic import decode

        return decode(data, self._before[t - 1], self.history)


def _package(effort: Effort) -> Method:
    from nmc_tools.bench.packages import Packaged

    return Packaged(effort)


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

BEHIND = ("safetensors", "HDF5 shuffle + gzip 4", "XOR, HDF5 shuffle + gzip 9")
"""Methods that are measured on trained chains alone."""

CHANGING: dict[str, Callable[[], Method]] = {
    "safetensors": _safetensors,
    "shuffle, zstd -19, each frame alone": lambda: Alone(_xor_zstd(19)),
    "zipnn, each frame alone": lambda: Alone(_zipnn()),
    "z4ai, each frame alone": lambda: Alone(_z4ai()),
    "OpenZL, each frame alone": lambda: _openzl(trained=False, alone=True),
    "OpenZL, best graph, each frame alone": lambda: _openzl(trained=True, alone=True),
    "pcodec 12, each frame alone": lambda: Alone(_pcodec_floats(12)),
    "zstd -3 --patch-from": partial(_zstd_prefix, 3),
    "zstd -19 --patch-from": partial(_zstd_prefix, 19),
    "nmc fast, package": partial(_package, "fast"),
    "nmc strong, package": partial(_package, "strong"),
    "nmc max, package": partial(_package, "max"),
}
"""Methods for chains whose frames differ in shape: most peers have no difference there."""


def module_of(method: str) -> str:
    """Return the module that a method needs and that not every platform has; else ``numpy``."""
    name = method.partition(",")[0].lower()
    return name if name in ("z4ai", "openzl") else "numpy"
