"""Vectors of clauses 5.1.4 and 13.2.2: signatures that are no files, and keys that are demanded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bases import FOLDER, PAIR
from cases import DIRECTORY, FILE
from chain import Edits

from signatures import form_cases, signature_cases
from signatures.signature_cases import (
    DIGEST,
    FIRST,
    FORM,
    KEYS,
    MISSING,
    ONE,
    OTHER,
    PLACE,
    SECOND,
    SIGNED_FOLDER,
    STRANGER,
    TWO,
    WRONG,
    flipped,
    name_of,
    other_sha256,
    signature_of_base,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cases import Case


def _folders() -> list[Case]:
    name = name_of(FIRST)

    def folder(place: str, summary: str, *steps: Mapping[str, object], **more: Any) -> Case:
        return SIGNED_FOLDER.reject(
            f"13-signatures/directory-{place}",
            f"{summary} is not followed or opened",
            ("5.1.4",),
            "package/not-a-file",
            SIGNED_FOLDER.edits,
            stage="check",
            prepare=steps,
            **more,
        )

    gone = {"do": "remove", "path": name}
    moved = Edits(
        members=lambda m: {
            n.replace("signatures/", "other/"): d for n, d in signed(FIRST)(m).items()
        }
    )
    return [
        folder(
            "link",
            "a signature that is a symbolic link",
            gone,
            {"do": "symlink", "path": name, "target": "../sound.sig"},
            extra_files={"sound.sig": signature_of_base()[name]},
        ),
        folder("fifo", "a signature that is a pipe", gone, {"do": "fifo", "path": name}),
        folder(
            "folder", "a signature that is a directory", gone, {"do": "directory", "path": name}
        ),
        replace(
            folder(
                "signatures-link",
                "a link to a folder of signatures",
                {"do": "symlink", "path": "signatures", "target": "other"},
            ),
            edits=moved,
        ),
    ]


def _demands() -> list[Case]:
    needs: dict[str, Any] = {"requires": ("signatures",)}
    clause = ("13.2.2",)

    def asked(base: Case, name: str, summary: str, *keys: int) -> Case:
        by = tuple(KEYS[key] for key in keys)
        return base.vary(
            f"13-signatures/{name}", summary, clause, base.edits, signed_by=by, **needs
        )

    one = asked(ONE, "demanded", "a package that is signed by the demanded key", FIRST)
    both = asked(
        TWO, "demanded-two", "a package that is signed by both demanded keys", FIRST, SECOND
    )
    some = asked(TWO, "demanded-one", "of two signatures, one is demanded", SECOND)
    there = asked(
        SIGNED_FOLDER, "demanded-directory", "a signed directory, whose key is demanded", FIRST
    )

    def refused(base: Case, name: str, summary: str, code: str, edits: Edits, **more: Any) -> Case:
        made: dict[str, Any] = {"place": {"file": ""}, **more}
        return base.reject(
            f"13-signatures/demanded-{name}", f"{summary} is rejected", clause, code, edits, **made
        )

    stranger = (KEYS[STRANGER],)
    return [
        one,
        both,
        some,
        there,
        refused(one, "unsigned", "a package without signatures", MISSING, PAIR.edits),
        refused(
            one,
            "stranger",
            "a package that is signed by another key",
            MISSING,
            Edits(members=signed(SECOND)),
        ),
        refused(both, "not-both", "a package that only one of two signed", MISSING, ONE.edits),
        refused(
            both,
            "not-first",
            "a package that only the second of two signed",
            MISSING,
            Edits(members=signed(SECOND)),
        ),
        refused(
            some,
            "third",
            "a package that a third key did not sign",
            MISSING,
            TWO.edits,
            signed_by=(KEYS[SECOND], *stranger),
        ),
        refused(
            one,
            "wrong",
            "a package whose demanded signature does not verify",
            WRONG,
            Edits(members=signed(FIRST, whole=flipped)),
            place=PLACE,
        ),
        refused(
            one,
            "form",
            "a package whose demanded signature has another form",
            FORM,
            Edits(members=signed(FIRST, whole=lambda data: data + b"\n")),
            place=PLACE,
        ),
        refused(
            one,
            "digest",
            "a package whose demanded signature states another digest",
            OTHER,
            Edits(members=signed(FIRST, digest=bytes(reversed(DIGEST)))),
            place=PLACE,
        ),
        refused(
            one,
            "sha256",
            "a package whose demanded signature states another SHA-256",
            OTHER,
            Edits(members=signed(FIRST, change=other_sha256)),
            place=PLACE,
        ),
        refused(
            some,
            "beside",
            "a package with a signature that does not hold beside the demanded one",
            WRONG,
            Edits(members=signed(FIRST, SECOND, whole=flipped)),
            place=PLACE,
        ),
        refused(
            some,
            "beside-empty",
            "a package with a signature without content beside the demanded one",
            FORM,
            Edits(members=signed(FIRST, SECOND, whole=lambda _: b"")),
            place=PLACE,
        ),
        refused(
            replace(there, edits=Edits(members=signed(FIRST, SECOND))),
            "directory-beside-link",
            "a directory with a signature that is a link beside the demanded one",
            "package/not-a-file",
            Edits(members=signed(FIRST, SECOND)),
            prepare=(
                {"do": "remove", "path": name_of(SECOND)},
                {"do": "symlink", "path": name_of(SECOND), "target": "../sound.sig"},
            ),
            extra_files={"sound.sig": signature_of_base(SECOND)[name_of(SECOND)]},
        ),
        refused(
            there,
            "directory-unsigned",
            "a directory without signatures",
            MISSING,
            FOLDER.edits,
        ),
    ]


_ASKED = {"one", "two", "directory", "other-digest", "other-sha256", "wrong-bit"}
"""What `_demands` asks for already."""

_UNREAD = {"directory-link", "directory-fifo", "directory-folder"}
"""What has no content: once it is opened, it is refused for its form."""


def _each() -> list[Case]:
    """Return each signature again, demanded: a decoder that knows of demands looks at its form."""
    found = [*signature_cases.cases(), *form_cases.cases(), *_folders()]
    return [
        replace(
            case,
            id=f"13-signatures/demanded-{name}",
            summary=f"demanded: {case.summary}",
            clauses=("13.2.2", *(c for c in case.clauses if c != "13.2.1")),
            base=_base(case),
            inflate=case.form == FILE,
            stage=case.stage and "open",
            warnings=(),
            requires=("signatures",),
            signed_by=(KEYS[FIRST],),
        )
        for case in found
        if case.stage in (None, "check")
        and (name := case.id.partition("/")[2]) not in _ASKED | _UNREAD
    ]


def _base(case: Case) -> str:
    """Return the vector that conforms, from which a demanded one is derived."""
    if case.stage is None:
        return case.id
    return f"13-signatures/demanded{'-directory' if case.form == DIRECTORY else ''}"


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_folders(), *_demands(), *_each()]
