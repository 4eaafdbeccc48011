"""Conforming packages that many vectors differ from in one thing."""

from __future__ import annotations

from cases import DIRECTORY, Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, stepped


def _f32(seed: int, count: int) -> bytes:
    """Return finite binary32 numbers: bytes with the exponent's upper bit cleared."""
    data = bytearray(random_bytes(4 * count, seed))
    for i in range(3, len(data), 4):
        data[i] &= 0xBF
    return bytes(data)


ONE = Case(
    "05-package/one-frame",
    "a package of one frame and one tensor in the file form",
    ("5.1.1", "5.2.1", "5.3.3", "7.1.1"),
    Chain((Row("weight", "F32", (2, 2), layer=0),), (Frame(KEY, (Cell(RAW, _f32(1, 4)),)),)),
    seed=SEED,
)

_WEIGHT, _BIAS, _REAR = _f32(2, 6), _f32(3, 3), random_bytes(8, 4)
_STEP = (1000).to_bytes(8, "little")

ROWS = (
    Row("front.weight", "F32", (2, 3), layer=0),
    Row("front.bias", "F32", (3,), layer=0),
    Row("rear.weight", "F16", (4,), layer=2),
    Row("step", "I64", (), role=1),
)
"""Rows of the packages below: two layers, and a buffer of 8 bytes."""

_W1, _W2, _W4 = _f32(5, 6), _f32(6, 6), _f32(7, 6)
_R1, _R2 = stepped("F16", _REAR, 3), random_bytes(8, 8)


def _step(frame: int) -> bytes:
    return stepped("I64", _STEP, 100 * frame)


GROUPS = Case(
    "07-decoding/two-groups",
    "two groups, every mode of the Baseline profile, and a key frame in the middle",
    ("4.1", "6.2.2", "7.2.2", "7.3"),
    Chain(
        ROWS,
        (
            Frame(KEY, (Cell(RAW, _WEIGHT), Cell(RAW, _BIAS), Cell(RAW, _REAR), Cell(RAW, _STEP))),
            Frame(
                DELTA,
                (
                    Cell(INTEGER, _W1),
                    Cell(SKIP, _BIAS),
                    Cell(INTEGER, _R1),
                    Cell(INTEGER, _step(1)),
                ),
            ),
            Frame(
                DELTA,
                (Cell(INTEGER, _W2), Cell(SKIP, _BIAS), Cell(RAW, _R2), Cell(INTEGER, _step(2))),
            ),
            Frame(KEY, (Cell(RAW, _W2), Cell(RAW, _BIAS), Cell(RAW, _R2), Cell(RAW, _step(3)))),
            Frame(
                DELTA,
                (Cell(INTEGER, _W4), Cell(SKIP, _BIAS), Cell(SKIP, _R2), Cell(INTEGER, _step(4))),
            ),
        ),
    ),
    seed=SEED,
)

PAIR = Case(
    "06-segment/key-and-delta",
    "a key frame and a delta frame with differences and raw bytes",
    ("6.1.3", "6.2.1", "6.2.2", "6.2.4"),
    Chain(
        ROWS,
        (
            Frame(KEY, (Cell(RAW, _WEIGHT), Cell(RAW, _BIAS), Cell(RAW, _REAR), Cell(RAW, _STEP))),
            Frame(
                DELTA,
                (Cell(INTEGER, _W1), Cell(SKIP, _BIAS), Cell(RAW, _R2), Cell(INTEGER, _step(1))),
            ),
        ),
    ),
    seed=SEED,
)

FOLDER = Case(
    "05-package/directory",
    "a package in the directory form",
    ("5.1.1", "5.1.2"),
    PAIR.chain,
    form=DIRECTORY,
    seed=SEED,
)


def cases() -> list[Case]:
    """Return the packages themselves."""
    return [ONE, GROUPS, PAIR, FOLDER]
