"""Cases of bad input: coded streams of segments (clause 6.3 and chapter 8)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import zstandard
from bad_cases import SECOND, case
from nmc_samples import rebuild


@case(("profile/coding-refused", "*"), on="baseline", healthy=SECOND)
def zstd_in_a_baseline_package(p):
    rebuild(p, 0, payloads=lambda s: {"raw.zstd": zstandard.compress(s["raw"])})


def forged_zstd(p: Path, change: Callable[[bytes], bytes]) -> None:
    def swap(streams: dict[str, bytes]) -> dict[str, bytes]:
        (name,) = (n for n in streams if n.endswith("zstd"))
        return {**streams, name: change(streams[name])}

    rebuild(p, 1, payloads=swap)


def zstd_case(function):
    return case(("segment/zstd", "*"), on="zstd", healthy=SECOND | {0})(function)


@zstd_case
def zstd_of_garbage(p):
    forged_zstd(p, lambda s: b"\0" * len(s))


@zstd_case
def zstd_empty(p):
    forged_zstd(p, lambda s: b"")


@zstd_case
def zstd_cut_short(p):
    forged_zstd(p, lambda s: s[:-3])


@zstd_case
def zstd_with_bytes_after_it(p):
    forged_zstd(p, lambda s: s + b"\0")


@zstd_case
def zstd_of_two_frames(p):
    forged_zstd(p, lambda s: s + zstandard.compress(b""))


@zstd_case
def zstd_with_a_skippable_frame_before_it(p):
    forged_zstd(p, lambda s: struct.pack("<II", 0x184D2A50, 4) + b"abcd" + s)


@zstd_case
def zstd_with_a_skippable_frame_after_it(p):
    forged_zstd(p, lambda s: s + struct.pack("<II", 0x184D2A50, 4) + b"abcd")


@zstd_case
def zstd_of_fewer_bytes(p):
    forged_zstd(p, lambda s: zstandard.compress(zstandard.decompress(s)[:-1]))


@zstd_case
def zstd_of_more_bytes(p):
    forged_zstd(p, lambda s: zstandard.compress(zstandard.decompress(s) + b"\0"))


@zstd_case
def zstd_bomb(p):
    forged_zstd(p, lambda s: zstandard.compress(bytes(2**26)))


@zstd_case
def zstd_without_content_size(p):
    plain = zstandard.ZstdCompressor(write_content_size=False)
    forged_zstd(p, lambda s: plain.compress(zstandard.decompress(s)))


def zstd_header(size: int) -> bytes:
    """Return a frame header that declares a content size of 8 bytes (RFC 8878, 3.1.1)."""
    return struct.pack("<IBQ", 0xFD2FB528, 0xE0, size)


@zstd_case
def zstd_that_declares_an_absurd_size(p):
    forged_zstd(p, lambda s: zstd_header(2**62) + b"\1\0\0")


@zstd_case
def zstd_that_makes_less_than_it_declares(p):
    forged_zstd(p, lambda s: zstd_header(len(zstandard.decompress(s))) + b"\1\0\0")


@zstd_case
def zstd_that_makes_more_than_it_declares(p):
    def lying(s: bytes) -> bytes:
        plain = zstandard.decompress(s)
        size = len(plain) + 100
        block = (size << 3 | 1 << 1 | 1).to_bytes(3, "little")  # the last block, RLE
        return zstd_header(len(plain)) + block + b"\0"

    forged_zstd(p, lying)


@zstd_case
def zstd_with_a_dictionary(p):
    samples = [bytes(range(i % 200, 255)) * 5 for i in range(50)]
    words = zstandard.train_dictionary(1024, samples)
    coder = zstandard.ZstdCompressor(dict_data=words)
    forged_zstd(p, lambda s: coder.compress(zstandard.decompress(s)))


@zstd_case
def zstd_with_a_window_of_2_gib(p):
    def wide(s: bytes) -> bytes:
        size = len(zstandard.decompress(s))
        # no single segment, window descriptor 2^31, content size of 8 bytes
        head = struct.pack("<IBBQ", 0xFD2FB528, 0xC0, (31 - 10) << 3, size)
        return head + (size << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"

    forged_zstd(p, wide)


def forged_coder(p: Path, change: Callable[[bytes], bytes]) -> None:
    rebuild(p, 1, payloads=lambda s: {**s, "integer.nmc": change(s["integer.nmc"])})


def coder_case(function):
    return case(("segment/coder", "*"), on="nmc", healthy=SECOND | {0})(function)


@coder_case
def coded_stream_empty(p):
    forged_coder(p, lambda s: b"")


@coder_case
def coded_stream_of_an_unknown_variant(p):
    forged_coder(p, lambda s: b"\xff" + s[1:])


@coder_case
def coded_stream_cut_short(p):
    forged_coder(p, lambda s: s[: len(s) // 2])


@coder_case
def coded_stream_with_bytes_after_it(p):
    forged_coder(p, lambda s: s + b"\0\0")


@coder_case
def coded_stream_with_absurd_counts(p):
    forged_coder(p, lambda s: s[:1] + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + s[1:])
