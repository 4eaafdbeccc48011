"""Writes packages byte by byte, without a line of the reference (clauses 4.5, 5.3 and 6.1).

The generators of the conformance vectors stand on this module. It never imports the reference, so
that the vectors and the reference agree only where both agree with the standard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Array: TypeAlias = "np.ndarray[Any, Any]"


def le32(number: int) -> bytes:
    """Return a number as u32 (clause 3.2)."""
    return number.to_bytes(4, "little")


def le64(number: int) -> bytes:
    """Return a number as u64 (clause 3.2)."""
    return number.to_bytes(8, "little")


def count(value: int) -> bytes:
    """Return a count (clause 8.3.2)."""
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def framed(text: bytes) -> bytes:
    """Return F(text) (clause 3.2)."""
    return le32(len(text)) + text


def tensor_preimage(dtype: str, shape: tuple[int, ...], data: bytes) -> bytes:
    """Return the bytes whose SHA-256 is a tensor digest (clause 4.5.1)."""
    return tensor_head(dtype, shape) + blake3(data).digest()


def tensor_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what comes before the BLAKE3 of the bytes of a tensor (clause 4.5.1)."""
    dimensions = b"".join(map(le64, shape))
    return b"nmc tensor 1\0" + framed(dtype.encode()) + le32(len(shape)) + dimensions


def state_preimage(tensors: dict[str, bytes]) -> bytes:
    """Return the bytes whose SHA-256 is the digest of a state, given name → tensor digest."""
    entries = sorted((n.encode(errors="surrogateescape"), d) for n, d in tensors.items())
    body = b"".join(framed(name) + digest for name, digest in entries)
    return b"nmc state 1\0" + le32(len(entries)) + body


def segment(
    parent: bytes | None,
    state: bytes,
    streams: dict[str, bytes],
    version: str = "1.0",
    stops: Sequence[bytes] = (),
) -> bytes:
    """Return a segment in canonical form (clause 6.1.3).

    Parameters
    ----------
    parent, state : bytes
        State digests; ``parent`` is None in a key frame.
    streams : dict of str to bytes
        Streams by name.
    version : str
        Value of the metadata key ``nmc``.
    stops : sequence of bytes
        State digests of the stops above the base (clause 5.4.7).
    """
    parts = [f'"__metadata__":{{"nmc":"{version}"']
    if parent is not None:
        parts[0] += f',"parent":"{parent.hex()}"'
    parts[0] += f',"state":"{state.hex()}"'
    parts[0] += "".join(f',"stop{k}":"{stop.hex()}"' for k, stop in enumerate(stops, 1)) + "}"
    start = 0
    for name in sorted(streams):
        end = start + len(streams[name])
        parts.append(
            f'"{name}":{{"dtype":"U8","shape":[{end - start}],"data_offsets":[{start},{end}]}}'
        )
        start = end
    header = ("{" + ",".join(parts) + "}").encode("ascii")
    header += b" " * (-(8 + len(header)) % 64)
    return le64(len(header)) + header + b"".join(streams[name] for name in sorted(streams))


def type_name(array: Array) -> str:
    """Return the name of a type as the manifest digest has it (clause 5.3.4)."""
    return "str" if array.dtype.kind == "S" else f"{array.dtype.kind}{array.dtype.itemsize}"


def manifest_entry(path: str, array: Array) -> bytes:
    """Return what one object adds to the bytes of the manifest digest (clause 5.3.4)."""
    head = framed(path.encode(errors="surrogateescape")) + framed(type_name(array).encode())
    head += le32(array.ndim) + b"".join(map(le64, array.shape))
    if array.dtype.kind == "S":
        return head + b"".join(framed(text) for text in array.reshape(-1).tolist())
    return head + array.astype(array.dtype.newbyteorder("<")).tobytes()


def manifest_preimage(made: dict[str, Array]) -> bytes:
    """Return the bytes whose SHA-256 is the manifest digest (clause 5.3.4)."""
    named = made.keys() - {"/@manifest_digest"}
    paths = sorted(named, key=lambda path: path.encode(errors="surrogateescape"))
    return b"nmc manifest 1\0" + b"".join(manifest_entry(path, made[path]) for path in paths)


def _group(name: str) -> str:
    return name.partition("@")[0] if "@" in name else name.rpartition("/")[0] or "/"


def write_manifest(path: Path, made: dict[str, Array]) -> None:
    """Write a manifest in the compact form of annex D."""
    groups = sorted({_group(name) for name in made} - {"/"} | {"/model"})
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    handle = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, creation, access)
    with h5py.File(handle) as file:
        for group in groups:
            plain = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
            plain.set_obj_track_times(False)
            h5py.h5g.create(file.id, group.encode(), None, plain)
        for name, array in made.items():
            data = array
            if array.dtype.kind == "S":
                data = array.astype(h5py.string_dtype("utf-8", array.dtype.itemsize))
            group, _, attribute = name.partition("@")
            if attribute:
                file[group].attrs.create(attribute, data, dtype=data.dtype)
            else:
                file.create_dataset(name, data=data, track_times=False)


def read_manifest(path: Path) -> dict[str, Array]:
    """Return every object of a manifest by path, in the order of the paths."""
    found: dict[str, Array] = {}

    def visit(name: str, node: Any) -> None:
        for attribute, value in node.attrs.items():
            found[f"/{name}@{attribute}"] = np.asarray(value)
        if isinstance(node, h5py.Dataset):
            found[f"/{name}"] = np.asarray(node[()])

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)
    return {
        name: array.astype("S") if array.dtype.kind in "OU" else array
        for name, array in sorted(found.items())
    }
