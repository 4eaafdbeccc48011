"""Vectors of clause 13.1.2: signatures that are not in the one form, and verify all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from signatures.signature_cases import DIGEST, FORM, TIME, faulty

if TYPE_CHECKING:
    from cases import Case

    from signatures.signature_cases import Change


def cases() -> list[Case]:
    """Return signatures in another form; each verifies, once its form is not looked at."""

    def stated(name: str, summary: str, old: bytes, new: bytes) -> Case:
        return faulty(f"form-{name}", summary, FORM, change=lambda s: s.replace(old, new, 1))

    def content(name: str, summary: str, whole: Change) -> Case:
        return faulty(f"form-{name}", summary, FORM, whole=whole)

    def stored(name: str, summary: str, whole: Change) -> Case:
        return replace(content(name, summary, whole), inflate=True)

    def said(name: str, summary: str, **facts: Any) -> Case:
        return faulty(f"form-{name}", summary, FORM, said=facts)

    digest = DIGEST.hex().encode()
    stamp = f"time: {TIME}\n".encode()
    tail = len("signature: ") + 129

    def upper(data: bytes) -> bytes:
        return data[:-129] + data[-129:].upper()

    return [
        stated("version", "a signature of version 2", b"signature 1", b"signature 2"),
        stated("algorithm", "a signature of another algorithm", b"ed25519", b"ed448"),
        stated("algorithm-case", "an algorithm in upper case", b"ed25519", b"Ed25519"),
        stated("digest-upper", "a digest in upper case", digest, digest.upper()),
        stated("line-more", "a statement with a line more", stamp, stamp + b"note: x\n"),
        stated("line-twice", "a statement with a line twice", stamp, stamp + stamp),
        stated("empty-line", "a statement with an empty line", stamp, stamp + b"\n"),
        stated("space", "a statement with a space more", b"time: ", b"time:  "),
        stated("tab", "a statement with a tab for a space", b"ed25519\n", b"ed25519\t\n"),
        stated(
            "mark", "a statement that begins with a byte order mark", b"nmc", b"\xef\xbb\xbfnmc"
        ),
        faulty(
            "form-order",
            "a statement in another order",
            FORM,
            change=lambda s: s.replace(stamp, b"", 1) + stamp,
        ),
        faulty(
            "form-crlf",
            "a statement with carriage returns",
            FORM,
            change=lambda s: s.replace(b"ed25519\n", b"ed25519\r\n"),
        ),
        content("upper", "a signature in upper case", upper),
        content("end", "a signature without its last line feed", lambda data: data[:-1]),
        content("byte-after", "a signature with a byte after it", lambda data: data + b"\n"),
        content("text-after", "a signature with text after it", lambda data: data + b"note: x\n"),
        stored("text-before", "a signature with text before it", lambda data: b"note: x\n" + data),
        stored(
            "crlf-throughout",
            "a signature whose lines were given carriage returns after it was signed",
            lambda data: data.replace(b"\n", b"\r\n"),
        ),
        content("digit-more", "a signature of 65 bytes", lambda data: data[:-1] + b"00\n"),
        content(
            "twice",
            "a signature that stands there twice",
            lambda data: data + data[-tail:],
        ),
        said("signer-long", "a signer of 257 bytes", signer="x" * 257),
        said("signer-long-utf-8", "a signer of 129 characters in 258 bytes", signer="é" * 129),
        said("signer-control", "a signer with a control character", signer="a\x1bb"),
        said("signer-return", "a signer with a carriage return", signer="a\r"),
        said("signer-delete", "a signer with the character 7F", signer="a\x7f"),
        said("signer-latin", "a signer that is no UTF-8", signer=b"caf\xe9"),
        said("signer-surrogate", "a signer with a surrogate", signer=b"a\xed\xa0\x80"),
        said("signer-overlong", "a signer with an overlong form", signer=b"a\xc1\x81"),
        said("time-zone", "a time with a zone", time="2026-11-22T04:00:00+00:00"),
        said("time-space", "a time with a space", time="2026-11-22 04:00:00Z"),
        said("time-fraction", "a time with a fraction", time="2026-11-22T04:00:00.5Z"),
        said("time-lower", "a time in lower case", time="2026-11-22t04:00:00z"),
        said("time-wide", "a time in digits that are not ASCII", time="٢026-11-22T04:00:00Z"),
        said("time-empty", "a signature without a time", time=""),
    ]
