"""Vectors of clauses 12.1.2 and 12.3.3: bins, coefficients and values that are too large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain import KEY, Row

from quantised.coder_bins import ADAPTIVE
from quantised.payload_cases import acted, bad, transformed, two_frames
from quantised.quantised_chain import Act, Symbols, one_part, quantised_chain

if TYPE_CHECKING:
    from cases import Case


def _infinite() -> list[Case]:
    made = []
    for dtype, mantissa, exponent in (
        ("F16", 4095, 4),
        ("BF16", 511, 119),
        ("F32", 0xFFFFFF, 104),
        ("F64", 1, 1000),
    ):
        grid = one_part((1,), mantissa, exponent)
        top = 1 << 24 if dtype == "F64" else 1
        rest = [0, 0, -1]
        # the product, or its rounded half, is the least power of two beyond the finite numbers
        over = 2 * top if dtype == "F32" else top
        values = [over, *rest]
        if dtype == "F32":
            grid, values = one_part((1,), 1 << 23, 105), [1, 0, 0, 0]
        row = Row("w", dtype, (1, 4))
        chain = quantised_chain((row,), [Act((Symbols(values, grid),), KEY, ADAPTIVE)])
        made.append(
            bad(
                f"infinite-{dtype.lower()}",
                f"a bin whose {dtype} element is beyond the finite numbers",
                0,
                "12.1.2",
                chain=chain,
            )
        )
    return made


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    flat = one_part((4,), 1, -20)
    zeros = [0] * 23
    most = (1 << 28) - 1
    key = Symbols([most, *zeros], flat)
    return [
        acted("bin-2-28", "a bin of 2^28", 1, two_frames(key, Symbols([1, *zeros])), "12.3.3"),
        acted(
            "bin-minus-2-28",
            "a bin of -2^28",
            1,
            two_frames(replace(key, values=[-most, *zeros]), Symbols([-1, *zeros])),
            "12.3.3",
        ),
        acted(
            "bin-first",
            "a bin of 2^28 in a key frame",
            0,
            two_frames(Symbols([1 << 28, *zeros], flat), Symbols([0, *zeros])),
            "12.3.3",
        ),
        acted(
            "value-large",
            "a value of 2^29 once it is shifted",
            1,
            two_frames(key, Symbols([-32, *zeros], places=((24, 0),))),
            "12.3.3",
        ),
        acted(
            "value-dependent",
            "a dependent value of 2^29",
            1,
            two_frames(key, Symbols([-(1 << 28), *zeros], dependent=True)),
            "12.3.3",
        ),
        acted(
            "coefficient-2-15",
            "a coefficient of 2^15",
            1,
            transformed([1 << 15, *zeros], 0),
            "12.3.3",
        ),
        acted(
            "coefficient-minus-2-15",
            "a coefficient of -2^15",
            1,
            transformed([-(1 << 15), *zeros], 0),
            "12.3.3",
        ),
        *_infinite(),
    ]
