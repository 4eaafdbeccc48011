"""Says how much of a package file is missing (clause 5.2.1), by its first member, the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from nmc_format.issues import FormatError
from nmc_format.manifest.columns import SEGMENT_LENGTH
from nmc_format.manifest.compact.headers import OutsideSubset
from nmc_format.manifest.compact.reader import read_compact
from nmc_format.manifest.objects import MAX_MANIFEST_BYTES
from nmc_format.package import zip64
from nmc_format.package.members import MANIFEST_NAME, SIGNATURE_NAME, segment_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_format.manifest.objects import RawObjects

_MAX_FRAMES: Final = 1_000_000
"""More are not added up; the message then gives a lower bound."""
_LENGTH_AT, _NAME_AT = 26, 30
"""Where a local header has the length of its name, and the name (table 5-4)."""


def truncation(stream: BinaryIO, size: int) -> str | None:
    """Return why a file whose end records are missing is too short or too long, or None.

    Parameters
    ----------
    stream : binary file
        A file that begins with a ZIP member.
    size : int
        Bytes of the file.
    """
    least = zip64.file_size([(MANIFEST_NAME, 0)])
    if size < least and _begins_as_package(stream):
        return f"the file is cut off: {size} bytes, and a package has {least} or more"
    member = zip64.member_at(stream, size)
    if member is None or member.name != MANIFEST_NAME or zip64.ends_well(stream, size):
        return None
    start = zip64.data_start(stream, member, MANIFEST_NAME)
    if start + member.size > size:
        least = zip64.file_size([(member.name, member.size)])
        return f"the file is cut off inside its manifest: {size} bytes of {least} or more"
    if member.size > MAX_MANIFEST_BYTES:
        return None
    stream.seek(start)
    try:
        objects = read_compact(stream.read(member.size))
    except (OutsideSubset, FormatError):
        return None
    members = [(MANIFEST_NAME, member.size), *_segments(objects)]
    members += _signatures(stream, size, zip64.members_size(members))
    expected = zip64.file_size(members)
    if size < expected:
        return f"the file is cut off: {size} bytes of {expected}"
    if size > expected:
        return f"the file has {size} bytes, {size - expected} more than belong to it"
    return None


def _begins_as_package(stream: BinaryIO) -> bool:
    """Say whether a short file begins with a manifest, as far as it is there, and has no end."""
    stream.seek(0)
    whole = stream.read(zip64.file_size([(MANIFEST_NAME, 0)]))
    length = len(MANIFEST_NAME).to_bytes(2, "little")
    name = MANIFEST_NAME.encode()
    return (
        length.startswith(whole[_LENGTH_AT : _LENGTH_AT + 2])
        and name.startswith(whole[_NAME_AT : _NAME_AT + len(name)])
        and b"PK\x05\x06" not in whole
    )


def _signatures(stream: BinaryIO, size: int, start: int) -> Iterator[tuple[str, int]]:
    """Yield the signatures that follow the segments, as far as they are there."""
    while start < size:
        member = zip64.member_at(stream, size, start)
        if member is None or not SIGNATURE_NAME.fullmatch(member.name):
            return
        yield member.name, member.size
        start = zip64.data_start(stream, member, member.name) + member.size


def _segments(objects: RawObjects) -> Iterator[tuple[str, int]]:
    lengths = objects.get(SEGMENT_LENGTH)
    if lengths is None or lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        return
    for index, length in enumerate(lengths[:_MAX_FRAMES].tolist()):
        yield segment_name(index), length
