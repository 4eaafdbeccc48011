"""The journal: what an interrupted writer leaves, and what of it is believed."""

from __future__ import annotations

import base64
import json
import random
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import CAMERAS, LAYERS, assert_states, begun, chain, code, members, segment_path

import nmc
from nmc.writing import recovery
from nmc_format.package.members import JOURNAL_NAME


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


@pytest.mark.sweep(4)
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


@pytest.mark.sweep(2)
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
