"""Vectors of clauses 5.4 to 5.6: numbers at the bounds of their types, and beyond 2^53."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bases import PAIR
from cases import Case
from chain import KEY, RAW, Cell, Chain, Edits, Frame, Row
from model.model_cases import SEED, key_chain

from package.manifest_cases import VALUE, put_all
from package.record_cases import TRAINING, WITH_TRAINING

if TYPE_CHECKING:
    from chain import Array, Objects

EXACT = 1 << 53
LOW, HIGH = -(1 << 63), (1 << 63) - 1
TIMES = "/frames/presentation_time"


def _times() -> list[Case]:
    def chain(values: list[int]) -> Chain:
        frames = tuple(Frame(KEY, (Cell(RAW, bytes([t])),)) for t in range(len(values)))
        return Chain((Row("a", "U8", (1,)),), frames, objects={TIMES: np.array(values, "<i8")})

    right = [LOW, LOW + 1, -EXACT - 1, -EXACT, -1, 0, EXACT, EXACT + 1, EXACT + 2, HIGH - 1, HIGH]
    base = Case(
        "05-package/times-beyond-2-53",
        "presentation times that are the same in binary64 are apart",
        ("5.4.4",),
        chain(right),
        seed=SEED,
    )

    def wrong(name: str, what: str, values: list[int]) -> Case:
        return base.reject(
            f"05-package/time-{name}",
            f"presentation times {what} are rejected",
            "5.4.4",
            "manifest/time-order",
            chain=chain([*values, *right[len(values) :]]),
        )

    return [
        base,
        wrong("falls-by-one", "that fall by one, beyond 2^53", [LOW + 1, LOW]),
        wrong("equal-low", "that are both the lowest one", [LOW, LOW]),
        base.reject(
            "05-package/time-equal-high",
            "presentation times that are both the highest one are rejected",
            "5.4.4",
            "manifest/time-order",
            chain=chain([*right[:-2], HIGH, HIGH]),
        ),
        base.reject(
            "05-package/time-wraps-32",
            "presentation times that fall, though their lower halves do not, are rejected",
            "5.4.4",
            "manifest/time-order",
            chain=chain([LOW, -5, 1 << 32, 7, *range(EXACT, EXACT + 7)]),
        ),
    ]


def _training() -> list[Case]:
    def refused(name: str, what: str, path: str, array: Array, code: str = VALUE) -> Case:
        return WITH_TRAINING.reject(
            f"05-package/training-{name}",
            f"{what} is rejected",
            "9.1" if "trained_from" in path else "5.5",
            code,
            put_all({**TRAINING, path: array}),
        )

    def allowed(name: str, what: str, path: str, array: Array) -> Case:
        return WITH_TRAINING.vary(
            f"05-package/training-{name}", what, "5.5", put_all({**TRAINING, path: array})
        )

    first, steps, time = (f"/training/{n}" for n in ("trained_from", "iterations", "seconds"))
    lineage = "freezing/trained-from"
    down = np.nextafter(-1.0, 0.0)
    return [
        refused("from-2-32", "a lineage of 2^32", first, np.array([-1, 1 << 32], "<i8"), lineage),
        refused("from-low", "a lineage of -2^63", first, np.array([-1, LOW], "<i8"), lineage),
        refused("from-high", "a lineage of 2^63 - 1", first, np.array([-1, HIGH], "<i8"), lineage),
        refused("from-minus", "a lineage of -2^32 - 1", first, np.array([~(1 << 32), 0]), lineage),
        refused("steps-low", "a number of iterations of -2^63", steps, np.array([0, LOW], "<i8")),
        refused("steps-2-32", "one of -2^32 - 1", steps, np.array([-1, ~(1 << 32)], "<i8")),
        allowed(
            "steps-high",
            "iterations can be any number from 0 on",
            steps,
            np.array([EXACT + 1, HIGH], "<i8"),
        ),
        refused("seconds-near", "a time just above -1", time, np.array([down, 0.0], "<f8")),
        refused("seconds-tiny", "the time next below 0", time, np.array([0.0, -5e-324], "<f8")),
        refused("seconds-far", "a time of -1e308", time, np.array([-1e308, 0.0], "<f8")),
        refused(
            "seconds-infinite",
            "an infinite time",
            time,
            np.array([0.0, np.inf], "<f8"),
            "manifest/not-a-number",
        ),
        allowed(
            "seconds-edges",
            "a time can be the largest number, and a zero of either sign",
            time,
            np.array([1.7976931348623157e308, -0.0], "<f8"),
        ),
    ]


def _tables() -> list[Case]:
    two = key_chain(("a", "U8", (4,)), ("b", "U8", (4,)))
    base = Case(
        "05-package/two-layers", "a package of two rows for its table", ("5.4.3",), two, seed=SEED
    )
    layer, shape = "/model/tensors/layer", "/model/tensors/shape"

    def refused(name: str, what: str, path: str, array: Array, code: str) -> Case:
        return base.reject(
            f"05-package/{name}", f"{what} is rejected", "5.4.3", code, put_all({path: array})
        )

    def hollow(name: str, what: str, *shapes: tuple[int, ...]) -> Case:
        rows = key_chain(*((f"t{i}", "F64", dims) for i, dims in enumerate(shapes)))
        return Case(f"05-package/{name}", what, ("5.4.3", "4.2"), rows, seed=SEED)

    wide = np.full((2, 32), -1, "<i8")
    wide[:, 0] = 4
    broad = np.full((2, 33), -1, "<i8")
    broad[:, 0] = 4
    top = (1 << 48) - 1
    return [
        base,
        base.vary(
            "05-package/layer-largest",
            "a layer can be 2^31 - 1, of a buffer too",
            ("5.4.3", "4.2"),
            put_all(
                {
                    layer: np.array([(1 << 31) - 1, (1 << 31) - 1], "<i4"),
                    "/model/tensors/role": np.array([0, 1], "u1"),
                }
            ),
        ),
        refused("layer-lowest", "a layer of -2^31", layer, np.array([-(1 << 31), 0], "<i4"), VALUE),
        base.reject(
            "05-package/layer-of-buffer",
            "a layer of -2 of a buffer is rejected",
            ("5.4.3", "5.4"),
            VALUE,
            put_all(
                {
                    layer: np.array([0, -2], "<i4"),
                    "/model/tensors/role": np.array([0, 1], "u1"),
                }
            ),
        ),
        base.vary(
            "05-package/shape-columns-32",
            "a shape table of 32 columns",
            "5.3.3",
            put_all({shape: wide}),
        ),
        base.reject(
            "05-package/shape-columns-33",
            "a shape table with a column too many is rejected",
            "5.3.3",
            ("manifest/tensor-shape", "manifest/object-shape"),
            put_all({shape: broad}),
        ),
        hollow(
            "shape-largest",
            "the dimensions of a tensor without elements can be large",
            (0, top),
            (top, 0),
            (1 << 24, 0, (1 << 24) - 1),
            (0, 0, 7),
        ),
        *(
            hollow("shape-plain", "a tensor of F64 without elements", (0, 3)).reject(
                f"05-package/shape-beyond-{name}",
                f"a tensor without elements of dimensions {what} is rejected",
                "5.4.3",
                "manifest/tensor-shape",
                chain=key_chain(("t0", "F64", dims)),
            )
            for name, what, dims in (
                ("last", "0 and 2^48", (0, 1 << 48)),
                ("first", "2^48 and 0", (1 << 48, 0)),
                ("wraps", "0 and two of 2^32", (0, 1 << 32, 1 << 32)),
                ("wraps-one", "0, 2^63 - 1, 2 and 2", (0, (1 << 63) - 1, 2, 2)),
            )
        ),
        hollow("shape-plain", "a tensor of F64 without elements", (0, 3)),
    ]


def _columns() -> list[Case]:
    """Return numbers whose upper bytes a narrow reader loses."""

    def claimed(path: str, value: int) -> Edits:
        def change(objects: Objects) -> Objects:
            column = objects[path].copy()
            column[1] += np.array(value, column.dtype)
            return {**objects, path: column}

        return Edits(objects=change)

    exceeded = "profile/level-exceeded"
    length, size = "/frames/segment_length", "/frames/state_bytes"
    made = [
        PAIR.reject(
            f"10-profiles/{name}-{bits}",
            f"a {what} that is 2^{bits} too large is rejected",
            ("10.2", "7.5"),
            exceeded,
            claimed(path, 1 << bits),
        )
        for bits in (32, 53, 63)
        for name, what, path in (
            ("segment-length-plus", "segment length", length),
            ("state-bytes-plus", "number of bytes of a state", size),
        )
    ]
    return [
        *made,
        PAIR.vary(
            "05-package/timescale-2-31",
            "a timescale can be 2^31, of which the upper bit is not a sign",
            "5.4.4",
            put_all({"/frames@timescale": np.array(1 << 31, "<u4")}),
        ),
        PAIR.vary(
            "05-package/timescale-256",
            "a timescale can be 256, of which the lowest byte is 0",
            "5.4.4",
            put_all({"/frames@timescale": np.array(256, "<u4")}),
        ),
        PAIR.reject(
            "10-profiles/level-257",
            "level 257 is rejected, though its lowest byte is 1",
            "10.2",
            "profile/level-unknown",
            put_all({"/@level": np.array(257, "<u4")}),
            or_unsupported=True,
        ),
        PAIR.reject(
            "10-profiles/level-65537",
            "level 65537 is rejected, though its lower half is 1",
            "10.2",
            "profile/level-unknown",
            put_all({"/@level": np.array(65537, "<u4")}),
            or_unsupported=True,
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_times(), *_training(), *_tables(), *_columns()]
