"""``nmc bench sync``: every line brings every state, and the figures are of what travelled."""

import json

import numpy as np
import pytest

from nmc_tools.bench.chains import SMALL, SPARSE_STEPS, sparse_weights
from nmc_tools.bench_sync.methods import LINES, MODULES


@pytest.mark.parametrize("name", LINES)
def test_every_line_brings_every_state(name):
    if name in MODULES:
        pytest.importorskip(MODULES[name])
    states = list(sparse_weights(SMALL, SPARSE_STEPS[3]))
    line = LINES[name]()
    line.start(states[0])
    for state in states[1:]:
        data = line.send(state)
        assert isinstance(data, bytes)
        assert len(data) < 0.5 * sum(array.nbytes for array in state.values())
        came = line.receive(data)
        assert all(came[k].tobytes() == state[k].tobytes() for k in state)


def test_a_checksum_that_differs_is_noticed():
    states = list(sparse_weights(SMALL, SPARSE_STEPS[3]))
    line = LINES["XOR, zstd (miles, ModelExpress)"]()
    line.start(states[0])
    data = line.send(states[1])
    other = LINES["XOR, zstd (miles, ModelExpress)"]()
    other.start({name: np.roll(array, 1) for name, array in states[0].items()})
    with pytest.raises(ValueError, match="checksum"):
        other.receive(data)


def test_the_command(run, tmp_path):
    pytest.importorskip("z4ai")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- bench-sync -->\n<!-- /bench-sync -->\nb\n")
    outcome = run("bench", "sync", "--quick", "--rounds", 1, "--changed", 3, "--into", page)
    assert outcome.code == 0, outcome
    assert "| **nmc message, fast** |" in page.read_text()
    assert outcome.progress
    rows = json.loads(run("bench", "sync", "--quick", "--rounds", 1, "--json").out)
    assert {row["method"] for row in rows} == set(LINES)
    assert all(row["size"] < row["raw"] for row in rows)


def test_an_unknown_share(run):
    assert run("bench", "sync", "--changed", 50).code == 2
