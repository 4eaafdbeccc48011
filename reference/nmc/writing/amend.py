"""Puts a quality record into a finished package (clause 5.7); the segments stay as they are."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nmc.reading.manifest import checked_manifest
from nmc.reading.media import member_streams
from nmc.writing.finish import compare_file, put_manifest, replace_file
from nmc.writing.unfinished import clear_signatures, place_of
from nmc_format.host import host_errors
from nmc_format.issues import FormatError, first_error, refuse
from nmc_format.manifest.columns import metric_path, objects_of
from nmc_format.manifest.read import parse_manifest
from nmc_format.manifest.record import Quality
from nmc_format.manifest.write import manifest_bytes
from nmc_format.package.directory import DirectoryPackage
from nmc_format.package.form import open_package
from nmc_format.package.members import MANIFEST_NAME, Package, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nmc.writing.unfinished import Place
    from nmc_format.manifest.frame_table import Floats
    from nmc_format.manifest.record import Manifest


def write_quality(source: str | Path, quality: Quality, target: str | Path | None = None) -> None:
    """Replace the quality record of a package; every other object and every segment stays.

    Signatures are left out: they are those of the package without the record.

    Parameters
    ----------
    source : str or Path
        A finished package of either form.
    quality : Quality
        One row for each frame.
    target : str or Path or None
        The package file to write, which may exist; the source itself, in its own form, if None.
        It is replaced in one step: an interruption leaves what was there.

    Raises
    ------
    FormatError
        If the source is refused, the record does not fit it, the manifest would lose an object
        that this version does not know, or the disk is full.
    """
    with open_package(source) as package:
        manifest = _amended(package, quality)
        data = _checked_bytes(manifest)
        path = Path(package.path if target is None else target)
        with host_errors(path):
            place = place_of(path)
            if target is None and isinstance(package, DirectoryPackage):
                _replace_manifest(place, data)
            else:
                _rewrite(package, manifest, data, place)


def merged(before: Quality | None, measured: Quality) -> Quality:
    """Return what was measured, and where that has no number, what was known before.

    Views and metrics of ``before`` that were not measured again are kept, views in its order.
    """
    if before is None:
        return measured
    views = list(dict.fromkeys([*before.views, *measured.views]))
    names = list(dict.fromkeys([*before.metrics, *measured.metrics]))
    frames = next(len(table) for table in [*measured.metrics.values(), *before.metrics.values()])
    metrics = {}
    for name in names:
        table = np.full((frames, len(views)), np.nan)
        for record in (before, measured):
            _lay_over(table, views, record.views, record.metrics.get(name))
        metrics[name] = table
    return Quality(views, metrics)


def _lay_over(
    table: Floats, views: Sequence[str], names: Sequence[str], columns: Floats | None
) -> None:
    if columns is None:
        return
    for k, view in enumerate(names):
        column = columns[:, k]
        known = ~np.isnan(column)
        table[known, views.index(view)] = column[known]


def quality_in(path: str | Path) -> Quality | None:
    """Return the quality record of a package, or None."""
    with open_package(path) as package:
        return checked_manifest(package).quality


def _amended(package: Package, quality: Quality) -> Manifest:
    manifest, findings = parse_manifest(package.manifest(), package.manifest_path)
    error = first_error(findings)
    if error or manifest is None:
        raise FormatError(error or findings[0])
    for known in findings:
        if known.code == "manifest/object-unknown":
            reason = "this version does not know it, and would lose it"
            raise refuse("manifest/value", pointer=known.place.pointer, reason=reason)
    for name, table in quality.metrics.items():
        expected = (len(manifest), len(quality.views))
        if table.shape != expected:
            reason = f"it is {table.shape}, expected {expected}: frames by views"
            raise refuse("manifest/value", pointer=metric_path(name), reason=reason)
    return replace(manifest, quality=quality)


def _checked_bytes(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, once the reader's own checks have passed them."""
    data = manifest_bytes(objects_of(manifest))
    error = first_error(parse_manifest(data)[1])
    if error:
        raise FormatError(error)
    return data


def _replace_manifest(place: Place, data: bytes) -> None:
    folder = place.parent.folder(place.name)
    try:
        put_manifest(folder, data)
        clear_signatures(folder)
    finally:
        folder.close()


def _rewrite(package: Package, manifest: Manifest, data: bytes, place: Place) -> None:
    """Write a package file beside its place, read it back, then put it there."""
    lengths = manifest.frames.segment_length.tolist()
    digests = [row.tobytes() for row in manifest.frames.segment_sha256]
    media = manifest.media_records
    members: list[tuple[str, Callable[[], BinaryIO]]] = [(MANIFEST_NAME, partial(io.BytesIO, data))]
    members += member_streams(package, manifest)
    for t, length in enumerate(lengths):
        members.append((segment_name(t), partial(_segment, package, t, length)))
    replace_file(place, members, lambda fresh: compare_file(fresh, data, digests, media))


def _segment(package: Package, t: int, length: int) -> BinaryIO:
    return io.BytesIO(package.segment(t, length))
