"""Verifies the signatures of a package, and that of each demanded key (clause 13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc_format.issues import Finding, FormatError, finding, refuse
from nmc_format.signature import (
    MAX_SIGNATURE_BYTES,
    Signature,
    check_digest,
    check_signature,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nmc.reading.keys import Demand
    from nmc_format.package.members import Package


def signatures_of(
    package: Package, manifest: bytes, demands: Sequence[Demand] = ()
) -> list[tuple[str, Signature]]:
    """Return every signature of a package by its member name, each of these bytes of a manifest.

    Nothing in the manifest is interpreted.

    Raises
    ------
    FormatError
        If one does not hold (clause 13.2.1), or cannot be verified here.
    """
    return [
        (name, _signature(package, name, manifest))
        for name in package.signatures(_keys_of(demands))
    ]


def _keys_of(demands: Sequence[Demand]) -> set[bytes]:
    return {key.key for demand in demands for key in demand.keys}


def _signature(package: Package, name: str, manifest: bytes) -> Signature:
    return check_signature(name, package.signature(name, MAX_SIGNATURE_BYTES), manifest)


def signature_findings(
    package: Package, manifest: bytes, digest: bytes, demands: Sequence[Demand] = ()
) -> tuple[list[Signature], list[Finding]]:
    """Return the signatures that hold, and what is wrong with the others.

    Parameters
    ----------
    package : Package
        The package.
    manifest : bytes
        Bytes of its manifest.
    digest : bytes
        Its manifest digest.
    demands : sequence of Demand
        Keys that are asked for where a server has no list of members.
    """
    holding: list[Signature] = []
    findings: list[Finding] = []
    try:
        names = package.signatures(_keys_of(demands))
    except FormatError as error:
        return holding, [error.finding]
    for name in names:
        try:
            made = _signature(package, name, manifest)
            check_digest(name, made, digest)
            holding.append(made)
        except FormatError as error:
            findings.append(error.finding)
    return holding, findings


def missing_findings(
    path: str, signatures: Iterable[Signature], demands: Sequence[Demand]
) -> list[Finding]:
    """Return a finding for each demand that no signature meets."""
    there = {signature.key for signature in signatures}
    return [
        finding("signature/missing", file=path, key=str(demand))
        for demand in demands
        if there.isdisjoint(key.key for key in demand.keys)
    ]


def require(package: Package, manifest: bytes, demands: Sequence[Demand]) -> list[Signature]:
    """Return the signatures of a package in which every demand is met.

    Raises
    ------
    FormatError
        If one is not met, or a signature does not hold, or cannot be verified here.
    """
    try:
        signatures = [signature for _, signature in signatures_of(package, manifest, demands)]
    except FormatError as error:
        found = error.finding
        if found.code != "host/not-verified":
            raise
        raise refuse(
            "input/unsupported", file=str(package.path), reason=found.message, hint=found.hint
        ) from None
    for found in missing_findings(str(package.path), signatures, demands):
        raise FormatError(found)
    return signatures
