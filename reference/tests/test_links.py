"""Links in the way of a writer lead nowhere."""

from __future__ import annotations

import os
import shutil

import pytest
from nmc_samples import LAYERS, assert_states, begun, chain, code, members, segment_path, write

import nmc
from nmc_format.package.members import JOURNAL_NAME


@pytest.fixture
def outside(tmp_path):
    """A folder of somebody else's, with a file that looks like a segment."""
    place = tmp_path / "outside"
    place.mkdir()
    for name in ("00000000.safetensors", "00000007.new", "notes.txt", "manifest.h5", JOURNAL_NAME):
        (place / name).write_bytes(b"mine")
    yield place
    assert {p.name: p.read_bytes() for p in place.iterdir()} == dict.fromkeys(
        ["00000000.safetensors", "00000007.new", "notes.txt", "manifest.h5", JOURNAL_NAME], b"mine"
    )


@pytest.mark.parametrize("how", ["resume", "recover", "force", "force finished"])
def test_a_link_in_place_of_the_segments(tmp_path, outside, how) -> None:
    path = tmp_path / "x.nmc"
    if how == "force finished":
        write(path, chain(2), directory=True)
    else:
        begun(path, chain(2), directory=True)
    shutil.rmtree(path / "segments")
    (path / "segments").symlink_to(outside)
    if how == "recover":
        assert code(lambda: nmc.recover(path)) == "package/not-a-file"
    elif how == "resume":
        resumed = lambda: nmc.Writer(path, directory=True, resume=True)  # noqa: E731
        assert code(resumed) == "package/not-a-file"
    else:
        write(path, chain(3), directory=True, overwrite=True)
        assert_states(path, chain(3))


@pytest.mark.parametrize("name", ["manifest.h5", JOURNAL_NAME, "manifest.new", "journal.new"])
@pytest.mark.parametrize("how", ["resume", "recover", "force"])
def test_a_link_in_place_of_another_member(tmp_path, outside, name, how) -> None:
    path = tmp_path / "x.nmc"
    begun(path, chain(2), directory=True)
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(outside / "notes.txt")
    try:
        if how == "recover":
            nmc.recover(path)
        else:
            resume = how == "resume"
            with nmc.Writer(
                path, directory=True, resume=resume, overwrite=not resume, layers=LAYERS
            ) as other:
                for state in chain(3)[len(other) :]:
                    other.append(state)
    except nmc.FormatError as error:
        assert error.finding.code in {"package/not-a-file", "host/exists"}
    else:
        assert_states(path, chain(2 if how == "recover" else 3))


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("how", ["begin", "resume", "force", "recover"])
def test_a_link_in_place_of_the_partial_folder(tmp_path, outside, directory, how) -> None:
    path = tmp_path / "x.nmc"
    if how == "force":
        write(path, chain(1), directory=directory)
    (tmp_path / "x.nmc.partial").symlink_to(outside)
    try:
        if how == "recover":
            nmc.recover(path)
        else:
            write(path, chain(2), directory=directory, resume=how == "resume", overwrite=True)
    except nmc.FormatError as error:
        assert error.finding.code in {"package/not-a-file", "host/exists"}
    else:
        assert_states(path, chain(2))


def test_a_link_in_place_of_a_segment_is_replaced(tmp_path, outside) -> None:
    path = tmp_path / "x.nmc"
    begun(path, chain(2), directory=True)
    segment_path(path, 2).symlink_to(outside / "notes.txt")
    with nmc.Writer(path, directory=True, resume=True, layers=LAYERS) as writer:
        for state in chain(4)[2:]:
            writer.append(state)
    assert_states(path, chain(4))


@pytest.mark.skipif(not hasattr(os, "link"), reason="there are no hard links here")
def test_files_with_other_names_keep_their_content(tmp_path) -> None:
    """A backup of hard links is not written into."""
    path = tmp_path / "x.nmc"
    begun(path, chain(2), directory=True)
    backup = tmp_path / "backup"
    shutil.copytree(path, backup, copy_function=os.link)
    before = members(backup)
    with nmc.Writer(path, directory=True, resume=True, layers=LAYERS) as writer:
        writer.append(chain(3)[2])
    write(path, chain(2, seed=1), directory=True, overwrite=True)
    assert members(backup) == before


def test_a_package_behind_a_link_is_replaced_where_it_lies(tmp_path) -> None:
    for directory in (False, True):
        real = write(tmp_path / f"{directory}.nmc", chain(2), directory=directory)
        link = tmp_path / f"link{directory}"
        link.symlink_to(real.name)
        write(link, chain(3), directory=directory, overwrite=True)
        assert link.is_symlink()
        assert_states(real, chain(3))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "x.nmc").symlink_to("notes.txt")
    assert code(lambda: nmc.Writer(tmp_path / "x.nmc", overwrite=True)) == "host/exists"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_package_is_not_replaced(tmp_path) -> None:
    place = tmp_path / "mine"
    (place / "segments").mkdir(parents=True)
    (place / "segments" / "00000000.safetensors").write_bytes(b"mine")
    again = lambda: nmc.Writer(place, directory=True, overwrite=True)  # noqa: E731
    assert code(again) == "host/exists"
    assert segment_path(place, 0).read_bytes() == b"mine"
    whole = write(tmp_path / "x.nmc.partial", chain(2), directory=True)
    assert code(lambda: nmc.Writer(tmp_path / "x.nmc", overwrite=True)) == "host/exists"
    assert_states(whole, chain(2))
