"""Vectors of clause 12.7: rows and parts of refinements that alike ones do not tell apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cases import Case
from chain import DELTA, INTEGER, KEY, RAW, Cell, Edits, Row, SliceMap
from model.model_cases import SEED, random_bytes
from segment.digests_cases import with_digests

from quantised.coder_bins import ADAPTIVE, Part
from quantised.quantised_cases import LAYERS
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
from quantised.refinement_cases import BASE, ROW, STOPS, case, finer, layered, one_row
from quantised.refinement_pair import PAIR, SMALL, acted, pair, refused

if TYPE_CHECKING:
    from chain import Objects


EIGHT = case(
    "eight",
    "eight refinements of each frame, the last ones on grids that are coarser again",
    ("5.4.7", "12.7.2"),
    LAYERS,
    layered(BASE[:2], 8, seed=900),
)
_PARTS = (Part(2, 5, -9), Part(1, 3, -4), Part(5, 7, -11))


def _parts(name: str, what: str, *substreams: tuple[int, ...]) -> Case:
    """Return the case of a grid of three parts, whose refinements have these substreams."""
    rows = (Row("w", "F32", (8, 12)),)
    acts = [
        Act(
            (Symbols(symbols(840 + t, 96, 6.0), _PARTS if t == 0 else None),),
            DELTA if t else KEY,
            layers=(Layer((Finer(symbols(850 + t, 96, 2.0, 0.3), substreams=used),)),),
        )
        for t, used in enumerate(substreams)
    ]
    return case(name, what, ("12.7.3",), rows, acts)


def _beside_maps() -> list[Case]:
    """Return frames whose points are shuffled and added beside a tensor that is refined."""
    rows = (Row("a", "F32", (4, 6)), Row("place", "F16", (5, 2)), Row("id", "U8", (5, 1)))
    key, *later = pair()
    start = (Cell(RAW, random_bytes(20, 870)), Cell(RAW, bytes(range(5))))
    acts, maps = [], []
    last = start
    for t, act in enumerate((key, *later, *later)):
        layer = replace(act.layers[0], rows=(act.layers[0].rows[0], SAME, SAME))
        if t:
            made = SliceMap((1, 2), (4, 2, None, 0, 1, 3) if t == 1 else (5, 0, 1, None))
            count = len(made.origins)
            data = (bytes([b ^ 1 for b in made.take(last[0].data, rows[1])]),)
            data += (made.take(last[1].data, rows[2]),)
            shapes = (count, 2), (count, 1)
            last = tuple(Cell(INTEGER, d, s) for d, s in zip(data, shapes, strict=True))
            maps.append(made)
        acts.append(replace(act, rows=(act.rows[0], *last), layers=(layer,)))
    chain = quantised_chain(rows, acts)
    frames = [replace(f, maps=(m,)) for f, m in zip(chain.frames[1:], maps, strict=True)]
    beside = Case(
        "12-quantised/refined-beside-maps",
        "rows with a slice map beside one that is refined",
        ("12.7.2", "6.2.6"),
        replace(chain, frames=(chain.frames[0], *frames)),
        seed=SEED,
    )
    return [
        beside,
        beside.reject(
            "12-quantised/refined-mapped",
            "a refinement of a row that has a slice map is rejected",
            ("12.7.2", "6.2.6"),
            "segment/refinement",
            Edits(streams={1: lambda made: {**made, "stop1.modes": b"\2\2\0"}}),
            stage="frame",
            frame=1,
        ),
    ]


def _unlike() -> Case:
    """Return the case of a row of another shape, which is skipped by the refinement."""
    acts = pair()
    fresh = Symbols([3, 0, -2, 9, 1], one_part((5,), 1, -6), shape=(5,))
    held = Layer((finer(804, 24), HELD), ADAPTIVE)
    acts[1] = replace(acts[1], rows=(acts[1].rows[0], fresh), layers=(held,))
    return acted(
        "held-shape",
        "a row that is skipped, and had another shape in the frame before",
        "12.7.2",
        "segment/refinement",
        acts,
    )


def _misread() -> list[Case]:
    """Return rows that vanish or turn, and stops whose digests alone are wrong."""
    gone, turned, still = pair(), pair(), pair()
    gone[1] = replace(gone[1], rows=(gone[1].rows[0], None), layers=(_with_below(),))
    fresh = Symbols(symbols(805, 24), one_part((4,), 3, -8), shape=(4, 3, 2))
    layer = Layer((finer(806, 24), HELD), ADAPTIVE)
    turned[1] = replace(turned[1], rows=(fresh, turned[1].rows[1]), layers=(layer,))
    still[1] = replace(still[1], layers=(Layer((SAME, SAME), ADAPTIVE),))
    other = bytes(32)

    def elsewhere(made: Objects) -> Objects:
        digests = made["/refinements/state_digest"].copy()
        digests[1, 0] = 0
        return {**made, "/refinements/state_digest": digests}

    return [
        case("gone", "a tensor vanishes, and with it what refined it", ("12.7.2",), PAIR, gone),
        case(
            "turned",
            "a tensor of the same grid and as many elements, but of another shape than before",
            ("12.7.2", "12.7.3"),
            PAIR,
            turned,
        ),
        replace(SMALL, chain=quantised_chain(PAIR, still)).reject(
            "12-quantised/refined-still-digest",
            "a stop that changes nothing, and names another state, is rejected",
            "7.2.3",
            "decoding/state-digest-mismatch",
            Edits(stops={1: lambda _: [other]}, objects=elsewhere),
            stage="frame",
            frame=1,
            place={"pointer": "/frames/1/refinements/0/state_digest"},
        ),
        STOPS.reject(
            "12-quantised/refined-digest-first",
            "the digest of the first of several stops in a segment, other than in the manifest, is "
            "rejected",
            "7.2.1",
            "decoding/segment-state-mismatch",
            Edits(stops={1: lambda stops: [other, *stops[1:]]}),
            stage="frame",
            frame=1,
        ),
    ]


def _with_below() -> Layer:
    return Layer((finer(804, 24), SAME), ADAPTIVE)


def _later(made: Objects) -> Objects:
    """Return the manifest in which the second refinement of frame 1 begins a byte later."""
    start = made["/refinements/start"].copy()
    start[1, 1] += 1
    return {**made, "/refinements/start": start}


def cases() -> list[Case]:
    """Return the cases of this clause."""
    a, b, c = (finer(820 + k, 96, finer=0, reach=3) for k in range(3))
    third = Layer((finer(804, 24), HELD), ADAPTIVE, streams={"modes": b"\x03\x01"})
    return [
        case(
            "below-again",
            "a row that was as at the stop below is coded anew on the same grid",
            ("12.7.2",),
            ROW,
            one_row(a, b, SAME, c, HELD),
        ),
        EIGHT,
        case(
            "apart-alone",
            "the substream of a tensor of one part stands apart",
            ("12.7.3",),
            PAIR,
            pair(Layer((finer(803, 24, flags=8), Finer([1, 0, -1], flags=8)), ADAPTIVE)),
        ),
        SMALL.vary(
            "12-quantised/refined-digests",
            "segments bring the tensor digests of the base, beside a refinement",
            ("6.2.5", "12.7.1"),
            with_digests(SMALL.chain, (0, 1)),
        ),
        *_beside_maps(),
        _parts(
            "parts",
            "a grid of three parts, whose symbols are in one substream",
            (0,),
            (0,),
        ),
        _parts(
            "parts-apart",
            "a grid of three parts, whose symbols are in substreams of their own or together",
            (0, 1, 2),
            (1, 0, 1),
            (0,),
        ),
        acted(
            "mode-3-refine",
            "a mode of 3 with bins",
            "12.7.2",
            "segment/refinement",
            pair(second=third),
        ),
        _unlike(),
        *(replace(made, inflate=True) for made in _misread()),
        refused(
            "digest-none",
            "a segment without the digest of a stop, whose streams are there",
            "7.2.1",
            ("segment/stream-surplus", "segment/refinement", "segment/stream-unknown"),
            Edits(stops={1: lambda _: []}),
        ),
        STOPS.reject(
            "12-quantised/refined-start-second",
            "a second refinement that begins elsewhere than the manifest says is rejected",
            "7.2.1",
            "segment/refinement",
            Edits(objects=_later),
            stage="frame",
            frame=1,
        ),
        EIGHT.reject(
            "12-quantised/refined-nine",
            "nine refinements, each of them sound, are rejected",
            "5.4.7",
            "manifest/value",
            chain=quantised_chain(LAYERS, layered(BASE[:2], 9, seed=900)),
            place={"pointer": "/refinements/start"},
        ),
    ]
