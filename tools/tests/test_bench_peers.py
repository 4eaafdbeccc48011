"""The benchmark: every peer gives every frame back, and every row runs."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from nmc_tools.bench import __main__ as bench
from nmc_tools.bench import usage
from nmc_tools.bench.chains import SMALL, Chain, rounded, sources
from nmc_tools.bench.peers import CHANGING, METHODS, module_of
from nmc_tools.bench.result_tables import beside_table, use_table
from nmc_tools.bench.worker import TINY, round_trip

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # ZipNN's


def skip_if_missing(name):
    if importlib.util.find_spec(module_of(name)) is None:
        pytest.skip(f"{module_of(name)} is not installed")


def halves():
    """Return a chain of 16-bit floats, as bits that any library takes."""
    import ml_dtypes

    frames = [{n: a.astype(ml_dtypes.bfloat16) for n, a in f.items()} for f in TINY.frames]
    return Chain("halves", tuple(frames))


@pytest.mark.parametrize("chain", [TINY, halves()], ids=lambda chain: chain.name)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_every_frame_back(name, chain):
    skip_if_missing(name)
    method = METHODS[name]()
    coded, _, _ = round_trip(method, chain)
    method.end()
    raw = sum(array.nbytes for array in chain.frames[0].values())
    assert all(0 < len(data) < raw + 4000 for data in coded.values())


@pytest.mark.parametrize("name", CHANGING)
def test_a_method_gives_frames_back_whose_shape_changes(name):
    skip_if_missing(name)
    more = {n: np.concatenate([a, a[:5] * 2]) for n, a in TINY.frames[1].items()}
    less = {n: a[3:] for n, a in more.items()}
    chain = Chain("changing", (TINY.frames[0], more, less))
    assert chain.changes_shape
    method = CHANGING[name]()
    round_trip(method, chain)
    method.end()


def test_no_method_pays_for_an_array_in_the_form_that_it_takes():
    assert TINY.flat(1) is TINY.flat(1)
    assert all(np.shares_memory(words, TINY.flat(1)) for words in TINY.words(1))
    assert np.array_equal(np.concatenate(TINY.words(1)), TINY.flat(1))


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(bench, "module_of", lambda method: f"no_module_for_{method[:4]}")
    assert not bench._installed("z4ai, delta")


def test_made_chains_are_what_they_say(tmp_path):
    made = {s.folder.name: s for s in sources(tmp_path, SMALL, None, None)}
    for percent, low, high in ((1, 0.7, 1.4), (3, 2.5, 3.6), (8, 7, 9)):
        chain = bench.load(made[f"sparse_bf16_{percent}"].folder)
        share = 100 * np.mean(chain.flat(0) != chain.flat(1))
        assert low < share < high
        assert chain.flat(0).itemsize == 2
    assert not bench.load(made["splats_in_place"].folder).changes_shape
    assert bench.load(made["splats_pruned"].folder).changes_shape
    weights = bench.load(made["checkpoint"].folder).frames
    assert {n.rpartition(".")[2] for n in weights[0]} == {"weight", "exp_avg", "exp_avg_sq"}


@pytest.mark.slow
def test_every_table_is_made(tmp_path, monkeypatch):
    made = {s.folder.name: s for s in sources(tmp_path, SMALL, None, None)}
    few = [made["sparse_bf16_3"], made["splats_shuffled"]]
    monkeypatch.setattr(bench, "sources", lambda *_: few)
    monkeypatch.setattr(bench, "measure_start", lambda _: {"nmc --version": 0.25})
    monkeypatch.setattr(bench, "measure_package", lambda *_: PACKAGE)
    monkeypatch.setattr(bench, "METHODS", {"nmc fast": None, "safetensors": None})
    monkeypatch.setattr(bench, "CHANGING", {"nmc fast, package": None})
    monkeypatch.setattr(sys, "argv", ["bench", "--small", "-o", str(tmp_path / "out")])
    bench.main()
    figures = json.loads((tmp_path / "out/bench.json").read_text())
    assert {name: set(rows) for name, rows in figures["coders"].items()} == {
        "sparse_bf16_3": {"nmc fast"},  # what is known to be behind is not measured on it
        "splats_shuffled": {"nmc fast, package"},
    }
    assert figures["coders"]["sparse_bf16_3"]["nmc fast"]["ratio"] > 8
    text = (tmp_path / "out/bench.md").read_text()
    for table in ("one of 16 tensors", "nmc --version", "2 threads"):
        assert table in text


PACKAGE = dict.fromkeys(
    (
        *("ratio", "package_ratio", "container", "container_share"),
        *("encode", "decode", "unverified", "seek"),
    ),
    1.0,
) | {"seek_frames": 2}


def test_programs_are_measured_with_so_many_threads(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(usage, "_run", ran.append)
    programs = usage._programs(tmp_path, usage._states(1 << 10, 2))
    assert list(programs) == ["`nmc pack`, nmc fast", "`nmc unpack`, nmc fast"]
    for program in programs.values():
        program(2)
    assert [command[4] for command in ran] == ["pack", "unpack"]
    assert all(command[-2:] == ["--jobs", "2"] for command in ran)
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_memory_of_larger_states_has_rows_without_a_time():
    used = {"nmc fast": {"writing": 2.1, "reading": 2.0}}
    used["nmc fast, states of 268 MB"] = used["nmc fast"]
    table = use_table(used, {"nmc fast": {"state": 0.5, "tensor": 0.01}}, 16)
    assert table.splitlines()[2:] == [
        "| nmc fast | 2.10 | 2.00 | 500.0 ms | 10.0 ms |",
        "| nmc fast, states of 268 MB | 2.10 | 2.00 |  |  |",
    ]


def test_starts_are_measured(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(usage, "_run", lambda command, *_: ran.append(command))
    assert "first package, strong" in usage.measure_start(tmp_path)
    usage_run = [command for command in ran if command[-1] == "--version"]
    done = subprocess.run(usage_run[0], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nmc ")


def test_the_table_beside_pcodec_has_ratios():
    def of(size, encode, decode):
        return {"bytes_per_frame": size, "encode": encode, "decode": decode}

    methods = {
        "nmc fast": of(95, 300, 160),
        "pcodec 8, integer difference": of(102, 200, 200),
        "pcodec 12, ordered difference": of(100, 20, 50),
    }
    table = beside_table({"a": methods, "its shape changes": {"nmc fast": of(1, 2, 3)}})
    assert table.splitlines()[2:] == ["| a | -5.0 % | 1.50 times | 0.80 times |"]


def test_a_chain_is_rounded_to_bf16():
    chain = Chain("x", ({"a": np.array([1, 1.001], "f4")}, {"a": np.array([2, 2.001], "f4")}))
    made = Chain("y", tuple(rounded(chain)))
    assert [made.words(t)[0].tolist() for t in (0, 1)] == [[0x3F80, 0x3F80], [0x4000, 0x4000]]
