"""Vectors of clauses 5.4.7 and 12.7: refinements that do not fit, or are malformed."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from chain import KEY, NO_EDITS, RAW, Cell, Edits, Row

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
    from collections.abc import Callable, Sequence

    from cases import Case
    from chain import Objects, Streams

    from quantised.coder_bins import Payload


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


PAIR = (Row("a", "F32", (4, 6)), Row("b", "F16", (3,)))
_RAW = Cell(RAW, struct.pack("<3e", 1, 2, 3))


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
_MODE = "segment/refinement"


def _stream(change: Callable[[Streams], Streams]) -> Edits:
    return Edits(streams={1: change})


def _second_below(name: str, what: str, modes: bytes, code: str) -> Case:
    """Return the case of other modes, where the second row is as at the stop below."""
    acts = pair(second=Layer((finer(804, 24), SAME), ADAPTIVE, streams={"modes": modes}))
    return _acted(name, what, "12.7.2", code, acts)


def _with(**changed: bytes | None) -> Edits:
    """Return the edit of the streams of the refinement of frame 1."""

    def change(made: Streams) -> Streams:
        named = {f"stop1.{k.replace('_', '.')}": v for k, v in changed.items()}
        return {k: v for k, v in {**made, **named}.items() if v is not None}

    return _stream(change)


def _acted(name: str, what: str, clause: str, codes: str, acts: list[Act], **more: Any) -> Case:
    return refused(name, what, clause, codes, chain=quantised_chain(PAIR, acts), **more)


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
        _acted(
            "bins-missing",
            "a refinement without its bins",
            "12.7.2",
            "segment/stream-missing",
            pair(second=Layer((SAME, SAME), ADAPTIVE, streams={"modes": b"\x02\x00"})),
        ),
        refused(
            "bins-surplus",
            "bins of a refinement that refines nothing",
            "12.7.2",
            "segment/stream-surplus",
            _with(modes=b"\x00\x00"),
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
        _acted(
            "held-raw",
            "a row that is skipped, and not quantised at the stop below",
            "12.7.2",
            _MODE,
            [raw[0], held],
        ),
        _acted(
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
        _acted(
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
    return _acted(
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
        return _acted(name, what, "12.7.3", codes, acts)  # type: ignore[arg-type]

    def given(name: str, what: str, content: Finer, key: Symbols | None = None) -> Case:
        acts = pair(second=Layer((content, HELD), ADAPTIVE))
        if key is not None:
            acts[0] = replace(
                acts[0],
                rows=(key, acts[0].rows[1]),
                layers=(Layer((SAME, Finer([1, 0, -1])), ADAPTIVE),),
            )
            acts[1] = replace(acts[1], rows=(Symbols([0] * 24), KEPT))
        return _acted(name, what, "12.7.3", codes, acts)  # type: ignore[arg-type]

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


def _manifests() -> list[Case]:
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
        _main(),
    ]


_FLOATS = (Row("a", "F32", (2,)),)
_NOTHING = [Act((Cell(RAW, struct.pack("<2f", 1, 2)),), KEY, layers=(Layer((SAME,)),))]


def _main_base() -> Case:
    return case(
        "nothing",
        "a refinement of a state in which nothing is quantised",
        ("12.7.1",),
        _FLOATS,
        _NOTHING,
    )


def _main() -> Case:
    """Return the case of a package of profile main whose manifest has refinements."""
    return _main_base().reject(
        "12-quantised/refined-main",
        "a refinement in a package of profile main is rejected",
        "5.4.7",
        "manifest/value",
        chain=quantised_chain(_FLOATS, _NOTHING, profile="main"),
        place={"pointer": "/refinements/start"},
    )


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [
        SMALL,
        _main_base(),
        *_bad_modes(),
        *_digests(),
        *_payloads(),
        *_manifests(),
    ]
