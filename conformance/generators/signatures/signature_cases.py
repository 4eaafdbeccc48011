"""Vectors of chapter 13: signatures that hold, that do not, and keys that are demanded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bases import FOLDER, PAIR
from cases import Case
from chain import MANIFEST, Edits, content_of, members_of, segment_name
from columns import scalar_text
from writers.zip_writer import Archive

from nmc_conformance import ed25519
from nmc_conformance.ed25519 import SEEDS

KEYS = tuple(ed25519.public_key(seed).hex() for seed in SEEDS)
TIME, SIGNER = "2026-11-22T04:00:00Z", "studio@example.org"
FIRST, SECOND, STRANGER = sorted(range(3), key=lambda i: KEYS[i])
"""Keys by their place in the order of the names."""

FORM, OTHER, WRONG = "signature/form", "signature/manifest", "signature/wrong"
MISSING, _NAME, _STRUCTURE = "signature/missing", "package/member-name", "package/zip-structure"
Members = dict[str, bytes]
Change = Callable[[bytes], bytes]


def name_of(key: int) -> str:
    """Return the member name of the signature by a key."""
    return f"signatures/{KEYS[key]}.sig"


def statement(
    manifest: bytes, digest: bytes, time: str = TIME, signer: str | bytes = SIGNER
) -> bytes:
    """Return the statement about a manifest (clause 13.1.2)."""
    who = signer.encode() if isinstance(signer, str) else signer
    lines = (
        "nmc signature 1",
        "algorithm: ed25519",
        f"manifest_digest: {digest.hex()}",
        f"manifest_sha256: {hashlib.sha256(manifest).hexdigest()}",
        f"time: {time}",
    )
    return "".join(f"{line}\n" for line in lines).encode() + b"signer: " + who + b"\n"


def _ended(said: bytes, value: bytes) -> bytes:
    return said + b"signature: " + value.hex().encode() + b"\n"


def _digest(case: Case) -> bytes:
    made: bytes = content_of(case.chain)[0]["/@manifest_digest"].tobytes()
    return made


DIGEST = _digest(PAIR)


def signed(
    *keys: int,
    said: Mapping[str, Any] | None = None,
    change: Change = bytes,
    signing: Callable[[int, bytes], bytes] = lambda key, data: ed25519.signature(SEEDS[key], data),
    whole: Change = bytes,
    digest: bytes = DIGEST,
) -> Callable[[Members], Members]:
    """Return what adds signatures to members; the first one has the fault.

    ``change`` is made to the statement before it is signed, ``whole`` to the content after.
    """

    def add(members: Members) -> Members:
        made = {}
        for i, key in enumerate(keys):
            text = statement(members[MANIFEST], digest, **(said or {} if i == 0 else {}))
            text = change(text) if i == 0 else text
            value = signing(key, text) if i == 0 else ed25519.signature(SEEDS[key], text)
            content = _ended(text, value)
            made[name_of(key)] = whole(content) if i == 0 else content
        return {**members, **dict(sorted(made.items()))}

    return add


ONE = PAIR.vary(
    "13-signatures/one",
    "a package with a signature",
    ("13.1.1", "13.1.2", "5.1.3"),
    Edits(members=signed(FIRST)),
)
TWO = PAIR.vary(
    "13-signatures/two",
    "a package with signatures by two keys",
    ("13.1.1", "5.2.1"),
    Edits(members=signed(FIRST, SECOND)),
)
SIGNED_FOLDER = FOLDER.vary(
    "13-signatures/directory",
    "a package in the directory form with a signature",
    ("13.1.1", "5.1.4"),
    Edits(members=signed(FIRST)),
)
PLACE = {"file": name_of(FIRST)}


def _held() -> list[Case]:
    def said(name: str, summary: str, **facts: Any) -> Case:
        edits = Edits(members=signed(FIRST, said=facts))
        return ONE.vary(f"13-signatures/{name}", summary, ("13.1.2",), edits)

    surplus = Edits(members=lambda m: signed(FIRST)({**m, segment_name(2): b"x" * 100}))
    readme = {
        "signatures/readme.txt": b"hello\n",
        f"signatures/{KEYS[FIRST]}.pub": b"ssh-ed25519\n",
    }
    return [
        ONE,
        TWO,
        SIGNED_FOLDER,
        said("signer-empty", "a signature without a name of its signer", signer=""),
        said("signer-utf-8", "a signer whose name is not ASCII", signer="스튜디오 é 🎬"),
        said("signer-longest", "a signer of 256 bytes", signer="x" * 256),
        said("signer-colons", "a signer that looks like a line", signer="signature: 00 signer: x"),
        said("signer-tail", "a signer with a space and a quote at its end", signer='a" \\ '),
        said("signer-two-bytes", "a signer of 128 characters in 256 bytes", signer="é" * 128),
        said("signer-c1", "a signer with characters from 80 to 9F", signer="a\x80\x85\x9fb"),
        said("signer-separators", "a signer with separators of lines", signer="a\u2028\u2029b"),
        said("time-first", "the first time that can be written", time="0000-00-00T00:00:00Z"),
        said("time-last", "the last time that can be written", time="9999-99-99T99:99:99Z"),
        said("signer-mark", "a signer that begins with a byte order mark", signer="\ufeffa"),
        said("time-no-day", "a time that no calendar has", time="2026-02-31T25:61:61Z"),
        ONE.vary(
            "13-signatures/surplus-segment",
            "a segment beyond the last frame stands before the signatures",
            ("5.1.3", "5.2.1"),
            surplus,
            warnings=("package/member-unknown",),
        ),
        SIGNED_FOLDER.vary(
            "13-signatures/directory-other-files",
            "other files beside the signatures are ignored, and a checker warns of them",
            ("5.1.3",),
            SIGNED_FOLDER.edits,
            extra_files=readme,
            warnings=("package/member-unknown",),
        ),
    ]


def _names() -> list[Case]:
    def named(name: str, summary: str, member: bytes) -> Case:
        def change(made: Archive) -> None:
            made.records[-1].name = member

        return ONE.reject(
            f"13-signatures/name-{name}",
            f"a signature whose name {summary} is rejected",
            ("5.1.3", "13.1.1"),
            (_NAME, _STRUCTURE),
            replace(ONE.edits, archive=change),
        )

    def order(name: str, summary: str, moved: Callable[[Archive], None]) -> Case:
        return TWO.reject(
            f"13-signatures/{name}",
            summary,
            ("5.2.1",),
            _STRUCTURE,
            replace(TWO.edits, archive=moved),
        )

    def first(made: Archive) -> None:
        made.records.insert(1, made.records.pop(-2))

    def swapped(made: Archive) -> None:
        made.records.append(made.records.pop(-2))

    def twice(made: Archive) -> None:
        made.records.append(deepcopy(made.records[-1]))

    key = KEYS[FIRST]
    return [
        named("upper", "has digits in upper case", f"signatures/{key.upper()}.sig".encode()),
        named("short", "has 63 digits", f"signatures/{key[:-1]}.sig".encode()),
        named("long", "has 65 digits", f"signatures/{key}0.sig".encode()),
        named("no-digit", "has a letter that is no digit", f"signatures/{key[:-1]}g.sig".encode()),
        named("ending", "has another ending", f"signatures/{key}.SIG".encode()),
        named("line-feed", "ends with a line feed", f"signatures/{key}.sig\n".encode()),
        named("folder", "has another folder", f"signature/{key}.sig".encode()),
        order("order-before", "a signature before the segments is rejected", first),
        order("order", "signatures that do not ascend are rejected", swapped),
        ONE.reject(
            "13-signatures/twice",
            "a signature that is there twice is rejected",
            ("5.1.3", "13.1.1"),
            ("package/member-duplicate", _STRUCTURE),
            replace(ONE.edits, archive=twice),
        ),
    ]


def faulty(name: str, summary: str, code: str, base: Case = ONE, **more: Any) -> Case:
    """Return the case of a signature that does not hold; a decoder does not look at it."""
    return base.reject(
        f"13-signatures/{name}",
        f"{summary} does not hold",
        ("13.1.2", "13.2.1"),
        code,
        Edits(members=signed(FIRST, **more)),
        stage="check",
        place=PLACE,
    )


def _wrong() -> list[Case]:
    def malleable(key: int, data: bytes) -> bytes:
        value = ed25519.signature(SEEDS[key], data)
        answer = int.from_bytes(value[32:], "little") + ed25519.ORDER
        return value[:32] + answer.to_bytes(32, "little")

    def twofold(key: int, data: bytes) -> bytes:
        """Sign with R the neutral point, whose y is given as p + 1 in place of 1."""
        point = (ed25519.P + 1).to_bytes(32, "little")
        return ed25519.answered(SEEDS[key], data, 0, point)

    def by(made: Callable[[bytes], bytes]) -> Callable[[int, bytes], bytes]:
        return lambda key, data: ed25519.signature(SEEDS[key], made(data))

    def edited(data: bytes) -> bytes:
        return data.replace(b"T04:", b"T05:", 1)

    other = bytes(reversed(DIGEST))
    rewritten = Edits(
        objects=lambda made: {**made, "/@creator": scalar_text("somebody else")},
        members=lambda members: {**members, **signature_of_base()},
    )
    return [
        faulty("wrong-bit", "a signature with another digit", WRONG, whole=flipped),
        faulty(
            "wrong-time", "a statement that was changed after it was signed", WRONG, whole=edited
        ),
        faulty(
            "wrong-key",
            "a signature by another key than that of its name",
            WRONG,
            signing=lambda _, data: ed25519.signature(SEEDS[SECOND], data),
        ),
        faulty("wrong-order", "a signature whose S is too large", WRONG, signing=malleable),
        replace(
            faulty(
                "wrong-point",
                "a signature whose R is a point in another form than its one",
                WRONG,
                signing=twofold,
            ),
            inflate=True,
        ),
        faulty(
            "wrong-hash",
            "a signature of the SHA-256 of the statement",
            WRONG,
            signing=by(lambda data: hashlib.sha256(data).digest()),
        ),
        faulty(
            "wrong-line-feed",
            "a signature of the statement without its last line feed",
            WRONG,
            signing=by(lambda data: data[:-1]),
        ),
        faulty(
            "wrong-digest-alone",
            "a signature of the manifest digest alone",
            WRONG,
            signing=by(lambda _: DIGEST),
        ),
        faulty("other-digest", "a signature that states another digest", OTHER, digest=other),
        faulty(
            "other-sha256",
            "a signature that states another SHA-256",
            OTHER,
            change=other_sha256,
        ),
        ONE.reject(
            "13-signatures/other-package",
            "the signature of a package whose manifest was changed after it does not hold",
            ("13.1.2", "13.2.1"),
            OTHER,
            rewritten,
            stage="check",
            place=PLACE,
        ),
        TWO.reject(
            "13-signatures/one-of-two",
            "one of two signatures does not hold",
            ("13.2.1",),
            WRONG,
            Edits(members=signed(SECOND, FIRST, whole=flipped)),
            stage="check",
            place={"file": name_of(SECOND)},
        ),
    ]


def flipped(data: bytes) -> bytes:
    """Return a signature whose last digit is another one."""
    return data[:-2] + other_digit(data[-2:-1]) + b"\n"


def other_digit(digit: bytes) -> bytes:
    """Return another digit."""
    return b"1" if digit == b"0" else b"0"


def other_sha256(said: bytes) -> bytes:
    """Return a statement that names another SHA-256."""
    at = said.index(b"manifest_sha256: ") + len(b"manifest_sha256: ")
    return said[:at] + other_digit(said[at : at + 1]) + said[at + 1 :]


def signature_of_base(key: int = FIRST) -> Members:
    """Return the signature of the package that all of these are made from."""
    members = signed(key)(members_of(PAIR.chain))
    return {name_of(key): members[name_of(key)]}


def cases() -> list[Case]:
    """Return the cases of this chapter."""
    return [*_held(), *_names(), *_wrong()]
