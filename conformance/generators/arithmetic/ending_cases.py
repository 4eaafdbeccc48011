"""Vectors of clause 8 about ends: of code words, raw bits, tables, lines and ranges of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from chain import DELTA, INTEGER, KEY, RAW, Cell, Chain, Frame, Row

from arithmetic import coder_adaptive, coder_static
from arithmetic.arithmetic_cases import (
    ADAPTIVE,
    MIXED,
    NAMES,
    STATIC,
    STREAM,
    arithmetic_case,
    coded,
    trained,
    training_chain,
)
from arithmetic.coder_static import Faults
from arithmetic.coder_words import CodedTensor, History, coded_tensor
from arithmetic.payload_cases import CODER
from arithmetic.payload_fields import counts, edited, with_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case

SMALL = Row("a", "F32", (3, 8))


def _pair(row: Row, old: bytes, new: bytes, encode: Callable[[list[CodedTensor]], bytes]) -> Chain:
    """Return two frames, the second one with a payload made on purpose."""
    data = encode([coded_tensor(0, row.dtype, row.shape, old, new)])
    return Chain(
        (row,),
        (
            Frame(KEY, (Cell(RAW, old),)),
            Frame(DELTA, (Cell(INTEGER, new),), integer="nmc", payloads={STREAM: data}),
        ),
        profile="main",
    )


def _small() -> tuple[bytes, bytes]:
    """Return words of two frames; the last four moved so that all their raw bits are 0."""
    cell = training_chain((SMALL,), 1, 29).frames[0].cells[0]
    assert cell is not None
    words = np.frombuffer(cell.data, "<u4")
    new = np.frombuffer(trained("F32", cell.data, 31), "<u4").copy()
    new[-4:] = words[-4:] + (1 << 20)
    return cell.data, new.tobytes()


def _coder(variant: int, *, rounded: bool = False) -> Callable[[list[CodedTensor]], bytes]:
    def encode(tensors: list[CodedTensor]) -> bytes:
        if variant == STATIC:
            return bytes([variant]) + coder_static.encode(tensors, History())
        body = coder_adaptive.encode(tensors, History(), variant, rounded=rounded)
        return bytes([variant]) + body

    return encode


def _without_last(base: Case, name: str, what: str, clause: str, data: bytes) -> Case:
    """Return a case whose payload lacks its last unit, a zero that a careless decoder adds."""
    first, second = base.chain.frames
    frames = (first, Frame(DELTA, second.cells, integer="nmc", payloads={STREAM: data}))
    return base.reject(
        name,
        f"{what} is rejected",
        clause,
        (CODER, "decoding/state-digest-mismatch"),
        chain=Chain(base.chain.rows, frames, profile="main"),
        stage="frame",
        frame=1,
    )


def _code_words() -> list[Case]:
    old, new = _small()
    made = []
    for v in (ADAPTIVE, MIXED):
        name = NAMES[v]
        base = arithmetic_case(
            f"{name}-words-end-zero",
            f"a {name} payload whose last code word is 0",
            ("8.5.1", "8.5.2"),
            _pair(SMALL, old, new, _coder(v, rounded=True)),
        )
        data = base.chain.frames[1].payloads[STREAM]
        (words, raw), at = counts(data, 2)
        end = at + 2 * words
        assert data[end - 2 : end] == b"\0\0"
        cut = with_counts(data[0], [words - 1, raw], data[at : end - 2] + data[end:])
        what = f"a {name} payload without its last code word, which is 0,"
        made += [
            base,
            _without_last(base, f"08-arithmetic/{name}-words-fewer", what, "8.5.2", cut),
        ]
    return made


def _raw_bits() -> list[Case]:
    old, new = _small()
    made = []
    for v in (STATIC, ADAPTIVE, MIXED):
        name = NAMES[v]
        base = arithmetic_case(
            f"{name}-raw-end-zero",
            f"a {name} payload whose last raw bits are 0",
            ("8.4.3",),
            _pair(SMALL, old, new, _coder(v)),
        )
        data = base.chain.frames[1].payloads[STREAM]
        assert data[-1] == 0
        if v == STATIC:
            cut = edited(data, raw=-1)
        else:
            (words, raw), at = counts(data, 2)
            cut = with_counts(data[0], [words, raw - 1], data[at:-1])
        what = f"a {name} payload without its last byte of raw bits, which is 0,"
        made += [
            base,
            _without_last(base, f"08-arithmetic/{name}-raw-fewer", what, "8.4.3", cut),
        ]
    one = bytes([7]), bytes([9])
    made.append(
        arithmetic_case(
            "static-raw-one",
            "a static payload with one raw bit",
            ("8.4.3", "8.6.5"),
            _pair(Row("a", "U8", (1,)), *one, _coder(STATIC)),
        )
    )
    return made


def _alphabets() -> list[Case]:
    """Return tables with a token that never occurs: the last one there is, and the one beyond."""
    made = []
    for dtype, tokens in (("F32", 142), ("I16", 78)):
        row = Row("a", dtype, (3, 8))
        cells = (frame.cells[0] for frame in training_chain((row,), 2, 29).frames)
        old, new = (cell.data for cell in cells if cell is not None)

        def static(token: int) -> Callable[[list[CodedTensor]], bytes]:
            return lambda tensors: (
                bytes([STATIC]) + coder_static.encode(tensors, History(), Faults(surplus=token))
            )

        kind = dtype.lower()
        base = arithmetic_case(
            f"static-token-last-{kind}",
            f"a table of a static payload with the last token of {dtype}",
            ("8.6.3", "8.6.5"),
            _pair(row, old, new, static(tokens - 1)),
        )
        data = _pair(row, old, new, static(tokens)).frames[1].payloads[STREAM]
        if dtype == "I16":
            flip = _pair(row, old, new, static(17)).frames[1].payloads[STREAM]
            what = "a table of a static payload with a flip of I16"
            made.append(
                _without_last(base, "08-arithmetic/static-token-flip-i16", what, "8.6.3", flip)
            )
        name = f"08-arithmetic/static-token-beyond-{kind}"
        what = f"a table of a static payload with a token beyond those of {dtype}"
        made += [base, _without_last(base, name, what, "8.6.3", data)]
    return made


def _first_words() -> list[Case]:
    """Return tensors that begin with zero and with a subnormal number: the trend starts there."""
    rows = (Row("a", "F32", (12,)), Row("b", "F16", (12,)), Row("c", "BF16", (12,)))
    chain = training_chain(rows, 3, 43)
    frames = []
    for frame in chain.frames:
        cells = []
        for row, cell in zip(rows, frame.cells, strict=True):
            assert cell is not None
            width = 4 if row.dtype == "F32" else 2
            head = bytes(width) if row.name == "a" else (1).to_bytes(width, "little")
            cells.append(Cell(cell.mode, head + cell.data[width:]))
        frames.append(Frame(frame.coding, tuple(cells)))
    return [
        arithmetic_case(
            f"{NAMES[v]}-first-zero",
            f"the {NAMES[v]} variant where the first word is zero or subnormal",
            ("8.5.4",),
            coded(Chain(rows, tuple(frames)), [v] * 3),
        )
        for v in (ADAPTIVE, MIXED)
    ]


def _stepped(words: np.ndarray, t: int, rng: np.random.Generator) -> np.ndarray:
    """Return words after a step that keeps its direction by column and its size by row."""
    columns = np.arange(words.shape[-1])
    down = np.where((columns // 5 + t // 3) % 2, 1, -1)
    size = np.exp2(rng.integers(2, 17, words.shape[:-1]))[..., None]
    step = (size * (1 + rng.random(words.shape) / 4)).astype(np.int64) * down
    step[rng.random(words.shape) < 0.05] *= -1
    step[..., columns % 7 < (t % 3)] = 0
    flipped = rng.random(words.shape) < 0.02
    return np.where(flipped, words ^ (1 << 31), words + step) & 0xFFFFFFFF


def _momentum(rows: tuple[Row, ...], frames: int) -> Chain:
    """Return frames of steps that go on as they began."""
    rng = np.random.default_rng(47)
    words = [
        (rng.normal(size=row.shape) * np.exp2(-rng.integers(0, 20, row.shape))).astype("<f4")
        for row in rows
    ]
    data = [w.view("<u4").astype(np.int64) for w in words]
    made = []
    for t in range(frames):
        if t:
            data = [_stepped(d, t, rng) for d in data]
        mode = INTEGER if t else RAW
        cells = tuple(Cell(mode, d.astype("<u4").tobytes()) for d in data)
        made.append(Frame(DELTA if t else KEY, cells))
    return Chain(rows, tuple(made))


def _long() -> list[Case]:
    momentum = _momentum((Row("a", "F32", (20, 48)), Row("b", "F32", (48,))), 7)
    made = [
        arithmetic_case(
            f"{NAMES[v]}-momentum",
            f"the {NAMES[v]} variant where steps keep their direction and their size",
            ("8.5.4", "8.5.7") if v != MIXED else ("8.5.8", "8.5.9"),
            coded(momentum, [v] * 7),
        )
        for v in (STATIC, ADAPTIVE, MIXED)
    ]
    still = np.zeros(2000, np.uint8)
    moved = still.copy()
    moved[[1400, 1999]] = 5
    made.append(
        arithmetic_case(
            "mixed-still",
            "probabilities come as near to certainty as they can",
            ("8.5.3", "8.5.8"),
            _pair(Row("a", "I8", (40, 50)), still.tobytes(), moved.tobytes(), _coder(MIXED)),
        )
    )
    count = 65536 + 40
    old = np.zeros(count, np.uint8)
    new = old.copy()
    new[::4096] = 3
    new[-40:] = np.arange(40) % 3
    row = Row("a", "U8", (1, count))
    made.append(
        arithmetic_case(
            "adaptive-long-line",
            "a line has 65536 words at most",
            ("8.1.2",),
            _pair(row, old.tobytes(), new.tobytes(), _coder(ADAPTIVE)),
        )
    )
    return made


def _counts() -> list[Case]:
    """Return counts of ten bytes, and one whose last byte is the largest that ends it."""
    old, new = _small()
    base = arithmetic_case(
        "adaptive-count-nine",
        "a count can have nine bytes",
        ("8.3.2",),
        _pair(SMALL, old, new, lambda tensors: _lengthened(_coder(ADAPTIVE)(tensors), 9)),
    )
    data = _lengthened(_coder(ADAPTIVE)([coded_tensor(0, "F32", SMALL.shape, old, new)]), 10)
    name = "08-arithmetic/adaptive-count-ten"
    what = "a count of ten bytes, of a small number,"
    made = [base, _without_last(base, name, what, "8.3.2", data)]
    words = np.arange(92, dtype="<u2")
    moved = words + np.uint16(0x2155)  # eleven raw bits each, 127 bytes in all
    pair = _pair(Row("a", "I16", (92,)), words.tobytes(), moved.tobytes(), _coder(ADAPTIVE))
    (_, raw), _ = counts(pair.frames[1].payloads[STREAM], 2)
    assert raw == 127
    clauses = ("8.3.2", "8.4.3")
    made.append(arithmetic_case("adaptive-count-127", "a count of 127, one byte", clauses, pair))
    return made


def _lengthened(data: bytes, size: int) -> bytes:
    """Return a payload whose first count has so many bytes, the last of them 0."""
    (first, second), at = counts(data, 2)
    long = bytes(first >> 7 * k & 0x7F | 0x80 for k in range(size - 1)) + b"\0"
    rest = with_counts(0, [second], data[at:])[1:]
    return data[:1] + long + rest


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_counts(), *_code_words(), *_raw_bits(), *_alphabets(), *_first_words(), *_long()]
