"""Damage to valid packages, at random, that knows the structure of a package.

Bytes, fields of the manifest, parts of segments, entries of the ZIP file, and splices of several
packages. Where it can, it seals the result with right digests, so that what lies behind them is
reached.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from fuzz_packages import FRAMES, Members, Source, encrypted

import nmc
from nmc_format import segment
from nmc_format.manifest.write import write_manifest
from nmc_format.package import zip64
from nmc_format.package.members import medium_name, segment_name
from nmc_format.segment_header import canonical_header

CODED = ("", ".zstd", ".nmc")

INTERESTING = [0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1]
INTERESTING += [2**31, 2**32 - 1, 2**48, 2**53, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes: flip, overwrite with a telling number, cut, insert, move, repeat."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(8):
            case 0 | 1 | 2 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 3:
                size = rng.choice([1, 2, 4, 8])
                value = rng.choice(INTERESTING) % 256**size
                out[at : at + size] = value.to_bytes(size, "little")
            case 4:
                del out[at:]
            case 5:
                del out[at : at + rng.randrange(1, 40)]
            case 6:
                out[at:at] = rng.randbytes(rng.randrange(1, 20))
            case _:
                to = rng.randrange(len(out) + 1)
                out[at : at + 30] = out[to : to + 30]
    return bytes(out)


def damage_object(rng: random.Random, objects: dict[str, np.ndarray]) -> None:
    """Change one object of a manifest: a value, its type, its shape, or whether it is there."""
    path = rng.choice(sorted(objects))
    array = objects[path].copy()
    match rng.randrange(8):
        case 0:
            del objects[path]
            return
        case 1:
            array = (
                array.astype(rng.choice(["u1", "<u4", "<i8", "<f8"]))
                if array.dtype.kind != "S"
                else array
            )
        case 2 if array.ndim:
            array = array[: rng.randrange(len(array) + 1)]
        case 3 if array.ndim and len(array):
            array = np.concatenate([array, array[-1:]])
        case 4 if array.ndim > 1:
            array = array.reshape(-1)
        case 5 if array.size > 1:
            flat = array.reshape(-1)
            i, j = rng.randrange(flat.size), rng.randrange(flat.size)
            flat[i], flat[j] = flat[j].copy(), flat[i].copy()
        case _ if array.size:
            flat = array.reshape(-1)
            i = rng.randrange(flat.size)
            if array.dtype.kind == "S":
                flat[i] = rng.choice([b"", b"x", flat[i][:-1], b"\xff", flat[i] + b"\x1b", b"F32"])
            elif array.dtype.kind == "f":
                flat[i] = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e308])
            else:
                info = np.iinfo(array.dtype)
                value = rng.choice([*INTERESTING, -1, -2, int(flat[i]) + 1, int(flat[i]) - 1])
                flat[i] = min(max(value, int(info.min)), int(info.max))
    objects[path] = array


def damage_segment(rng: random.Random, data: bytes) -> bytes:
    """Change one part of a segment and serialise it again, so that its header is right.

    Whatever its streams are called: those of refinements, slices, bounds and digests too.
    """
    found = segment.parse(data, "x")
    streams = _streams(data)
    parent, states = found.parent, [found.state, *(stop.state for stop in found.refinements)]
    name = rng.choice(sorted(streams))
    match rng.randrange(7):
        case 0 | 1 | 2:
            streams[name] = damaged_bytes(rng, streams[name])
        case 3 if streams["modes"]:
            modes = bytearray(streams["modes"])
            modes[rng.randrange(len(modes))] = rng.choice([0, 1, 2, 3, 4, 5, 6, 255])
            streams["modes"] = bytes(modes)
        case 4:
            row = rng.choice([0, 1, 5, 6, 2**40])
            dims = [rng.choice(INTERESTING) for _ in range(rng.randrange(4))]
            streams["shapes"] = np.array([row, len(dims), *dims], "<u8").tobytes()
        case 5:  # other words for the same bytes, or none
            kept, (plain, _, _) = streams.pop(name), name.partition(".")
            if rng.randrange(4):
                streams[plain + rng.choice(CODED)] = kept
        case _:
            at = rng.randrange(len(states))
            states[at] = rng.choice([states[-1], rng.randbytes(32)])
            parent = rng.choice([None, rng.randbytes(32), states[0]])
    sizes = {stream: len(content) for stream, content in streams.items()}
    head = canonical_header(sizes, parent, states[: rng.choice([1, len(states), len(states)])])
    return head + b"".join(streams[stream] for stream in sorted(streams))


def _streams(data: bytes) -> dict[str, bytes]:
    """Return the streams of a segment by their names, as they are stored."""
    size = int.from_bytes(data[:8], "little")
    header, start = json.loads(data[8 : 8 + size]), 8 + size
    del header["__metadata__"]
    spans = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: data[start + a : start + b] for name, (a, b) in spans.items()}


def damage_header(rng: random.Random, data: bytes) -> bytes:
    """Change a value in the JSON of a segment's header; its length field is right."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = rng.choice(sorted(header))
    value = rng.choice([None, True, -1, 2**70, "x", [], {}, [0, 2**62], 1.5, "\ud800"])
    key = rng.choice(["dtype", "shape", "data_offsets", "state", "parent", "nmc"])
    if rng.randrange(3) and isinstance(header[name], dict):
        header[name][key] = value
    else:
        header[name] = value
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def sealed(members: Members, objects: dict[str, np.ndarray]) -> bytes:
    """Return a manifest that says of each segment what is there; its digest is right."""
    for t in range(FRAMES):
        data = members.get(segment_name(t))
        length, sha256 = (
            objects.get("/frames/segment_length"),
            objects.get("/frames/segment_sha256"),
        )
        if data is None or length is None or sha256 is None:
            continue
        shapes, types = (length.shape, sha256.shape), (length.dtype, sha256.dtype)
        if shapes == ((FRAMES,), (FRAMES, 32)) and types == (np.dtype("<u8"), np.dtype("u1")):
            length[t] = len(data)
            sha256[t] = np.frombuffer(hashlib.sha256(data).digest(), "u1")
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder) / "m.h5", objects)
        return (Path(folder) / "m.h5").read_bytes()


def damaged(rng: random.Random, source: Source, sources: list[Source]) -> Members:
    """Return the members of a package that is damaged in some ways; others lend it theirs."""
    members = dict(source.members)
    objects = {path: array.copy() for path, array in source.objects.items()}
    reseal = rng.random() < 0.8
    for _ in range(rng.choice([1, 1, 2, 3])):
        name = segment_name(rng.randrange(FRAMES))
        if name not in members:
            continue
        try:
            match rng.randrange(10):
                case 0:
                    members[name] = damaged_bytes(rng, members[name])
                case 1 | 2 | 3:
                    members[name] = damage_segment(rng, members[name])
                case 4:
                    members[name] = damage_header(rng, members[name])
                case 5:
                    other = rng.choice(sources)
                    members[name] = other.members[segment_name(rng.randrange(FRAMES))]
                case 6:
                    del members[name]
                case 7:
                    _damage_signature(rng, members, sources)
                case 8:
                    _damage_medium(rng, members, sources)
                case _:
                    damage_object(rng, objects)
                    reseal = True
        except (nmc.FormatError, ValueError, KeyError):  # damaged already: cannot be taken apart
            continue
    if source.key:
        _encrypt(rng, source, members)
    if rng.random() < 0.03:
        members["manifest.h5"] = damaged_bytes(rng, members["manifest.h5"])
    elif reseal:
        members["manifest.h5"] = sealed(members, objects)
    return members


def _damage_signature(rng: random.Random, members: Members, sources: list[Source]) -> None:
    """Change a signature, take it away, or put one of another package there."""
    signed = [s for s in sources if s.signer is not None]
    names = sorted(name for name in rng.choice(signed).members if name.startswith("signatures/"))
    name = rng.choice(names)
    match rng.randrange(4):
        case 0 if name in members:
            del members[name]
        case 1:
            members[f"signatures/{rng.randbytes(32).hex()}.sig"] = signed[0].members[name]
        case 2:
            members[name] = signed[0].members[name]
        case _ if name in members:
            members[name] = damaged_bytes(rng, members[name])


def _damage_medium(rng: random.Random, members: Members, sources: list[Source]) -> None:
    """Change a medium, take it away, exchange two, or put one where none belongs."""
    (lender,) = (s for s in sources if medium_name(0) in s.members)
    own, other = (medium_name(rng.randrange(3)) for _ in range(2))
    match rng.randrange(4):
        case 0 if own in members:
            del members[own]
        case 1:
            members[medium_name(rng.choice([1, 3, 10**8 - 1]))] = lender.members[other]
        case 2 if own in members and other in members:
            members[own], members[other] = members[other], members[own]
        case _ if own in members:
            members[own] = damaged_bytes(rng, members[own])


def _encrypt(rng: random.Random, source: Source, members: Members) -> None:
    """Encrypt the segments; a few of them for another place, or damaged afterwards."""
    for t in range(FRAMES):
        name = segment_name(t)
        if not members.get(name):
            continue
        place = rng.randrange(FRAMES) if rng.random() < 0.05 else t
        members[name] = encrypted(source, members[name], place)
        if rng.random() < 0.05:
            members[name] = damaged_bytes(rng, members[name])


def put(rng: random.Random, members: Members, path: Path) -> Path:
    """Write members as a package of either form; a file may be damaged as a ZIP file, too."""
    if rng.random() < 0.5:
        for name, data in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path
    stream = io.BytesIO()
    if rng.random() < 0.1:
        with zipfile.ZipFile(stream, "w", rng.choice([0, 8])) as file:
            for name, data in members.items():
                file.writestr(name, data)
    else:
        with tempfile.TemporaryDirectory() as folder:
            parts = []
            for i, (name, data) in enumerate(sorted(members.items())):
                (Path(folder) / str(i)).write_bytes(data)
                parts.append((name, Path(folder) / str(i)))
            if rng.random() < 0.05:
                parts.append(rng.choice(parts))
            zip64.write(stream, parts)
    data = stream.getvalue()
    path.write_bytes(damaged_bytes(rng, data) if rng.random() < 0.2 else data)
    return path
