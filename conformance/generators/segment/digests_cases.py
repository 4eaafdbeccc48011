"""Vectors of clause 6.2.5: tensor digests that a segment brings along."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from bases import GROUPS, PAIR
from cases import Case
from chain import DELTA, KEY, RAW, SKIP, Cell, Chain, Edits, Frame, Row, shape_of
from model.model_cases import SEED, random_bytes
from writers.package_writer import tensor_preimage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from chain import Streams

LENGTH, SURPLUS = "segment/stream-length", "segment/stream-surplus"
MISMATCH = "decoding/tensor-digest-mismatch"


def digests_of(chain: Chain, t: int, skipped: Collection[int] = (SKIP,)) -> bytes:
    """Return the stream ``digests`` of a frame; tensors of some modes are left out of it."""
    made = b""
    for i, cell in enumerate(chain.frames[t].cells):
        if cell is not None and cell.mode not in skipped:
            preimage = tensor_preimage(chain.rows[i].dtype, shape_of(chain, i, cell), cell.data)
            made += hashlib.sha256(preimage).digest()
    return made


def with_digests(
    chain: Chain, frames: Collection[int], t: int = -1, wrong: Callable[[bytes], bytes] = bytes
) -> Edits:
    """Return the edit that gives frames their digests, those of frame ``t`` changed."""

    def put(s: int) -> Callable[[Streams], Streams]:
        right = digests_of(chain, s)
        return lambda made: {**made, "digests": wrong(right) if s == t else right}

    return Edits(streams={s: put(s) for s in frames})


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _accepted() -> list[Case]:
    chain = GROUPS.chain
    of_nothing = Chain(
        (Row("empty", "F32", (0,)), Row("some", "F32", (2,))),
        (
            Frame(KEY, (Cell(RAW, b""), Cell(RAW, random_bytes(8, 1)))),
            Frame(DELTA, (Cell(SKIP, b""), Cell(RAW, random_bytes(8, 2)))),
        ),
    )

    def made(name: str, what: str, chain: Chain, frames: Collection[int]) -> Case:
        clauses = ("6.2.5", "7.2.3")
        edits = with_digests(chain, frames)
        return Case(f"06-segment/digests-{name}", what, clauses, chain, edits, seed=SEED)

    return [
        made("all", "every segment brings tensor digests", chain, range(len(chain.frames) - 1)),
        made("some", "of two groups the first has tensor digests in one frame", chain, (1,)),
        made("without-bytes", "a tensor without bytes has a digest too", of_nothing, (0, 1)),
    ]


def _rejected() -> list[Case]:
    chain = PAIR.chain

    def bad(name: str, what: str, code: str, edits: Edits, clause: str, t: int = 1) -> Case:
        summary = f"{what}: rejected"
        return PAIR.reject(name, summary, clause, code, edits, stage="frame", frame=t)

    def length(name: str, what: str, wrong: Callable[[bytes], bytes]) -> Case:
        edits = with_digests(chain, (0, 1), 1, wrong)
        return bad(f"06-segment/digests-{name}", what, LENGTH, edits, "6.2.5")

    def other(name: str, what: str, wrong: Callable[[bytes], bytes], t: int = 1) -> Case:
        edits = with_digests(chain, (0, 1), t, wrong)
        return bad(f"07-decoding/digests-{name}", what, MISMATCH, edits, "7.2.3", t)

    still = Chain(
        PAIR.chain.rows,
        (
            chain.frames[0],
            Frame(DELTA, tuple(replace(c, mode=SKIP) for c in chain.frames[0].cells if c)),
        ),
    )
    nothing = Case(
        "06-segment/digests-still",
        "a frame that skips every tensor brings no digests",
        ("6.2.5",),
        still,
        with_digests(still, (0,)),
        seed=SEED,
    )
    of_all = digests_of(chain, 1, ())
    right = digests_of(chain, 1)

    def damaged(made: Streams) -> Streams:
        return {**made, "digests": right, "raw": _flipped(made["raw"], 3)}

    trusted = bad(
        "07-decoding/digests-of-another-tensor",
        "a tensor with another bit beside the digest of the right one",
        "decoding/state-digest-mismatch",
        Edits(streams={1: damaged}),
        "7.2.3",
    )
    return [
        trusted,
        length("short", "the last digest left out", lambda d: d[:-32]),
        length("byte-more", "a byte after the digests", lambda d: d + b"\0"),
        length("byte-less", "the last digest without its last byte", lambda d: d[:-1]),
        length("more", "a digest after the last one", lambda d: d + d[:32]),
        length("empty", "a stream of no digests, though tensors are coded", lambda _: b""),
        length("of-skipped", "a digest of a tensor that is skipped", lambda _: of_all),
        nothing,
        nothing.reject(
            "06-segment/digests-nothing",
            "a stream of no digests where every tensor is skipped: rejected",
            "6.2.5",
            SURPLUS,
            Edits(streams={**nothing.edits.streams, 1: lambda made: {**made, "digests": b""}}),
            stage="frame",
            frame=1,
        ),
        other("bit", "a digest with another bit", lambda d: _flipped(d, 5)),
        other("last-bit", "the last bit of the last digest", lambda d: _flipped(d, len(d) - 1)),
        other("order", "digests in another order", lambda d: d[32:64] + d[:32] + d[64:]),
        other("key-frame", "a wrong digest in a key frame", lambda d: _flipped(d, 33), 0),
        other("zeros", "zeros in place of a digest", lambda d: bytes(32) + d[32:]),
    ]


def cases() -> list[Case]:
    """Return the cases of this clause."""
    return [*_accepted(), *_rejected()]
