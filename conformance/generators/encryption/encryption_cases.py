"""Vectors of chapter 14: encrypted segments, and keys that do not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from bases import FOLDER, GROUPS, ONE, PAIR
from cases import Case
from chain import (
    DELTA,
    KEY,
    NO_EDITS,
    RAW,
    SKIP,
    Cell,
    Chain,
    Edits,
    Frame,
    Objects,
    Row,
    content_of,
    state_digest,
)
from columns import scalar_text
from model.model_cases import random_bytes
from quantised.refinement_cases import STOPS
from signatures.signature_cases import FIRST, KEYS, signed

from encryption.encrypted import (
    CHUNK,
    DIGEST,
    FEATURE,
    SECRET,
    UNDERSTAND,
    Way,
    edits_of,
    key_digest,
    number,
    parted,
    said,
)

OTHER = hashlib.sha256(b"another key").digest()
TAG, LENGTH, KEY_MISSING = "encryption/tag", "encryption/length", "encryption/key-missing"
TAG_BYTES = 16
NEEDS: dict[str, Any] = {"requires": ("encryption",), "key": SECRET.hex()}


def encrypting(case: Case, name: str, summary: str, *clauses: str, **more: Any) -> Case:
    """Return an encrypted package, whose key is given."""
    return case.vary(f"14-encryption/{name}", summary, clauses, edits_of(case), **{**NEEDS, **more})


PLAIN = encrypting(PAIR, "one", "encrypted segments of a key frame and a delta", "14.1.2", "14.1.3")


def _of_length(length: int) -> Case:
    """Return a package of one frame whose segment has so many bytes."""

    def made(count: int) -> Case:
        row = Row("weight", "U8", (count,))
        frame = Frame(KEY, (Cell(RAW, random_bytes(count, 61)),))
        return replace(ONE, chain=Chain((row,), (frame,)), edits=NO_EDITS)

    for count in range(length - 400, length):
        if len(content_of(made(count).chain)[1][0]) == length:
            return made(count)
    raise ValueError("no tensor makes a segment of that length")


GROUPED = encrypting(
    GROUPS, "groups", "encrypted groups; a key frame in the middle has no parent", "14.1.3"
)
FULL = encrypting(_of_length(CHUNK), "chunk-full", "a segment of one chunk that is full", "14.1.2")
TWO = encrypting(
    _of_length(CHUNK + 1), "chunks-two", "a segment whose second chunk is a byte", "14.1.2"
)


def _long() -> Case:
    """Return a package whose last frame has a number of two bytes."""
    row, first, last = Row("a", "U8", (1,)), Cell(RAW, b"\5"), Cell(RAW, b"\7")
    still = Frame(DELTA, (Cell(SKIP, first.data),))
    frames = (Frame(KEY, (first,)), *[still] * 255, Frame(KEY, (last,)))
    return encrypting(
        replace(ONE, chain=Chain((row,), frames), edits=NO_EDITS),
        "frame-256",
        "frame 256 of an encrypted package, whose number has two bytes",
        "14.1.3",
        frames=(256,),
    )


def _sound() -> list[Case]:
    old = {"requires": (), "key": ""}
    alone = Edits(objects=lambda made: {**made, DIGEST: key_digest()})
    version = edits_of(
        PAIR, manifest=lambda made: {**said(made), "/@format_version": scalar_text("1.0")}
    )
    return [
        PLAIN,
        encrypting(FOLDER, "directory", "an encrypted package in the directory form", "14.1.2"),
        GROUPED,
        encrypting(
            GROUPS,
            "seek",
            "frames of an encrypted package that are asked for out of order",
            "14.2.2",
            "7.3",
            frames=(4, 1, 2, 0, 3),
        ),
        _long(),
        FULL,
        TWO,
        encrypting(
            STOPS, "refined", "encrypted segments with refinements, which lie in them", "14.1.2"
        ),
        replace(
            encrypting(PAIR, "signed", "a package that is encrypted and signed", "14.3", "13.2.3"),
            edits=replace(edits_of(PAIR), members=_signed),
            requires=("encryption", "signatures"),
            signed_by=(KEYS[FIRST],),
        ),
        PAIR.vary(
            "14-encryption/version-1-0",
            "an encrypted package that names version 1.0",
            ("14.1.1", "10.3.2"),
            version,
            **NEEDS,
        ),
        PAIR.vary(
            "14-encryption/digest-alone",
            "a key digest without the feature means nothing",
            ("14.1.1",),
            alone,
            **old,
        ),
    ]


def _signed(members: dict[str, bytes]) -> dict[str, bytes]:
    objects = content_of(PAIR.chain, edits_of(PAIR))[0]
    made: dict[str, bytes] = signed(FIRST, digest=objects["/@manifest_digest"].tobytes())(members)
    return made


def wrong(name: str, summary: str, base: Case = PLAIN, t: int = 0, **way: Any) -> Case:
    """Return the case of a segment that is encrypted in another way."""
    return base.reject(
        f"14-encryption/{name}",
        f"{summary} is rejected",
        ("14.1.3", "14.2.2"),
        TAG,
        edits_of(replace(base, edits=NO_EDITS), {t: replace(Way(), **way)}),
        stage="frame",
        frame=t,
        place={"file": f"segments/{t:08d}.safetensors"},
    )


def _bounds() -> list[Case]:
    def bound(name: str, summary: str, t: int, made: Callable[[int, bytes | None], bytes]) -> Case:
        return wrong(f"bound-{name}", f"a chunk bound to {summary}", t=t, bound=made)

    before = state_digest(GROUPS.chain, 2)
    own = state_digest(PAIR.chain, 1)
    return [
        bound("index", "another frame", 1, lambda t, p: number(t - 1, 8) + (p or b"")),
        bound(
            "index-of-key", "another frame than its own, 0", 0, lambda *_: number(1, 8) + bytes(32)
        ),
        bound("parent-zeros", "zeros", 1, lambda t, _: number(t, 8) + bytes(32)),
        bound("parent-own", "its own state", 1, lambda t, _: number(t, 8) + own),
        bound("nothing", "nothing", 1, lambda *_: b""),
        wrong(
            "bound-key-before",
            "a key frame bound to the state before it",
            GROUPED,
            3,
            bound=lambda t, _: number(t, 8) + before,
        ),
    ]


def _tags() -> list[Case]:
    def flipped(at: int, frame: int = 1, byte: int = 1) -> Callable[[int, bytes], bytes]:
        def made(t: int, data: bytes) -> bytes:
            place = at % len(data)
            other = data[:place] + bytes([data[place] ^ byte]) + data[place + 1 :]
            return other if t == frame else data

        return made

    def tag(
        name: str,
        summary: str,
        after: Callable[[int, bytes], bytes],
        base: Case = PLAIN,
        t: int = 1,
    ) -> Case:
        return base.reject(
            f"14-encryption/{name}",
            f"{summary} is rejected",
            ("14.2.2",),
            TAG,
            edits_of(replace(base, edits=NO_EDITS), after=after),
            stage="frame",
            frame=t,
            place={"file": f"segments/{t:08d}.safetensors"},
        )

    return [
        tag("tag-last-bit", "a tag whose last bit is another one", flipped(-1)),
        tag(
            "tag-first-bit", "a tag whose first bit is another one", flipped(-TAG_BYTES, byte=0x80)
        ),
        tag(
            "tag-zeros",
            "a tag of which 12 bytes are right and 4 are zeros",
            lambda t, data: data[:-4] + bytes(4) if t == 1 else data,
        ),
        tag(
            "tag-of-second", "a tag of a second chunk that has another bit", flipped(-1, 0), TWO, 0
        ),
        tag(
            "tag-of-first",
            "a tag of a first chunk that has another bit",
            flipped(32 + CHUNK, 0),
            TWO,
            0,
        ),
    ]


def _opened() -> list[Case]:
    def at_open(
        name: str, summary: str, code: str | tuple[str, ...], clause: str, edits: Edits, **more: Any
    ) -> Case:
        return PLAIN.reject(
            f"14-encryption/{name}", f"{summary} is rejected", (clause,), code, edits, **more
        )

    def manifest(change: Objects) -> Edits:
        return edits_of(PAIR, manifest=lambda made: {**said(made), **change})

    def without(made: Objects) -> Objects:
        return {path: array for path, array in said(made).items() if path != DIGEST}

    package: dict[str, Any] = {"place": {"file": ""}}
    old = ("manifest/must-understand",)
    return [
        at_open(
            "no-key",
            "an encrypted package of which no key is given",
            (KEY_MISSING, *old),
            "14.2.1",
            edits_of(PAIR),
            key="",
            **package,
        ),
        at_open(
            "other-key",
            "an encrypted package of which another key is given",
            ("encryption/key-wrong", *old),
            "14.2.1",
            edits_of(PAIR),
            key=OTHER.hex(),
            **package,
        ),
        at_open(
            "other-digest",
            "a package that names the digest of another key",
            ("encryption/key-wrong", *old),
            "14.1.1",
            manifest({DIGEST: key_digest(OTHER)}),
            **package,
        ),
        at_open(
            "digest-last-byte",
            "a package that names a key digest whose last byte is another one",
            ("encryption/key-wrong", *old),
            "14.1.1",
            manifest({DIGEST: key_digest() ^ np.array([0] * 31 + [1], "u1")}),
            **package,
        ),
        at_open(
            "digest-sha256",
            "a package that names the SHA-256 of the key alone",
            ("encryption/key-wrong", *old),
            "14.1.1",
            manifest({DIGEST: np.frombuffer(hashlib.sha256(SECRET).digest(), "u1")}),
            **package,
        ),
        at_open(
            "not-encrypted",
            "a package without encryption of which a key is given",
            "encryption/not-encrypted",
            "14.2.1",
            PAIR.edits,
            **package,
        ),
        at_open(
            "digest-missing",
            "an encrypted package without a key digest",
            ("manifest/object-missing", *old),
            "14.1.1",
            edits_of(PAIR, manifest=without),
            place={"pointer": DIGEST},
        ),
        at_open(
            "feature-twofold",
            "a package that needs another feature beside encryption",
            "manifest/must-understand",
            "5.4.1",
            manifest({UNDERSTAND: scalar_text(f"{FEATURE} time-travel")}),
            place={"pointer": UNDERSTAND},
        ),
        at_open(
            "feature-upper",
            "an encrypted package whose feature is in upper case, which is another one,",
            "manifest/must-understand",
            "14.1.1",
            manifest({UNDERSTAND: scalar_text(FEATURE.upper())}),
            place={"pointer": UNDERSTAND},
        ),
    ]


def _lengths() -> list[Case]:
    def length(name: str, summary: str, base: Case, after: Callable[[int, bytes], bytes]) -> Case:
        plain = replace(base, edits=NO_EDITS)
        return base.reject(
            f"14-encryption/length-{name}",
            f"{summary} is rejected",
            ("14.1.2",),
            (LENGTH, "manifest/must-understand"),
            edits_of(plain, after=after),
            place={"pointer": "/frames/0/segment_length"},
        )

    surplus = edits_of(
        replace(FULL, edits=NO_EDITS), {0: replace(Way(), chunks=lambda data: [*parted(data), b""])}
    )
    return [
        replace(
            length("chunk-empty", "a segment that ends with a chunk without bytes", FULL, _same),
            edits=surplus,
        ),
        length("tag", "a segment without a byte between salt and tag", FULL, lambda _, d: d[:48]),
        length("salt", "a segment of a salt alone", FULL, lambda _, d: d[:32]),
        length("tag-cut", "a segment whose last tag lost a byte", TWO, lambda _, d: d[:-1]),
    ]


def _same(t: int, data: bytes) -> bytes:
    del t
    return data


def cases() -> list[Case]:
    """Return the cases of this chapter."""
    return [
        *_sound(),
        *_bounds(),
        *_tags(),
        *_opened(),
        *_lengths(),
    ]
