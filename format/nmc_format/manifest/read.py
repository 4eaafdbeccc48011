"""Reads manifests (clause 5.3): bytes in, objects, then typed records and all that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nmc_format.issues import Finding, FormatError, finding, first_error
from nmc_format.manifest.check.levels import size_findings
from nmc_format.manifest.check.types import other_format, type_findings
from nmc_format.manifest.check.values import value_findings
from nmc_format.manifest.columns import MANIFEST_DIGEST, manifest_of
from nmc_format.manifest.compact.headers import OutsideSubset
from nmc_format.manifest.compact.reader import read_compact
from nmc_format.manifest.digest import manifest_digest
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.manifest.sandbox import read_sandboxed

if TYPE_CHECKING:
    from nmc_format.manifest.objects import RawObjects
    from nmc_format.manifest.record import Manifest


def read_objects(data: bytes, path: Path | None = None) -> RawObjects:
    """Read the objects of a manifest, in compact form or any other that HDF5 has.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : Path or None
        Where the file lies on this host, if it does; else a temporary copy is made where needed.

    Returns
    -------
    dict of str to numpy.ndarray
        Every object by path, unknown ones too (clause 5.3.3).

    Raises
    ------
    FormatError
        If it is not an HDF5 file, or uses what a manifest may not.
    """
    try:
        return read_compact(data)
    except OutsideSubset:
        pass
    if path is not None:
        return read_sandboxed(path)
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".h5") as copy:
        copy.write(data)
        copy.flush()
        return read_sandboxed(Path(copy.name))


def parse_manifest(data: bytes, path: Path | None = None) -> tuple[Manifest | None, list[Finding]]:
    """Read and check a manifest; collect everything that is wrong with it.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : Path or None
        As for :func:`read_objects`.

    Returns
    -------
    manifest : Manifest or None
        None where an error leaves nothing to go on with.
    findings : list of Finding
        All of them, errors and warnings.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        size = len(data)
        place = finding("manifest/too-large", pointer="/", size=size, limit=MAX_MANIFEST_BYTES)
        return None, [place]
    try:
        objects = read_objects(data, path)
    except FormatError as error:
        return None, [error.finding]
    manifest, findings = typed_manifest(objects)
    if manifest is not None:
        if manifest.root.manifest_digest != manifest_digest(objects):
            findings.append(finding("manifest/digest", pointer=MANIFEST_DIGEST))
        findings += value_findings(manifest)
    return manifest, findings


def typed_manifest(objects: RawObjects) -> tuple[Manifest | None, list[Finding]]:
    """Return the records of objects whose types are right, and what is wrong with the types.

    What the values say is another matter: see `nmc_format.manifest.check.values`.

    Parameters
    ----------
    objects : dict of str to numpy.ndarray
        Every object by path.

    Returns
    -------
    manifest : Manifest or None
        None where an error leaves nothing to go on with, a size beyond the level among them.
    findings : list of Finding
        Errors and warnings.
    """
    other = other_format(objects)
    if other is not None:
        return None, [other]
    findings = list(type_findings(objects))
    if first_error(findings):
        return None, findings
    manifest = manifest_of(objects)
    findings += size_findings(manifest)
    return (None if first_error(findings) else manifest), findings
