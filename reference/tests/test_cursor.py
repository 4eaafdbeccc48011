"""The cursor: what is known of the last frame, and what fails leaves nothing to build on."""

from __future__ import annotations

import pytest
from nmc_samples import assert_states, chain, same_state, write

import nmc
from nmc.coding.cursor import Cursor
from nmc.coding.state import arrays_of
from nmc.writing import journal


@pytest.fixture
def states():
    return chain(7)


@pytest.fixture
def sequence(tmp_path, states):
    with nmc.open(write(tmp_path / "x.nmc", states, key_every=4)) as opened:
        yield opened


def test_it_goes_from_frame_to_frame(sequence, states) -> None:
    cursor = Cursor()
    for t, expected in enumerate(states):
        cursor.advance(sequence.manifest, t, sequence.coded(t))
        assert same_state(arrays_of(cursor.state, sequence.manifest.tensors), expected)


def test_what_was_not_decoded_is_not_known_before_the_next_key_frame(sequence) -> None:
    cursor = Cursor()
    known = []
    for t in range(7):
        cursor.advance(sequence.manifest, t, sequence.coded(t), decode=t != 1)
        known.append(cursor.known)
        assert bool(cursor.state) is cursor.known
    assert known == [True, False, False, False, True, True, True]


def test_links_are_checked_where_nothing_is_decoded(sequence) -> None:
    cursor = Cursor()
    cursor.forget()
    with pytest.raises(nmc.FormatError, match="decoding/segment-state-mismatch"):
        cursor.advance(sequence.manifest, 2, sequence.coded(3))
    assert not cursor.known


def test_a_frame_that_fails_leaves_nothing_to_build_on(sequence) -> None:
    cursor = Cursor()
    cursor.advance(sequence.manifest, 0, sequence.coded(0))
    with pytest.raises(nmc.FormatError):
        cursor.advance(sequence.manifest, 1, sequence.coded(2))
    assert (cursor.known, dict(cursor.state)) == (False, {})


def test_a_frame_that_could_not_be_written_costs_no_key_frame(tmp_path, states, monkeypatch):
    """The writer is as it was before, what the coder remembers included."""

    def full(*_):
        raise OSError(28, "No space left on device")

    path, whole = tmp_path / "x.nmc", write(tmp_path / "whole.nmc", states, key_every=0)
    with nmc.Writer(path, key_every=0) as writer:
        for t, state in enumerate(states):
            if t == 3:
                monkeypatch.setattr(journal.Journal, "append", full)
                with pytest.raises(nmc.FormatError, match="host/no-space"):
                    writer.append(state)
                monkeypatch.undo()
            writer.append(state)
    assert path.read_bytes() == whole.read_bytes()


def test_an_interrupt_after_a_frame_is_written_costs_its_history_alone(
    tmp_path, states, monkeypatch
) -> None:
    """The frame is in the journal: the next one is not coded against the one before it."""
    from nmc.writing import writer as room

    def interrupted(*_):
        raise KeyboardInterrupt

    with nmc.Writer(tmp_path / "x.nmc", key_every=0) as writer:
        for t, state in enumerate(states):
            if t == 3:
                monkeypatch.setattr(room, "owned", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    writer.append(state)
                monkeypatch.undo()
                assert len(writer) == 4
                continue
            writer.append(state)
    assert_states(tmp_path / "x.nmc", states)
    with nmc.open(tmp_path / "x.nmc") as sequence:
        keys = [frame.index for frame in sequence.frames if frame.coding == "key"]
    assert keys == [0, 4]
