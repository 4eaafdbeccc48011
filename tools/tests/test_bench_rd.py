"""The benchmark of rate and distortion at toy size: points, curves, tables, and what is absent."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")
pytestmark = pytest.mark.usefixtures("one_thread")

BASELINE = "uniform + zstd -19"


@pytest.mark.slow(minutes=0.05)
def test_a_toy_run_goes_on_where_it_stopped(command_line, tmp_path):
    document = tmp_path / "B.md"
    document.write_text("a\n<!-- bench-rd -->\nold\n<!-- /bench-rd -->\nz\n")
    out = tmp_path / "out"
    arguments = ("bench", "rd", "--quick", "--no-nncodec", "-o", out)
    first = command_line(*arguments, "--codec", BASELINE)
    assert first.code == 0 and "nmc lossless" not in first.out
    before = json.loads((out / "points-toy.json").read_text())["points"]
    second = command_line(*arguments, "--into", document)
    assert second.code == 0
    points = json.loads((out / "bench-rd.json").read_text())["chains"]["toy"]
    assert [p for p in before if p in [{k: q[k] for k in p} for q in points]] == before
    assert BASELINE not in "".join(second.progress)
    text = (out / "bench-rd.md").read_text()
    assert document.read_text() == f"a\n<!-- bench-rd -->\n{text}<!-- /bench-rd -->\nz\n"
    assert "**nmc lossless**, max" in text and text in second.out
    page = (out / "bench-rd.html").read_text()
    assert page.count("<tr") == 1 + len(points) and "data:image/png" in page
    assert (out / "bench-rd.png").stat().st_size > 5000
    printed = command_line(*arguments, "--json")
    assert json.loads(printed.out)["chains"]["toy"] == points


def test_what_is_not_there_is_refused_by_name(command_line, tmp_path):
    for option, word in (("--chain", "no chain nothing"), ("--codec", "no codec nothing")):
        quick = () if option == "--chain" else ("--quick",)
        done = command_line(
            "bench", "rd", *quick, "--no-nncodec", "-o", tmp_path / "o", option, "nothing"
        )
        assert done.code == 2 and word in done.err


def test_a_chain_that_is_absent_is_left_out_and_said(command_line, tmp_path, monkeypatch):
    monkeypatch.setenv("NMC_SHARED_DATA", str(tmp_path / "nowhere"))
    done = command_line("bench", "rd", "--no-nncodec", "-o", tmp_path / "o", "--chain", "nerf_all")
    assert done.code == 0
    assert "Chain `nerf_all` is left out" in done.err
    assert "Chain `nerf_all` is left out" in (tmp_path / "o" / "bench-rd.md").read_text()


def test_nncodec_that_cannot_be_had_is_left_out_and_said(command_line, tmp_path, monkeypatch):
    from nmc_tools.bench_rd import nncodec_peer

    def refuse(_, what):
        raise nncodec_peer.PeerError(f"{what}: no such distribution")

    monkeypatch.setattr(nncodec_peer, "_run", refuse)
    done = command_line("bench", "rd", "--quick", "-o", tmp_path / "o", "--codec", "NNCodec intra")
    assert done.code == 0
    assert "NNCodec is left out" in done.err and "could not be made" in done.err


@pytest.fixture
def states():
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((9, 7)).astype(np.float32)
    found = []
    for t in range(12):
        found.append(
            {
                "w": weight + np.float32(0.01) * rng.standard_normal((9, 7)).astype(np.float32),
                "half": (weight[0] + t / 64).astype(np.float16),
                "count": np.array([2**60 + t, -5], np.int64),
                "mask": weight > t / 8,
                "empty": np.zeros((0, 3), np.float32),
                "broken": np.array([np.nan, t, np.inf], np.float32),
                "constant": np.full(3, 0.013, np.float32),
            }
        )
    return found


def test_a_uniform_quantiser_is_off_by_half_a_step_at_any_depth(states, tmp_path):
    from nmc_tools.bench_rd.baselines import codecs

    by_name = {codec.name: codec for codec in codecs([-6])}
    code = by_name[BASELINE]
    coded = code.code(states, code.settings["step 2^-6"], tmp_path)
    estimate = by_name["uniform, order-0 entropy"]
    ideal = estimate.code(states, estimate.settings["step 2^-6"], tmp_path)
    for state, found, other in zip(states, coded.states, ideal.states, strict=True):
        for name, array in state.items():
            assert found[name].dtype == array.dtype and found[name].shape == array.shape
            assert other[name].tobytes() == found[name].tobytes()
            if name in ("w", "half", "constant"):
                assert np.abs(found[name].astype(float) - array).max() <= 2**-7 + 2**-11
            else:
                assert found[name].tobytes() == array.tobytes()
    ranges = by_name["7 and 8 bits a tensor + zstd -19"]
    seven = ranges.code(states, ranges.settings["7 bits"], tmp_path).states[0]
    assert seven["constant"].tobytes() == states[0]["constant"].tobytes()  # it has no range
    assert np.abs(seven["w"] - states[0]["w"]).max() <= np.ptp(states[0]["w"]) / 127 / 2 + 1e-6
    assert len(coded.frames) == 12 and coded.frames[10] > coded.frames[9] * 0.9
    assert math.isnan(ideal.encode) and coded.encode > 0


@pytest.mark.parametrize("setting", ["fp16", "bf16"])
def test_half_precision_comes_back_as_halves(states, tmp_path, setting):
    from nmc_tools.bench_rd.baselines import codecs

    code = codecs([])[-1]
    coded = code.code(states, code.settings[setting], tmp_path)
    dtype = np.dtype(code.settings[setting])
    for state, found in zip(states, coded.states, strict=True):
        assert found["mask"].tobytes() == state["mask"].tobytes()
        assert found["count"].tobytes() == state["count"].tobytes()
        whole = state["w"].astype(dtype).astype(np.float32)
        assert found["w"].tobytes() == whole.tobytes()


def _point(**changes):
    from nmc_tools.bench_rd.points import Point

    point = Point(
        "c", "s", "peer", False, key=100, delta=10, rest=5, frames=10, raw=1e3,
        fidelity=40.0, held_out=None, encode=1.0, decode=1.0,
    )  # fmt: skip
    return replace(point, **changes)


def _curve(scale):
    sizes = ((100, 30), (200, 36), (400, 42), (800, 48))
    return [_point(delta=scale * size, fidelity=float(dB)) for size, dB in sizes]


def test_the_bd_rate_of_half_the_bytes_is_minus_fifty():
    from nmc_tools.bench_rd.curves import bd_rate, curve

    anchor, test = (curve(_curve(scale), lambda p: p.delta) for scale in (1, 0.5))
    found = bd_rate(anchor, test)
    assert found.percent == pytest.approx(-50) and (found.lower, found.upper) == (30, 48)
    assert bd_rate(anchor, anchor).percent == pytest.approx(0)
    assert anchor.rate_at(36) == pytest.approx(200) and anchor.rate_at(29.9) is None


def test_a_curve_leaves_out_what_is_worse_and_what_is_exact():
    from nmc_tools.bench_rd.curves import bd_rate, curve

    points = [*_curve(1), _point(delta=300, fidelity=35.0), _point(delta=9, fidelity=None)]
    found = curve(points, lambda p: p.delta)
    assert found.rate == (100, 200, 400, 800)
    beyond = curve([replace(p, fidelity=p.fidelity + 60) for p in points[:4]], lambda p: p.delta)
    assert bd_rate(found, beyond) is None
    assert bd_rate(found, curve(points[:2], lambda p: p.delta)) is None


def test_the_rate_is_that_of_a_group_of_ten():
    assert _point().rate == pytest.approx((100 + 9 * 10 + 5) / 10)


def test_states_that_came_back_wrong_are_no_point():
    from nmc_tools.bench_rd.chains import toy_chain
    from nmc_tools.bench_rd.coded import Codec, Coded
    from nmc_tools.bench_rd.points import measure

    chain = toy_chain()

    def lose(states, *_):
        kept = [{n: a for n, a in s.items() if n != "occupied"} for s in states]
        return Coded((1.0,) * len(kept), 0.0, kept)

    with pytest.raises(ValueError, match="frame 0 came back with other tensors"):
        measure(chain, Codec("c", {"s": None}, lose), "s")
    with pytest.raises(ValueError, match="1 decoded states of 3"):
        measure(chain, Codec("c", {"s": None}, lambda s, *_: Coded((1.0,), 0.0, s[:1])), "s")


def test_the_splats_move_in_part_and_are_judged_by_their_ranges():
    from nmc_tools.bench_rd.chains import splat_chain

    chain = splat_chain(points=500, frames=2)
    a, b = chain.states
    moved = (a["xyz"] != b["xyz"]).any(axis=1)
    assert 0.1 < moved.mean() < 0.3 and (a["rotation"] == b["rotation"])[~moved].all()
    assert chain.judge(0, a).fidelity == math.inf
    off = {name: x + np.float32(0.1) * np.ptp(x) for name, x in a.items()}
    assert chain.judge(0, off).fidelity == pytest.approx(20, abs=0.01)


def test_the_script_of_nncodec_is_not_for_us():
    """It runs with NumPy below 2 and must compile with nothing of ours."""
    import nmc_tools.bench_rd.nncodec_peer as peer

    text = peer._SCRIPT.read_text(encoding="utf-8")
    assert "nmc" not in text.replace("nncodec", "").replace("nnc", "")
    compile(text, "script", "exec")
    assert "nncodec" not in sys.modules


def test_steps_from_sensitivity_give_the_fidelity_that_is_aimed_at(tmp_path):
    from nmc_tools.bench_rd import baselines, sensitivity
    from nmc_tools.bench_rd.chains import toy_chain
    from nmc_tools.bench_rd.points import measure

    # Nobody sees the bias; of the weight the first 8 rows and the others are apart.
    chain = replace(toy_chain(), parts={"layer.weight": [8, 40]})
    path = tmp_path / "sensitivity.json"
    found = sensitivity.measured(chain, path)
    assert [(p.name, p.rows, p.count) for p in found.parts] == [
        ("layer.weight", 8, 256), ("layer.weight", 40, 1280), ("layer.bias", 32, 32)
    ]  # fmt: skip
    assert found == sensitivity.measured(chain, path)
    weight, bias = found.steps(45)["layer.weight"], found.steps(45)["layer.bias"]
    assert weight[0][1] == pytest.approx(weight[1][1], rel=0.1)
    assert bias[0][1] > 10 * weight[0][1]
    rows = sensitivity.by_row(found.steps(45))
    assert rows["layer.weight"].shape == (48,) and rows["layer.bias"].shape == (32,)
    point = measure(chain, baselines.by_sensitivity({"aim": rows}), "aim")
    assert point.fidelity == pytest.approx(45, abs=1)


def test_rows_and_tensors_have_steps_of_their_own(tmp_path):
    from nmc_tools.bench_rd.baselines import uniform

    array = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    state = {"a": array, "b": array[0], "kept": array[1]}
    steps = {"a": np.array([1, 1, 2**-9, 2**-9]), "b": 0.25}
    found = uniform([state, state], lambda name, _: steps.get(name), tmp_path).states[1]
    assert found["kept"].tobytes() == array[1].tobytes()
    assert set(found["b"].tolist()) <= {0, 0.25} and set(found["a"][:2].ravel().tolist()) <= {0, 1}
    assert 0 < np.abs(found["a"][2:] - array[2:]).max() <= 2**-10


def test_a_package_that_was_trained_is_a_point_without_fidelity(command_line, tmp_path):
    import nmc
    from nmc_tools.bench_rd.chains import toy_chain

    states = toy_chain().states
    for name, count in (("small", 3), ("short", 2)):
        with nmc.Writer(tmp_path / f"{name}.nmc") as writer:
            for state in states[:count]:
                writer.append(state)
    arguments = (
        "bench", "rd", "--quick", "--no-nncodec", "-o", tmp_path / "o",
        "--codec", "nmc trained for rate", "--trained",
    )  # fmt: skip
    done = command_line(*arguments, tmp_path / "small.nmc", "--json")
    assert done.code == 0
    (point,) = json.loads(done.out)["chains"]["toy"]
    assert point["fidelity"] is None and point["held_out"] == 0 and point["encode"] is None
    total = (tmp_path / "small.nmc").stat().st_size
    assert point["key"] + 2 * point["delta"] + point["rest"] == pytest.approx(total)
    assert "**nmc trained for rate**, small" in (tmp_path / "o" / "bench-rd.md").read_text()
    refused = command_line(*arguments, tmp_path / "short.nmc")
    assert refused.code == 2 and "2 frames of 3" in refused.err


def test_ours_is_lossy_as_far_as_its_step_says(tmp_path):
    from nmc_tools.bench_rd import ours
    from nmc_tools.bench_rd.chains import toy_chain

    states = toy_chain().states
    one_step, quality = ours.lossy([-6])
    assert len(quality.settings) == 7
    coded = one_step.code(states, one_step.settings["step 2^-6"], tmp_path)
    for state, found in zip(states, coded.states, strict=True):
        assert found["occupied"].tobytes() == state["occupied"].tobytes()
        assert 0 < np.abs(found["layer.weight"] - state["layer.weight"]).max() <= 2**-5
    assert sum(coded.frames) + coded.rest == (tmp_path / "chain.nmc").stat().st_size


@pytest.mark.parametrize("method", ["AdaRound", "QAT"])
def test_learned_rounding_is_nearer_to_the_model_than_the_nearest(method):
    from nmc_framework.metrics import psnr
    from nmc_framework.models import build
    from nmc_framework.rendering import render_image
    from nmc_framework.scene import orbit_camera
    from nmc_tools.bench_rd import baselines
    from nmc_tools.bench_rd.learned_rounding import Teacher, learned_levels

    options = {"levels": 3, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8,
               "geometry": 3, "samples": 24, "occupancy": 8}  # fmt: skip
    model = build("hash_grid", options, seed=1)
    rng = np.random.default_rng(0)
    state = {
        name: rng.normal(0, 0.5, array.shape).astype(np.float32) if "table" in name else array
        for name, array in model.save().items()
    }
    cameras = [orbit_camera(azimuth, 20, (24, 24)) for azimuth in (200, 250)]
    grid = {name: 0.25 for name in state if "table" in name}
    levels = learned_levels(Teacher(model, cameras), method, 40, state, grid)
    assert levels["density_network.0.weight"] is state["density_network.0.weight"]
    nearest = baselines.levels_of(state, grid)
    moved = {name: levels[name] - nearest[name] for name in grid}
    assert any(change.any() for change in moved.values())
    if method == "AdaRound":
        for name in grid:
            assert set(np.unique(levels[name] - np.floor(state[name] / 0.25))) <= {0, 1}

    def pictures(found):
        model.load(found)
        return np.stack([render_image(model, camera) for camera in cameras])

    truth = pictures(state)
    found, plain = (pictures(baselines.restored(e, grid, state)) for e in (levels, nearest))
    assert psnr(found, truth) > psnr(plain, truth)
