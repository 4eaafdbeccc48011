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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import nmc
from nmc_format import segment
from nmc_format.manifest.write import write_manifest
from nmc_format.package import zip64
from nmc_format.package.members import segment_name

FRAMES = 5
"""Frames of each package that is damaged."""

Members = dict[str, bytes]


@dataclass
class Source:
    """A valid package.

    Attributes
    ----------
    members : dict of str to bytes
        Its members.
    objects : dict of str to numpy.ndarray
        The objects of its manifest.
    """

    members: Members
    objects: dict[str, np.ndarray] = field(default_factory=dict)


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
    """Change one part of a segment and serialise it again, so that its header is right."""
    found = segment.parse(data, "x")
    streams = [s for s in (found.raw, found.integer) if s is not None]
    payloads = {s.name: bytes(s.data) for s in streams}
    modes, shapes = found.modes.copy(), dict(found.shapes)
    parent, state = found.parent, found.state
    match rng.randrange(7):
        case 0 | 1 if payloads:
            name = rng.choice(sorted(payloads))
            payloads[name] = damaged_bytes(rng, payloads[name])
        case 2 if len(modes):
            modes[rng.randrange(len(modes))] = rng.choice([0, 1, 2, 3, 4, 255])
        case 3:
            modes = np.frombuffer(damaged_bytes(rng, modes.tobytes()), np.uint8)
        case 4:
            dims = tuple(rng.choice(INTERESTING) for _ in range(rng.randrange(4)))
            shapes[rng.choice([0, 1, 5, 6, 2**40])] = dims
        case 5 if payloads:
            name = rng.choice(sorted(payloads))
            plain = name.partition(".")[0]
            coding = rng.choice(["", ".zstd"] + [".nmc"] * (plain == "integer"))
            payloads[plain + coding] = payloads.pop(name)
        case _:
            state = rng.choice([state, rng.randbytes(32)])
            parent = rng.choice([None, rng.randbytes(32), state])
    pieces = segment.serialize(
        parent=parent, state=state, modes=modes, shapes=shapes, payloads=payloads
    )
    return b"".join(map(bytes, pieces))


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


def damaged(rng: random.Random, sources: list[Source]) -> Members:
    """Return the members of a package that is damaged in some ways."""
    source = rng.choice(sources)
    members = dict(source.members)
    objects = {path: array.copy() for path, array in source.objects.items()}
    reseal = rng.random() < 0.8
    for _ in range(rng.choice([1, 1, 2, 3])):
        name = segment_name(rng.randrange(FRAMES))
        if name not in members:
            continue
        try:
            match rng.randrange(8):
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
                case _:
                    damage_object(rng, objects)
                    reseal = True
        except (nmc.FormatError, ValueError):  # too damaged already to be taken apart again
            continue
    if rng.random() < 0.03:
        members["manifest.h5"] = damaged_bytes(rng, members["manifest.h5"])
    elif reseal:
        members["manifest.h5"] = sealed(members, objects)
    return members


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
