"""Signatures as ``--json`` of check and inspect lists them (schemas ``report``, ``inspect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmc_format.package.members import signature_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nmc_format.issues import Finding
    from nmc_format.signature import Signature

CODES = ("signature/", "host/not-verified")


def signature_facts(held: Iterable[Signature], findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return those that hold, and after them those that a finding is about, by file."""
    made: list[dict[str, Any]] = [
        {
            "file": signature_name(each.key),
            "holds": True,
            "key": each.key.hex(),
            "signer": each.statement.signer,
            "time": each.statement.time,
            "code": None,
        }
        for each in held
    ]
    for found in findings:
        file = found.place.file or ""
        if found.code.startswith(CODES) and file.startswith("signatures/"):
            key = file.removeprefix("signatures/").removesuffix(".sig")
            fact = {"file": file, "holds": False, "key": key, "signer": None, "time": None}
            made.append({**fact, "code": found.code})
    return made
