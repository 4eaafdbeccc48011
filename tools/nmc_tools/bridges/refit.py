"""Delta checkpoints in versions, XOR or overwrite: a folder of versions with an index each.

Layout: https://github.com/ai-dynamo/modelexpress (docs/S3_DELTA_WEIGHT_REFIT.md) and
https://github.com/radixark/miles (miles/utils/disk_delta.py, ``UpdateWeightFromDiskDelta``). In the
folder of a version, ``model.safetensors.index.json`` names the version, the one that it builds on,
the encoding (``xor`` or ``overwrite``), the compression (``zstd``) and the kind of checksum, and
``weight_map`` the file of each tensor that changed. In the file each of these is U8: a zstd frame
of the difference; ``__metadata__`` has the checksum of its new bytes. A difference is
new XOR old, or a count, as many places and as many new bytes (u4, u4, u1). A version without
``delta_encoding`` is a whole checkpoint.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import zstandard
from natsort import natsorted

from nmc_format.dtypes import dtype_of, from_words, to_words
from nmc_tools import checkpoints
from nmc_tools.checkpoints.checkpoint import CheckpointError, plain
from nmc_tools.checkpoints.shards import read_index, shards_of
from nmc_tools.checkpoints.writing import put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nmc_format.dtypes import Array

INDEX: Final = "model.safetensors.index.json"
Encoding: TypeAlias = Literal["xor", "overwrite"]
Checksum: TypeAlias = Literal["adler32", "blake3", "xxh3-128"]

_LEVEL = 1
"""Level of zstd that miles uses."""

Bytes: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint8]]"


@dataclass(frozen=True)
class Version:
    """One version of a chain.

    Attributes
    ----------
    folder : Path
        Where it lies.
    name : str
        What it calls itself.
    base : str or None
        What it builds on; None of a whole checkpoint.
    encoding : str
        ``xor`` or ``overwrite``; empty of a whole checkpoint.
    checksum : str
        Kind of the checksums.
    files : mapping of str to str
        The file of each tensor that changed.
    """

    folder: Path
    name: str
    base: str | None
    encoding: str
    checksum: str
    files: Mapping[str, str]


def is_chain(folder: Path) -> bool:
    """Whether a folder has versions in it, or is one with a difference."""
    return any(folder.glob(f"*/{INDEX}")) or (folder / INDEX).is_file()


def versions_of(folder: Path) -> list[Version]:
    """Return the versions of a folder in the order in which they build on each other, or its own.

    Raises
    ------
    CheckpointError
        If an index is malformed, two versions have one name or one base, or a base is missing.
    """
    alone = folder / INDEX
    paths = [alone] if alone.is_file() else natsorted(folder.glob(f"*/{INDEX}"), key=str)
    found = [_version(path) for path in paths]
    by_name: dict[str, Version] = {}
    by_base: dict[str, Version] = {}
    for version in found:
        other = by_name.setdefault(_number(version.name), version)
        if other is not version:
            raise CheckpointError(
                version.folder, f"is version {plain(version.name)}, as {other.folder.name} is"
            )
        if version.base is None:
            continue
        other = by_base.setdefault(_number(version.base), version)
        if other is not version:
            raise CheckpointError(
                version.folder,
                f"builds on version {plain(version.base)}, as {other.folder.name} does",
                "a chain has one version after each; move the other away",
            )
    starts = [v for v in found if v.base is None or _number(v.base) not in by_name]
    outside = [plain(v.base) for v in starts if v.base is not None]
    if len(outside) > 1:
        reason = f"several bases are not in it: {', '.join(outside)}"
        raise CheckpointError(folder, reason, "fetch the versions that lack")
    ordered = []
    for start in sorted(starts, key=lambda v: v.base is None):
        following: Version | None = start
        while following is not None:
            ordered.append(following)
            following = by_base.get(_number(following.name))
    if len(ordered) != len(found):
        raise CheckpointError(folder, "its versions build on each other in a circle")
    return ordered


def _number(name: str) -> str:
    """Return what versions are compared by: ``weight_v000003``, ``v3`` and ``000003`` are one."""
    match = re.fullmatch(r"(?:weight_)?v?(\d+)", name)
    return (match[1].lstrip("0") or "0") if match else name


def _version(path: Path) -> Version:
    index = read_index(path)
    metadata = index.get("metadata") if isinstance(index, dict) else None
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(metadata, dict) or not isinstance(files, dict):
        raise CheckpointError(path, "is not an index with metadata and weight_map")
    for file in files.values():
        if not isinstance(file, str) or "/" in file or "\\" in file or file in ("", ".", ".."):
            raise CheckpointError(path, f"names the file {plain(file)!r}, which is not beside it")
    encoding = metadata.get("delta_encoding", "")
    name = str(metadata.get("version", path.parent.name))
    if not encoding:
        return Version(path.parent, name, None, "", "", files)
    for key, value, allowed in (
        ("delta_encoding", encoding, get_args(Encoding)),
        ("compression_format", metadata.get("compression_format"), ("zstd",)),
        ("checksum_format", metadata.get("checksum_format"), get_args(Checksum)),
    ):
        if value not in allowed:
            known = ", ".join(allowed)
            raise CheckpointError(path, f"{key} is {plain(value)!r}; known are {known}")
    if "base_version" not in metadata:
        raise CheckpointError(path, "does not say which version it builds on")
    base, kind = str(metadata["base_version"]), str(metadata["checksum_format"])
    return Version(path.parent, name, base, str(encoding), kind, files)


def states_of(folder: Path, base: Mapping[str, Array] | None) -> Iterator[tuple[str, Any]]:
    """Yield name and state of the base, if it is given, and of each version.

    Raises
    ------
    CheckpointError
        If a version is damaged, does not fit the one before, or there is no base to begin from.
    """
    versions = versions_of(folder)
    state = dict(base or {})
    if base is not None:
        yield "base", state
    for version in versions:
        if version.base is None:
            state = _whole(version)
        elif not state:
            raise CheckpointError(
                version.folder,
                f"builds on version {plain(version.base)}, which is not in the folder",
                "name the checkpoint that the chain began from with --base",
            )
        else:
            state = _applied(version, state)
        yield version.folder.name, state


def _whole(version: Version) -> dict[str, Array]:
    state: dict[str, Array] = {}
    for path in shards_of(version.folder / INDEX):
        state |= checkpoints.read(path).state
    return state


def _applied(version: Version, before: Mapping[str, Array]) -> dict[str, Array]:
    """Return the state of a version; every tensor that changed agrees with its checksum."""
    state = dict(before)
    for file in natsorted(set(version.files.values())):
        path = version.folder / file
        part = checkpoints.read(path)
        sums = part.extra.get("metadata", {})
        for name, data in part.state.items():
            if version.files.get(name) != file:
                raise CheckpointError(path, f"the index does not say that it holds {plain(name)!r}")
            if name not in before:
                raise CheckpointError(path, f"{plain(name)!r} is not in the version before")
            if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
                raise CheckpointError(path, f"{plain(name)!r} is not a compressed difference")
            state[name] = _patched(path, name, version, data, before[name])
            actual = checksum_of(version.checksum, to_words(state[name]).view(np.uint8))
            if actual != sums.get(name):
                raise CheckpointError(
                    path,
                    f"{plain(name)!r} has the checksum {actual}, {plain(sums.get(name))} is said",
                    "it builds on other weights, or is damaged",
                )
        lacking = {n for n, f in version.files.items() if f == file} - part.state.keys()
        if lacking:
            raise CheckpointError(path, f"lacks {plain(min(lacking))!r}, which the index names")
    return state


def _patched(path: Path, name: str, version: Version, data: Bytes, before: Array) -> Array:
    old = to_words(before).view(np.uint8)
    most = old.size if version.encoding == "xor" else 4 + 5 * old.size
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data.data) as reader:
            difference = reader.read(most + 1)
    except zstandard.ZstdError as error:
        raise CheckpointError(
            path, f"{plain(name)!r} is not a zstd frame: {plain(error)}"
        ) from None
    new = patched(path, name, version.encoding, difference, old)
    return from_words(new.view(to_words(before).dtype), dtype_of(before), tuple(before.shape))


def patched(path: Path, name: str, encoding: str, data: bytes, old: Bytes) -> Bytes:
    """Return the new bytes of a tensor, from a difference that is not compressed any more.

    Raises
    ------
    CheckpointError
        If it does not fit the old bytes.
    """
    difference = np.frombuffer(data, np.uint8)
    if encoding == "xor":
        if difference.size != old.size:
            raise CheckpointError(
                path, f"{plain(name)!r} has {difference.size} bytes, expected {old.size}"
            )
        return np.bitwise_xor(old, difference)
    count = int(difference[:4].view("<u4")[0]) if difference.size >= 4 else -1
    if count < 0 or difference.size != 4 + 5 * count:
        raise CheckpointError(path, f"{plain(name)!r} is not a count, places and new bytes")
    places = difference[4 : 4 + 4 * count].view("<u4")
    if count and (int(places.max()) >= old.size or (places[1:] <= places[:-1]).any()):
        raise CheckpointError(
            path, f"{plain(name)!r} has places that do not ascend, or beyond its {old.size} bytes"
        )
    new = old.copy()
    new[places] = difference[4 + 4 * count :]
    return new


def checksum_of(kind: str, data: Bytes) -> str:
    """Return the checksum of some bytes in base 16.

    Raises
    ------
    CheckpointError
        If what computes it is not installed.
    """
    if kind == "adler32":
        return f"{zlib.adler32(data.data):08x}"
    if kind == "blake3":
        from blake3 import blake3

        return blake3(data.data).hexdigest()
    try:
        from xxhash import xxh3_128
    except ImportError:
        reason = "checksums of the kind xxh3-128 need xxhash, which is not installed"
        raise CheckpointError(kind, reason, "pip install xxhash") from None
    return str(xxh3_128(data.data).hexdigest())


def write_version(
    folder: Path,
    number: int,
    state: Mapping[str, Array],
    before: Mapping[str, Array] | None,
    encoding: Encoding,
    checksum: Checksum,
) -> None:
    """Write one version; whole where there is none before it, or where tensors differ in kind.

    Raises
    ------
    CheckpointError
        If it cannot be written, or a tensor is too large for places of 32 bits.
    """
    target = folder / f"weight_v{number:06d}"
    target.mkdir()
    metadata = {"version": f"{number:06d}"}
    file = "model-00000-of-00001.safetensors"
    changed = None if before is None or _kinds(before) != _kinds(state) else before
    sums: dict[str, str] = {}
    content: dict[str, Array] = dict(state)
    if changed is not None:
        metadata |= {
            "base_version": f"{number - 1:06d}",
            "delta_encoding": encoding,
            "compression_format": "zstd",
            "checksum_format": checksum,
        }
        content = {}
        for name, array in state.items():
            new, old = (to_words(a).view(np.uint8) for a in (array, changed[name]))
            if not np.array_equal(new, old):
                content[name] = _compressed(target / file, name, new, old, encoding)
                sums[name] = checksum_of(checksum, new)
    if content:
        said = {"format": "pt"} if changed is None else sums  # what transformers asks for
        checkpoints.write(target / file, content, to="safetensors", extra={"metadata": said})
    index = {"metadata": metadata, "weight_map": dict.fromkeys(content, file)}
    put(target / INDEX, lambda file: file.write(json.dumps(index).encode()))


def _kinds(state: Mapping[str, Array]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (dtype_of(a).name, tuple(a.shape)) for name, a in state.items()}


def _compressed(path: Path, name: str, new: Bytes, old: Bytes, encoding: Encoding) -> Bytes:
    return np.frombuffer(
        zstandard.ZstdCompressor(_LEVEL).compress(difference_of(path, name, new, old, encoding)),
        np.uint8,
    )


def difference_of(path: Path, name: str, new: Bytes, old: Bytes, encoding: Encoding) -> bytes:
    """Return the difference of one tensor, before it is compressed.

    Raises
    ------
    CheckpointError
        If the tensor is too large for places of 32 bits.
    """
    if encoding == "xor":
        return np.bitwise_xor(new, old).tobytes()
    if new.size >= 2**32:
        raise CheckpointError(
            path, f"{plain(name)!r} has {new.size} bytes, 2^32 are too many", "use --to xor"
        )
    places = np.flatnonzero(new != old).astype("<u4")
    parts = io.BytesIO()
    parts.write(len(places).to_bytes(4, "little"))
    parts.write(places.tobytes())
    parts.write(new[places].tobytes())
    return parts.getvalue()
