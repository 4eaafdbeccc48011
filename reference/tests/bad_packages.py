"""Cases of bad input: packages as folders and as files (clauses 5.1 and 5.2)."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from bad_cases import ALL, CASES, FIRST, FRAMES, SECOND, Case, case, flip, seg
from nmc_samples import members, segment_path, zipped

from nmc_format.package import zip64
from nmc_format.package.members import segment_name


@case(("package/not-a-file", "PKG"), healthy=SECOND | {0})
def segment_is_a_symbolic_link(p):
    target = p.parent / "elsewhere"
    segment_path(p, 1).rename(target)
    segment_path(p, 1).symlink_to(target)


@case(("package/not-a-file", "PKG"), healthy=SECOND | {0})
def segment_is_a_dangling_link(p):
    segment_path(p, 1).unlink()
    segment_path(p, 1).symlink_to("/nowhere")


@case(("package/not-a-file", "PKG"))
def manifest_is_a_symbolic_link(p):
    (p / "manifest.h5").rename(p.parent / "elsewhere.h5")
    (p / "manifest.h5").symlink_to(p.parent / "elsewhere.h5")


@case(*[("package/not-a-file", "PKG")] * FRAMES, ("package/member-unknown", "PKG"))
def folder_of_segments_is_a_symbolic_link(p):
    (p / "segments").rename(p.parent / "elsewhere.d")
    (p / "segments").symlink_to(p.parent / "elsewhere.d")


@case(("package/not-a-file", "PKG"), healthy=SECOND | {0})
def segment_is_a_pipe(p):
    segment_path(p, 1).unlink()
    os.mkfifo(segment_path(p, 1))


@case(("package/not-a-file", "PKG"), healthy=SECOND | {0})
def segment_is_a_socket(p):
    segment_path(p, 1).unlink()
    here = Path.cwd()
    os.chdir(p / "segments")  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(segment_path(p, 1).name)
    finally:
        os.chdir(here)


@case(("package/not-a-file", "PKG"), healthy=SECOND | {0})
def segment_is_a_folder(p):
    segment_path(p, 1).unlink()
    segment_path(p, 1).mkdir()


@case(("package/not-a-file", "PKG"))
def manifest_is_a_pipe(p):
    (p / "manifest.h5").unlink()
    os.mkfifo(p / "manifest.h5")


@case(("package/not-a-file", "PKG"))
def manifest_is_a_folder(p):
    (p / "manifest.h5").unlink()
    (p / "manifest.h5").mkdir()


@case(*[("package/member-missing", "PKG")] * FRAMES, ("package/member-unknown", "PKG"))
def folder_of_segments_is_a_file(p):
    shutil.rmtree(p / "segments")
    (p / "segments").write_bytes(b"")


@case(*[("package/member-unknown", "PKG")] * 3, healthy=ALL)
def other_files_beside_the_members(p):
    (p / "notes\x1b[31m.txt").write_text("hello")
    (p / "more" / "deep").mkdir(parents=True)
    (p / "more" / "deep" / "file").write_text("hello")
    (p / "loop").symlink_to(p)


@case(("package/not-a-package", "PKG"))
def folder_without_manifest(p):
    (p / "manifest.h5").unlink()


@case(("package/unfinished", "PKG"))
def folder_with_a_journal_only(p):
    (p / "manifest.h5").rename(p / "journal.ndjson")


@case(("package/not-a-package", "PKG"))
def empty_folder(p):
    shutil.rmtree(p)
    p.mkdir()


@case(("host/not-found", "PKG"))
def nothing(p):
    shutil.rmtree(p)


@case(("host/broken-link", "PKG"))
def dangling_link(p):
    shutil.rmtree(p)
    p.symlink_to("/nowhere/at/all")


@case(("host/path", "PKG"))
def link_to_itself(p):
    shutil.rmtree(p)
    p.symlink_to(p)


@case(("package/not-a-package", "PKG"), on="file")
def package_is_a_pipe(p):
    p.unlink()
    os.mkfifo(p)


@case(("package/not-a-package", "PKG"), on="file")
def package_is_empty(p):
    p.write_bytes(b"")


@case(("package/not-a-package", "PKG"), on="file")
def package_is_text(p):
    p.write_text("hello\n" * 100)


# --- the package as one file ----------------------------------------------------------------------


def parts_of(p: Path) -> list[tuple[str, bytes]]:
    return list(members(p).items())


@case(("package/zip-structure", "*"), on="file")
def file_cut_short(p):
    p.write_bytes(p.read_bytes()[:-1])


@case(("package/zip-structure", "*"), on="file")
def file_cut_in_half(p):
    data = p.read_bytes()
    p.write_bytes(data[: len(data) // 2])


@case(("package/zip-structure", "*"), on="file")
def file_with_a_count_that_lies(p):
    data = p.read_bytes()
    p.write_bytes(data[:-74] + struct.pack("<QQ", 6, 6) + data[-58:])


@case(("package/zip-compressed", "*"), on="file")
def file_with_compressed_members(p):
    parts = parts_of(p)
    with zipfile.ZipFile(p, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts:
            file.writestr(name, data)
    data = p.read_bytes()
    as_zip64(p, data)


def as_zip64(p: Path, data: bytes) -> None:
    """Give a plain ZIP file the end records of ZIP64, so that only its members are at fault."""
    count, length, start = struct.unpack_from("<HII", data, len(data) - 12)
    p.write_bytes(data[:-22] + zip64._end_records(count, length, start))


@case(("package/zip-compressed", "*"), on="file")
def file_that_is_a_zip_bomb(p):
    with zipfile.ZipFile(p, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("manifest.h5", bytes(10**8))
    as_zip64(p, p.read_bytes())
    assert p.stat().st_size < 200_000


@case(("package/zip-structure", "*"), on="file")
def file_of_an_ordinary_zip_program(p):
    parts = parts_of(p)
    with zipfile.ZipFile(p, "w") as file:
        for name, data in parts:
            file.writestr(name, data)


@case(("package/zip-alignment", "*"), on="file", healthy=ALL - {0, 1, 2})
def file_with_a_misaligned_member(p):
    data = bytearray(p.read_bytes())
    at = data.index(segment_name(0).encode()) - 30  # its local header
    data[at + 28 : at + 30] = struct.pack("<H", struct.unpack_from("<H", data, at + 28)[0] - 1)
    p.write_bytes(bytes(data))


@case(("package/zip-overlap", "*"), on="file")
def file_with_overlapping_members(p):
    data = p.read_bytes()
    with p.open("rb") as stream:
        found = list(zip64.read_directory(stream, len(data), "x"))
    old, other = found[2], found[1]
    fake = zip64.Member(old.name, old.size, old.crc, other.header)
    p.write_bytes(data.replace(zip64._central_header(old), zip64._central_header(fake)))


@case(("package/zip-structure", "*"), on="file", healthy=SECOND | {0})
def file_with_a_local_header_of_another_name(p):
    name, other = segment_name(1).encode(), segment_name(9).encode()
    p.write_bytes(p.read_bytes().replace(name, other, 1))


@case(("segment/sha256", seg(1, 0)), on="file", healthy=SECOND | {0})
def file_with_a_flipped_bit_in_a_segment(p):
    data = members(p)[segment_name(1)]
    flip(p, p.read_bytes().index(data) + len(data) - 5)


@case(("package/zip-checksum", "*"), ("package/member-unknown", "PKG"), on="file", healthy=ALL)
def file_with_a_flipped_bit_in_a_member_that_is_ignored(p):
    parts = [*parts_of(p), (segment_name(6), b"surplus")]
    zipped(p, parts)
    flip(p, p.read_bytes().index(b"surplus"))


@case(("package/member-unknown", "PKG"), on="file", healthy=ALL)
def file_with_a_segment_beyond_the_end(p):
    zipped(p, [*parts_of(p), (segment_name(6), b"surplus")])


@case(("package/member-missing", "PKG"), on="file", healthy=FIRST)
def file_without_a_segment(p):
    zipped(p, [part for part in parts_of(p) if part[0] != segment_name(3)])


@case(("package/member-missing", "PKG"), on="file")
def file_without_manifest(p):
    zipped(p, [part for part in parts_of(p) if part[0] != "manifest.h5"])


@case(("package/member-duplicate", "*"), on="file")
def file_with_a_member_twice(p):
    parts = parts_of(p)
    zipped(p, [*parts[:3], parts[2], *parts[3:]])


@case(("package/zip-structure", "*"), on="file")
def file_with_members_in_another_order(p):
    parts = parts_of(p)
    zipped(p, [parts[0], *reversed(parts[1:])])


@case(("segment/length", seg(1)), on="file", healthy=SECOND | {0})
def file_with_a_longer_segment(p):
    parts = dict(parts_of(p))
    parts[segment_name(1)] += b"\0"
    zipped(p, list(parts.items()))


BAD_NAMES = [
    "../outside.safetensors",
    "segments/../../outside.safetensors",
    "/etc/passwd",
    "segments/00000006.safetensors/",
    "segments/6.safetensors",
    "segments\\00000006.safetensors",
    "SEGMENTS/00000006.safetensors",
    "C:/x",
    "segments/",
    "manifest.h5\x00x",
    "",
    "journal.ndjson",
]


def bad_name(name: str) -> Callable[[Path], None]:
    def damage(p: Path) -> None:
        zipped(p, [*parts_of(p), (name, b"x")])

    return damage


CASES += [
    Case(f"file_with_member_{name!a}", "file", bad_name(name), [("package/member-name", "*")])
    for name in BAD_NAMES
]
