"""Manifests on disk (clause 5.3): HDF5 in, checked structures out, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc_spec
from nmc_format.hdf5 import OutsideSubset, RawObjects, read_compact
from nmc_format.hdf5_sandbox import MAX_MANIFEST_BYTES, read_sandboxed
from nmc_format.hdf5_writer import fits, write_compact
from nmc_format.issues import Finding, FormatError, finding, first_error
from nmc_format.manifest import Manifest, build, manifest_digest, type_findings
from nmc_format.manifest_check import size_findings, value_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nmc_format.manifest import TensorRow


def read_objects(data: bytes, path: Path | None = None) -> RawObjects:
    """Read the objects of a manifest, in compact form or any other that HDF5 has.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : Path or None
        Where the file lies on this host, if it does; else a temporary copy is made where needed.

    Raises
    ------
    FormatError
        If it is no HDF5 file, or uses what a manifest may not.
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
    other = _other_format(objects)
    if other is not None:
        return None, [other]
    findings = list(type_findings(objects))
    if not first_error(findings):
        findings += size_findings(objects)
    if first_error(findings):
        return None, findings
    if objects["/@manifest_digest"].tobytes() != manifest_digest(objects):
        findings.append(finding("manifest/digest", pointer="/@manifest_digest"))
    manifest = build(objects)
    findings += value_findings(manifest, objects)
    return manifest, findings


def _other_format(objects: RawObjects) -> Finding | None:
    """Say so at once where format or version is unknown: all else may have another meaning then."""
    if "/@format" not in objects:
        return finding("manifest/object-missing", pointer="/@format")
    known = nmc_spec.FORMAT_VERSION
    name, version = (_text(objects.get(path)) for path in ("/@format", "/@format_version"))
    if name is not None and name != "nmc":
        return finding(
            "manifest/value", pointer="/@format", reason=f"format is {name!r}, not 'nmc'"
        )
    if version is None or re.fullmatch(
        known.split(".", maxsplit=1)[0] + r"\.(0|[1-9][0-9]*)", version
    ):
        return None
    return finding("manifest/version", pointer="/@format_version", version=version, known=known)


def _text(array: np.ndarray[Any, Any] | None) -> str | None:
    """Return a scalar text, or None where the layout is about to be refused for another type."""
    if array is None or array.dtype.kind != "S" or array.ndim:
        return None
    text: str = array.item().decode("utf-8", "replace")
    return text


def tensor_columns(rows: Sequence[TensorRow]) -> RawObjects:
    """Return the columns of a tensor table (clause 5.4.3)."""
    rank = max((len(row.shape) for row in rows), default=0)
    shape = np.full((len(rows), max(rank, 1)), -1, "<i8")
    for i, row in enumerate(rows):
        shape[i, : len(row.shape)] = row.shape
    columns = {
        "name": text_array([row.name for row in rows]),
        "dtype": text_array([row.dtype.name for row in rows]),
        "role": np.array([row.role for row in rows], "<u1"),
        "layer": np.array([row.layer for row in rows], "<i4"),
        "shape": shape,
    }
    if any(row.first_frame for row in rows):
        columns["first_frame"] = np.array([row.first_frame for row in rows], "<u4")
    return {f"/model/tensors/{name}": column for name, column in columns.items()}


def text_array(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return texts as fixed-length UTF-8, NUL-padded to the longest."""
    encoded = [text.encode("utf-8") for text in texts]
    return np.array(encoded, f"S{max([len(e) for e in encoded], default=0) or 1}")


def text_scalar(text: str) -> np.ndarray[Any, Any]:
    """Return one text as a fixed-length UTF-8 scalar."""
    data = text.encode("utf-8")
    return np.array(data, f"S{len(data) or 1}")


def manifest_bytes(objects: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Return a manifest, the digest added; in compact form (annex D) wherever that holds it.

    Parameters
    ----------
    objects : mapping of str to numpy.ndarray
        Every object by path, as :func:`nmc_format.hdf5.read_compact` returns it.
    """
    layout = nmc_spec.manifest_layout()  # its order is that of the file
    ordered = {name: objects[name] for name in layout if name in objects}
    ordered["/@manifest_digest"] = np.frombuffer(manifest_digest(ordered), "u1")
    complete = {name: ordered[name] for name in layout if name in ordered}
    if fits(complete):
        return write_compact(complete)
    from nmc_format.hdf5_library import write_by_library  # a configuration of more than 64 kB

    return write_by_library(complete)


def write_manifest(path: Path, objects: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write :func:`manifest_bytes` to a file; an existing one is replaced.

    It is for tools and tests: packages get theirs through :mod:`nmc.writing.finish`, which makes
    sure that it is on the disk.
    """
    path.write_bytes(manifest_bytes(objects))
