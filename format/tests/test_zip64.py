"""The file form: Python's zipfile reads what we write, and every deviation is found."""

from __future__ import annotations

import io
import struct
import subprocess
import zipfile
from pathlib import Path
from shutil import which

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmc_format import zip64
from nmc_format.issues import FormatError


def written(folder: Path, members: dict[str, bytes]) -> bytes:
    paths = []
    for i, (name, data) in enumerate(members.items()):
        (folder / str(i)).write_bytes(data)
        paths.append((name, folder / str(i)))
    stream = io.BytesIO()
    zip64.write(stream, paths)
    return stream.getvalue()


def members_of(data: bytes) -> list[zip64.Member]:
    stream = io.BytesIO(data)
    return list(zip64.read_directory(stream, zip64.read_end(stream, len(data), "x"), "x"))


def contents(data: bytes) -> dict[str, bytes]:
    stream = io.BytesIO(data)
    found = {}
    for member in members_of(data):
        start = zip64.data_start(stream, member, len(data), "x")
        assert start % 64 == 0
        assert zip64.crc32(stream, start, member.size) == member.crc
        found[member.name] = data[start : start + member.size]
    return found


names = st.from_regex(r"[a-z]{1,8}(/[0-9]{1,9})?\.[a-z]{2}", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(names, st.binary(max_size=300), max_size=6))
def test_zipfile_reads_what_we_write(tmp_path, members) -> None:
    data = written(tmp_path, members)
    assert contents(data) == members
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert file.namelist() == list(members)
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert file.read(info) == members[info.filename]
    assert data == written(tmp_path, members)


@pytest.mark.skipif(which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_no_fault(tmp_path) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(written(tmp_path, {"manifest.h5": b"a" * 100, "segments/0": b""}))
    subprocess.run(["unzip", "-tq", str(file)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    return written(tmp_path_factory.mktemp("zip"), {"a.bin": b"x" * 70, "b.bin": b"y" * 5})


def patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    packed = struct.pack(layout, *values)
    at %= len(data)
    return data[:at] + packed + data[at + len(packed) :]


CENTRAL = b"PK\x01\x02"


def faults(data: bytes) -> dict[str, tuple[bytes, str]]:
    """Return files with one fault each; offsets from the layout tables of clause 5.2.1."""
    start = data.index(CENTRAL)
    second = data.index(CENTRAL, start + 1)
    return {
        "empty": (b"", "package/zip-structure"),
        "only end records": (data[-97:], "package/zip-structure"),
        "cut by one byte": (data[:-1], "package/zip-structure"),
        "a byte after the end": (data + b"\0", "package/zip-structure"),
        "comment length": (patched(data, -2, "<H", 5), "package/zip-structure"),
        "end signature": (patched(data, -22, "<I", 0), "package/zip-structure"),
        "locator signature": (patched(data, -42, "<I", 0), "package/zip-structure"),
        "locator offset": (patched(data, -34, "<Q", 0), "package/zip-structure"),
        "end64 signature": (patched(data, -98, "<I", 0), "package/zip-structure"),
        "count too high": (patched(data, -66, "<Q", 3), "package/zip-structure"),
        "count absurd": (patched(data, -66, "<Q", 2**63), "package/zip-structure"),
        "count too low": (patched(data, -66, "<Q", 1), "package/zip-structure"),
        "count 0": (patched(data, -66, "<Q", 0), "package/zip-structure"),
        "directory size": (patched(data, -58, "<Q", 2**62), "package/zip-structure"),
        "directory offset": (patched(data, -50, "<Q", 2**64 - 1), "package/zip-structure"),
        "entry signature": (patched(data, start, "<I", 0), "package/zip-structure"),
        "encrypted": (patched(data, start + 8, "<H", 1), "package/zip-structure"),
        "data descriptor": (patched(data, start + 8, "<H", 8), "package/zip-structure"),
        "deflated": (patched(data, start + 10, "<H", 8), "package/zip-compressed"),
        "name length": (patched(data, second + 28, "<H", 60000), "package/zip-structure"),
        "extra length": (patched(data, second + 30, "<H", 60000), "package/zip-structure"),
        "no ZIP64 field": (patched(data, start + 46 + 5, "<H", 2), "package/zip-structure"),
        "sizes disagree": (patched(data, start + 46 + 5 + 4, "<Q", 71), "package/zip-structure"),
        "size absurd": (
            patched(data, start + 46 + 5 + 4, "<QQ", 2**63, 2**63),
            "package/zip-overlap",
        ),
        "header beyond the end": (
            patched(data, start + 46 + 5 + 20, "<Q", 2**63),
            "package/zip-structure",
        ),
        "header inside data": (
            patched(data, start + 46 + 5 + 20, "<Q", 64),
            "package/zip-structure",
        ),
        "local signature": (patched(data, 0, "<I", 0), "package/zip-structure"),
        "local method": (patched(data, 8, "<H", 8), "package/zip-structure"),
        "local flags": (patched(data, 6, "<H", 1), "package/zip-structure"),
        "local name": (patched(data, 30, "<B", ord("q")), "package/zip-structure"),
        "local name length": (patched(data, 26, "<H", 4), "package/zip-structure"),
        "misaligned": (
            patched(data, 28, "<H", struct.unpack_from("<H", data, 28)[0] - 1),
            "package/zip-alignment",
        ),
    }


def test_every_fault_has_its_code(good) -> None:
    for name, (data, code) in faults(good).items():
        with pytest.raises(FormatError) as caught:
            contents(data)
        assert caught.value.finding.code == code, (name, caught.value.finding)
        assert caught.value.finding.place.file == "x"
        assert caught.value.finding.place.offset is not None


@given(st.data())
def test_flipped_bytes_are_refused_or_harmless(good, data) -> None:
    """Whatever is changed outside the data, the members are refused or read as they were."""
    changed = bytearray(good)
    at = data.draw(st.integers(0, len(good) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = contents(bytes(changed))
    except (FormatError, AssertionError):
        return
    assert [len(d) for d in found.values()] == [70, 5] or list(found.values()) == [
        b"x" * 70,
        b"y" * 5,
    ]


def test_sizes_in_the_32_bit_fields_are_taken_where_they_are_not_full(good) -> None:
    """A reader follows the rule of ZIP64, whatever another writer chose (clause 5.2.1)."""
    start = good.index(CENTRAL)
    data = patched(good, start + 20, "<II", 70, 70)
    data = patched(data, start + 46 + 5, "<HHQ", 1, 8, 0)
    length = 46 + 5 + 4 + 8
    data = data[: start + length] + data[start + 46 + 5 + 28 :]
    data = patched(data, start + 30, "<H", 12)
    size = len(data) - 98 - start
    data = patched(data, -58, "<Q", size)
    data = patched(data, -34, "<Q", len(data) - 98)
    assert contents(data) == contents(good)


def test_a_directory_of_holes_takes_no_memory(tmp_path) -> None:
    """A sparse file that declares a directory of 1 TB is refused at its first entry."""
    path = tmp_path / "sparse"
    size = 2**40
    tail = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 2**33, size, 64)
    tail += struct.pack("<IIQI", 0x07064B50, 0, size + 64, 1)
    tail += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    with path.open("wb") as file:
        try:
            file.seek(size + 64)
            file.write(tail)
        except OSError:
            pytest.skip("this file system has no files of 1 TB with holes")
    with path.open("rb") as stream:
        end = zip64.read_end(stream, size + 64 + 98, "x")
        with pytest.raises(FormatError, match="entry of the central directory is damaged"):
            next(zip64.read_directory(stream, end, "x"))
