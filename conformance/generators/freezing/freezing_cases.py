"""Vectors of clauses 9.1, 9.2.1 and 9.3: lineage, trained parameters, frozen layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bases import ROWS
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, stepped

if TYPE_CHECKING:
    from chain import Array

BITS, DISAGREE = "freezing/requires-grad-bits", "freezing/exclude-layers-disagree"

# rows of the packages: front.weight, front.bias (layer 0), rear.weight (layer 2), step (a buffer)
TRAINED = [0b0111, 0b0001, 0b0101, 0b0000, 0b0001]
"""What was trained in each frame of the base: bits of the rows."""

LISTED: list[list[int] | None] = [[], [2], [], [0, 2], [2]]
"""The layers that were frozen in each frame: those of which no parameter was trained."""


def _frozen_base() -> Chain:
    """Return the chain of GROUPS, with rear.weight as it has to be where it is frozen."""
    w = [random_bytes(24, 80 + t) for t in range(5)]
    bias, rear = random_bytes(12, 90), random_bytes(8, 91)
    rear2 = stepped("F16", rear, 9)
    step = [t.to_bytes(8, "little") for t in range(5)]
    return Chain(
        ROWS,
        (
            Frame(KEY, (Cell(RAW, w[0]), Cell(RAW, bias), Cell(RAW, rear), Cell(RAW, step[0]))),
            Frame(
                DELTA,
                (Cell(INTEGER, w[1]), Cell(SKIP, bias), Cell(SKIP, rear), Cell(INTEGER, step[1])),
            ),
            Frame(
                DELTA,
                (
                    Cell(INTEGER, w[2]),
                    Cell(SKIP, bias),
                    Cell(INTEGER, rear2),
                    Cell(INTEGER, step[2]),
                ),
            ),
            Frame(KEY, (Cell(RAW, w[2]), Cell(RAW, bias), Cell(RAW, rear2), Cell(RAW, step[3]))),
            Frame(
                DELTA,
                (Cell(RAW, w[4]), Cell(RAW, bias), Cell(INTEGER, rear2), Cell(INTEGER, step[4])),
            ),
        ),
    )


def record_of(
    trained: list[int] | None = None,
    listed: list[list[int] | None] | None = None,
    lineage: list[int] | None = None,
    known: list[int] | None = None,
) -> dict[str, Array]:
    """Return the objects of a training record."""
    bits = TRAINED if trained is None else trained
    layers = LISTED if listed is None else listed
    flat = [layer for entry in layers if entry is not None for layer in entry]
    counts = [-1 if entry is None else len(entry) for entry in layers]
    return {
        "/training/trained_from": np.array(lineage or [-1, 0, 1, 2, 3], "<i8"),
        "/training/requires_grad": np.array(bits, "u1").reshape(-1, 1),
        "/training/requires_grad_known": np.array(known or [1] * 5, "u1"),
        "/training/exclude_layers": np.array(flat, "<i4"),
        "/training/exclude_layers_count": np.array(counts, "<i4"),
    }


def objects_of(chain: Chain, record: dict[str, Array]) -> Chain:
    """Return a chain with a training record in its manifest."""
    return replace(chain, objects=record)


FROZEN = Case(
    "09-freezing/frozen-layers",
    "layers are frozen in some frames, across a key frame too",
    ("9.1", "9.2.1", "9.2.2", "9.3.1", "9.3.2"),
    objects_of(_frozen_base(), record_of()),
    seed=SEED,
)


def _good(name: str, summary: str, clause: str, record: dict[str, Array]) -> Case:
    return FROZEN.vary(
        f"09-freezing/{name}", summary, clause, chain=objects_of(FROZEN.chain, record)
    )


def freezing_case(
    name: str, what: str, clause: str, code: str | tuple[str, ...], record: dict[str, Array]
) -> Case:
    """Return the case of a package with one fault in its training record."""
    return FROZEN.reject(
        f"09-freezing/{name}",
        f"{what} is rejected",
        clause,
        code,
        chain=objects_of(FROZEN.chain, record),
    )


def _accepted() -> list[Case]:
    bits = record_of()
    only_lists = {n: a for n, a in bits.items() if "requires_grad" not in n}
    only_bits = {n: a for n, a in bits.items() if "exclude" not in n}
    unknown = record_of([0b0111, 0, 0, 0, 1], [None, [0], None, [2], None], known=[1, 0, 0, 0, 1])
    restarted = record_of(
        [0b0111, 0, 0, 0, 0], [[], [0, 2], [0, 2], [0, 2], [0, 2]], [-1, -1, -1, -1, -1]
    )
    return [
        FROZEN,
        _good("only-layers", "the lists of layers alone", "9.3.1", only_lists),
        _good("only-parameters", "requires_grad alone", "9.2.1", only_bits),
        _good("not-recorded", "frames of which one or both is not recorded", "9.3.2", unknown),
        _good(
            "no-lineage",
            "a frozen parameter can change where training began from other weights",
            "9.2.2",
            restarted,
        ),
        _good(
            "lineage-only",
            "lineage alone",
            "9.1",
            {"/training/trained_from": np.array([-1, 0, -1, 2, -1], "<i8")},
        ),
        _late_layer(),
        _absent_layer(),
        _without_layer(),
        *(_many_rows(count) for count in (7, 8, 9)),
    ]


def _late_layer() -> Case:
    """Return a package whose last row, of a layer of its own, begins with frame 1."""
    rows = (replace(ROWS[2], name="a", layer=1), replace(ROWS[2], name="b", layer=5, first_frame=1))
    a, b = random_bytes(8, 1), random_bytes(8, 2)
    chain = Chain(
        rows,
        (Frame(KEY, (Cell(RAW, a),)), Frame(DELTA, (Cell(SKIP, a), Cell(RAW, b)))),
        objects={
            "/training/trained_from": np.array([-1, 0], "<i8"),
            "/training/requires_grad": np.array([[1], [2]], "u1"),
            "/training/requires_grad_known": np.ones(2, "u1"),
            "/training/exclude_layers": np.array([1], "<i4"),
            "/training/exclude_layers_count": np.array([0, 1], "<i4"),
        },
    )
    return Case(
        "09-freezing/late-layer",
        "a layer is not listed before its first row",
        ("9.3.2",),
        chain,
        seed=SEED,
    )


def _absent_layer() -> Case:
    """Return a package in which all parameters of a layer are absent in frame 1."""
    rows = (replace(ROWS[2], name="a", layer=1), replace(ROWS[2], name="b", layer=5))
    a, b = random_bytes(8, 1), random_bytes(8, 2)
    chain = Chain(
        rows,
        (
            Frame(KEY, (Cell(RAW, a), Cell(RAW, b))),
            Frame(DELTA, (Cell(INTEGER, stepped("F16", a)), None)),
        ),
        objects={
            "/training/trained_from": np.array([-1, 0], "<i8"),
            "/training/requires_grad": np.array([[3], [1]], "u1"),
            "/training/requires_grad_known": np.ones(2, "u1"),
            "/training/exclude_layers": np.array([5], "<i4"),
            "/training/exclude_layers_count": np.array([0, 1], "<i4"),
        },
    )
    return Case(
        "09-freezing/absent-layer",
        "a layer whose parameters are all absent is listed",
        ("9.3.2",),
        chain,
        seed=SEED,
    )


def _without_layer() -> Case:
    """Return a package in which a parameter of no layer is frozen; no list can name it."""
    rows = (replace(ROWS[2], name="a", layer=1), replace(ROWS[2], name="b", layer=-1))
    a, b = random_bytes(8, 1), random_bytes(8, 2)
    chain = Chain(
        rows,
        (
            Frame(KEY, (Cell(RAW, a), Cell(RAW, b))),
            Frame(DELTA, (Cell(INTEGER, stepped("F16", a)), Cell(SKIP, b))),
        ),
        objects={
            "/training/trained_from": np.array([-1, 0], "<i8"),
            "/training/requires_grad": np.array([[3], [1]], "u1"),
            "/training/requires_grad_known": np.ones(2, "u1"),
            "/training/exclude_layers": np.array([], "<i4"),
            "/training/exclude_layers_count": np.array([0, 0], "<i4"),
        },
    )
    return Case(
        "09-freezing/no-layer",
        "a frozen parameter of no layer is in no list",
        ("9.3.1", "9.3.2"),
        chain,
        seed=SEED,
    )


def _many_rows(count: int) -> Case:
    """Return a package whose bit maps end just before, at and behind the end of a byte."""
    rows = tuple(Row(f"w{i}", "U8", (2,), layer=i) for i in range(count))
    data = [random_bytes(2, 60 + i) for i in range(count)]
    moved = [stepped("U8", d) if i == count - 1 else d for i, d in enumerate(data)]
    modes = [INTEGER if i == count - 1 else SKIP for i in range(count)]
    every, last = (1 << count) - 1, 1 << (count - 1)
    bits = [[flags & 0xFF, flags >> 8][: -(-count // 8)] for flags in (every, last)]
    chain = Chain(
        rows,
        (
            Frame(KEY, tuple(Cell(RAW, d) for d in data)),
            Frame(DELTA, tuple(map(Cell, modes, moved))),
        ),
        objects={
            "/training/trained_from": np.array([-1, 0], "<i8"),
            "/training/requires_grad": np.array(bits, "u1"),
            "/training/requires_grad_known": np.ones(2, "u1"),
            "/training/exclude_layers": np.arange(count - 1, dtype="<i4"),
            "/training/exclude_layers_count": np.array([0, count - 1], "<i4"),
        },
    )
    return Case(
        f"09-freezing/rows-{count}",
        f"flags of {count} rows",
        ("9.2.1", "9.3.2"),
        chain,
        seed=SEED,
    )


def _lineage() -> list[Case]:
    code = "freezing/trained-from"

    def bad(name: str, what: str, lineage: list[int]) -> Case:
        return freezing_case(f"trained-from-{name}", what, "9.1", code, record_of(lineage=lineage))

    return [
        bad("earlier", "a frame trained from two frames before", [-1, 0, 0, 2, 3]),
        bad("itself", "a frame trained from itself", [-1, 0, 2, 2, 3]),
        bad("later", "a frame trained from the frame after", [-1, 0, 1, 4, 3]),
        bad("negative", "a trained_from of -2", [-1, 0, -2, 2, 3]),
        bad("first", "a frame 0 that was trained from a frame", [0, 0, 1, 2, 3]),
    ]


def _bits() -> list[Case]:
    def bad(name: str, what: str, trained: list[int], known: list[int] | None = None) -> Case:
        listed: list[list[int] | None] = [None] * 5
        return freezing_case(
            f"requires-grad-{name}", what, "9.2.1", BITS, record_of(trained, listed, known=known)
        )

    late = _late_layer()
    absent = _absent_layer()

    def of(base: Case, name: str, what: str, values: list[int]) -> Case:
        record = {n: a for n, a in base.chain.objects.items() if "exclude" not in n}
        record["/training/requires_grad"] = np.array(values, "u1").reshape(-1, 1)
        return base.reject(
            f"09-freezing/requires-grad-{name}",
            f"{what} is rejected",
            "9.2.1",
            BITS,
            chain=objects_of(base.chain, record),
        )

    return [
        bad("buffer", "a bit for a buffer", [0b1111, *TRAINED[1:]]),
        bad("beyond", "a bit beyond the last row", [0b10111, *TRAINED[1:]]),
        bad("top", "the highest bit of the last byte", [0b10000111, *TRAINED[1:]]),
        bad("unknown", "a bit in a frame of which nothing is known", TRAINED, [1, 0, 1, 1, 1]),
        of(late, "before-first", "a bit for a row before its first frame", [3, 2]),
        replace(of(absent, "absent", "a bit for a row that is absent", [3, 3]), stage="check"),
    ]


def _layers() -> list[Case]:
    order, span = "freezing/exclude-layers-order", "freezing/exclude-layers-range"
    count = "freezing/exclude-layers-count"

    def bad(
        name: str,
        what: str,
        clause: str,
        code: str | tuple[str, ...],
        listed: list[list[int] | None],
        **more: list[int],
    ) -> Case:
        return freezing_case(
            f"exclude-layers-{name}", what, clause, code, record_of(listed=listed, **more)
        )

    def with_count(name: str, what: str, values: list[int]) -> Case:
        record = record_of()
        record["/training/exclude_layers_count"] = np.array(values, "<i4")
        return freezing_case(f"exclude-layers-{name}", what, "9.3.1", count, record)

    head, tail = LISTED[:3], LISTED[4:]
    return [
        bad("descending", "a list of layers that descends", "9.3.1", order, [*head, [2, 0], *tail]),
        bad("twice", "a layer that is listed twice", "9.3.1", order, [*head, [0, 0, 2], *tail]),
        bad("unknown", "a layer that no parameter has", "9.3.1", span, [*head, [0, 1, 2], *tail]),
        bad("negative", "a layer of -1", "9.3.1", span, [*head, [-1, 0, 2], *tail]),
        with_count("count-more", "counts that add up to more than the list", [0, 1, 0, 2, 2]),
        with_count("count-fewer", "counts that add up to less than the list", [0, 1, 0, 2, 0]),
        bad("missing", "a frozen layer that is not listed", "9.3.2", DISAGREE, [*head, [0], *tail]),
        bad(
            "trained",
            "a listed layer with a trained parameter",
            "9.3.2",
            DISAGREE,
            [[0], *LISTED[1:]],
        ),
        bad(
            "partly",
            "a listed layer of which one parameter was trained",
            "9.3.2",
            DISAGREE,
            [LISTED[0], [0, 2], *LISTED[2:]],
        ),
        *_early_layer(),
    ]


def _early_layer() -> list[Case]:
    late = _late_layer()
    record = dict(late.chain.objects)
    record["/training/exclude_layers"] = np.array([5, 1], "<i4")
    record["/training/exclude_layers_count"] = np.array([1, 1], "<i4")
    early = late.reject(
        "09-freezing/exclude-layers-early",
        "a layer that is listed before its first row is rejected",
        ("9.3.1", "9.3.2"),
        ("freezing/exclude-layers-range", DISAGREE),
        chain=objects_of(late.chain, record),
    )
    alone = {name: array for name, array in record.items() if "requires_grad" not in name}
    return [
        early,
        late.reject(
            "09-freezing/exclude-layers-early-alone",
            "a list alone with a layer before its first row is rejected",
            "9.3.1",
            "freezing/exclude-layers-range",
            chain=objects_of(late.chain, alone),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_accepted(), *_lineage(), *_bits(), *_layers()]
