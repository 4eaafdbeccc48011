"""Links in the way of a writer lead nowhere."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from nmc_samples import LAYERS, assert_states, begun, chain, code, members, segment_path, write

import nmc
from nmc.writing import amend
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


def _in_the_way(place, outside, kind) -> None:
    """Put something else where a folder of a package has to be."""
    if kind == "link":
        place.symlink_to(outside)
    else:
        place.write_bytes(b"mine")


def _force(path, directory) -> None:
    write(path, chain(3), directory=directory, overwrite=True)


@pytest.mark.parametrize("member", ["signatures", "media"])
@pytest.mark.parametrize("kind", ["link", "file"])
@pytest.mark.parametrize("directory", [False, True])
def test_what_is_no_folder_of_a_begun_package(tmp_path, outside, member, kind, directory) -> None:
    """Going on is refused with the name of what is in the way; beginning again removes it."""
    path = tmp_path / "x.nmc"
    begun(path, chain(2), directory=directory)
    made = path if directory else path.with_name("x.nmc.partial")
    _in_the_way(made / member, outside, kind)
    resumed = lambda: nmc.Writer(path, directory=directory, resume=True)  # noqa: E731
    for refused in (resumed, lambda: nmc.recover(path)):
        with pytest.raises(nmc.FormatError) as caught:
            refused()
        assert caught.value.finding.code == "package/not-a-file"
        assert member in caught.value.finding.message
    (made / member).unlink()
    assert nmc.recover(path) == 2
    assert not nmc.check(path).findings
    _in_the_way((path if directory else made.parent) / member, outside, "link")
    _force(path, directory)
    assert not nmc.check(path).findings
    assert not made.exists() or directory


@pytest.mark.parametrize("member", ["signatures", "media", "segments"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_of_a_replaced_package(tmp_path, outside, member, kind) -> None:
    """It goes with the package; nothing is left beside it that the next one would take over."""
    path = write(tmp_path / "x.nmc", chain(2), directory=True)
    shutil.rmtree(path / member, ignore_errors=True)
    _in_the_way(path / member, outside, kind)
    for _ in range(2):
        _force(path, directory=True)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["outside", "x.nmc"]
        assert not nmc.check(path).findings
    assert_states(path, chain(3))


def test_begun_again_with_a_link_in_the_way(tmp_path, outside) -> None:
    path = tmp_path / "x.nmc"
    begun(path, chain(2), directory=True)
    for member in ("signatures", "media"):
        (path / member).symlink_to(outside)
    _force(path, directory=True)
    assert not nmc.check(path).findings


def test_an_amended_package_with_a_link_for_its_signatures(tmp_path, outside) -> None:
    path = write(tmp_path / "x.nmc", chain(1), directory=True)
    (path / "signatures").symlink_to(outside)
    amend.write_quality(path, nmc.Quality(["left"], {"psnr": np.full((1, 1), 30.0)}))
    assert not nmc.check(path).findings


@pytest.mark.parametrize("member", ["signatures", "media", "segments"])
def test_files_of_others_in_the_folders_of_a_package_stay(tmp_path, member) -> None:
    path = write(tmp_path / "x.nmc", chain(2), directory=True)
    (path / member).mkdir(exist_ok=True)
    (path / member / "notes.txt").write_bytes(b"mine")
    _force(path, directory=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x.nmc"]
    assert (path / member / "notes.txt").read_bytes() == b"mine"
    assert nmc.check(path).accepted


@pytest.mark.parametrize("member", ["signatures", "media"])
def test_a_folder_with_a_file_of_such_a_name_is_no_package(tmp_path, member) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (place / member).write_bytes(b"mine")
    again = lambda: nmc.Writer(place, directory=True, overwrite=True)  # noqa: E731
    assert code(again) == "host/exists"
    assert (place / member).read_bytes() == b"mine"


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


@pytest.mark.parametrize("directory", [False, True])
def test_a_package_behind_a_link_is_not_replaced(tmp_path, directory) -> None:
    """The link may have come with a folder of a stranger's; what to do is said."""
    real = write(tmp_path / "real.nmc", chain(2), directory=directory)
    link = tmp_path / "link.nmc"
    link.symlink_to(real.name)
    for form in (directory, not directory):
        with pytest.raises(nmc.FormatError) as caught:
            nmc.Writer(link, directory=form, overwrite=True)
        assert caught.value.finding.code == "host/exists"
        assert f"link to {real.resolve()}" in caught.value.finding.hint
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.nmc", "real.nmc"]
    assert_states(real, chain(2))


def test_what_was_begun_behind_a_link_is_gone_on_with_but_not_dropped(tmp_path) -> None:
    link = tmp_path / "link.nmc"
    (tmp_path / "disk").mkdir()
    link.symlink_to("disk")
    begun(link, chain(2), directory=True)
    assert code(lambda: nmc.Writer(link, directory=True, overwrite=True)) == "host/exists"
    with nmc.Writer(link, directory=True, resume=True, layers=LAYERS, key_every=3) as writer:
        writer.append(chain(3)[2])
    assert_states(tmp_path / "disk", chain(3))


@pytest.mark.parametrize("directory", [False, True])
def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path, directory) -> None:
    link = tmp_path / "link.nmc"
    link.symlink_to(tmp_path / "disk" / "x.nmc")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        opened = lambda: nmc.Writer(link, directory=directory, **options)  # noqa: B023, E731
        assert code(opened) == "host/broken-link"
    assert not (tmp_path / "disk").exists()


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


def test_the_root_of_a_file_system_is_no_package() -> None:
    for options in ({}, {"overwrite": True}, {"directory": True}, {"resume": True}):
        assert code(lambda: nmc.Writer("/", **options)) == "host/path"  # noqa: B023
