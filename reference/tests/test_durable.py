"""What outside tests broke: links that lead out, packages that replace themselves, journals."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import (
    LAYERS,
    assert_states,
    chain,
    members,
    segment_path,
    write,
    write_trained,
)

import nmc
from nmc.writing import folder, journal, recovery, unfinished
from nmc_format.package.members import JOURNAL_NAME

CAMERAS = nmc.Cameras(
    ["left", "right"],
    np.full((2, 2), 64),
    np.full((2, 4), 32.0),
    np.tile(np.eye(3, 4), (2, 1, 1)),
    np.eye(4),
)


def begun(path: Path, states, **options) -> None:
    """Leave an unfinished package."""
    writer = nmc.Writer(path, key_every=3, layers=LAYERS, **options)
    writer.set_cameras(CAMERAS)
    for t, state in enumerate(states):
        writer.append(state, iterations=10 + t, seconds=0.5 * t, exclude_layers=[2])


def code(action) -> str:
    with pytest.raises(nmc.FormatError) as caught:
        action()
    return caught.value.finding.code


# --- links (issue 9, item 4) ----------------------------------------------------------------------


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


# --- in place (item 3) ----------------------------------------------------------------------------


@pytest.fixture(params=["exchange", "two renames"])
def exchanging(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr(folder, "_renameat2", lambda: None)


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("spelling", ["same", "dots", "link", "linked folder"])
def test_a_package_cut_in_its_own_place(tmp_path, exchanging, directory, spelling) -> None:
    states = chain(6)
    place = tmp_path / "a"
    place.mkdir()
    path = write(place / "x.nmc", states, directory=directory, key_every=4)
    (tmp_path / "l.nmc").symlink_to("a/x.nmc")
    (tmp_path / "b").symlink_to("a")
    other = {
        "same": path,
        "dots": place / ".." / "a" / "x.nmc",
        "link": tmp_path / "l.nmc",
        "linked folder": tmp_path / "b" / "x.nmc",
    }[spelling]
    nmc.extract(path, range(1, 6), other, directory=directory, overwrite=True)
    assert_states(path, states[1:])
    nmc.extract(other, [0, 2], path, directory=directory, overwrite=True)
    assert_states(path, [states[1], states[3]])
    nmc.concat([path, other], other, directory=directory, overwrite=True)
    assert_states(path, [states[1], states[3]] * 2)
    assert sorted(p.name for p in place.iterdir()) == ["x.nmc"]


def test_files_beside_the_members_stay(tmp_path, exchanging) -> None:
    path = write(tmp_path / "x.nmc", chain(3), directory=True)
    (path / "notes.txt").write_text("mine")
    (path / "segments" / "mine.txt").write_text("mine too")
    nmc.extract(path, [1], path, directory=True, overwrite=True)
    assert (path / "notes.txt").read_text() == "mine"
    assert (path / "segments" / "mine.txt").read_text() == "mine too"
    assert nmc.check(path).accepted
    assert nmc.check(path).frames == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


@pytest.mark.parametrize("directory", [False, True])
def test_what_fails_in_place_leaves_the_package(tmp_path, directory, monkeypatch) -> None:
    states = chain(4)
    path = write(tmp_path / "x.nmc", states, directory=directory)
    before = members(path)
    calls = {"n": 0}
    real = folder.write_all

    def failing(handle, piece) -> None:
        calls["n"] += 1
        if calls["n"] == 5:
            raise OSError(28, "No space left on device")
        real(handle, piece)

    monkeypatch.setattr(folder, "write_all", failing)
    cut = lambda: nmc.extract(path, [1, 2], path, directory=directory, overwrite=True)  # noqa: E731
    assert code(cut) == "host/no-space"
    assert members(path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


def test_a_package_that_came_meanwhile_is_not_replaced(tmp_path) -> None:
    states = chain(3)
    writer = nmc.Writer(tmp_path / "x.nmc")
    for state in states:
        writer.append(state)
    other = write(tmp_path / "y.nmc", chain(2, seed=1))
    other.rename(tmp_path / "x.nmc")
    assert code(writer.close) == "host/exists"
    assert_states(tmp_path / "x.nmc", chain(2, seed=1))
    (tmp_path / "x.nmc").rename(other)
    writer.close()
    assert_states(tmp_path / "x.nmc", states)


# --- SIGINT after the last rename (issue 9, item 8) -----------------------------------------------


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_an_interrupt_after_the_last_rename(tmp_path, monkeypatch, directory, replaced) -> None:
    states = chain(3)
    path = tmp_path / "x.nmc"
    if replaced:
        write(path, chain(2, seed=1), directory=directory)
    real_move, real_exchange = folder.Folder.move, folder.Folder.exchange

    def move(self, name, target, new) -> None:
        real_move(self, name, target, new)
        if new == ("manifest.h5" if directory and not replaced else "x.nmc"):
            raise KeyboardInterrupt

    def exchange(self, a, b) -> bool:
        real_exchange(self, a, b)
        raise KeyboardInterrupt

    writer = nmc.Writer(path, directory=directory, overwrite=replaced)
    for state in states:
        writer.append(state)
    monkeypatch.setattr(folder.Folder, "move", move)
    monkeypatch.setattr(folder.Folder, "exchange", exchange)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    monkeypatch.undo()
    writer.abandon()  # as a command does that makes a package of packages
    assert_states(path, states)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.nmc"]


# --- the journal (item 6) -------------------------------------------------------------------------


@pytest.mark.parametrize("directory", [False, True])
def test_recover_keeps_cameras_and_training_records(tmp_path, directory) -> None:
    path = tmp_path / "x.nmc"
    states = chain(4)
    begun(path, states, directory=directory)
    assert nmc.recover(path) == 4
    assert_states(path, states)
    with nmc.open(path) as sequence:
        assert sequence.cameras.names == ["left", "right"]
        assert (sequence.cameras.intrinsics == 32).all()
        assert [f.iterations for f in sequence.frames] == [10, 11, 12, 13]
        assert [f.seconds for f in sequence.frames] == [0, 0.5, 1, 1.5]
        assert {f.exclude_layers for f in sequence.frames} == {(2,)}
    whole = tmp_path / "whole.nmc"
    with nmc.Writer(whole, directory=directory, key_every=3, layers=LAYERS) as writer:
        writer.set_cameras(CAMERAS)
        for t, state in enumerate(states):
            writer.append(state, iterations=10 + t, seconds=0.5 * t, exclude_layers=[2])
    assert members(path) == members(whole)


def test_resume_keeps_cameras(tmp_path) -> None:
    path = tmp_path / "x.nmc"
    begun(path, chain(2))
    with nmc.Writer(path, resume=True, layers=LAYERS) as writer:
        writer.append(chain(3)[2])
    with nmc.open(path) as sequence:
        assert sequence.cameras.names == ["left", "right"]


def test_a_quality_record_of_other_frames_does_not_stop_recovery(tmp_path) -> None:
    path = tmp_path / "x.nmc"
    states = chain(4)
    begun(path, states, directory=True)
    with nmc.Writer(path, directory=True, resume=True, layers=LAYERS) as writer:
        writer.set_quality(nmc.Quality(["left"], {"psnr": np.zeros((4, 1))}))
        writer._closed = True
    segment_path(path, 3).unlink()
    found = recovery.recovered(path)
    assert (found.frames, found.listed) == (3, 4)
    assert found.fault.code == "package/member-missing"
    assert_states(path, states[:3])
    with nmc.open(path) as sequence:
        assert sequence.quality is None
        assert sequence.cameras.names == ["left", "right"]


def test_recover_by_the_name_of_the_partial_folder(tmp_path) -> None:
    begun(tmp_path / "x.nmc", chain(2))
    assert nmc.recover(tmp_path / "x.nmc.partial") == 2
    assert_states(tmp_path / "x.nmc", chain(2))
    assert [p.name for p in tmp_path.iterdir()] == ["x.nmc"]


def test_a_vast_journal_takes_no_memory(tmp_path) -> None:
    path = tmp_path / "x.nmc"
    path.mkdir()
    with (path / JOURNAL_NAME).open("wb") as file:
        file.truncate(2**33)  # a sparse file
    import tracemalloc

    tracemalloc.start()
    try:
        assert nmc.check(path).findings[0].code == "package/unfinished"
        assert code(lambda: nmc.recover(path)) == "package/not-a-package"
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**26
    finally:
        tracemalloc.stop()


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line[9:]) for line in path.read_bytes().splitlines()]


def put_lines(path: Path, lines: list) -> None:
    made = []
    for line in lines:
        text = json.dumps(line)
        made.append(f"{zlib.crc32(text.encode()):08x} {text}\n")
    path.write_text("".join(made))


VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, -(2**63) - 1, 2**200, 1e308, 0.5, -0.0, "",
    "x", "\ud800", "a\0b", "0" * 64, "f" * 64, [], {}, [0], [1, 1, 1, 1, 1, 1, 1], [-1], [[0]],
    [None], {"a": 1}, "main", "baseline", "F32", base64.b64encode(b"x").decode(), "[" * 50, "{}",
]  # fmt: skip


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    if isinstance(value, list):
        for i in range(len(value)):
            yield from places(value[i], (*path, i))


def altered(lines: list, draw: random.Random) -> list:
    """Return a journal with one structural change; its checksums are right."""
    lines = json.loads(json.dumps(lines))
    kind = draw.choice(["value", "value", "value", "delete", "swap", "double", "drop", "add"])
    i = draw.randrange(len(lines))
    if kind == "swap":
        j = draw.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == "double":
        lines.insert(draw.randrange(len(lines) + 1), lines[i])
    elif kind == "drop":
        del lines[i]
    else:
        path = draw.choice([p for p in places(lines[i]) if p] or [()])
        node = lines[i]
        for step in path[:-1]:
            node = node[step]
        if kind == "value":
            node[path[-1]] = draw.choice(VALUES)
        elif kind == "delete":
            del node[path[-1]]
        elif isinstance(node, dict):
            node["more"] = draw.choice(VALUES)
    return lines


@pytest.mark.parametrize("seed", range(4))
def test_altered_journals(tmp_path, seed) -> None:
    """Refused, or recovered as a package that passes the check: whatever a journal says."""
    source = tmp_path / "source"
    begun(source, chain(4), directory=True)
    lines = lines_of(source / JOURNAL_NAME)
    draw = random.Random(seed)
    outcomes = set()
    for i in range(60):
        path = tmp_path / f"{i}.nmc"
        shutil.copytree(source, path)
        put_lines(path / JOURNAL_NAME, altered(lines, draw))
        try:
            frames = nmc.recover(path)
        except nmc.FormatError:
            outcomes.add("refused")
        else:
            outcomes.add(frames)
            report = nmc.check(path)
            assert report.findings == (), report.findings
            assert report.frames == frames
        shutil.rmtree(path)
    assert {"refused", 4} <= outcomes


@pytest.mark.parametrize("seed", range(2))
def test_altered_journals_are_resumed_to_sound_packages(tmp_path, seed) -> None:
    source = tmp_path / "source"
    states = chain(5)
    begun(source, states[:4], directory=True)
    lines = lines_of(source / JOURNAL_NAME)
    draw = random.Random(100 + seed)
    for i in range(30):
        path = tmp_path / f"{i}.nmc"
        shutil.copytree(source, path)
        put_lines(path / JOURNAL_NAME, altered(lines, draw))
        try:
            with nmc.Writer(path, directory=True, resume=True, key_every=3, layers=LAYERS) as other:
                for state in states[len(other) :]:
                    other.append(state)
        except nmc.FormatError:
            continue
        assert nmc.check(path).accepted


def test_a_forged_digest_in_the_middle_ends_the_package_there(tmp_path) -> None:
    path = tmp_path / "x.nmc"
    begun(path, chain(6), directory=True)
    lines = lines_of(path / JOURNAL_NAME)
    frames = [line for line in lines if "state_digest" in line]
    frames[2]["state_digest"] = "0" * 64
    put_lines(path / JOURNAL_NAME, lines)
    assert nmc.recover(path) == 2
    assert_states(path, chain(6)[:2])


# --- other kinds of input -------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="paths are text here")
@pytest.mark.parametrize("directory", [False, True])
def test_paths_that_are_no_text(tmp_path, directory) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe caf\xe9"))
    place.mkdir()
    path = write_trained(place / os.fsdecode(b"\xe9.nmc"), chain(3), directory=directory)
    assert_states(path, chain(3))
    nmc.extract(path, [0, 1], path, directory=directory, overwrite=True)
    begun(place / os.fsdecode(b"\xe8.nmc"), chain(2), directory=directory)
    assert nmc.recover(place / os.fsdecode(b"\xe8.nmc")) == 2
    assert nmc.check(path).frames == 2


def test_a_synchronised_order(tmp_path, monkeypatch) -> None:
    """A name appears only after its bytes are on the disk; the journal goes last."""
    seen: list[tuple[str, str]] = []
    for name in ("fsync", "replace", "unlink"):
        real = getattr(os, name)

        def watched(*args, _real=real, _name=name, **kwargs):
            first = args[0]
            if isinstance(first, int):
                first = Path(f"/proc/self/fd/{first}").readlink().name
            seen.append((_name, str(first)))
            return _real(*args, **kwargs)

        monkeypatch.setattr(folder.os, name, watched)
    path = write(tmp_path / "x.nmc", chain(2), directory=True)
    monkeypatch.undo()
    order = [step for step in seen if "new" in step[1] or step[1] == JOURNAL_NAME]
    assert seen.index(("fsync", "manifest.new")) < seen.index(("replace", "manifest.new"))
    assert seen.index(("fsync", "00000001.safetensors")) < seen.index(("replace", "manifest.new"))
    assert order[-1] == ("unlink", JOURNAL_NAME)
    last_sync = max(i for i, step in enumerate(seen) if step == ("fsync", path.name))
    assert last_sync > seen.index(("unlink", JOURNAL_NAME))
    assert unfinished.SYNC_SECONDS > 0
    assert journal.MAX_LINE < 2**27
