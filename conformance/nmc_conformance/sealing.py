"""Seals inputs again: another creator in each run, so that a list of inputs is not a decoder.

The text of ``/@creator``, and where a manifest has none that of ``/@sequence_id``, has no influence
on decoding (clause 5.4.1). It is replaced by a text of the same length, and what depends on it is
computed again: the manifest digest, the checksum of the object header, the CRC-32 of the manifest.
The fault of a vector stays what it is. What cannot be read so is left as it is.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import struct
import zlib
from typing import TYPE_CHECKING

from nmc_conformance.compact import DIGEST, SIGNATURE, Manifest, NotCompactError, lookup3, parse
from nmc_conformance.resigning import resigned, resigned_file

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.h5"
_TEXTS = ("/@creator", "/@sequence_id")
_LETTERS = string.ascii_letters + string.digits
_MAX_BYTES = 64 << 20
_CRC_PLACES = ((b"PK\x03\x04", 30, 14), (b"PK\x01\x02", 46, 16))
"""Signature of a header, where its name stands, and where its CRC-32 does (clause 5.2.1)."""


def new_seal() -> str:
    """Return the text of a run, by chance."""
    return secrets.token_hex(16)


def reseal(package: Path, seal: str) -> bool:
    """Seal a copy of a package again.

    Parameters
    ----------
    package : Path
        A file or a directory, which is changed.
    seal : str
        Text of the run; the same one makes the same bytes.

    Returns
    -------
    bool
        Whether it was: a manifest with another fault, or in another form of HDF5, stays as it is.
    """
    path = package / MANIFEST if package.is_dir() else package
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return False
    data = path.read_bytes()
    made = resealed(data, seal)
    if made is None:
        return False
    changes = _changes(data, made)
    if path == package:
        again = resigned_file(made, _end_of_manifest(made), changes)
        if again is None:
            return False
        path.write_bytes(again)
        return True
    signatures = _signatures(package, changes)
    if signatures is None:
        return False
    path.write_bytes(made)
    for file, content in signatures.items():
        file.write_bytes(content)
    return True


def _changes(before: bytes, after: bytes) -> dict[bytes, bytes]:
    """Return the digests of a manifest that a signature states: before, and what they are now."""
    one, other = (parse(data[data.find(SIGNATURE) :]) for data in (before, after))
    hashes = (hashlib.sha256(manifest.data).digest() for manifest in (one, other))
    return {one.digest(): other.digest(), next(hashes): next(hashes)}


def _end_of_manifest(data: bytes) -> int:
    start = data.find(SIGNATURE)
    return start + len(parse(data[start:]).data)


def _signatures(package: Path, changes: dict[bytes, bytes]) -> dict[Path, bytes] | None:
    """Return the signatures of a directory, made again wherever they lie; None where one cannot."""
    made = {}
    for file in sorted(package.rglob("*.sig")):
        if file.is_symlink() or not file.is_file():
            return None
        again = resigned(file.name, file.read_bytes(), changes)
        if again is None:
            return None
        made[file] = again
    return made


def resealed(data: bytes, seal: str) -> bytes | None:
    """Return the bytes of a manifest, or of a package in the file form, sealed again."""
    start = data.find(SIGNATURE)
    if start < 0:
        return None
    try:
        manifest = parse(data[start:])
        made = _with_text(manifest, seal)
    except NotCompactError:
        return None
    if made is None:
        return None
    end = start + len(made)
    if start and struct.pack("<Q", len(made)) not in data[:start]:
        return None  # the member goes on behind the manifest, and its CRC-32 with it
    if not start and len(made) != len(data):
        return None
    whole = bytearray(data[:start] + made + data[end:])
    change = zlib.crc32(manifest.data) ^ zlib.crc32(made)
    name = MANIFEST.encode()
    for signature, name_at, crc_at in _CRC_PLACES:
        at = whole.find(signature)
        while at >= 0:
            inside = start <= at < end
            if not inside and whole[at + name_at : at + name_at + len(name)] == name:
                (crc,) = struct.unpack_from("<I", whole, at + crc_at)
                struct.pack_into("<I", whole, at + crc_at, crc ^ change)
            at = whole.find(signature, at + 1)
    return bytes(whole)


def _with_text(manifest: Manifest, seal: str) -> bytes | None:
    """Return a manifest with another text and digest; None where it has a fault of its own."""
    said = manifest.values.get(DIGEST)
    if said is None or manifest.data[said.start : said.end] != manifest.digest():
        return None
    data = bytearray(manifest.data)
    changed = False
    for path in _TEXTS:
        value = manifest.values.get(path)
        if changed or value is None or value.type != "str" or value.shape:
            continue
        length = len(data[value.start : value.end].rstrip(b"\0"))
        data[value.start : value.start + length] = letters(seal, length)
        changed = length > 0
    if not changed:
        return None
    digest = Manifest(bytes(data), manifest.values, manifest.blocks).digest()
    data[said.start : said.end] = digest
    for start, end in manifest.blocks:
        struct.pack_into("<I", data, end - 4, lookup3(bytes(data[start : end - 4])))
    return bytes(data)


def letters(seal: str, length: int) -> bytes:
    """Return so many letters and digits that follow from a seal."""
    made = b""
    for number in range(length // hashlib.sha256().digest_size + 1):
        made += hashlib.sha256(f"{seal} {number}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in made[:length]).encode()
