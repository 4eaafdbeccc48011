"""A bounded run of the fuzz target; ``make fuzz`` runs it for longer."""

from __future__ import annotations

import fuzz_reader
import pytest
from fuzz_cases import Cases, Wrong


@pytest.mark.slow
def test_300_damaged_packages() -> None:
    """Nothing but FormatError, and never a state that was not written."""
    codes = fuzz_reader.run(Cases(300, seed=20260101))
    assert sum(codes.values()) == 300
    assert len(codes) > 20, "the damage has lost its variety"


@pytest.mark.slow(minutes=0.03)
def test_cases_can_be_repeated() -> None:
    first = [fuzz_reader.run(Cases(30, seed=5, only=number)) for number in (3, 17)]
    assert first == [fuzz_reader.run(Cases(30, seed=5, only=number)) for number in (3, 17)]


def test_the_judge_finds_a_reader_that_lies(monkeypatch) -> None:
    """A reader that returns the frame before, or does not look at digests, is found out."""
    import nmc.coding.cursor

    monkeypatch.setattr(nmc.coding.cursor, "check_state", lambda *_, **__: None)
    with pytest.raises(Wrong, match="never written"):
        fuzz_reader.run(Cases(300, seed=20260101))
    monkeypatch.undo()
    real = nmc.ChainSequence.state
    monkeypatch.setattr(nmc.ChainSequence, "state", lambda self, t: real(self, max(0, t - 1)))
    with pytest.raises(Wrong, match="manifest names"):
        fuzz_reader.run(Cases(50, seed=1))


def test_the_judge_finds_a_reader_that_crashes(monkeypatch) -> None:
    import nmc.coding.decode

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(nmc.coding.decode, "plan_frame", crash)
    with pytest.raises(Wrong, match="ZeroDivisionError"):
        fuzz_reader.run(Cases(50, seed=1))
