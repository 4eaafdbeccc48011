"""How a stream of zstd is fed to the library: whole blocks, few bytes of each, few calls."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from nmc.coding import streams
from nmc_format.dtypes import DTYPES
from nmc_format.issues import FormatError
from nmc_format.segment import Stream

PLAIN = 1 << 17


def frame(plain: bytes, level: int = 3, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(level=level, **options).compress(plain)


def feeds(data: bytes, cut: int = 1 << 20) -> list[bytes]:
    blocks = [data[at : at + cut] for at in range(0, len(data), cut)]
    return [bytes(f) for f in streams._Feeds(blocks, zstandard.frame_header_size(blocks[0]))]


def made(data: bytes, cut: int = 1 << 20) -> list[int]:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    return [len(decompressor.decompress(feed)) for feed in feeds(data, cut)]


def planes() -> bytes:
    rng = np.random.default_rng(0)
    parts = [bytes(700_000), rng.bytes(500_001), rng.integers(0, 5, 900_000, "u1").tobytes()]
    return b"".join(parts)


@pytest.mark.parametrize("cut", [1 << 20, 4096, 23, 19])
@pytest.mark.parametrize("options", [{}, {"write_checksum": True}], ids=["bare", "checked"])
def test_all_bytes_are_given_and_few_come_of_each(cut, options) -> None:
    data = frame(planes(), **options)
    assert b"".join(feeds(data, cut)) == data
    sizes = made(data, cut)
    assert sum(sizes) == len(planes())
    assert max(sizes) <= 2 * PLAIN


def test_there_are_few_of_them() -> None:
    data = frame(np.random.default_rng(0).bytes(1 << 24))
    assert len(feeds(data, 1 << 30)) <= (1 << 24) // PLAIN + 2


def repeated(blocks: int, each: int = PLAIN, kind: int = 1) -> bytes:
    """Return a frame of blocks of one byte that is repeated so often."""
    head = (zstandard.MAGIC_NUMBER).to_bytes(4, "little") + b"\xe0"  # eight bytes of size
    size = (blocks * each).to_bytes(8, "little")
    body = b"".join(
        ((each << 3) | kind << 1 | (k == blocks - 1)).to_bytes(3, "little")
        + (b"\7" if kind == 1 else b"")
        for k in range(blocks)
    )
    return head + size + body


def test_little_comes_of_a_few_bytes_at_a_time() -> None:
    data = repeated(500)
    assert len(data) < 2100
    assert made(data) == [PLAIN] * 500


def test_blocks_of_nothing() -> None:
    data = repeated(5000, 0, kind=0)
    assert b"".join(feeds(data, 1000)) == data
    assert sum(made(data)) == 0


def decoded(data: bytes, count: int) -> np.ndarray:
    stream = Stream("raw.zstd", "zstd", memoryview(data), 0)
    return streams.decompress(stream, [(DTYPES["U8"], count)], "x", differences=False)[0]


@pytest.mark.parametrize("behind", [b"", b"\0", b"more" * 5000, frame(b"another")])
@pytest.mark.parametrize("options", [{}, {"write_checksum": True}], ids=["bare", "checked"])
def test_what_is_behind_a_frame_is_refused(behind, options) -> None:
    data = frame(planes(), **options) + behind
    if not behind:
        assert decoded(data, len(planes())).tobytes() == planes()
        return
    with pytest.raises(FormatError):
        decoded(data, len(planes()))


def test_a_frame_that_ends_early_is_refused() -> None:
    data = frame(planes())
    for size in (5, 12, 14, 15, len(data) // 2, len(data) - 1):
        with pytest.raises(FormatError):
            decoded(data[:size], len(planes()))


def test_any_flipped_byte_of_the_heads_is_refused_or_changes_words() -> None:
    """Whatever heads of blocks say, the library has the last word, and nothing hangs."""
    plain = bytes(range(200)) * 3000
    data = bytearray(frame(plain))
    for at in range(4, 40):
        for bit in range(8):
            data[at] ^= 1 << bit
            try:
                words = decoded(bytes(data), len(plain))
            except FormatError:
                pass
            else:
                assert words.size == len(plain)
            data[at] ^= 1 << bit
