"""A small package with one refinement, and the same one with a fault (clauses 5.4.7 and 12.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chain import KEY, NO_EDITS, Cell, Edits, Row

from quantised.coder_bins import ADAPTIVE
from quantised.quantised_chain import (
    HELD,
    KEPT,
    SAME,
    Act,
    Finer,
    Layer,
    Symbols,
    one_part,
    quantised_chain,
    symbols,
)
from quantised.refinement_cases import case, finer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cases import Case


PAIR = (Row("a", "F32", (4, 6)), Row("b", "F16", (3,)))


def pair(
    first: Layer | None = None, second: Layer | None = None, other: Cell | Symbols | None = None
) -> list[Act]:
    """Return a key frame and an update of two tensors, each with a refinement."""
    key, update = symbols(801, 24), symbols(802, 24, 2.0)
    b = Symbols([5, -7, 0], one_part((3,), 1, -6)) if other is None else other
    refined = [
        Layer((finer(803, 24), Finer([1, 0, -1]) if other is None else SAME), ADAPTIVE),
        Layer((finer(804, 24), HELD if other is None else SAME), ADAPTIVE),
    ]
    return [
        Act((Symbols(key, one_part((4,), 3, -8)), b), KEY, ADAPTIVE, layers=(first or refined[0],)),
        Act(
            (Symbols(update), KEPT),
            variant=ADAPTIVE,
            layers=(second or refined[1],),
        ),
    ]


SMALL = case("small", "a small package with one refinement", ("12.7.1",), PAIR, pair())


def refused(
    name: str,
    what: str,
    clause: str,
    codes: Sequence[str] | str,
    edits: Edits = NO_EDITS,
    **more: Any,
) -> Case:
    """Return the case of two refinements with one fault in a frame."""
    return SMALL.reject(
        f"12-quantised/refined-{name}",
        f"{what} is rejected",
        clause,
        codes,
        edits,
        **{"stage": "frame", "frame": 1, **more},
    )


def acted(
    name: str, what: str, clause: str, codes: Sequence[str] | str, acts: list[Act], **more: Any
) -> Case:
    """Return the case of frames with a fault."""
    return refused(name, what, clause, codes, chain=quantised_chain(PAIR, acts), **more)
