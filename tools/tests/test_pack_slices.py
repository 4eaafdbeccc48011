"""``nmc pack`` says where slices were matched, and where it fell back (clause 6.2.6)."""

import json

import numpy as np
import pytest

from nmc_tools import checkpoints

COUNT = 600


@pytest.fixture
def run(tmp_path):
    """Three checkpoints of points that are pruned, added and shuffled; ids are pairs of numbers."""
    rng = np.random.default_rng(0)
    ids, values = np.arange(COUNT), rng.standard_normal((COUNT, 20)).astype("f4")
    for t in range(3):
        state = {"id": np.stack([ids % 9, ids // 9], 1).astype(np.int32), "values": values}
        checkpoints.write(tmp_path / f"f{t}.safetensors", state, to="safetensors")
        keep = rng.permutation(ids.size)[6:]
        ids = np.concatenate([ids[keep], COUNT + 6 * t + np.arange(6)])
        moved = values[keep] * (1 + 0.2 * rng.standard_normal((keep.size, 20)))
        values = np.concatenate([moved, rng.standard_normal((6, 20))]).astype("f4")
    return tmp_path


def test_ids_are_used_and_said(command_line, run):
    done = command_line("pack", run, "-o", run / "a.nmc", "--row-id", "id")
    assert done.code == 0
    assert "frames 1 to 2: slices of id, values were matched by ids, 99.0 % found again" in (
        done.err.replace("\n", " ")
    )
    done = command_line("pack", run, "-o", run / "b.nmc", "--row-id", "id", "--json")
    assert json.loads(done.out)["slices"][0] == {
        "frame": 1,
        "tensors": ["id", "values"],
        "count": COUNT,
        "found": COUNT - 6,
        "by": "ids",
    }
    again = command_line("pack", run / "a.nmc", "-o", run / "c.nmc", "--row-id", "id", "--json")
    assert len(json.loads(again.out)["slices"]) == 2


def test_ids_that_are_none_are_refused(command_line, run):
    done = command_line("pack", run, "-o", run / "a.nmc", "--row-id", "ids")
    assert done.code == 1
    assert "there is no tensor 'ids', by which slices are to be matched" in done.err.replace(
        "\n", " "
    )


@pytest.mark.parametrize("static", [300, 0], ids=["in a delta frame", "in a key frame"])
def test_what_falls_back_is_said(command_line, run, static):
    big = {"big": np.ones((static, static), "f4")} if static else {}
    for t in range(2):
        state = dict(checkpoints.read(run / f"f{t}.safetensors").state)
        rows = {name: values[: COUNT - 100 * t] for name, values in state.items()}
        checkpoints.write(run / f"f{t}.safetensors", rows | big, to="safetensors")
    (run / "f2.safetensors").unlink()
    done = command_line("pack", run, "-o", run / "a.nmc", "--entropy", "zstd", "--detect-frozen")
    assert done.code == 0
    text = done.err.replace("\n", " ")
    assert "frame 1: id, values changed shape and fell back to being coded whole" in text
    assert "--row-id" in text
    again = command_line("pack", run / "a.nmc", "-o", run / "b.nmc", "--entropy", "zstd")
    assert "fell back to being coded whole" in again.err.replace("\n", " ")
