"""Vectors of clause 12: packages with quantised tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cases import Case
from chain import DELTA, KEY, Row
from model.model_cases import SEED

from quantised.coder_bins import ADAPTIVE, MIXED, Part
from quantised.quantised_chain import KEPT, Act, Symbols, one_part, quantised_chain, symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = {ADAPTIVE: "adaptive", MIXED: "mixed"}
CODER = ("12.4.2", "12.4.3", "12.4.4")


def quantised_case(
    name: str, what: str, clauses: tuple[str, ...], rows: tuple[Row, ...], acts: Sequence[Act]
) -> Case:
    """Return the case of a chain of quantised tensors."""
    chain = quantised_chain(rows, acts)
    return Case(f"12-quantised/{name}", what, clauses, chain, seed=SEED)


def sequence(
    rows: tuple[Row, ...],
    frames: int,
    *,
    variants: Sequence[int] = (MIXED,),
    dependent: bool = False,
    spread: float = 4.0,
    seed: int = 1,
    key: int | None = None,
) -> list[Act]:
    """Return frames that update every row, each of one part; frame `key` is a key frame, too."""
    acts = []
    for t in range(frames):
        fresh = t in (0, key)
        content = tuple(
            Symbols(
                symbols(1000 * seed + 10 * t + i, int(np.prod(row.shape)), spread),
                one_part(row.shape, 3, -12) if fresh else None,
                dependent=dependent,
            )
            for i, row in enumerate(rows)
        )
        variant = variants[t % len(variants)]
        acts.append(Act(content, KEY if fresh else DELTA, variant))
    return acts


LAYERS = (Row("a", "F32", (6, 40)), Row("b", "F32", (40,)), Row("c", "F16", (3, 5, 7)))


def _variants() -> list[Case]:
    made = []
    for variant, name in NAMES.items():
        made += [
            quantised_case(
                name,
                f"a key frame and three updates in the {name} variant, whose models go on learning",
                ("12.2", "12.3.1", *CODER, "12.4.1"),
                LAYERS,
                sequence(LAYERS, 4, variants=(variant,)),
            ),
            quantised_case(
                f"{name}-dependent",
                f"a key frame and three updates of dependent symbols in the {name} variant",
                ("12.4.5", "12.3.3"),
                LAYERS,
                sequence(LAYERS, 4, variants=(variant,), dependent=True, seed=2),
            ),
            quantised_case(
                f"{name}-groups",
                f"two groups in the {name} variant: a key frame empties the history",
                ("12.4.1", "8.3.3"),
                LAYERS,
                sequence(LAYERS, 6, variants=(variant,), key=3, seed=3),
            ),
        ]
    made.append(
        quantised_case(
            "variants-in-turn",
            "both variants in turn: a model is that of the substream, whatever the variant",
            ("12.4.1", "12.4.2"),
            LAYERS,
            sequence(LAYERS, 5, variants=(MIXED, ADAPTIVE), seed=4),
        )
    )
    return made


_EDGES = {
    # largest finite and smallest numbers, as (mantissa, exponent) by type
    "F16": ((2047, 5), (1, -24)),
    "BF16": ((255, 120), (1, -133)),
    "F32": ((0xFFFFFF, 104), (1, -149)),
    "F64": ((0xFFFFFF, 1000), (1, -1074)),
}


def _types() -> list[Case]:
    made = []
    for k, (dtype, (largest, smallest)) in enumerate(_EDGES.items()):
        row = Row("w", dtype, (6, 8))
        mantissa = {"F16": 11, "BF16": 8, "F32": 24, "F64": 53}[dtype]
        scales = (
            largest,
            smallest,
            (1, smallest[1] - 1),  # halves of the last bit: ties
            (0xFFFFFF, smallest[1] - 20),
            (1, 1 - mantissa),
            (12345677, -21),
        )
        grid = tuple(Part(1, *scale) for scale in scales)
        ties = [1, 2, 3, 4, 5, 6, 7, -1]
        top = 1 << mantissa if mantissa < 27 else 1 << 27
        wide = [top - 1, -top, top // 2 + 1, -(top // 2 + 3), 2 * top - 1, 3, -5, 0]
        near = [
            v for s in range(8) for v in ([2 * top + 2 * s - 1] if mantissa < 26 else [top + s])
        ]
        values = [1, -1, 1, 0, -1, 0, 1, 1, 1, 2, -3, 5, 6, -7, 1000, 2, *ties]
        values += [*symbols(50 + k, 8, 300.0, 0.1), *near, *wide]
        update = symbols(60 + k, 48, 3.0)
        update[:8] = [0] * 8
        made.append(
            quantised_case(
                f"elements-{dtype.lower()}",
                f"elements of type {dtype}: largest finite, subnormal, ties to even in each part",
                ("12.1.1", "12.1.2"),
                (row,),
                [
                    Act((Symbols(values, grid),), KEY, ADAPTIVE),
                    Act((Symbols(update),), variant=ADAPTIVE),
                ],
            )
        )
    return made


def _grids() -> list[Case]:
    row = Row("w", "F32", (9, 5))
    parts = (Part(2, 1, -3), Part(4, 77, -9), Part(3, 0xFFFFFF, -30))
    flat = Row("s", "F64", ())
    deep = Row("d", "BF16", (2, 3, 2, 4))
    return [
        quantised_case(
            "parts",
            "three parts with a scale and a shift each",
            ("12.1.1", "12.3.1", "12.3.3"),
            (row,),
            [
                Act((Symbols(symbols(7, 45), parts, ((0, 0), (3, 0), (1, 0))),), KEY),
                Act((Symbols(symbols(8, 45), places=((2, 0), (0, 0), (5, 0))),)),
                Act((Symbols(symbols(9, 45), places=((1, 0),)),)),
            ],
        ),
        quantised_case(
            "parts-dependent",
            "three parts of dependent symbols: each begins in state 0",
            ("12.4.5",),
            (row,),
            [
                Act((Symbols(symbols(17, 45, zeros=0.1), parts, dependent=True),), KEY),
                Act(
                    (
                        Symbols(
                            symbols(18, 45, zeros=0.1),
                            places=((2, 0), (0, 0), (1, 0)),
                            dependent=True,
                        ),
                    )
                ),
            ],
        ),
        quantised_case(
            "substreams",
            "parts in four substreams, one of which no part belongs to",
            ("12.3.2", "12.4.1"),
            (row, flat),
            [
                Act(
                    (
                        Symbols(symbols(10, 45), parts, ((0, 3), (0, 0), (0, 1))),
                        Symbols([5], one_part(())),
                    ),
                    KEY,
                ),
                Act((Symbols(symbols(11, 45), places=((0, 3), (0, 0), (0, 1))), Symbols([-2]))),
                Act(
                    (Symbols(symbols(12, 45), places=((0, 0), (1, 3), (0, 1))), KEPT),
                    variant=ADAPTIVE,
                ),
            ],
        ),
        quantised_case(
            "substreams-64",
            "64 substreams, only the last of which has a part",
            ("12.3.1", "12.3.2"),
            (row,),
            [
                Act((Symbols(symbols(24, 45), parts, ((0, 63),)),), KEY),
                Act((Symbols(symbols(25, 45), places=((0, 63),)),)),
            ],
        ),
        quantised_case(
            "ranks",
            "a tensor of rank 0 has one row and one column, one of rank 4 has the rest as columns",
            ("12.1.1",),
            (flat, deep),
            [
                Act(
                    (Symbols([-9], one_part((), 5, 2)), Symbols(symbols(13, 48), one_part((2,)))),
                    KEY,
                ),
                Act((Symbols([12]), Symbols(symbols(14, 48)))),
                Act((KEPT, Symbols(symbols(15, 48), dependent=True))),
            ],
        ),
        quantised_case(
            "shapes",
            "the shape of a quantised tensor changes, and its update has that shape",
            ("6.2.3", "12.1.3"),
            (row,),
            [
                Act((Symbols(symbols(20, 45), one_part((9,))),), KEY),
                Act((Symbols(symbols(21, 14), one_part((7,)), shape=(7, 2)),)),
                Act((Symbols(symbols(22, 14)),)),
                Act((Symbols(symbols(23, 45), parts),)),
            ],
        ),
    ]


def _symbols() -> list[Case]:
    wide = Row("w", "F32", (2, 1100))
    tall = Row("t", "F32", (70, 3))
    small = Row("e", "F64", (3, 8))
    slow = Row("m", "F32", (60, 8))
    small_ones, grid = symbols(35, 472, 2.0), one_part((60,), 1, -10)
    strips = symbols(30, 210, zeros=0.3)
    strips[30:90] = [0] * 60
    later = [0] * 210
    later[35] = later[199] = 1
    long = [(1 << k) - (k & 1) for k in range(1, 25)]
    signs = [v if i % 3 else -v for i, v in enumerate(long)]
    columns = symbols(33, 2200, 2.0, 0.9)
    return [
        quantised_case(
            "columns-many",
            "a tensor of 1100 columns: columns from 1023 on share their contexts",
            ("12.4.3", "12.4.4"),
            (wide,),
            [
                Act((Symbols(columns, one_part((2,), 1, -6)),), KEY),
                Act((Symbols(symbols(34, 2200, 1.0, 0.8)),)),
            ],
        ),
        quantised_case(
            "strips",
            "strips of ten rows, some of which have no symbol",
            ("12.4.3",),
            (tall,),
            [
                Act((Symbols(strips, one_part((70,))),), KEY),
                Act((Symbols(later),)),
                Act((Symbols([0] * 210),)),
                Act((Symbols(later, dependent=True),)),
            ],
        ),
        quantised_case(
            "symbols-long",
            "symbols of up to 28 bits, whose lower bits are raw",
            ("12.4.4", "8.4.3"),
            (small,),
            [
                Act((Symbols(signs, one_part((3,), 3, -20)),), KEY),
                Act((Symbols([-v for v in signs]),)),
                Act((Symbols([(1 << 28) - 1, 1 - (1 << 28)] + [0] * 22),)),
                Act((Symbols([2 - (1 << 29), (1 << 29) - 2] + [0] * 22),), variant=ADAPTIVE),
            ],
        ),
        quantised_case(
            "means",
            "small symbols after large ones, which the running means forget slowly",
            ("12.4.3",),
            (slow,),
            [
                Act((Symbols([700_000 * (i + 1) for i in range(8)] + small_ones, grid),), KEY),
                Act((Symbols(symbols(36, 480, 2.0)),)),
            ],
        ),
        quantised_case(
            "shifts",
            "shifts of up to 24",
            ("12.3.1", "12.3.3"),
            (small,),
            [
                Act((Symbols(symbols(41, 24, 1.0), one_part((3,)), ((24, 0),)),), KEY),
                Act((Symbols(symbols(42, 24, 30.0), places=((17, 0),)),)),
                Act((Symbols(symbols(43, 24), places=((1, 0),), dependent=True),)),
            ],
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause that are right."""
    return [*_variants(), *_types(), *_grids(), *_symbols()]
