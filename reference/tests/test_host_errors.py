"""Odd things under the name of a package: each is refused by its own code, in its own words."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import chain, write

import nmc
from nmc_format.host import host_refusal
from nmc_format.package import directory

PAGE = b"<!DOCTYPE html>\n<html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
SAFETENSORS = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return write(tmp_path_factory.mktemp("p") / "x.nmc", chain(3), key_every=2)


def finding_of(path) -> nmc.Finding:
    """Open and check a path; both say the same."""
    with pytest.raises(nmc.FormatError) as caught:
        nmc.open(path)
    (found,) = nmc.check(path).findings
    assert found == caught.value.finding
    assert "\n" not in str(found)
    return found


@pytest.mark.parametrize(
    ("content", "words", "todo"),
    [
        (b"", "it is empty", "again"),
        (PAGE, "a web page", "again"),
        (b"  \n<html>", "a web page", "again"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page", "again"),
        (b'{"message": "Not Found"}', "JSON", "again"),
        (POINTER, "Git LFS pointer", "git lfs pull"),
        (bytes(100_000), "zeros", "again"),
        (SAFETENSORS, "a safetensors file", "nmc pack"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch", "nmc pack"),
        (b"\x80\x04\x95", "a pickle", "nmc pack"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "directory"),
        (b"ply\nformat ascii 1.0\n", "a PLY file", "nmc pack"),
        (b"\x1f\x8b\x08\0", "gzip", "decompress"),
        (b"\x28\xb5\x2f\xfd", "Zstandard", "decompress"),
        (b"\x93NUMPY\x01\0", "numpy", "pack"),
        (b"GGUF\3\0\0\0", "GGUF", "pack"),
        (bytes(257).replace(b"\0", b"a") + b"ustar\0", "a tar archive", "unpack"),
        (os.urandom(8).replace(b"P", b"Q").replace(b"\x80", b"Q") + b"~", "ZIP member", ".nmc"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_are_named(tmp_path, content, words, todo) -> None:
    path = tmp_path / "x.nmc"
    path.write_bytes(content)
    found = finding_of(path)
    assert found.code == "package/not-a-package"
    assert words in found.message
    assert todo in found.hint


def test_a_huge_sparse_file(tmp_path) -> None:
    path = tmp_path / "x.nmc"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "zeros" in finding_of(path).message


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_of_torch_is_to_be_packed(tmp_path, legacy) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=not legacy)
    found = finding_of(path)
    assert (found.code, "nmc pack" in found.hint) == ("package/not-a-package", True)
    assert "PyTorch" in found.message


def test_a_numpy_archive_is_to_be_packed(tmp_path) -> None:
    np.savez(tmp_path / "x.npz", w=np.ones(3))
    assert "nmc pack" in finding_of(tmp_path / "x.npz").hint


def test_directories_of_other_things(tmp_path, right) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty directory" in finding_of(empty).message
    run = tmp_path / "run"
    run.mkdir()
    (run / "epoch_10.pth").touch()
    found = finding_of(run)
    assert "epoch_10.pth" in found.message
    assert "nmc pack" in found.hint
    assert "x.nmc" in finding_of(right.parent).message
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert "no manifest.h5" in finding_of(tmp_path / "other").message


@pytest.mark.slow(minutes=0.02)
def test_downloads_that_ended_early(tmp_path, right) -> None:
    data = right.read_bytes()
    path = tmp_path / "x.nmc"
    for length in [*range(4, 400), *range(400, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:length])
        found = finding_of(path)
        assert found.code == "package/zip-structure"
        assert "cut off" in found.message, (length, found)
        assert str(length) in found.message
        assert "again" in found.hint
    assert str(len(data)) in found.message
    path.write_bytes(data + b"more")
    assert "4 more than belong to it" in finding_of(path).message


def test_special_files(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe" in finding_of(tmp_path / "pipe").message
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert "a socket" in finding_of(tmp_path / "s").message
    for device in ("/dev/null", "/dev/zero"):
        assert "a device" in finding_of(device).message


def test_paths_that_lead_nowhere(tmp_path, right) -> None:
    for path, code, words in (
        (tmp_path / "nothing", "host/not-found", "no such file"),
        (right / "inside", "host/path", "Not a directory"),
        (tmp_path / ("n" * 300), "host/path", "too long"),
        ("a\0b", "host/path", "null"),
        ("", "host/not-found", "no such file"),
    ):
        if path == "":
            continue
        found = finding_of(path)
        assert found.code == code
        assert words in found.message
    (tmp_path / "link").symlink_to("gone.nmc")
    found = finding_of(tmp_path / "link")
    assert found.code == "host/broken-link"
    assert "gone.nmc" in found.message


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "host/denied"),
        (errno.EPERM, "host/denied"),
        (errno.EIO, "host/device"),
        (errno.ESTALE, "host/device"),
        (errno.EMFILE, "host/failed"),
    ],
)
def test_what_the_system_says_while_it_opens(
    tmp_path, monkeypatch, directory, number, code
) -> None:
    path = write(tmp_path / "x.nmc", chain(2), directory=directory)
    real = os.open

    def failing(place, *arguments, **options):
        if str(path) in str(place):
            raise OSError(number, os.strerror(number), str(place))
        return real(place, *arguments, **options)

    monkeypatch.setattr(os, "open", failing)
    found = finding_of(path)
    assert found.code == code
    assert os.strerror(number) in found.message
    assert str(path) in str(found.place)


@pytest.mark.parametrize("directory", [False, True])
def test_a_disk_that_fails_says_nothing_of_the_package(tmp_path, monkeypatch, directory) -> None:
    path = write(tmp_path / "x.nmc", chain(3), directory=directory)

    def failing(handle, size, start):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with nmc.open(path) as sequence:
        monkeypatch.setattr(os, "pread", failing)
        with pytest.raises(nmc.FormatError) as caught:
            sequence[0]
        assert caught.value.finding.code == "host/device"
        assert str(path) in str(caught.value.finding.place)
        monkeypatch.undo()
        sequence[0]
    monkeypatch.setattr(os, "pread", failing)
    assert finding_of(path).code == "host/device"


def test_a_file_that_may_not_be_read(tmp_path) -> None:
    path = write(tmp_path / "x.nmc", chain(1))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert finding_of(path).code == "host/denied"


def test_a_folder_of_segments_that_may_not_be_entered(tmp_path, monkeypatch) -> None:
    """What lies there cannot even be looked at; a package is refused all the same."""
    path = write(tmp_path / "x", chain(2), directory=True)
    real = os.lstat

    def denied(place, *arguments, **options):
        if "segments" in Path(place).parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return real(place, *arguments, **options)

    def shut(place, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    with nmc.open(path) as sequence:
        monkeypatch.setattr(directory, "PositionedFile", shut)
        monkeypatch.setattr(Path, "lstat", denied)
        with pytest.raises(nmc.FormatError) as caught:
            sequence[1]
        assert caught.value.finding.code == "host/denied"


def test_every_number_of_the_system_has_words() -> None:
    for number in errno.errorcode:
        found = host_refusal(OSError(number, os.strerror(number)), "x").finding
        assert found.code.startswith("host/")
        assert str(found.place) == "x"


@pytest.mark.parametrize(
    ("number", "code", "todo"),
    [
        (errno.EFBIG, "host/failed", "directory form"),
        (errno.EMFILE, "host/failed", "ulimit -n"),
        (errno.ENOSPC, "host/no-space", "free some space"),
    ],
)
def test_what_the_system_refuses_says_what_to_do(number, code, todo) -> None:
    """A file that grows too large is not a full disk: freeing space would not help."""
    found = host_refusal(OSError(number, os.strerror(number)), "x.nmc").finding
    assert found.code == code
    assert todo in found.hint


def test_a_key_that_cannot_be_written_is_named_by_its_own_name(tmp_path) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(nmc.FormatError) as caught:
        nmc.PrivateKey.generate("me").write(tmp_path / "none" / "key")
    assert caught.value.finding.place.file == str(tmp_path / "none" / "key")
