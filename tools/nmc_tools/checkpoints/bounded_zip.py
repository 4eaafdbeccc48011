"""Reads members of untrusted zip files within bounds fixed before anything is decompressed."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmc_tools.checkpoints.checkpoint import Refusal, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

Bytes: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.uint8]]"
"""A flat, writable array of bytes."""

BASE_DECODED_BYTES = 256 * 2**20
MAX_EXPANSION = 64
"""All members together may have 256 MiB + 64 times the bytes of the file: weights hardly compress,
and a zip bomb reaches 1032 times by deflate alone, and millions of times by overlapping members."""


@dataclass(frozen=True)
class Archive:
    """An open zip file whose members were found to stay within bounds."""

    zip: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]
    file_size: int

    def read(self, name: str, expected: int | None = None) -> Bytes:
        """Return the bytes of one member, its checksum verified.

        Parameters
        ----------
        name : str
            Full name of the member.
        expected : int, optional
            Bytes it must have.

        Raises
        ------
        Refusal
            If it is missing, damaged, or not of the expected size.
        """
        info = self.members.get(name)
        if info is None:
            raise Refusal(f"member {plain(name)!r} is missing from the zip")
        if expected is not None and info.file_size != expected:
            raise Refusal(f"member {plain(name)!r} has {info.file_size} bytes, expected {expected}")
        data = np.empty(info.file_size, np.uint8)
        try:
            with self.zip.open(info) as stream:
                _fill(stream, data)
                # The checksum is compared only once the end was seen.
                stream.read(1)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
            raise Refusal(
                f"member {plain(name)!r} is damaged: {plain(error)}",
                "copy the file again, or save it with checksums switched on",
            ) from None
        return data


def open_archive(file: BinaryIO) -> Archive:
    """Open a zip file and check what its directory claims.

    Raises
    ------
    Refusal
        If it is not a zip, names a member twice, uses encryption or a compression other than
        deflate, or claims more bytes than the bounds allow.
    """
    file_size = file.seek(0, 2)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # zipfile lets several kinds through for crafted directories
        raise Refusal(
            f"is a damaged or truncated zip file: {plain(error)}", "copy the file again"
        ) from None
    members: dict[str, zipfile.ZipInfo] = {}
    budget = BASE_DECODED_BYTES + MAX_EXPANSION * file_size
    total = 0
    for info in archive.infolist():
        if info.filename in members:
            raise Refusal(f"the zip names member {plain(info.filename)!r} twice")
        members[info.filename] = info
        _check_member(info, file_size)
        total += info.file_size
    if total > budget:
        raise Refusal(
            f"its members claim {total} B; of a file of {file_size} at most {budget} are read",
            "if the file is sound, save it again without compression",
        )
    return Archive(archive, members, file_size)


def _check_member(info: zipfile.ZipInfo, file_size: int) -> None:
    name = plain(info.filename)
    if info.flag_bits & 0x1:
        raise Refusal(f"member {name!r} is encrypted", "save the file without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refusal(
            f"member {name!r} uses compression {info.compress_type}, expected 0 or 8 (deflate)"
        )
    if info.compress_size > file_size or (
        info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size
    ):
        raise Refusal(f"member {name!r} claims more bytes than the file holds")


def _fill(stream: Any, data: Bytes) -> None:
    view = memoryview(data.data)
    at = 0
    while at < len(view):
        count = stream.readinto(view[at:])
        if not count:
            raise EOFError(f"ends after {at} of {len(view)} bytes")
        at += count


def read_exactly(stream: BinaryIO, size: int, what: str) -> Bytes:
    """Return the next bytes of a plain file whose size was checked to reach that far.

    Raises
    ------
    Refusal
        If the file ends early.
    """
    data = np.empty(size, np.uint8)
    try:
        _fill(stream, data)
    except EOFError as error:
        raise Refusal(f"{what} {error}", "the file is truncated; copy it again") from None
    return data
