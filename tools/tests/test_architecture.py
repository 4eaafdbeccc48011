"""ARCHITECTURE.md: the ways through the house are those that a package and a state really take."""

import re
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import nmc

PAGE = Path(__file__).parents[2] / "ARCHITECTURE.md"
FLOORS = {"nmc", "nmc_format", "nmc_spec"}


def listed(name):
    """Return the modules of a way, in the order of its table."""
    text = PAGE.read_text(encoding="utf-8")
    (part,) = re.findall(rf"<!-- way: {name} -->\n(.*?)<!-- /way -->", text, re.DOTALL)
    return re.findall(r"^\| `([\w.]+)` \|", part, re.MULTILINE)


def visited(work):
    """Return the modules of the floors in the order in which work first enters each."""
    seen = {}

    def note(frame, event, _):
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.partition(".")[0] in FLOORS:
            seen.setdefault(module)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return list(seen)


@pytest.fixture
def states():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 64)).astype("f4")
    made = [{"a": weight + np.float32(1e-3 * t), "b": np.ones((8, 8), "f4")} for t in range(9)]
    return [{name: array.copy() for name, array in state.items()} for state in made]


@pytest.mark.parametrize("way", ["open", "decode", "append"])
def test_a_way_is_as_it_is_drawn(way, states, tmp_path):
    path = tmp_path / "a.nmc"
    with nmc.Writer(path, key_every=4) as writer:
        for state in states:
            writer.append(state)
    with nmc.open(path) as sequence:
        assert sequence[8].keys() == {"a", "b"}  # modules are imported, kernels are there
    with ExitStack() as stack:
        if way == "append":
            writer = stack.enter_context(nmc.Writer(tmp_path / "b.nmc"))
            writer.append(states[0])
            found = visited(lambda: writer.append(states[1]))
        elif way == "open":
            found = visited(lambda: stack.enter_context(nmc.open(path)))
        else:
            sequence = stack.enter_context(nmc.open(path))
            found = visited(lambda: sequence[7])
    drawn = listed(way)
    assert len(drawn) > 8
    assert [module for module in found if module in drawn] == drawn
