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

from nmc_format.issues import FormatError
from nmc_format.package import zip64


def written(folder: Path, members: dict[str, bytes]) -> bytes:
    paths = []
    for i, (name, data) in enumerate(members.items()):
        (folder / str(i)).write_bytes(data)
        paths.append((name, folder / str(i)))
    stream = io.BytesIO()
    zip64.write(stream, paths)
    return stream.getvalue()


def members_of(data: bytes) -> list[zip64.Member]:
    return list(zip64.read_directory(io.BytesIO(data), len(data), "x"))


def contents(data: bytes) -> dict[str, bytes]:
    stream = io.BytesIO(data)
    found = {}
    for member in members_of(data):
        start = zip64.data_start(stream, member, "x")
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
    extra = start + 46 + len("a.bin")
    return {
        "empty": (b"", "package/zip-structure"),
        "only end records": (data[-97:], "package/zip-structure"),
        "cut by one byte": (data[:-1], "package/zip-structure"),
        "a byte after the end": (data + b"\0", "package/zip-structure"),
        "a byte before the start": (b"\0" + data, "package/zip-structure"),
        "a comment": (patched(data, -2, "<H", 5) + b"hello", "package/zip-structure"),
        "comment length": (patched(data, -2, "<H", 5), "package/zip-structure"),
        "end signature": (patched(data, -22, "<I", 0), "package/zip-structure"),
        "locator signature": (patched(data, -42, "<I", 0), "package/zip-structure"),
        "locator offset": (patched(data, -34, "<Q", 0), "package/zip-structure"),
        "end64 signature": (patched(data, -98, "<I", 0), "package/zip-structure"),
        "two disks": (patched(data, -82, "<I", 1), "package/zip-structure"),
        "count too high": (patched(data, -74, "<QQ", 3, 3), "package/zip-structure"),
        "count absurd": (patched(data, -74, "<QQ", 2**63, 2**63), "package/zip-structure"),
        "count too low": (patched(data, -74, "<QQ", 1, 1), "package/zip-structure"),
        "count 0": (patched(data, -74, "<QQ", 0, 0), "package/zip-structure"),
        "counts differ": (patched(data, -66, "<Q", 1), "package/zip-structure"),
        "directory size": (patched(data, -58, "<Q", 2**62), "package/zip-structure"),
        "directory offset": (patched(data, -50, "<Q", 2**64 - 1), "package/zip-structure"),
        "entry signature": (patched(data, start, "<I", 0), "package/zip-structure"),
        "encrypted": (patched(data, start + 8, "<H", 1), "package/zip-structure"),
        "data descriptor": (patched(data, start + 8, "<H", 8), "package/zip-structure"),
        "deflated": (patched(data, start + 10, "<H", 8), "package/zip-compressed"),
        "other date": (patched(data, start + 14, "<H", 0x5A21), "package/zip-structure"),
        "name length": (patched(data, second + 28, "<H", 60000), "package/zip-structure"),
        "extra length": (patched(data, second + 30, "<H", 60000), "package/zip-structure"),
        "comment of a member": (patched(data, start + 32, "<H", 1), "package/zip-structure"),
        "a link": (patched(data, start + 38, "<I", 0o120777 << 16), "package/zip-structure"),
        "no ZIP64 field": (patched(data, extra, "<H", 2), "package/zip-structure"),
        "sizes disagree": (patched(data, extra + 4, "<Q", 71), "package/zip-structure"),
        "size too high": (patched(data, extra + 4, "<QQ", 71, 71), "package/zip-overlap"),
        "size too low": (patched(data, extra + 4, "<QQ", 69, 69), "package/zip-structure"),
        "size absurd": (patched(data, extra + 4, "<QQ", 2**63, 2**63), "package/zip-overlap"),
        "header beyond the end": (patched(data, extra + 20, "<Q", 2**63), "package/zip-structure"),
        "header inside data": (patched(data, extra + 20, "<Q", 64), "package/zip-structure"),
        "both at one place": (
            patched(data, second + 46 + len("b.bin") + 20, "<Q", 0),
            "package/zip-overlap",
        ),
        "name not ASCII": (patched(data, start + 46, "<B", 0xE9), "package/zip-structure"),
        "local signature": (patched(data, 0, "<I", 0), "package/zip-structure"),
        "local method": (patched(data, 8, "<H", 8), "package/zip-structure"),
        "local flags": (patched(data, 6, "<H", 1), "package/zip-structure"),
        "local checksum": (patched(data, 14, "<I", 1), "package/zip-structure"),
        "local name": (patched(data, 30, "<B", ord("q")), "package/zip-structure"),
        "local name length": (patched(data, 26, "<H", 69), "package/zip-structure"),
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


def test_every_flipped_bit_is_found(good) -> None:
    """A file has one form: no byte of it is free, so that no two programs read it differently."""
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= 1 << at % 8
        with pytest.raises((FormatError, AssertionError)):  # the latter: contents' own CRC-32
            contents(bytes(changed))


@given(st.data())
def test_spliced_files_are_refused(good, data) -> None:
    a, b = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    piece = data.draw(st.sampled_from([b"", good[a:b] * 2, bytes(b - a), good[b:]]))
    changed = good[:a] + piece + good[b:]
    if changed == good:
        return
    with pytest.raises((FormatError, AssertionError)):
        contents(changed)


def test_a_directory_of_holes_takes_no_memory(tmp_path) -> None:
    """A sparse file that declares a directory of 1 TB is refused at its first entry."""
    path = tmp_path / "sparse"
    size = 2**40
    tail = zip64._end_records(2**33, size, 64)
    with path.open("wb") as file:
        try:
            file.seek(size + 64)
            file.write(tail)
        except OSError:
            pytest.skip("this file system has no files of 1 TB with holes")
    with (
        path.open("rb") as stream,
        pytest.raises(FormatError, match=r"entry of member .* is not in its one form"),
    ):
        next(zip64.read_directory(stream, size + 64 + 98, "x"))
