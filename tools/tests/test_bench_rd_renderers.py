"""The renderers of the trained chains: fidelity of a state, and that a picture shows something."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

_BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
CHAINS = Path(os.environ.get("NMC_SHARED_DATA", _BESIDE)) / "chains"


def _linear(rng, name, out, into):
    bound = 1 / np.sqrt(into)
    weight = rng.uniform(-bound, bound, (out, into)).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": np.full(out, 0.1, np.float32)}


def _nerf(width=4):
    rng = np.random.default_rng(1)
    state = {}
    for i in range(8):
        into = 63 if i == 0 else width + 63 * (i == 5)
        state |= _linear(rng, f"pts_linears.{i}", width, into)
    state |= _linear(rng, "sigma", 1, width) | _linear(rng, "feature", width, width)
    return state | _linear(rng, "views", 2, width + 27) | _linear(rng, "rgb", 3, 2)


def _hash():
    rng = np.random.default_rng(2)
    state = {"encoder.embeddings": rng.normal(0, 0.1, (1_116_262, 2)).astype(np.float32)}
    state |= _linear(rng, "sigma_net.0", 64, 24) | _linear(rng, "sigma_net.2", 16, 64)
    state |= _linear(rng, "color_net.0", 64, 42) | _linear(rng, "color_net.2", 64, 64)
    return state | _linear(rng, "color_net.4", 3, 64)


@pytest.mark.parametrize("make", [_nerf, _hash])
def test_fidelity_falls_with_the_error(make):
    from nmc_tools.bench_rd.distortion import fidelity

    state = make()
    against = fidelity(state, every=499)
    assert against(state) == float("inf")
    rng = np.random.default_rng(3)
    noise = {name: rng.standard_normal(a.shape).astype(np.float32) for name, a in state.items()}
    found = [
        against({name: a + np.float32(size) * noise[name] for name, a in state.items()})
        for size in (1e-5, 1e-3, 1e-1)
    ]
    assert np.isfinite(found).all() and found[0] > found[1] > found[2]


def test_the_levels_fill_the_table():
    from nmc_tools.bench_rd.hash_chain import CELLS, level_rows

    rows = level_rows()
    assert len(rows) == len(CELLS) == 12
    assert rows[0][0] == 0 and rows[-1][1] == 1_116_262
    assert all(floor == int(16 * 20 ** (i / 11) + 1e-9) for i, floor in enumerate(CELLS))


def test_only_touched_cells_are_looked_at():
    import torch

    from nmc_tools.bench_rd.hash_chain import level_rows, occupancy

    table = torch.zeros(1_116_262, 2)
    first, last = level_rows()[4]
    lattice = table[first:last].view(48, 48, 48, 2)
    lattice[3:5, 7:9, 11:13, 1] = 1  # the eight vertices of one cell
    lattice[20:22, 20:22, 20, 0] = 1  # of this cell only four
    assert occupancy(table).cells.nonzero().tolist() == [[3, 7, 11]]


def test_a_state_of_another_kind_is_refused():
    from nmc_tools.bench_rd.distortion import fidelity

    with pytest.raises(ValueError, match="no renderer is known"):
        fidelity({"weight": np.zeros(3, np.float32)})


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["nerf_all", "hash_all"])
def test_the_trained_chains_show_the_room(chain):
    from safetensors.numpy import load_file

    from nmc_tools.bench_rd.distortion import pictures

    path = CHAINS / chain / "frame_0001.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is absent (NMC_SHARED_DATA says where the data lies)")
    state = load_file(path)
    seen = pictures(state, every=29)(state)
    # A wrong lattice, a wrong encoding or a camera that looks elsewhere gives one even colour.
    assert seen.std(axis=0).min() > 0.12
    assert 0.2 < seen.mean() < 0.7
