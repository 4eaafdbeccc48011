"""Vectors of clause 8: payloads of the lossless coder, made from the text in plain integers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from cases import Case
from chain import DELTA, INTEGER, KEY, QUANTISED, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, size_of
from writers.stream_writer import BITS, WORD_BYTES

from arithmetic import coder_adaptive, coder_divided, coder_sparse, coder_static
from arithmetic.coder_words import CodedTensor, History, coded_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Make = Callable[[list[CodedTensor], History], bytes]

STORED, STATIC, ADAPTIVE, MIXED, SPARSE, DIVIDED = range(6)
NAMES = ("stored", "static", "adaptive", "mixed", "sparse", "divided")
STREAM = "integer.nmc"


def payload(tensors: list[CodedTensor], history: History, variant: int, fill: int = 0) -> bytes:
    """Return a payload (clause 8.3.2), bits without meaning as given; the history goes on."""
    if variant == STORED:
        body = b"".join(z.to_bytes(p.w // 8, "little") for p in tensors for z in p.new)
    elif variant == STATIC:
        body = coder_static.encode(tensors, history, coder_static.Faults(fill=fill))
    elif variant == SPARSE:
        body = coder_sparse.body(tensors, history, (1, -1, 2, 0)).serialize()
    elif variant == DIVIDED:
        body = coder_divided.body(tensors, history, fill=fill).serialize()
    else:
        body = coder_adaptive.encode(tensors, history, variant, fill)
    for p in tensors:
        if variant not in (STATIC, SPARSE):
            history.ways.pop(p.row, None)
        if variant not in (ADAPTIVE, MIXED, DIVIDED):
            history.forget_entries(p.row)
    return bytes([variant]) + body


def coded(chain: Chain, variants: Sequence[int | None], fill: int = 0) -> Chain:
    """Return a chain whose differences are in the coding nmc, a variant for each delta frame.

    A frame without a variant is in the coding zstd, which leaves the history as it is.
    """
    history = History()
    frames: list[Frame] = []
    shapes: dict[int, tuple[int, ...]] = {}
    for t, frame in enumerate(chain.frames):
        if frame.coding == KEY:
            history, shapes = History(), {}
        tensors = []
        for i, cell in enumerate(frame.cells):
            if cell is None or cell.mode not in (SKIP, INTEGER):
                history.forget(i)
            if cell is None:
                continue
            if cell.mode in (RAW, QUANTISED):
                shapes[i] = cell.shape or chain.rows[i].shape
            before = chain.frames[t - 1].cells[i] if cell.mode == INTEGER else None
            if before is not None:
                row = chain.rows[i]
                tensors.append(coded_tensor(i, row.dtype, shapes[i], before.data, cell.data))
        made, variant = frame, variants[t]
        if sum(len(p.old) for p in tensors) and variant is None:
            made = replace(frame, integer="zstd")
        elif sum(len(p.old) for p in tensors):
            assert variant is not None
            data = payload(tensors, history, variant, fill)
            payloads = {**frame.payloads, STREAM: data}
            made = replace(frame, integer="nmc", payloads=payloads)
        frames.append(made)
    profile = "lossy" if chain.profile == "lossy" else "main"
    return replace(chain, frames=tuple(frames), profile=profile)


def payload_chain(
    rows: Sequence[Row], states: Sequence[Sequence[bytes]], makes: Sequence[Make]
) -> Chain:
    """Return a key frame, and delta frames of which each has a way to make its payload."""
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in states[0]), raw="zstd")]
    history = History()
    for before, after, make in zip(states[:-1], states[1:], makes, strict=True):
        tensors = [
            coded_tensor(i, row.dtype, row.shape, x, z)
            for i, (row, x, z) in enumerate(zip(rows, before, after, strict=True))
        ]
        data = make(tensors, history)
        cells = tuple(Cell(INTEGER, d) for d in after)
        frames.append(Frame(DELTA, cells, integer="nmc", payloads={STREAM: data}))
    return Chain(tuple(rows), tuple(frames), profile="main")


def trained(dtype: str, data: bytes, seed: int) -> bytes:
    """Return words after a step of training: most move a little, some stay, a few are others."""
    rng = np.random.default_rng(seed)
    width = WORD_BYTES[dtype]
    words = np.frombuffer(data, f"<u{width}").copy()
    kind = rng.integers(0, 16, words.size)
    bits = 8 * width
    for i, k in enumerate(kind.tolist()):
        x = int(words[i])
        small = int(rng.integers(1, 1 << min(bits // 2, 20)))
        if k >= 12:
            continue
        if k == 0:
            x ^= 1 << (bits - 1)
        elif k == 1:
            x = int.from_bytes(rng.integers(0, 256, width, "u1").tobytes(), "little")
        else:
            x += small if k % 2 else -small
        words[i] = x % (1 << bits)
    return words.tobytes()


def _weights(dtype: str, count_: int, seed: int) -> bytes:
    """Return words that look like weights where the type has such, else any."""
    if dtype == "F32":
        rng = np.random.default_rng(seed)
        steps = rng.integers(-1000, 1001, count_)
        return (steps / 4096.0).astype("<f4").tobytes()
    return random_bytes(size_of(dtype, (count_,)), seed)


def training_chain(
    rows: tuple[Row, ...], frames: int, seed: int = 3, key: int | None = None
) -> Chain:
    """Return frames of training; frame `key` is a second key frame."""
    data = [
        _weights(r.dtype, size_of(r.dtype, r.shape) * 8 // BITS[r.dtype], seed + i)
        for i, r in enumerate(rows)
    ]
    made = [Frame(KEY, tuple(Cell(RAW, d) for d in data))]
    for t in range(1, frames):
        data = [
            trained(r.dtype, d, 100 * t + i)
            for i, (r, d) in enumerate(zip(rows, data, strict=True))
        ]
        mode = RAW if t == key else INTEGER
        made.append(Frame(KEY if t == key else DELTA, tuple(Cell(mode, d) for d in data)))
    return Chain(rows, tuple(made))


def arithmetic_case(name: str, what: str, clauses: tuple[str, ...], chain: Chain) -> Case:
    """Return the case of a chain in the coding nmc."""
    return Case(f"08-arithmetic/{name}", what, clauses, chain, seed=SEED)


CLAUSES: tuple[tuple[str, ...], ...] = (
    ("8.3.2",),
    ("8.6.1", "8.6.2", "8.6.3", "8.6.4", "8.6.5"),
    ("8.5.1", "8.5.2", "8.5.3", "8.5.4", "8.5.5", "8.5.6", "8.5.7"),
    ("8.5.8", "8.5.9"),
    ("8.7.1", "8.7.2", "8.7.3", "8.7.4"),
    ("8.8.1",),
)
COMMON = ("8.3.3", "8.4.1", "8.4.2", "8.4.3")


def _layers() -> tuple[Row, ...]:
    return (Row("a", "F32", (6, 40)), Row("b", "F32", (40,)), Row("c", "F16", (3, 5, 7)))


def _variants() -> list[Case]:
    made = []
    for v, name in enumerate(NAMES):
        clauses = (*CLAUSES[v], *COMMON)
        made.append(
            arithmetic_case(
                name,
                f"the {name} variant over three delta frames",
                clauses,
                coded(training_chain(_layers(), 4), [v] * 4),
            )
        )
        every = tuple(Row(d.lower(), d, (2, 12)) for d in BITS)
        made.append(
            arithmetic_case(
                f"{name}-types",
                f"the {name} variant for words of every type",
                (*CLAUSES[v], "8.1.1", "4.3.1"),
                coded(training_chain(every, 3, 7), [v] * 3),
            )
        )
        shapes = tuple(
            Row(f"s{i}", "F32", shape)
            for i, shape in enumerate([(), (1,), (0, 3), (33,), (2, 3, 4), (5, 1, 2, 3), (3, 64)])
        )
        made.append(
            arithmetic_case(
                f"{name}-lines",
                f"the {name} variant for lines of many shapes",
                (*CLAUSES[v], "8.1.2"),
                coded(training_chain(shapes, 3, 11), [v] * 3),
            )
        )
        key = coded(training_chain(_layers()[1:], 5, 13, key=2), [v] * 5)
        made.append(
            arithmetic_case(
                f"{name}-key-frame",
                f"at a key frame the {name} variant forgets",
                (*CLAUSES[v], "8.3.3", "6.3.3"),
                key,
            )
        )
    return made


def _flips() -> list[Case]:
    """Signs that flip to exponents near and far from the one that is expected."""
    steps = np.arange(-70, 71)
    types = {"F32": "<f4", "F64": "<f8", "F16": "<f2"}
    rows = tuple(Row(name.lower(), name, (steps.size,)) for name in types)
    near = np.where(np.abs(steps) < 16, steps, -30)  # beyond the range of an F16: zeros
    spans = {"F32": steps, "F64": steps, "F16": near}
    before = [np.ones(steps.size, t).tobytes() for t in types.values()]
    after = [(-np.ldexp(1.0, spans[n])).astype(t).tobytes() for n, t in types.items()]
    last = [np.roll(np.ldexp(1.0, spans[n]), 5).astype(t).tobytes() for n, t in types.items()]
    chain = Chain(
        rows,
        (
            Frame(KEY, tuple(Cell(RAW, d) for d in before)),
            Frame(DELTA, tuple(Cell(INTEGER, d) for d in after)),
            Frame(DELTA, tuple(Cell(INTEGER, d) for d in last)),
        ),
    )
    return [
        arithmetic_case(
            f"{NAMES[v]}-flips",
            f"the {NAMES[v]} variant where signs flip to exponents near and far from the expected",
            ("8.5.5", "8.5.6"),
            coded(chain, [v] * 3),
        )
        for v in (ADAPTIVE, MIXED)
    ]


def _memory() -> list[Case]:
    mixed = coded(training_chain(_layers(), 7, 17), [0, 2, 1, 3, 0, 3, 2])
    sparse = coded(training_chain(_layers(), 7, 17), [4, 1, 4, 4, 0, 4, 1])
    rows = (Row("a", "F32", (8,)), Row("b", "F32", (8,)), Row("c", "I16", (4, 4)))
    base = training_chain(rows, 6, 19)
    frames = list(base.frames)
    frames[2] = replace(
        frames[2],
        cells=tuple(
            Cell(SKIP, frames[1].cells[i].data) if i == 1 else c  # type: ignore[union-attr]
            for i, c in enumerate(frames[2].cells)
        ),
    )
    plain = replace(base, frames=tuple(frames))
    skipping = coded(plain, [2, 2, 3, 3, 2, 3])
    shapes = _reshaped()
    return [
        arithmetic_case(
            "variants-in-turn",
            "each frame can have another variant, with one history",
            ("8.3.3",),
            mixed,
        ),
        arithmetic_case(
            "sparse-in-turn",
            "a sparse payload goes on from the history of others, and they from its",
            ("8.7.1", "8.3.3"),
            sparse,
        ),
        arithmetic_case(
            "sparse-row-skipped",
            "a row that is skipped keeps what a sparse payload left of it",
            ("8.7.1", "8.3.3"),
            coded(plain, [4] * 6),
        ),
        arithmetic_case(
            "row-skipped",
            "a row that is skipped keeps what is remembered of it",
            ("8.3.3",),
            skipping,
        ),
        arithmetic_case(
            "row-reshaped",
            "a row that is coded raw forgets its entries and its trend",
            ("8.3.3",),
            shapes,
        ),
        arithmetic_case(
            "other-coding-between",
            "a frame in another coding leaves the history as it is",
            ("6.3.3", "8.3.3"),
            _without_memory_of(plain, 3),
        ),
    ]


def _without_memory_of(chain: Chain, t: int) -> Chain:
    """Return a chain in which frame t is in the coding zstd, and not remembered."""
    history, frames = History(), [chain.frames[0]]
    for s in range(1, len(chain.frames)):
        frame = chain.frames[s]
        if s == t:
            frames.append(replace(frame, integer="zstd"))
            continue
        tensors = [
            coded_tensor(i, chain.rows[i].dtype, chain.rows[i].shape, b.data, c.data)
            for i, (c, b) in enumerate(zip(frame.cells, chain.frames[s - 1].cells, strict=True))
            if c is not None and b is not None and c.mode == INTEGER
        ]
        data = payload(tensors, history, MIXED)
        frames.append(replace(frame, integer="nmc", payloads={STREAM: data}))
    return replace(chain, frames=tuple(frames), profile="main")


def _reshaped() -> Chain:
    rows = (Row("a", "F32", (6,)), Row("b", "F32", (5,)))
    data = [_weights("F32", 6, 23), _weights("F32", 5, 24)]
    frames = [Frame(KEY, tuple(Cell(RAW, d) for d in data))]
    for t in range(1, 6):
        data[1] = trained("F32", data[1], 200 + t)
        if t == 3:
            data[0] = _weights("F32", 4, 25)
            cell = Cell(RAW, data[0], (4,))
        else:
            data[0] = trained("F32", data[0], 300 + t)
            cell = Cell(INTEGER, data[0], (4,) if t > 3 else None)
        frames.append(Frame(DELTA, (cell, Cell(INTEGER, data[1]))))
    return coded(Chain(rows, tuple(frames)), [2, 2, 3, 2, 3, 2])


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_variants(), *_flips(), *_memory()]
