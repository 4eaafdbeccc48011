"""Vectors of clause 5.4.7: objects of refinements that are not as the manifest has to have them."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from chain import KEY, RAW, Cell, Edits, Row

from quantised.quantised_chain import SAME, Act, Layer, quantised_chain
from quantised.refinement_cases import case
from quantised.refinement_pair import PAIR, SMALL, pair, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Objects


def manifest_faults() -> list[Case]:
    """Return the cases of objects in the manifest."""
    start, digest, psnr = (f"/refinements/{n}" for n in ("start", "state_digest", "declared_psnr"))
    value = "manifest/value"

    def refused_open(
        name: str,
        what: str,
        clause: str,
        code: str,
        change: Callable[[Objects], Objects],
        **more: Any,
    ) -> Case:
        edits = Edits(objects=change)
        return refused(name, what, clause, code, edits, stage="open", frame=None, **more)

    def repeated(made: Objects) -> Objects:
        return {**made, start: np.repeat(made[start], 9, 1), digest: np.repeat(made[digest], 9, 1)}

    def declared(*values: float) -> Callable[[Objects], Objects]:
        return lambda made: {**made, psnr: np.array(values, "<f8").reshape(2, -1)}

    none = quantised_chain(PAIR, [replace(act, layers=()) for act in pair()])

    def alone(name: str, what: str, path: str, shape: tuple[int, ...], dtype: str) -> Case:
        """Return the case of a package without refinements that has one of their objects."""
        return refused_open(
            name,
            what,
            "5.3.3",
            "manifest/object-missing",
            lambda made: {**made, path: np.full(shape, 40, dtype)},
            chain=none,
        )

    plain = SMALL.vary(
        "12-quantised/refined-psnr",
        "a stop with a declared PSNR, in one frame and not in the other",
        "5.4.7",
        Edits(objects=declared(1000.0, -1.0)),
    )
    return [
        plain,
        refused_open("count-9", "nine refinements", "5.4.7", value, repeated),
        refused_open(
            "count-0",
            "refinements of which there are none",
            "5.4.7",
            value,
            lambda m: {**m, start: m[start][:, :0], digest: m[digest][:, :0]},
        ),
        alone("digest-left-out", "refinements without digests", start, (2, 1), "<u8"),
        alone("start-left-out", "refinements without their starts", digest, (2, 1, 32), "u1"),
        refused_open(
            "digest-two",
            "digests of two refinements where there is one",
            "5.3.3",
            "manifest/object-shape",
            lambda m: {**m, digest: np.repeat(m[digest], 2, 1)},
        ),
        refused_open(
            "psnr-negative",
            "a negative PSNR of a stop",
            "5.4.6",
            value,
            declared(40.0, -2.0),
            place={"pointer": "/frames/1/refinements/0/declared_psnr"},
        ),
        refused_open(
            "psnr-large",
            "a PSNR of a stop above 1000",
            "5.4.6",
            value,
            declared(1000.5, 40.0),
            place={"pointer": "/frames/0/refinements/0/declared_psnr"},
        ),
        refused_open(
            "psnr-nan",
            "a PSNR of a stop that is not a number",
            "5.4.7",
            "manifest/not-a-number",
            declared(40.0, float("nan")),
        ),
        alone("psnr-alone", "a PSNR of stops where there are none", psnr, (2, 1), "<f8"),
        *_main(),
    ]


_FLOATS = (Row("a", "F32", (2,)),)
_NOTHING = [Act((Cell(RAW, struct.pack("<2f", 1, 2)),), KEY, layers=(Layer((SAME,)),))]


def _main() -> list[Case]:
    """Return the cases of packages in which nothing is quantised, of profiles lossy and main."""
    base = case(
        "nothing",
        "a refinement of a state in which nothing is quantised",
        ("12.7.1",),
        _FLOATS,
        _NOTHING,
    )
    return [
        base,
        base.reject(
            "12-quantised/refined-main",
            "a refinement in a package of profile main is rejected",
            "5.4.7",
            "manifest/value",
            chain=quantised_chain(_FLOATS, _NOTHING, profile="main"),
            place={"pointer": "/refinements/start"},
        ),
    ]
