"""Vectors of clauses 5.4.7 and 12.7: refinements that do not fit, or are malformed."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from chain import RAW, Cell, Edits

from quantised.coder_bins import ADAPTIVE
from quantised.quantised_chain import (
    HELD,
    KEPT,
    SAME,
    Finer,
    Layer,
    Symbols,
    one_part,
    symbols,
)
from quantised.refinement_cases import finer
from quantised.refinement_objects import manifest_faults
from quantised.refinement_pair import SMALL, acted, pair, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case
    from chain import Streams

    from quantised.coder_bins import Payload


_MODE = "segment/refinement"
_RAW = Cell(RAW, struct.pack("<3e", 1, 2, 3))


def _stream(change: Callable[[Streams], Streams]) -> Edits:
    return Edits(streams={1: change})


def _second_below(name: str, what: str, modes: bytes, code: str) -> Case:
    """Return the case of other modes, where the second row is as at the stop below."""
    acts = pair(second=Layer((finer(804, 24), SAME), ADAPTIVE, streams={"modes": modes}))
    return acted(name, what, "12.7.2", code, acts)


def _with(**changed: bytes | None) -> Edits:
    """Return the edit of the streams of the refinement of frame 1."""

    def change(made: Streams) -> Streams:
        named = {f"stop1.{k.replace('_', '.')}": v for k, v in changed.items()}
        return {k: v for k, v in {**made, **named}.items() if v is not None}

    return _stream(change)


def _bad_modes() -> list[Case]:
    raw = pair(other=_RAW)
    held = replace(raw[1], layers=(Layer((finer(804, 24), HELD), ADAPTIVE),))
    two = finer(803, 24), Finer([1, 0, -1])
    return [
        _second_below("mode-3", "a mode of 3", b"\x02\x03", _MODE),
        _second_below("modes-short", "modes of one row of two", b"\x02", "segment/stream-length"),
        refused(
            "modes-long",
            "modes of three rows of two",
            "12.7.2",
            "segment/stream-length",
            _with(modes=b"\x02\x01\x00"),
        ),
        refused(
            "modes-missing",
            "a refinement without modes",
            "6.2.1",
            ("segment/stream-missing", _MODE),
            _with(modes=None),
        ),
        acted(
            "bins-missing",
            "a refinement without its bins",
            "12.7.2",
            "segment/stream-missing",
            pair(second=Layer((SAME, SAME), ADAPTIVE, streams={"modes": b"\x02\x00"})),
        ),
        acted(
            "bins-surplus",
            "bins of a refinement that refines nothing",
            "12.7.2",
            "segment/stream-surplus",
            pair(second=Layer((SAME, SAME), ADAPTIVE, streams={"bins.nmc": b"\2\1\0\0"})),
        ),
        refused(
            "bounds-missing",
            "a refinement without declared errors",
            "12.6.1",
            "segment/bounds",
            _with(bounds=None),
        ),
        refused(
            "bounds-short",
            "a declared error of one row of two",
            "12.6.1",
            "segment/bounds",
            _with(bounds=struct.pack("<f", 1)),
        ),
        refused(
            "bounds-nan",
            "a declared error of a refinement that is NaN",
            "12.6.1",
            "segment/bounds",
            _with(bounds=struct.pack("<2f", 1, float("nan"))),
        ),
        acted(
            "held-raw",
            "a row that is skipped, and not quantised at the stop below",
            "12.7.2",
            _MODE,
            [raw[0], held],
        ),
        acted(
            "refined-raw",
            "a refinement without its base: a row that is not quantised",
            "12.7.2",
            _MODE,
            [
                raw[0],
                replace(
                    raw[1], layers=(replace(raw[1].layers[0], streams={"modes": b"\x00\x02"}),)
                ),
            ],
        ),
        acted(
            "held-key",
            "a row of a key frame that is skipped",
            "12.7.2",
            _MODE,
            pair(
                first=Layer((two[0], HELD), ADAPTIVE),
                second=Layer((finer(804, 24), SAME), ADAPTIVE),
            ),
            frame=0,
        ),
        _was_raw(),
    ]


def _was_raw() -> Case:
    """Return the case of a row that is quantised anew, and skipped by the refinement."""
    acts = pair(other=_RAW)
    fresh = Symbols([5, -7, 0], one_part((3,), 1, -6))
    acts[1] = replace(
        acts[1], rows=(acts[1].rows[0], fresh), layers=(Layer((finer(804, 24), HELD), ADAPTIVE),)
    )
    return acted(
        "held-was-raw",
        "a row that is skipped, and was not quantised in the frame before",
        "12.7.2",
        _MODE,
        acts,
    )


def _digests() -> list[Case]:
    def put(path: str, change: Callable[[Any], Any]) -> Edits:
        return Edits(objects=lambda made: {**made, path: change(made[path].copy())})

    def later(array: Any) -> Any:
        array[1, 0] += 1
        return array

    other = hashlib.sha256(b"other").digest()
    both = Edits(
        stops={1: lambda _: [other]},
        objects=lambda made: {
            **made,
            "/refinements/state_digest": np.frombuffer(
                made["/refinements/state_digest"][0].tobytes() + other, "u1"
            ).reshape(2, 1, 32),
        },
    )
    return [
        refused(
            "digest",
            "another digest of a stop in the segment than in the manifest",
            "7.2.1",
            "decoding/segment-state-mismatch",
            Edits(stops={1: lambda _: [other]}),
        ),
        refused(
            "digest-state",
            "a state of a stop that is not that of its digest",
            "7.2.3",
            "decoding/state-digest-mismatch",
            both,
            place={"pointer": "/frames/1/refinements/0/state_digest"},
        ),
        refused(
            "start",
            "a refinement that begins elsewhere than the manifest says",
            "7.2.1",
            _MODE,
            put("/refinements/start", later),
        ),
        refused(
            "digest-surplus",
            "a digest of a stop that there is not",
            "7.2.1",
            ("segment/stream-missing", _MODE),
            Edits(stops={1: lambda stops: [*stops, other]}),
        ),
        refused(
            "missing",
            "a segment without the refinement that each frame has",
            "7.2.1",
            _MODE,
            Edits(
                stops={1: lambda _: []},
                streams={
                    1: lambda made: {k: v for k, v in made.items() if not k.startswith("stop1")}
                },
            ),
        ),
        refused(
            "stream-2",
            "a stream of a refinement that there is not",
            "6.2.1",
            ("segment/stream-surplus", "segment/stream-unknown"),
            _stream(lambda made: {**made, "stop2.modes": b"\0\0"}),
        ),
        refused(
            "stream-unknown",
            "a stream of a refinement with another name",
            "6.2.1",
            "segment/stream-unknown",
            _stream(lambda made: {**made, "stop1.raw": b"\0"}),
        ),
    ]


def _payloads() -> list[Case]:
    """Return refinements whose payload is malformed."""
    codes = ("segment/bins", "decoding/state-digest-mismatch")
    wide = pair()

    def field(name: str, what: str, **fields: Callable[[Any], Any]) -> Case:
        def change(payload: Payload) -> Payload:
            return replace(payload, **{k: f(getattr(payload, k)) for k, f in fields.items()})

        layer = replace(wide[1].layers[0], change=change)
        acts = [wide[0], replace(wide[1], layers=(layer,))]
        return acted(name, what, "12.7.3", codes, acts)  # type: ignore[arg-type]

    def given(name: str, what: str, content: Finer, key: Symbols | None = None) -> Case:
        acts = pair(second=Layer((content, HELD), ADAPTIVE))
        if key is not None:
            acts[0] = replace(
                acts[0],
                rows=(key, acts[0].rows[1]),
                layers=(Layer((SAME, Finer([1, 0, -1])), ADAPTIVE),),
            )
            acts[1] = replace(acts[1], rows=(Symbols([0] * 24), KEPT))
        return acted(name, what, "12.7.3", codes, acts)  # type: ignore[arg-type]

    some = symbols(804, 24, 1.0, 0.4)
    one = [[1] + [0] * 23, [0] * 24]
    low = Symbols(one[0], one_part((4,), 1, -1190))
    high = Symbols(one[0], one_part((4,), 1, 10))
    return [
        field("variant", "a payload of a refinement of variant 1", variant=lambda _: 1),
        field("substreams-0", "a refinement of no substreams", substreams=lambda _: 0),
        field("cut", "a refinement without its last code word", code=lambda c: (c[0][:-1],)),
        field("words-more", "a code word too many in a refinement", code=lambda c: ((*c[0], 0),)),
        given("flags-transformed", "a transformed refinement", Finer(some, flags=2)),
        given("flags-16", "a refinement of unknown flags", Finer(some, flags=16)),
        given("finer-25", "a grid that is finer by 2^25", Finer([0] * 24, finer=25), low),
        given("finer-minus-18", "a grid that is coarser by 2^18", Finer([0] * 24, finer=-18), high),
        given("reach-2-28", "a reach of 2^28", Finer(some, reach=1 << 28)),
        given(
            "exponent-low", "a grid whose exponent is below -1200", Finer([0] * 24, finer=11), low
        ),
        field(
            "substream-beyond",
            "a part of a refinement in a substream that is not there",
            entries=lambda e: (e[0][:-1] + b"\x01",),
        ),
        given(
            "bin-2-28",
            "a bin of 2^28 in a refinement",
            Finer([(1 << 28) - (16 << 4), *some[1:]], finer=4),
            Symbols([16, *[0] * 23], one_part((4,), 1, -20)),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [
        SMALL,
        *_bad_modes(),
        *_digests(),
        *_payloads(),
        *manifest_faults(),
    ]
