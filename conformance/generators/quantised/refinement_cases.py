"""Vectors of clauses 5.4.7 and 12.7: refinements, and what is left when they are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cases import Case
from chain import DELTA, KEY, Row
from model.model_cases import SEED

from quantised.coder_bins import ADAPTIVE, MIXED
from quantised.quantised_cases import LAYERS, sequence
from quantised.quantised_chain import (
    HELD,
    SAME,
    Act,
    Finer,
    Layer,
    Symbols,
    one_part,
    quantised_chain,
    symbols,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


SIZES = (240, 40, 105)


def finer(seed: int, count: int, **options: int) -> Finer:
    """Return symbols as a refinement has them: small, and mostly on one side of the middle."""
    return Finer(symbols(seed, count, 1.0, 0.4), **options)


def layered(
    acts: Sequence[Act], layers: int = 1, *, variants: Sequence[int] = (MIXED,), seed: int = 400
) -> list[Act]:
    """Return frames with refinements of every row."""
    return [
        replace(
            act,
            layers=tuple(
                Layer(
                    tuple(
                        finer(seed + 100 * t + 10 * k + i, size, finer=2 - k, reach=2 + k)
                        for i, size in enumerate(SIZES)
                    ),
                    variants[t % len(variants)],
                )
                for k in range(layers)
            ),
        )
        for t, act in enumerate(acts)
    ]


def case(
    name: str, what: str, clauses: tuple[str, ...], rows: tuple[Row, ...], acts: Sequence[Act]
) -> Case:
    """Return the case of a chain with refinements."""
    return Case(
        f"12-quantised/refined-{name}", what, clauses, quantised_chain(rows, acts), seed=SEED
    )


def without(acts: Sequence[Act], kept: int) -> list[Act]:
    """Return frames without their last refinements."""
    return [replace(act, layers=act.layers[:kept]) for act in acts]


BASE = sequence(LAYERS, 5, seed=21, key=3)
TWO = layered(BASE, 2)
STOPS = case(
    "two",
    "two refinements of each frame, over two groups: each stop has the bits of its own",
    ("5.4.7", "12.7.1", "12.7.2", "12.7.3"),
    LAYERS,
    TWO,
)


def _stops() -> list[Case]:
    return [
        STOPS,
        case(
            "stop-1",
            "the same chain without its second refinement: nothing else changes",
            ("7.4", "12.7.4"),
            LAYERS,
            without(TWO, 1),
        ),
        case(
            "stop-0",
            "the same chain without refinements: the base alone",
            ("7.4", "12.7.4"),
            LAYERS,
            without(TWO, 0),
        ),
        case(
            "adaptive",
            "a refinement in the adaptive variant",
            ("12.7.3", "12.4.4"),
            LAYERS,
            layered(BASE, 1, variants=(ADAPTIVE,), seed=500),
        ),
        case(
            "in-turn",
            "the variants in turn, other ones than in the base",
            ("12.7.3", "12.4.1"),
            LAYERS,
            layered(BASE, 1, variants=(ADAPTIVE, MIXED), seed=600),
        ),
    ]


ROW = (Row("w", "F32", (8, 12)),)


def one_row(*contents: Finer | str, keys: Sequence[int] = (0,), seed: int = 31) -> list[Act]:
    """Return frames of one row, each with one refinement."""
    base = sequence(ROW, len(contents), seed=seed)
    fresh = sequence(ROW, 1, seed=seed + 1)[0]
    return [
        replace(
            fresh if t in keys else base[t],
            coding=KEY if t in keys else DELTA,
            layers=(Layer((content,)),),
        )
        for t, content in enumerate(contents)
    ]


def _modes() -> list[Case]:
    a, b, c, d = (finer(700 + k, 96) for k in range(4))
    return [
        case(
            "modes",
            "a refinement holds what it had, goes back to the base, and begins again",
            ("12.7.2", "12.7.3"),
            ROW,
            one_row(a, HELD, b, SAME, c, d, HELD),
        ),
        case(
            "grid-again",
            "a finer grid than in the frame before is coded from the middle",
            ("12.7.3",),
            ROW,
            one_row(a, finer(720, 96, finer=4), finer(721, 96, finer=4, reach=0), b),
        ),
        case(
            "coarser",
            "a grid that is coarser than the one below: the middle is rounded",
            ("12.7.3",),
            ROW,
            one_row(
                *(finer(730 + k, 96, finer=n, reach=k) for k, n in enumerate((-1, -1, -17, -3, -3)))
            ),
        ),
        case(
            "far",
            "lags beyond what contexts tell apart, cut to a reach, and not cut",
            ("12.7.3", "12.4.3"),
            ROW,
            _far(),
        ),
        case(
            "reach",
            "the reach cuts lags on both sides",
            ("12.7.3",),
            ROW,
            one_row(*(finer(750 + k, 96, finer=3, reach=r) for k, r in enumerate((0, 1, 3, 200)))),
        ),
        case(
            "key",
            "a key frame forgets the refinements before it",
            ("12.7.2", "12.4.1"),
            ROW,
            one_row(a, b, c, d, keys=(0, 2)),
        ),
    ]


def _far() -> list[Act]:
    """Return frames of few bins on a grid that is finer by 2^24."""
    bins = [v % 3 - 1 for v in range(96)]
    turned = [-v for v in bins]
    reaches = (0, 9, (1 << 28) - 1)
    return [
        Act(
            (Symbols(bins if t == 0 else turned, one_part((8,), 1, -6) if t == 0 else None),),
            KEY if t == 0 else DELTA,
            layers=(Layer((finer(710 + t, 96, finer=24, reach=reach),)),),
        )
        for t, reach in enumerate(reaches)
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_stops(), *_modes()]
