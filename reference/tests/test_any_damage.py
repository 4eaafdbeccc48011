"""Damage that nobody chose: any change of any byte is refused, or changes no state."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmc_samples import chain, members, same_state, write_trained

import nmc

FRAMES = 4
KINDS = {
    "folder": {"directory": True},
    "file": {},
    "zstd": {"entropy": "zstd", "directory": True},
    "baseline": {"profile": "baseline"},
}


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


@pytest.fixture(scope="module")
def packages(tmp_path_factory, states):
    root = tmp_path_factory.mktemp("p")
    return {
        name: write_trained(root / f"{name}.nmc", states, key_every=2, **options)
        for name, options in KINDS.items()
    }


@st.composite
def changes(draw, data: bytes) -> bytes:
    """Some bytes, damaged in one of the ways that disks, networks and people have."""
    at = draw(st.integers(0, len(data) - 1))
    kind = draw(st.sampled_from(["flip", "flip", "flip", "zero", "cut", "insert", "move", "drop"]))
    size = draw(st.integers(1, 64))
    match kind:
        case "flip":
            return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        case "zero":
            return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]
        case "cut":
            return data[:at]
        case "insert":
            return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
        case "move":
            to = draw(st.integers(0, len(data) - 1))
            return data[:at] + data[to : to + size] + data[at + size :]
    return data[:at] + data[at + size :]


def outcome(path: Path, states) -> bool:
    """Whether a package is accepted; it never gives a wrong state, accepted or not."""
    report = nmc.check(path)
    right = 0
    try:
        with nmc.open(path) as sequence:
            for t in range(len(sequence)):
                try:
                    state = sequence[t]
                except nmc.FormatError:
                    continue
                assert same_state(state, states[t]), f"a wrong state of frame {t}"
                right += 1
            complete = len(sequence) == len(states) == right
    except nmc.FormatError:
        complete = False
    if report.accepted:
        assert complete, "it is accepted, yet not all of it can be read"
    return report.accepted


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_a_file(tmp_path_factory, packages, states, data) -> None:
    """A file has one form: whatever changes in it, it is refused."""
    source = packages[data.draw(st.sampled_from(["file", "baseline"]))]
    good = source.read_bytes()
    bad = data.draw(changes(good))
    path = tmp_path_factory.getbasetemp() / "any.nmc"
    path.write_bytes(bad)
    assert outcome(path, states) == (bad == good)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_a_member_of_a_folder(tmp_path_factory, packages, states, data) -> None:
    """Segments have one form, too; in a manifest, bytes that nobody reads may change."""
    source = packages[data.draw(st.sampled_from(["folder", "zstd"]))]
    parts = members(source)
    name = data.draw(st.sampled_from(["manifest.h5", *parts]))
    path = tmp_path_factory.getbasetemp() / "any"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(source, path)
    bad = data.draw(changes(parts[name]))
    (path / name).write_bytes(bad)
    accepted = outcome(path, states)
    if name != "manifest.h5" or bad == parts[name]:
        assert accepted == (bad == parts[name])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_members_of_other_packages(tmp_path_factory, packages, states, data) -> None:
    """Members that are sound in themselves, put where they do not belong."""
    other = write_trained(
        tmp_path_factory.mktemp("o") / "x.nmc", chain(FRAMES, seed=9), key_every=2, directory=True
    )
    parts, alien = members(packages["folder"]), members(other)
    path = tmp_path_factory.getbasetemp() / "any"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(packages["folder"], path)
    replaced = data.draw(st.sets(st.sampled_from(sorted(parts)), min_size=1))
    for name in replaced:
        (path / name).write_bytes(alien[name])
    if replaced == set(parts):
        assert nmc.check(path).accepted
        return
    assert not nmc.check(path).accepted
    if "manifest.h5" not in replaced:
        outcome(path, states)
