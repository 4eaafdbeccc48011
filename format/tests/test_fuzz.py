"""A bounded run of the fuzz target; ``make fuzz`` runs it for longer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz():
    place = Path(__file__).with_name("fuzz_reader.py")
    spec = importlib.util.spec_from_file_location("fuzz_reader", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_reader"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz_reader"]


@pytest.mark.slow
def test_300_damaged_packages(fuzz) -> None:
    """Nothing but FormatError, and never a state that was not written."""
    codes = fuzz.run(300, seed=20260101)
    assert sum(codes.values()) == 300
    assert len(codes) > 20, "the damage has lost its variety"


def test_cases_can_be_repeated(fuzz) -> None:
    first = [fuzz.run(30, seed=5, only=number) for number in (3, 17)]
    assert first == [fuzz.run(30, seed=5, only=number) for number in (3, 17)]


def test_the_judge_finds_a_reader_that_lies(fuzz, monkeypatch) -> None:
    """A reader that returns the frame before, or does not look at digests, is found out."""
    import nmc.coding.cursor

    monkeypatch.setattr(nmc.coding.cursor, "check_state", lambda *_: None)
    with pytest.raises(fuzz.Wrong, match="never written"):
        fuzz.run(300, seed=20260101)
    monkeypatch.undo()
    real = nmc.ChainSequence.state
    monkeypatch.setattr(nmc.ChainSequence, "state", lambda self, t: real(self, max(0, t - 1)))
    with pytest.raises(fuzz.Wrong, match="manifest names"):
        fuzz.run(50, seed=1)


def test_the_judge_finds_a_reader_that_crashes(fuzz, monkeypatch) -> None:
    import nmc.coding.decode

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(nmc.coding.decode, "plan_frame", crash)
    with pytest.raises(fuzz.Wrong, match="ZeroDivisionError"):
        fuzz.run(50, seed=1)
