"""Makes a presentation document of packages, once they are seen to be the same sequence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

import nmc
from nmc_format.encryption import CHUNK_BYTES, chunk_start
from nmc_format.issues import refuse
from nmc_tools.adaptive.document import Presentation, Representation, points_inside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nmc_format.issues import FormatError
    from nmc_format.manifest.record import Cameras, Manifest


@dataclass(frozen=True)
class Source:
    """A package that a document is to name, and its URL relative to the document."""

    path: str
    url: str
    manifest: Manifest


LEAST_GROUP = 0.5
"""Seconds of a group: below that, answers are waited for longer than bytes."""


def present(packages: Sequence[Path], document: Path, least: float = LEAST_GROUP) -> Presentation:
    """Return the document of packages that are qualities of one sequence.

    A package with refinements (clause 12.7) gives a representation for each stop.

    Parameters
    ----------
    packages : sequence of Path
        At least one.
    document : Path
        Where the document will lie: the packages lie beside it or below.
    least : float
        Seconds from one group to the next at least: common key frames between them are none.

    Raises
    ------
    FormatError
        If a package is refused, lies elsewhere, or is of another sequence: other frames, times or
        cameras, or no common key frame after the first.
    """
    return presentation_of([_source(path, document) for path in packages], least)


def presentation_of(sources: Sequence[Source], least: float = LEAST_GROUP) -> Presentation:
    """Return the presentation of packages whose manifests are at hand; see :func:`present`."""
    first = sources[0]
    for other in sources[1:]:
        fault = _difference(first.manifest, other.manifest)
        if fault:
            raise _refusal(other.path, f"not the same sequence as {first.path}: {fault}")
    manifest = first.manifest
    starts = _apart(_common_starts(sources), manifest, least)
    ticks = manifest.frames.presentation_time.astype(object) - int(
        manifest.frames.presentation_time[0]
    )
    duration = int(ticks[-1]) + _last_frame(manifest)
    times = tuple(int(ticks[t]) for t in starts)
    lengths = [(b - a) / manifest.timescale for a, b in pairwise((*times, duration))]
    representations = [
        _representation(source, stop, starts, lengths)
        for source in sources
        for stop in (range(source.manifest.stops) if source.manifest.stops > 1 else (None,))
    ]
    return Presentation(
        len(manifest),
        manifest.timescale,
        duration,
        starts,
        times,
        tuple(sorted(representations, key=lambda r: sum(r.group_bytes))),
    )


def _source(path: Path, document: Path) -> Source:
    try:
        url = path.resolve().relative_to(document.parent.resolve()).as_posix()
    except ValueError:
        reason = f"it does not lie beside {document} or below, so the document cannot name it"
        raise _refusal(str(path), reason) from None
    url = quote(os.fsencode(url))
    if not points_inside(url):
        raise _refusal(str(path), "a document cannot name a path like this")
    with nmc.open(path, max_level=4) as sequence:
        return Source(str(path), url, sequence.manifest)


def _difference(a: Manifest, b: Manifest) -> str:
    """Return in what two packages are not qualities of one sequence."""
    if len(a) != len(b):
        return f"{len(b)} frames, not {len(a)}"
    one = a.frames.presentation_time.astype(object) * b.timescale
    other = b.frames.presentation_time.astype(object) * a.timescale
    if any((one - one[0]) != (other - other[0])):
        t = int(np.flatnonzero((one - one[0]) != (other - other[0]))[0])
        return f"frame {t} is shown at another time"
    if not _same_cameras(a.cameras, b.cameras):
        return "its cameras are others"
    return ""


def _same_cameras(a: Cameras | None, b: Cameras | None) -> bool:
    if a is None or b is None:
        return a is b
    return list(a.names) == list(b.names) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("size", "intrinsics", "camera_to_world", "normalisation")
    )


def _common_starts(sources: Sequence[Source]) -> tuple[int, ...]:
    frames = range(len(sources[0].manifest))
    keys = [{t for t in frames if s.manifest.frames.is_key(t)} for s in sources]
    starts = set.intersection(*keys)
    if len(starts) == 1 and any(len(own) > 1 for own in keys):
        reason = "no key frame after the first is one of all packages"
        raise _refusal(sources[-1].path, f"{reason}: pack them with the same --key-every")
    return tuple(sorted(starts))


def _apart(starts: Sequence[int], manifest: Manifest, least: float) -> tuple[int, ...]:
    """Return the starts of groups that are so many seconds long at least, but for the last."""
    times, kept = manifest.frames.presentation_time, [starts[0]]
    for t in starts[1:]:
        if int(times[t]) - int(times[kept[-1]]) >= least * manifest.timescale:
            kept.append(t)
    return tuple(kept)


def _last_frame(manifest: Manifest) -> int:
    """Return how long the last frame is shown: as long as the one before."""
    times = manifest.frames.presentation_time
    return int(times[-1]) - int(times[-2]) if len(times) > 1 else max(1, manifest.timescale // 30)


def _representation(
    source: Source, stop: int | None, starts: Sequence[int], seconds: Sequence[float]
) -> Representation:
    manifest = source.manifest
    taken = taken_bytes(manifest, stop)
    sums = [int(part.sum()) for part in np.split(taken, starts[1:])]
    needed = max(8 * size / length for size, length in zip(sums, seconds, strict=True))
    return Representation(
        id=source.url if stop is None else f"{source.url}#{stop}",
        url=source.url,
        digest=manifest.root.manifest_digest.hex(),
        stop=stop,
        group_bytes=tuple(sums),
        bandwidth=int(np.ceil(needed)),
        psnr=_psnr(manifest, stop),
        family=manifest.model.family,
        level=manifest.level,
    )


def taken_bytes(manifest: Manifest, stop: int | None) -> NDArray[np.int64]:
    """Return how many bytes of each segment a stop takes, from the first on (clause 12.7.4).

    Of an encrypted segment they are whole chunks (clause 14.1.3).
    """
    lengths = manifest.frames.segment_length.astype(np.int64)
    if stop is None or stop == manifest.stops - 1 or manifest.refinements is None:
        return lengths
    taken = manifest.refinements.start[:, stop].astype(np.int64)
    if not manifest.root.is_encrypted:
        return taken
    ends = [chunk_start(-(-int(size) // CHUNK_BYTES)) for size in taken]
    return np.minimum(lengths, np.array(ends, np.int64))


def _psnr(manifest: Manifest, stop: int | None) -> float | None:
    column = manifest.frames.declared_psnr
    if stop and manifest.refinements is not None:
        told = manifest.refinements.declared_psnr
        column = None if told is None else told[:, stop - 1]
    if column is None or (np.asarray(column) < 0).any() or not np.isfinite(column).all():
        return None
    return round(float(np.mean(column)), 3)


def _refusal(path: str, reason: str) -> FormatError:
    return refuse("input/unsupported", file=path, reason=reason, hint="")
