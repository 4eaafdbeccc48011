"""The Zstandard writer of the generators makes what the reference library reads back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "generators"))

from writers.zstd_codes import Huffman, Table
from writers.zstd_writer import (
    COMPRESSED,
    RAW,
    REPEAT,
    TABLE,
    TREELESS,
    Blocks,
    Codes,
    Copy,
    Literals,
    frame,
)

WINDOW = 0x50


def read(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)


@st.composite
def copies(draw: st.DrawFn) -> list[Copy]:
    """Return copies that reach back over what fifty bytes before them leave."""
    lengths = st.integers(0, 40)
    distances = st.sampled_from([1, 2, 3, 7, 20, 50])
    return [
        Copy(draw(lengths), draw(distances) + 3, draw(st.integers(3, 200)))
        for _ in range(draw(st.integers(0, 30)))
    ]


@given(copies(), st.integers(0, 50), st.booleans())
def test_the_library_reads_any_copies(run: list[Copy], rest: int, checksum: bool) -> None:
    size = sum(c.literals for c in run) + rest
    letters = bytes(97 + i * i % 8 for i in range(size))
    blocks = Blocks().raw(bytes(range(50))).packed(Literals(letters, RAW), run)
    assert read(frame(blocks, window=WINDOW, checksum=checksum)) == bytes(blocks.content.data)


TABLES = [
    Table(5, (20, 6, 4, 2)),
    Table(6, (1, *(1,) * 9, *(-1,) * 9, 45)),
    Table(5, (-1, 0, 0, 0, 0, 0, 0, 0, 31)),
    Table(6, (*(4,) * 9, 0, 0, 28)),
]


@given(st.sampled_from(TABLES), st.lists(st.integers(0, 11), min_size=1, max_size=40))
def test_the_library_reads_any_table(table: Table, lengths: list[int]) -> None:
    run = [Copy(n, 4, 3) for n in lengths if n < len(table.counts) and table.counts[n] != 0] or [
        Copy(0, 4, 3)
    ]
    codes = (Codes(TABLE, table), Codes(), Codes())
    again = (Codes(REPEAT, table), Codes(), Codes())
    letters = Literals(b"abc" * sum(c.literals for c in run) + b"d", RAW)
    blocks = Blocks().raw(b"begin").packed(letters, run, codes).packed(letters, run[::-1], again)
    assert read(frame(blocks, window=WINDOW)) == bytes(blocks.content.data)


@pytest.mark.parametrize("form", [0, 1, 2, 3])
@given(st.data())
def test_the_library_reads_any_tree(form: int, data: st.DataObject) -> None:
    tree = Huffman((3, 3, 2, 2, 1, 1, 1, 1), data.draw(st.sampled_from([None, TABLES[0]])))
    letters = bytes(data.draw(st.lists(st.integers(0, 7), min_size=10, max_size=900)))
    blocks = Blocks().packed(Literals(letters, COMPRESSED, tree, form)).raw(b"-")
    blocks.packed(Literals(letters[::-1], TREELESS, tree, form))
    assert read(frame(blocks, window=WINDOW)) == bytes(blocks.content.data)
