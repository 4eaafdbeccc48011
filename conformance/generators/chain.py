"""Chains of states, from their tensors to a package, with one fault on request (clauses 4 to 6).

Everything is plain arithmetic on bytes and integers: states give digests, modes give streams, and
each stage of the way hands over to the next through an edit that a negative vector can set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeAlias

import numpy as np
from columns import Array, digest_rows, scalar_text, text
from writers import hdf5_writer, zip_writer
from writers.package_writer import (
    count,
    manifest_preimage,
    segment,
    state_preimage,
    tensor_preimage,
)
from writers.stream_writer import BITS, difference, planes, shape_record, stored_zstd

Objects: TypeAlias = dict[str, Array]
Streams: TypeAlias = dict[str, bytes]

ABSENT, SKIP, RAW, INTEGER, QUANTISED, UPDATE = range(6)
KEY, DELTA = 0, 1
MANIFEST = "manifest.h5"


@dataclass(frozen=True)
class Row:
    """One row of the tensor table (clause 5.4.3)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: int = 0
    layer: int = -1
    first_frame: int = 0


@dataclass(frozen=True)
class Cell:
    """One tensor of one frame: its mode, its bytes, and its shape where not that of the table."""

    mode: int
    data: bytes
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SliceMap:
    """Where the slices of some rows come from (clause 6.2.6): None is fresh."""

    rows: tuple[int, ...]
    origins: tuple[int | None, ...]

    def take(self, data: bytes, row: Row) -> bytes:
        """Return what a tensor of a row is coded from; what lies behind its last slice is 0."""
        n = prod(row.shape[1:]) * BITS[row.dtype] // 8
        slices = (b"" if k is None else data[n * k : n * (k + 1)] for k in self.origins)
        return b"".join(each.ljust(n, b"\0") for each in slices)

    def serialize(self) -> bytes:
        """Return its bytes, with runs as long as they can be."""
        made = count(len(self.rows)) + b"".join(map(count, self.rows)) + count(len(self.origins))
        expected, at = 0, 0
        while at < len(self.origins):
            first, n = self.origins[at], 1
            step = 0 if first is None else 1
            while at + n < len(self.origins) and self.origins[at + n] == (
                None if first is None else first + n
            ):
                n += 1
            if first is not None:
                far = first - expected
                step = 1 + (2 * far if far >= 0 else -2 * far - 1)
                expected = first + n
            made += count(2 * step) if n == 1 else count(2 * step + 1) + count(n)
            at += n
        return made


@dataclass(frozen=True)
class Refinement:
    """One refinement: the state of its stop, and its streams by name without the stop."""

    cells: tuple[Cell | None, ...]
    streams: Mapping[str, bytes]


@dataclass(frozen=True)
class Frame:
    """One frame: a cell for each row that exists by then; None is absent."""

    coding: int
    cells: tuple[Cell | None, ...]
    raw: str = "none"
    integer: str = "none"
    payloads: Mapping[str, bytes] = field(default_factory=dict)
    maps: tuple[SliceMap, ...] = ()
    refinements: tuple[Refinement, ...] = ()


@dataclass(frozen=True)
class Chain:
    """A sequence and what its manifest says beside the states.

    Attributes
    ----------
    rows, frames
        The tensor table and the frames.
    profile, level
        Of the manifest.
    objects : mapping of str to array
        Further objects of the manifest, or others in place of the usual ones.
    without : frozenset of str
        Objects left out of the manifest.
    """

    rows: tuple[Row, ...]
    frames: tuple[Frame, ...]
    profile: str = "baseline"
    level: int = 1
    objects: Mapping[str, Array] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Edits:
    """What is changed on the way; whatever follows from a change is made to fit it.

    Attributes
    ----------
    digests
        On the state digests, before they go into segments and manifest.
    stops
        By frame: on the digests of the stops in its segment.
    streams, segments
        By frame: on its streams; on its bytes, before the manifest takes length and SHA-256.
    encrypted
        By frame: on its bytes after that; where refinements begin in them is not looked for.
    objects, sealed
        On the objects of the manifest, before and after its digest is made.
    seen
        Objects that a reader without the check finds in the manifest beside those of the chain, or
        in place of them: the digest covers them, and they are not written.
    options
        How the manifest is laid out.
    manifest
        On the bytes of the manifest.
    members
        On the members of the package.
    archive
        On the file form, before it is packed.
    packed
        On its bytes.
    """

    digests: Callable[[list[bytes]], list[bytes]] | None = None
    streams: Mapping[int, Callable[[Streams], Streams]] = field(default_factory=dict)
    links: Mapping[int, tuple[bytes | None, bytes]] = field(default_factory=dict)
    stops: Mapping[int, Callable[[list[bytes]], list[bytes]]] = field(default_factory=dict)
    segments: Mapping[int, Callable[[bytes], bytes]] = field(default_factory=dict)
    encrypted: Mapping[int, Callable[[bytes], bytes]] = field(default_factory=dict)
    objects: Callable[[Objects], Objects] | None = None
    sealed: Callable[[Objects], Objects] | None = None
    seen: Mapping[str, Array] = field(default_factory=dict)
    options: hdf5_writer.Options | None = None
    writer: Callable[[Objects], bytes] | None = None
    manifest: Callable[[bytes], bytes] | None = None
    members: Callable[[dict[str, bytes]], dict[str, bytes]] | None = None
    archive: Callable[[zip_writer.Archive], None] | None = None
    packed: Callable[[bytes], bytes] | None = None


NO_EDITS = Edits()


def segment_name(index: int) -> str:
    """Return the member of a frame (clause 5.1.2)."""
    return f"segments/{index:08d}.safetensors"


def shape_of(chain: Chain, row: int, cell: Cell) -> tuple[int, ...]:
    """Return the shape of a tensor in a frame."""
    return chain.rows[row].shape if cell.shape is None else cell.shape


_LOSSY = ("bins.nmc", "bounds")
"""Streams of quantised tensors (clause 12)."""


def _lossy_streams(frame: Frame) -> Streams:
    """Return the streams of quantised tensors and of refinements (clause 12)."""
    made = {name: frame.payloads[name] for name in _LOSSY if name in frame.payloads}
    for k, refinement in enumerate(frame.refinements, 1):
        made.update((f"stop{k}.{name}", data) for name, data in refinement.streams.items())
    return made


def streams_of(chain: Chain, t: int) -> Streams:
    """Return the streams of a frame (clause 6.2)."""
    frame = chain.frames[t]
    before = chain.frames[t - 1].cells if t else ()
    modes, shapes = bytearray(), b""
    plain: dict[str, list[tuple[str, bytes]]] = {"raw": [], "integer": []}
    for i, cell in enumerate(frame.cells):
        modes.append(ABSENT if cell is None else cell.mode)
        if cell is None:
            continue
        row = chain.rows[i]
        if cell.mode == RAW:
            plain["raw"].append((row.dtype, cell.data))
        if cell.mode in (RAW, QUANTISED) and shape_of(chain, i, cell) != row.shape:
            shapes += shape_record(i, shape_of(chain, i, cell))
        if cell.mode == INTEGER:
            reference = before[i] if i < len(before) else None
            # a fault: there is nothing to differ from, so a decoder takes zeros
            data = bytes(len(cell.data)) if reference is None else reference.data
            for made_of in frame.maps:
                if i in made_of.rows and reference is not None:
                    old = replace(row, shape=shape_of(chain, i, reference))
                    data = made_of.take(data, old)
            plain["integer"].append((row.dtype, difference(row.dtype, data, cell.data)))
    made: Streams = {"modes": bytes(modes)}
    made |= _lossy_streams(frame)
    if shapes:
        made["shapes"] = shapes
    if frame.maps:
        made["slices"] = b"".join(each.serialize() for each in frame.maps)
    for name, coding in (("raw", frame.raw), ("integer", frame.integer)):
        if not any(data for _, data in plain[name]):
            continue
        if coding == "none":
            made[name] = b"".join(data for _, data in plain[name])
        elif coding == "zstd":
            content = planes(name, plain[name])
            made[f"{name}.zstd"] = stored_zstd(content)
        else:
            made[f"{name}.{coding}"] = frame.payloads[f"{name}.{coding}"]
    return made


def state_digest(chain: Chain, t: int, stop: int = 0) -> bytes:
    """Return the digest of the state of a frame at a stop (clauses 4.5.2 and 5.4.7)."""
    return hashlib.sha256(state_preimage(tensor_digests(chain, t, stop))).digest()


def tensor_digests(chain: Chain, t: int, stop: int = 0) -> dict[str, bytes]:
    """Return the digest of each tensor of a frame at a stop, by name (clause 4.5.1)."""
    digests = {}
    frame = chain.frames[t]
    for i, cell in enumerate(frame.refinements[stop - 1].cells if stop else frame.cells):
        if cell is not None:
            row = chain.rows[i]
            preimage = tensor_preimage(row.dtype, shape_of(chain, i, cell), cell.data)
            digests[row.name] = hashlib.sha256(preimage).digest()
    return digests


def state_bytes(chain: Chain, t: int) -> int:
    """Return the bytes of the state of a frame."""
    return sum(len(cell.data) for cell in chain.frames[t].cells if cell is not None)


def objects_of(
    chain: Chain, digests: list[bytes], segments: list[bytes], plain: list[bytes] | None = None
) -> Objects:
    """Return the objects of the manifest, its digest left out (clause 5.3.3).

    Segments are as they are stored; ``plain`` has them before they were encrypted.
    """
    rows, count = chain.rows, len(chain.frames)
    rank = max([1, *(len(row.shape) for row in rows)])
    shape = np.full((len(rows), rank), -1, "<i8")
    for i, row in enumerate(rows):
        shape[i, : len(row.shape)] = row.shape
    made: Objects = {
        "/@format": scalar_text("nmc"),
        "/@format_version": scalar_text("1.0"),
        "/@profile": scalar_text(chain.profile),
        "/@level": np.array(chain.level, "<u4"),
        "/@must_understand": scalar_text(""),
        "/@sequence_id": scalar_text("vector"),
        "/model@family": scalar_text("unknown"),
        "/model@configuration": scalar_text("{}"),
        "/model/tensors/name": text(*(row.name for row in rows)),
        "/model/tensors/dtype": text(*(row.dtype for row in rows)),
        "/model/tensors/role": np.array([row.role for row in rows], "u1"),
        "/model/tensors/layer": np.array([row.layer for row in rows], "<i4"),
        "/model/tensors/shape": shape,
        "/frames@timescale": np.array(30, "<u4"),
        "/frames/coding": np.array([frame.coding for frame in chain.frames], "u1"),
        "/frames/presentation_time": np.arange(count, dtype="<i8"),
        "/frames/segment_length": np.array([len(data) for data in segments], "<u8"),
        "/frames/segment_sha256": digest_rows([hashlib.sha256(d).digest() for d in segments]),
        "/frames/state_bytes": np.array([state_bytes(chain, t) for t in range(count)], "<u8"),
        "/frames/state_digest": digest_rows(digests),
    }
    if chain.frames and chain.frames[0].refinements:
        made.update(_refinements(chain, plain or segments))
    if any(row.first_frame for row in rows):
        made["/model/tensors/first_frame"] = np.array([row.first_frame for row in rows], "<u4")
    made.update(chain.objects)
    return {path: array for path, array in made.items() if path not in chain.without}


def _refinements(chain: Chain, segments: list[bytes]) -> Objects:
    """Return the objects of clause 5.4.7."""
    stops = len(chain.frames[0].refinements)
    frames = range(len(chain.frames))
    starts = [[start_of(segments[t], f"stop{k}.") for k in range(1, stops + 1)] for t in frames]
    digests = [state_digest(chain, t, k) for t in frames for k in range(1, stops + 1)]
    return {
        "/refinements/start": np.array(starts, "<u8"),
        "/refinements/state_digest": digest_rows(digests).reshape(len(starts), stops, 32),
    }


def start_of(data: bytes, prefix: str) -> int:
    """Return the byte of a segment at which the first stream of a prefix begins."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    offsets = [e["data_offsets"][0] for name, e in header.items() if name.startswith(prefix)]
    return 8 + size + min(offsets, default=0)


def sealed(objects: Objects, seen: Mapping[str, Array] | None = None) -> Objects:
    """Return the objects with their digest (clause 5.3.4), which covers those that are seen."""
    digest = hashlib.sha256(manifest_preimage({**objects, **(seen or {})})).digest()
    return {**objects, "/@manifest_digest": np.frombuffer(digest, "u1")}


def content_of(chain: Chain, edits: Edits = NO_EDITS) -> tuple[Objects, list[bytes]]:
    """Return the objects of the manifest, with their digest, and the segments."""
    digests = [state_digest(chain, t) for t in range(len(chain.frames))]
    if edits.digests:
        digests = edits.digests(digests)
    segments = []
    for t, frame in enumerate(chain.frames):
        streams = streams_of(chain, t)
        if t in edits.streams:
            streams = edits.streams[t](streams)
        parent = digests[t - 1] if frame.coding == DELTA and t else None
        stops = [state_digest(chain, t, k + 1) for k in range(len(frame.refinements))]
        if t in edits.stops:
            stops = edits.stops[t](stops)
        data = segment(*edits.links.get(t, (parent, digests[t])), streams, stops=stops)
        segments.append(edits.segments[t](data) if t in edits.segments else data)
    stored = [edits.encrypted.get(t, bytes)(data) for t, data in enumerate(segments)]
    objects = objects_of(chain, digests, stored, segments)
    if edits.objects:
        objects = edits.objects(objects)
    objects = sealed(objects, edits.seen)
    if edits.sealed:
        objects = edits.sealed(objects)
    return objects, stored


def members_of(chain: Chain, edits: Edits = NO_EDITS) -> dict[str, bytes]:
    """Return the members of the package, by name, in the order of the file form."""
    objects, segments = content_of(chain, edits)
    lay_out = edits.writer or (lambda made: hdf5_writer.write(made, edits.options))
    manifest = lay_out(objects)
    if edits.manifest:
        manifest = edits.manifest(manifest)
    members = {MANIFEST: manifest}
    members.update({segment_name(t): data for t, data in enumerate(segments)})
    return edits.members(members) if edits.members else members


def file_form(members: Mapping[str, bytes], edits: Edits = NO_EDITS) -> bytes:
    """Return the file form of a package (clause 5.2)."""
    made = zip_writer.archive(members)
    if edits.archive:
        edits.archive(made)
    data = made.pack()
    return edits.packed(data) if edits.packed else data
