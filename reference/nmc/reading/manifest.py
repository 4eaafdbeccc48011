"""The manifest of a package, or its refusal (clauses 7.1.1, 10.2 and 13.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmc.reading.signatures import require
from nmc_format.issues import Finding, FormatError, finding, first_error
from nmc_format.manifest.columns import LEVEL
from nmc_format.manifest.read import parse_manifest
from nmc_format.package.members import signature_name
from nmc_format.signature import Signature, check_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.reading.keys import Demand
    from nmc_format.manifest.record import Manifest
    from nmc_format.package.members import Package

DEFAULT_MAX_LEVEL = 3
"""Highest level that is opened unless the caller says otherwise: states of up to 16 GiB."""


def level_refused(level: int, limit: int) -> Finding:
    """Return the finding for a package of a level that the caller does not accept (10.2)."""
    return finding("profile/level-refused", pointer=LEVEL, level=level, limit=limit)


def signed_manifest(
    package: Package, demands: Sequence[Demand]
) -> tuple[Manifest, tuple[Signature, ...]]:
    """Return the manifest of a package and its signatures, where some are demanded."""
    if not demands:
        return checked_manifest(package), ()
    data = package.manifest()
    signatures = require(package, data, demands)
    manifest = _first_error_refused(data, package)
    for signature in signatures:
        check_digest(signature_name(signature.key), signature, manifest.root.manifest_digest)
    return manifest, tuple(signatures)


def checked_manifest(package: Package) -> Manifest:
    """Return the manifest of a package, or refuse it for its first error."""
    return _first_error_refused(package.manifest(), package)


def _first_error_refused(data: bytes, package: Package) -> Manifest:
    manifest, findings = parse_manifest(data, package.manifest_path)
    error = first_error(findings)
    if error is not None or manifest is None:
        raise FormatError(error or findings[0])
    package.pin(manifest.root.manifest_digest.hex())
    return manifest
