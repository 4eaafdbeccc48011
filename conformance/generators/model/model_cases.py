"""Vectors of chapter 4: element types, words, names, states and their digests."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from writers.stream_writer import BITS, WORD_BYTES

SEED = 20261


def random_bytes(size: int, seed: int = SEED) -> bytes:
    """Return bytes of every kind, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, size, "u1").tobytes()


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor (clause 4.3.3)."""
    return prod(shape) * BITS[dtype] // 8


def stepped(dtype: str, data: bytes, step: int = 1) -> bytes:
    """Return a tensor whose every word is the one of another plus a step, modulo 2^w."""
    words = np.frombuffer(data, f"<u{WORD_BYTES[dtype]}").copy()
    words += words.dtype.type(step % (1 << (8 * WORD_BYTES[dtype])))
    return words.tobytes()


_SPECIAL = {
    "F16": "007E 017C 0080 00FC FF7B 0100 0000 0180",
    "BF16": "C07F 817F 0080 80FF 7F7F 0100 0000 0180",
    "F32": "0000C07F 0100807F 00000080 000080FF FFFF7F7F 01000000 00000000 01000080",
    "C64": "0000C07F 0100807F 00000080 000080FF FFFF7F7F 01000000 00000000 01000080",
    "F64": "000000000000F87F 010000000000F07F 0000000000000080 000000000000F0FF"
    "FFFFFFFFFFFFEF7F 0100000000000000 0000000000000000 0100000000000080",
    "BOOL": "00 01 02 FF 80 01 00 01",
}
"""NaNs with payloads, infinities, zeros, subnormal and largest numbers; booleans of value 2."""

_FALLBACK = "00 01 7F 80 FE FF 55 AA"


def _values(dtype: str, count: int) -> bytes:
    special = bytes.fromhex(_SPECIAL.get(dtype, _FALLBACK))
    size = size_of(dtype, (count,))
    return (special + random_bytes(size))[:size]


def _dtype_case(dtype: str) -> Case:
    """Return three frames of one type: raw, integer with words that wrap around, skip."""
    shape = (3, 8)
    first = _values(dtype, prod(shape))
    second = bytes(b ^ m for b, m in zip(first, random_bytes(len(first), 7), strict=True))
    chain = Chain(
        (Row("weight", dtype, shape),),
        (
            Frame(KEY, (Cell(RAW, first),)),
            Frame(DELTA, (Cell(INTEGER, second),)),
            Frame(DELTA, (Cell(SKIP, second),)),
        ),
    )
    name = dtype.lower().replace("_", "-")
    return Case(
        f"04-model/dtype-{name}",
        f"tensors of type {dtype} keep every bit pattern, raw, as difference and skipped",
        ("4.3.1", "4.3.3", "6.2.2", "7.2.2"),
        chain,
        seed=SEED,
    )


def key_chain(*tensors: tuple[str, str, tuple[int, ...]], seed: int = SEED) -> Chain:
    """Return one key frame of tensors given by name, type and shape."""
    rows = tuple(Row(name, dtype, shape) for name, dtype, shape in tensors)
    cells = tuple(
        Cell(RAW, random_bytes(size_of(row.dtype, row.shape), seed + i))
        for i, row in enumerate(rows)
    )
    return Chain(rows, (Frame(KEY, cells),))


def _one(name: str, summary: str, clauses: tuple[str, ...], chain: Chain) -> Case:
    return Case(f"04-model/{name}", summary, clauses, chain, seed=SEED)


def _shapes() -> list[Case]:
    scalar = key_chain(("scalar", "F32", ()), ("vector", "F32", (1,)))
    highest = key_chain(("deep", "U8", (1,) * 30 + (2, 3)))
    empty = key_chain(("none", "F32", (0,)), ("some", "F32", (2,)), ("no-rows", "F64", (3, 0, 5)))
    no_bytes = replace(
        empty,
        frames=(
            *empty.frames,
            Frame(
                DELTA,
                (
                    Cell(INTEGER, b""),
                    Cell(SKIP, empty.frames[0].cells[1].data),  # type: ignore[union-attr]
                    Cell(RAW, b""),
                ),
            ),
        ),
    )
    nothing = Chain(
        (Row("weight", "F32", (2,)),),
        (
            Frame(KEY, (None,)),
            Frame(DELTA, (Cell(RAW, random_bytes(8)),)),
            Frame(DELTA, (None,)),
            Frame(KEY, (None,)),
        ),
    )
    return [
        _one("scalar", "a tensor of rank 0 has one element", ("4.2", "4.5.1"), scalar),
        _one("rank-32", "a tensor can have 32 dimensions", ("4.2", "5.4.3"), highest),
        _one("no-elements", "a shape with a dimension 0 has no elements", ("4.2",), empty),
        _one(
            "no-elements-modes",
            "a tensor without elements can be raw, skipped or a difference, and takes no stream",
            ("4.2", "6.2.1", "6.2.4"),
            no_bytes,
        ),
        _one("empty-state", "a state can be empty", ("4.4", "4.5.2"), nothing),
        _one(
            "no-tensor-rows",
            "a tensor table can be without rows",
            ("4.4", "5.3.3"),
            Chain((), (Frame(KEY, ()), Frame(DELTA, ()))),
        ),
    ]


def _names() -> list[Case]:
    order = key_chain(
        ("b", "U8", (1,)),
        ("a.b", "U8", (1,)),
        ("ab", "U8", (1,)),
        ("a", "U8", (1,)),
        ("Z", "U8", (1,)),
        ("é", "U8", (1,)),
        ("\U0001d6fc", "U8", (1,)),
        ("\uffee", "U8", (1,)),
        ("a ", "U8", (1,)),
    )
    odd = key_chain(
        ('quote"back\\slash', "U8", (1,)),
        ("../../etc/passwd", "U8", (2,)),
        ("tab\tand\nline", "U8", (3,)),
        ("\x1b[31mred", "U8", (2,)),
        (" ", "U8", (1,)),
        ("가중치", "F16", (2,)),
    )
    programs = key_chain(
        ("module.conv.weight", "F16", (2,)),
        ("conv.weight", "F16", (2,)),
        ("_orig_mod.fc.bias", "U8", (3,)),
        ("bn.running_mean", "F32", (1,)),
        ("bn.num_batches_tracked", "I64", ()),
        ("_extra", "U8", (1,)),
        ("a%20b", "U8", (1,)),
        ("a+b?c#d", "U8", (1,)),
        ("w.01", "U8", (1,)),
        ("w.1", "U8", (1,)),
        ("layer:0", "U8", (1,)),
        (".", "U8", (1,)),
        ("soft\u00adhyphen\u200d", "U8", (1,)),
    )
    return [
        replace(
            _one(
                "names-of-programs",
                "prefixes, statistics and marks that programs put into names are parts of them",
                ("5.4.3", "4.2"),
                programs,
            ),
            inflate=True,
        ),
        _one(
            "name-order",
            "the digest takes tensors in the order of the bytes of their names",
            ("4.5.2", "3.2"),
            order,
        ),
        _one("name-characters", "a name is any text, and never a path", ("5.4.3", "7.5"), odd),
        _one(
            "name-1024-bytes",
            "a name can have 1024 bytes",
            ("5.4.3",),
            key_chain(("n" * 1024, "U8", (2,)), ("n", "U8", (1,))),
        ),
        _one(
            "name-order-utf-16",
            "names beyond U+FFFF come after those below, unlike in UTF-16",
            ("4.5.2",),
            key_chain(("\U00010000", "U8", (1,)), ("\uffff", "U8", (1,))),
        ),
    ]


def _words() -> list[Case]:
    carry = Chain(
        (Row("c", "C64", (2,)), Row("u", "U16", (3,))),
        (
            Frame(KEY, (Cell(RAW, b"\xff" * 16), Cell(RAW, b"\xff\xff\x00\x01\x80\x00"))),
            Frame(
                DELTA,
                (
                    Cell(INTEGER, b"\x00\x00\x00\x00\xff\xff\xff\xff" * 2),
                    Cell(INTEGER, b"\x00\x00\xff\x01\x7f\x00"),
                ),
            ),
        ),
    )
    rows = tuple(Row(f"{d.lower()}", d, (2, 4)) for d in ("BOOL", "F32", "U8", "F64", "F4", "I16"))
    first = tuple(
        Cell(RAW, random_bytes(size_of(r.dtype, r.shape), 31 + i)) for i, r in enumerate(rows)
    )
    mixed = Chain(
        rows,
        (
            Frame(KEY, first),
            Frame(
                DELTA,
                tuple(
                    Cell(INTEGER, stepped(r.dtype, c.data, 3 - 2 * i))
                    for i, (r, c) in enumerate(zip(rows, first, strict=True))
                ),
            ),
        ),
    )
    return [
        _one(
            "carry",
            "a difference is taken word by word, and no carry leaves a word",
            ("4.3.3", "7.2.2"),
            carry,
        ),
        _one(
            "unaligned",
            "the words of a tensor can begin anywhere in a stream",
            ("6.2.4", "4.3.3"),
            mixed,
        ),
    ]


def _changing() -> list[Case]:
    a, b, c = random_bytes(8, 1), random_bytes(8, 2), random_bytes(12, 3)
    rows = (Row("a", "F32", (2,)), Row("b", "F32", (2,)), Row("c", "F32", (3,), first_frame=2))
    comes = Chain(
        rows,
        (
            Frame(KEY, (Cell(RAW, a), Cell(RAW, b))),
            Frame(DELTA, (Cell(SKIP, a), None)),
            Frame(DELTA, (Cell(SKIP, a), Cell(RAW, b), Cell(RAW, c))),
            Frame(DELTA, (None, Cell(INTEGER, stepped("F32", b)), Cell(SKIP, c))),
        ),
    )
    reshaped = Chain(
        (Row("a", "F32", (2,)), Row("b", "U8", (2, 2))),
        (
            Frame(KEY, (Cell(RAW, a), Cell(RAW, b[:4]))),
            Frame(DELTA, (Cell(RAW, c, (3,)), Cell(SKIP, b[:4]))),
            Frame(DELTA, (Cell(INTEGER, stepped("F32", c), (3,)), Cell(RAW, b[:4], (4,)))),
            Frame(DELTA, (Cell(RAW, a), Cell(SKIP, b[:4], (4,)))),
            Frame(KEY, (Cell(RAW, c, (3, 1)), Cell(RAW, b[:4]))),
        ),
    )
    last = Chain(
        (Row("a", "U8", (2,)), Row("b", "U8", (1,))),
        (Frame(KEY, (Cell(RAW, a[:2], (2, 1)), Cell(RAW, b[:1], ()))),),
    )
    half = Row("a", "F16", (2,), first_frame=1)
    retyped = Chain(
        (Row("a", "F32", (2,)), half),
        (
            Frame(KEY, (Cell(RAW, a),)),
            Frame(DELTA, (None, Cell(RAW, a[:4]))),
            Frame(DELTA, (None, Cell(INTEGER, stepped("F16", a[:4])))),
            Frame(DELTA, (Cell(RAW, b), None)),
        ),
    )
    return [
        _one(
            "tensors-come-and-go",
            "a tensor can appear, vanish and come back",
            ("4.4", "5.4.3", "6.2.2"),
            comes,
        ),
        _one(
            "shape-changes",
            "a tensor can change its shape, which the stream of shapes says",
            ("4.4", "6.2.3"),
            reshaped,
        ),
        _one("shape-becomes-scalar", "the last shape can be that of a scalar", ("6.2.3",), last),
        _one(
            "type-changes",
            "a tensor that changes its type is another row of the same name",
            ("4.4", "5.4.3"),
            retyped,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this chapter."""
    return [*map(_dtype_case, BITS), *_shapes(), *_names(), *_words(), *_changing()]
