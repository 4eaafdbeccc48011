"""Peers of the benchmark that not every machine has."""

import importlib.util

import pytest

from nmc_tools.bench import __main__ as bench
from nmc_tools.bench.peers import METHODS, MODULES
from nmc_tools.bench.worker import _TINY, _round_trip


@pytest.mark.parametrize("name", MODULES)
def test_a_peer_gives_every_frame_back(name):
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    coded = _round_trip(METHODS[name](), _TINY)
    raw = sum(array.nbytes for array in _TINY.frames[0].values())
    assert all(0 < len(data) < raw for data in coded.values())


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setitem(MODULES, "z4ai, delta", "no_module_of_this_name")
    assert not bench._installed("z4ai, delta")
    assert bench._installed("nmc fast")
