"""Vectors of clauses 5.4.5 and 5.5: what the manifest says of the frames' sources and of colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bases import PAIR
from cases import Case
from chain import KEY, RAW, Cell, Chain, Edits, Frame, Row
from columns import text
from model.model_cases import SEED

from package.library_cases import LIBRARY, compressed
from package.manifest_cases import VALUE, put_all

if TYPE_CHECKING:
    from chain import Array

NAME, EXTRAS = "/frames/source_name", "/frames/extras"
VIEW, COLOUR = "/training/colour_view", "/training/colour"
CLAUSE = "5.4.5"

SOURCES = PAIR.vary(
    "05-package/sources",
    "source names and extras are recorded for one frame and not for the other",
    CLAUSE,
    put_all({NAME: text("", "epoch 10.pth"), EXTRAS: text('{"epoch":10,"loss":[0.5]}', "")}),
)


def _names() -> list[Case]:
    def refused(name: str, value: str | bytes, what: str) -> Case:
        edits = put_all({NAME: text("a.pth", value)})
        return SOURCES.reject(
            f"05-package/source-name-{name}",
            f"{what} is rejected",
            CLAUSE,
            VALUE,
            edits,
            place={"pointer": "/frames/1/source_name"},
        )

    def allowed(name: str, first: str, second: str, what: str) -> Case:
        edits = put_all({NAME: text(first, second)})
        return SOURCES.vary(f"05-package/source-name-{name}", what, CLAUSE, edits)

    return [
        refused("stroke", "run/a.pth", "a source name with a folder"),
        refused("backslash", "run\\a.pth", "a source name with a backslash"),
        refused("dot", ".", "a source name of one full stop"),
        refused("dots", "..", "a source name of two full stops"),
        refused("1025", "가" * 341 + "ab", "a source name of 1025 bytes"),
        refused("utf-8", b"a\xff.pth", "a source name that is not UTF-8"),
        refused("zero", b"a\0b", "a source name with a zero byte"),
        allowed("1024", "가" * 341 + "a", "...", "a source name can have 1024 bytes"),
        allowed("same", "model.pth", "model.pth", "two frames can have the same source name"),
        allowed("odd", "..a", "\x1b[31m.pth ", "a source name can hold odd characters"),
    ]


_STORED = 1 << 14
"""Characters of extras beyond which the input is stored compressed."""


def _extras() -> list[Case]:
    def refused(name: str, value: str, what: str) -> Case:
        edits = put_all({EXTRAS: text("{}", value)})
        return SOURCES.reject(
            f"05-package/extras-{name}",
            f"extras that are {what} are rejected",
            CLAUSE,
            VALUE,
            edits,
            place={"pointer": "/frames/1/extras"},
            inflate=len(value) > _STORED,
        )

    def allowed(name: str, value: str, what: str) -> Case:
        edits = put_all({EXTRAS: text("{}", value)})
        return SOURCES.vary(
            f"05-package/extras-{name}",
            f"extras can be {what}",
            CLAUSE,
            edits,
            inflate=len(value) > _STORED,
        )

    filler = '{"x":"' + "y" * (65_536 - 8)
    return [
        refused("list", "[1]", "a list"),
        refused("null", "null", "null"),
        refused("no-json", "{epoch: 1}", "no JSON"),
        refused("nan", '{"loss": NaN}', "no JSON for a NaN"),
        refused("space", " ", "a space"),
        refused("surrogate", '{"x": "\\ud800"}', "a text with half of a pair"),
        refused("nested-101", '{"x":' + "[" * 100 + "]" * 100 + "}", "nested 101 deep"),
        refused("long", filler + 'y"}', "longer than 65,536 bytes"),
        allowed("longest", filler + '"}', "65,536 bytes long"),
        allowed("nested-100", '{"x":' + "[" * 99 + "]" * 99 + "}", "nested 100 deep"),
        allowed("spaces", ' {\n"x" :\t1 }\r', "laid out with white space"),
        *_all_extras(),
    ]


def _all_extras() -> list[Case]:
    """Return the cases of 256 frames with extras of 65,536 bytes each, and of one frame more."""
    key = Frame(KEY, (Cell(RAW, b"\x07"),))
    chain = Chain((Row("byte", "U8", (1,)),), (key,) * 257)
    filler = '{"x":"' + "y" * (65_536 - 8) + '"}'

    def last(value: str) -> Edits:
        array = text(*[filler] * 256, value)
        edits: Edits = compressed(lambda made: {**made, EXTRAS: array})
        return edits

    full = Case(
        "05-package/extras-all-16m",
        "the extras of all frames can have 2^24 bytes together",
        (CLAUSE,),
        chain,
        last(""),
        seed=SEED,
        inflate=True,
        **LIBRARY,
    )
    more = full.reject(
        "05-package/extras-all-16m-more",
        "extras of all frames that have more than 2^24 bytes together are rejected",
        CLAUSE,
        VALUE,
        last("{}"),
    )
    return [full, more]


def _colour() -> list[Case]:
    identity = np.eye(3, 4)
    table = np.array([[identity, 2 * identity], [identity - 0.125, identity]], "<f8")
    clause = "5.5"
    both = {VIEW: text("left", "오른쪽"), COLOUR: table}
    whole = PAIR.vary(
        "05-package/colour",
        "colour of two training views; a matrix can have negative elements",
        clause,
        put_all(both),
    )

    def refused(
        name: str, what: str, clauses: str | tuple[str, ...], code: str, **other: Array
    ) -> Case:
        made = {**both, **{{"view": VIEW, "colour": COLOUR}[k]: v for k, v in other.items()}}
        return whole.reject(
            f"05-package/colour-{name}", f"{what} is rejected", clauses, code, put_all(made)
        )

    nan, infinite = table.copy(), table.copy()
    nan[1, 0, 2, 3] = np.nan
    infinite[0, 1, 0, 0] = -np.inf
    number, shape = "manifest/not-a-number", "manifest/object-shape"
    missing = "manifest/object-missing"
    return [
        whole,
        PAIR.vary(
            "05-package/colour-no-views",
            "a colour record can have no views",
            clause,
            put_all({VIEW: np.zeros(0, "S1"), COLOUR: np.zeros((2, 0, 3, 4), "<f8")}),
        ),
        refused("nan", "a colour that is not a number", ("5.4", clause), number, colour=nan),
        refused("infinite", "an infinite colour", ("5.4", clause), number, colour=infinite),
        refused("frames", "a colour of a frame too few", "5.3.3", shape, colour=table[:1]),
        refused("views", "a colour of a view too few", "5.3.3", shape, colour=table[:, :1]),
        refused("square", "a colour of 3 x 3", "5.3.3", shape, colour=table[..., :3]),
        refused("view-twice", "a view twice", clause, VALUE, view=text("left", "left")),
        PAIR.reject(
            "05-package/pair-colour",
            "a colour without the names of its views is rejected",
            "5.3.3",
            missing,
            put_all({COLOUR: table}),
        ),
        PAIR.reject(
            "05-package/pair-colour-view",
            "names of training views without a colour are rejected",
            "5.3.3",
            missing,
            put_all({VIEW: both[VIEW]}),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [SOURCES, *_names(), *_extras(), *_colour()]
