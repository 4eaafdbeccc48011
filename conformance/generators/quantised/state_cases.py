"""Vectors of clauses 12.1.3, 12.4.1 and 12.5: learnt bases, and what persists."""

from __future__ import annotations

import struct

import numpy as np
from arithmetic.arithmetic_cases import coded
from cases import Case
from chain import INTEGER, KEY, RAW, Cell, Row
from model.model_cases import SEED

from quantised.quantised_cases import LAYERS, quantised_case, sequence
from quantised.quantised_chain import KEPT, Act, Symbols, one_part, quantised_chain, symbols


def learning_acts(shape: tuple[int, int], frames: int, seed: int, shift: int = 4) -> list[Act]:
    """Return updates that learn bases from changes that are much alike, and use them."""
    rng = np.random.default_rng(seed)
    rows, columns = shape
    left, right = rng.normal(size=rows), rng.normal(size=columns)
    acts = [Act((Symbols(symbols(seed, rows * columns, 20.0), one_part((rows,), 5, -14)),), KEY)]
    for t in range(1, frames):
        if t == 1:
            change = np.rint(60 * np.outer(left, right) + rng.normal(size=shape)).astype(int)
            values, transformed = change.ravel().tolist(), False
        else:
            values, transformed = symbols(seed + t, rows * columns, 3.0, 0.7), True
        places = ((shift if transformed else 0, 0),)
        acts.append(Act((Symbols(values, None, places, transformed=transformed, learning=True),)))
    return acts


def _bases() -> list[Case]:
    def learnt(name: str, what: str, shape: tuple[int, int], acts: list[Act]) -> Case:
        row = Row("m", "F32", shape)
        return quantised_case(name, what, ("12.5.1", "12.5.2", "12.5.3"), (row,), acts)

    square = learning_acts((5, 6), 6, 71)
    skipped = learning_acts((5, 6), 5, 72)
    skipped.insert(3, Act((KEPT,)))
    again = learning_acts((5, 6), 5, 73)
    fresh = learning_acts((5, 6), 4, 74)
    fresh[0] = Act(fresh[0].rows)
    unused = learning_acts((4, 4), 4, 75)
    unused[2] = Act((Symbols(symbols(76, 16)),))
    one = learning_acts((5, 6), 4, 84)
    one.insert(1, Act((Symbols([int(i == 7) for i in range(30)], learning=True),)))
    data = struct.pack("<30f", *range(30))
    other = struct.pack("<30f", *range(1, 31))
    return [
        learnt("bases", "bases of rows and columns are learnt and used", (5, 6), square),
        learnt("bases-one-change", "bases learnt first from one change by 1", (5, 6), one),
        learnt(
            "bases-first",
            "coefficients before anything was learnt: the bases are the identity",
            (3, 4),
            [
                learning_acts((3, 4), 1, 77)[0],
                Act((Symbols(symbols(78, 12), places=((17, 0),), transformed=True),)),
                Act((Symbols(symbols(79, 12), transformed=True, dependent=True),)),
            ],
        ),
        learnt(
            "bases-one-side",
            "nine rows of two columns have no basis of rows",
            (9, 2),
            learning_acts((9, 2), 5, 80),
        ),
        learnt(
            "bases-other-side",
            "nine columns of two rows have no basis of columns",
            (2, 9),
            learning_acts((2, 9), 5, 81),
        ),
        learnt(
            "bases-four-to-one",
            "eight rows of two columns have bases",
            (8, 2),
            learning_acts((8, 2), 5, 82),
        ),
        learnt(
            "bases-skipped", "bases are kept over a frame that skips the tensor", (5, 6), skipped
        ),
        learnt(
            "bases-used-between",
            "a frame without coefficients leaves the bases as they are",
            (4, 4),
            unused,
        ),
        learnt(
            "bases-grid-again",
            "a new grid in a delta frame forgets symbols and bases",
            (5, 6),
            [*again, *fresh],
        ),
        learnt(
            "bases-raw-between",
            "raw and integer modes forget symbols and bases",
            (5, 6),
            [
                *again[:3],
                Act((Cell(RAW, data),)),
                Act((Cell(INTEGER, other),)),
                *fresh,
            ],
        ),
        learnt(
            "bases-groups",
            "a key frame forgets the bases",
            (5, 6),
            [
                *again[:4],
                *learning_acts((5, 6), 3, 83)[:1],
                Act((Symbols(symbols(84, 30), transformed=True),)),
            ],
        ),
        learnt(
            "bases-large-changes",
            "changes of up to 28 bits are scaled down before they are learnt from",
            (4, 6),
            [
                Act((Symbols([0] * 24, one_part((4,), 1, -30)),), KEY),
                Act(
                    (
                        Symbols(
                            [((i * 7919) % 4001 - 2000) * 65521 for i in range(24)], learning=True
                        ),
                    )
                ),
                Act(
                    (
                        Symbols(
                            symbols(85, 24, 40.0, 0.2),
                            places=((6, 0),),
                            transformed=True,
                            learning=True,
                        ),
                    )
                ),
                Act((Symbols([0] * 24, transformed=True, learning=True),)),
                Act((Symbols(symbols(86, 24, 9.0), places=((3, 0),), transformed=True),)),
            ],
        ),
    ]


def _mixtures() -> list[Case]:
    rows = (
        Row("w", "F32", (4, 6)),
        Row("i", "I64", (3,)),
        Row("h", "F16", (5,)),
        Row("x", "F32", (2, 2)),
    )
    whole = struct.pack("<3q", 1, 2, 3)
    next_ = struct.pack("<3q", 1, 5, -3)
    pair, other = struct.pack("<4f", 1, 2, 3, 4), struct.pack("<4f", 1, 2, 3, 5)
    w, h = one_part((4,), 9, -10), one_part((5,), 1, -5)
    acts = [
        Act(
            (
                Symbols(symbols(90, 24), w),
                Cell(RAW, whole),
                Symbols(symbols(91, 5), h),
                Cell(RAW, pair),
            ),
            KEY,
        ),
        Act((Symbols(symbols(92, 24)), Cell(INTEGER, next_), KEPT, KEPT)),
        Act((KEPT, KEPT, KEPT, Cell(INTEGER, other))),
        Act(
            (
                Symbols(symbols(93, 24)),
                KEPT,
                Symbols(symbols(94, 5)),
                Symbols(symbols(95, 4), one_part((2,))),
            )
        ),
        Act((KEPT, KEPT, KEPT, Symbols([3, 0, -2, 1]))),
        Act((None, KEPT, Cell(RAW, bytes(10)), KEPT)),
        Act((Symbols(symbols(96, 24), w), KEPT, Symbols(symbols(97, 5), h), KEPT)),
    ]
    return [
        quantised_case(
            "mixture",
            "quantised tensors beside lossless ones, skipped, absent, and changing modes",
            ("12.1.3", "12.6.1", "6.2.2", "8.3.3"),
            rows,
            acts,
        ),
        quantised_case(
            "skipped",
            "symbols are remembered over frames that skip their row, and have no stream of bins",
            ("12.4.1", "12.6.1"),
            LAYERS,
            [
                *sequence(LAYERS, 2, seed=6),
                Act((KEPT, KEPT, KEPT)),
                Act((KEPT, Symbols(symbols(98, 40)), KEPT)),
                *sequence(LAYERS, 3, seed=7)[1:],
            ],
        ),
        quantised_case(
            "lossless",
            "a package of profile lossy without a quantised tensor has no bounds",
            ("10.1", "12.6.1"),
            rows[3:],
            [Act((Cell(RAW, pair),), KEY), Act((Cell(INTEGER, other),))],
        ),
    ]


def _between() -> list[Case]:
    """Return chains of rows that are quantised at times, and lossless at others."""
    row = Row("w", "F32", (4, 6))
    grid = one_part((4,), 3, -10)
    words = [struct.pack("<24f", *(k + i / 8 for i in range(24))) for k in range(4)]
    acts = [
        Act((Symbols(symbols(201, 24), grid),), KEY),
        Act((Cell(INTEGER, words[0]),)),
        Act((Cell(INTEGER, words[1]),)),
        Act((Symbols(symbols(202, 24), grid),)),
        Act((Symbols(symbols(203, 24)),)),
        Act((Cell(INTEGER, words[2]),)),
        Act((KEPT,)),
        Act((Cell(INTEGER, words[3]),)),
    ]
    chain = quantised_chain((row,), acts)
    return [
        Case(
            f"12-quantised/between-{name}",
            f"a row by turns quantised and in the {name} variant of the lossless coder",
            ("8.3.3", "12.1.3", "12.4.1"),
            coded(chain, [variant] * len(acts)),
            seed=SEED,
        )
        for variant, name in ((1, "static"), (2, "adaptive"), (3, "mixed"))
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_bases(), *_mixtures(), *_between()]
