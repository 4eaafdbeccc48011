"""Vectors of clauses 7.3 and 8.3.3: orders of frames that tell what a coder remembers."""

from __future__ import annotations

from arithmetic.arithmetic_cases import ADAPTIVE, MIXED, STATIC, STORED, STREAM, coded, trained
from bases import GROUPS
from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, SKIP, Cell, Chain, Frame, Row
from model.model_cases import SEED, random_bytes, size_of
from segment.segment_cases import streams

ROWS = (
    Row("a", "F32", (5, 12)),
    Row("b", "BF16", (20,)),
    Row("c", "I16", (3, 5)),
    Row("d", "F32", (9,)),
)
MODES = (
    (KEY, (RAW, RAW, RAW, RAW)),
    (DELTA, (INTEGER, INTEGER, INTEGER, INTEGER)),
    (DELTA, (INTEGER, SKIP, INTEGER, INTEGER)),
    (DELTA, (INTEGER, INTEGER, INTEGER, RAW)),
    (DELTA, (INTEGER, INTEGER, None, INTEGER)),
    (DELTA, (INTEGER, INTEGER, RAW, INTEGER)),
    (DELTA, (INTEGER, INTEGER, INTEGER, INTEGER)),
    (KEY, (RAW, RAW, RAW, RAW)),
    (DELTA, (INTEGER, INTEGER, INTEGER, INTEGER)),
    (DELTA, (INTEGER, INTEGER, INTEGER, INTEGER)),
    (DELTA, (INTEGER, INTEGER, INTEGER, INTEGER)),
)
VARIANTS = (None, MIXED, ADAPTIVE, STATIC, MIXED, None, ADAPTIVE, None, MIXED, STORED, MIXED)
LAST = len(MODES) - 1


def _chain() -> Chain:
    """Return two groups: every variant, a frame in another coding, and rows that are forgotten."""
    data = [random_bytes(size_of(r.dtype, r.shape), 500 + i) for i, r in enumerate(ROWS)]
    frames = []
    for t, (coding, modes) in enumerate(MODES):
        cells: list[Cell | None] = []
        for i, mode in enumerate(modes):
            if t and mode is not None and mode != SKIP and coding == DELTA:
                data[i] = trained(ROWS[i].dtype, data[i], 7000 + 10 * t + i)
            cells.append(None if mode is None else Cell(mode, data[i]))
        frames.append(Frame(coding, tuple(cells)))
    return coded(Chain(ROWS, tuple(frames)), VARIANTS)


WHOLE = Case(
    "07-decoding/main-two-groups",
    "two groups of a Main package, in which the coder remembers and forgets",
    ("7.3", "8.3.3", "6.3.3"),
    _chain(),
    seed=SEED,
)


def _asked(name: str, what: str, *frames: int) -> Case:
    return WHOLE.vary(
        f"07-decoding/main-seek-{name}", what, ("7.3", "8.3.3", "6.3.3"), frames=frames
    )


def _damaged() -> list[Case]:
    def cut(made: dict[str, bytes]) -> dict[str, bytes]:
        return {**made, STREAM: made[STREAM][:-1]}

    def bit(made: dict[str, bytes]) -> dict[str, bytes]:
        data = bytearray(made[STREAM])
        data[len(data) // 2] ^= 0x10
        return {**made, STREAM: bytes(data)}

    return [
        WHOLE.reject(
            f"07-decoding/main-seek-behind-{name}",
            f"a frame behind {what} in its group is rejected",
            ("7.3", "8.3.4", "7.2.3"),
            ("segment/coder", "decoding/state-digest-mismatch"),
            streams(change, 3),
            stage="frame",
            frame=3,
            frames=(2, LAST, 6),
        )
        for name, what, change in (
            ("cut", "a payload that ends too soon", cut),
            ("bit", "a payload with another bit", bit),
        )
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [
        WHOLE,
        _asked("last", "the last frame of a Main package alone", LAST),
        _asked("first-group", "the last frame of the first group alone", 6),
        _asked(
            "backwards", "frames of a Main package from the last to the first", *range(LAST, -1, -1)
        ),
        _asked("again", "a frame that is asked for twice is the same", 2, 2, 3, 3, 6, 6),
        _asked("on", "frames after a frame that was asked for", 2, 3, 5, 6),
        _asked("back-and-on", "frames before and after a frame in its group", 4, 1, 2, 6, 3, 4),
        _asked("other-group", "a group goes on after a frame of another one", 2, 9, 3, 10, 4, 8, 6),
        _asked("key", "key frames between delta frames of both groups", 3, 7, 4, 0, 8, 5, 0, 1),
        _asked("coding", "frames before and behind one in another coding", 6, 5, 4, 5, 6),
        _asked(
            "forgotten", "frames before and behind rows that are forgotten", 4, 3, 2, 4, 5, 6, 4
        ),
        *_damaged(),
        GROUPS.vary(
            "07-decoding/seek-again",
            "frames of a Baseline package that are asked for twice",
            "7.3",
            frames=(2, 2, 4, 1, 4, 2),
        ),
    ]
