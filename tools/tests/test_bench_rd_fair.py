"""What the benchmark of rate and distortion must not do: judge by what it measured, mix runs."""

from dataclasses import replace

import numpy as np
import pytest

import nmc

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_steps_are_measured_by_other_cameras_than_those_that_judge(tmp_path):
    from nmc_tools.bench_rd import sensitivity
    from nmc_tools.bench_rd.chains import toy_chain

    def judge(*_):
        raise AssertionError("steps were measured by who judges")

    whole = toy_chain()
    chain = replace(whole, judge=judge, measured=lambda state: whole.judge(0, state).fidelity)
    found = sensitivity.measured(chain, tmp_path / "s.json")
    assert found == sensitivity.measured(whole, tmp_path / "t.json")


def test_the_rings_that_measure_and_judge_are_others():
    from nmc_tools.bench_rd.encodings import MEASURING, RING

    assert not set(MEASURING.azimuths) & set(RING.azimuths)
    assert MEASURING.elevation != RING.elevation


def test_a_kept_sensitivity_is_of_its_chain_alone(tmp_path):
    from nmc_tools.bench_rd import sensitivity
    from nmc_tools.bench_rd.chains import toy_chain

    chain, path = toy_chain(), tmp_path / "s.json"
    first = sensitivity.measured(chain, path)
    scaled = [{n: a * 2 if a.dtype.kind == "f" else a for n, a in s.items()} for s in chain.states]
    other = replace(chain, states=scaled)
    assert sensitivity.measured(other, path) != first
    assert sensitivity.measured(chain, path) == first


def test_points_of_other_numbers_or_another_coder_are_not_there(tmp_path, monkeypatch):
    from nmc_tools.bench_rd import points, versions
    from nmc_tools.bench_rd.baselines import codecs
    from nmc_tools.bench_rd.chains import toy_chain
    from nmc_tools.bench_rd.run import _scale

    chain = toy_chain()
    file = points.PointFile(tmp_path / "p.json", _scale(chain))
    codec = codecs([-6])[0]
    file.add(points.measure(chain, codec, "step 2^-6"))
    assert len(file.read()) == 1
    moved = [{n: a + a.dtype.type(1) for n, a in s.items()} for s in chain.states]
    assert _scale(replace(chain, states=moved)) != _scale(chain)
    assert not points.PointFile(file.path, _scale(replace(chain, states=moved))).read()
    assert {versions.version_of(kind) for kind in ("ours", "peer", "baseline")} == {
        versions.version_of(kind) for kind in ("ours", "peer", "estimate")
    }
    monkeypatch.setattr(points, "version_of", lambda kind: f"another {kind}")
    assert not file.read()


def _points(codec, kind, pairs):
    from nmc_tools.bench_rd.points import Point

    return [
        Point(codec, str(rate), kind, False, rate, rate, 0.0, 10, 1e6, None, held_out, 1.0, 1.0)
        for rate, held_out in pairs
    ]


def test_bytes_at_equal_quality_are_read_off_the_anchor():
    from nmc_tools.bench_rd.equal import at_equal_quality
    from nmc_tools.bench_rd.presentation import equal_table

    anchor = _points("NNCodec differential", "peer", [(100, -2.0), (200, -1.0), (400, -0.05)])
    anchor += _points("NNCodec differential", "peer", [(800, 0.0), (900, -0.5)])
    trained = _points("nmc trained for rate", "trained", [(20, -1.0), (30, 0.6), (5, -3.0)])
    equal, better, worse = at_equal_quality([*anchor, *trained], "NNCodec differential")
    assert equal.held_out == -1.0 and equal.times == pytest.approx(200 * 10 / (20 * 10))
    assert better.held_out == pytest.approx(-0.1) and 200 < better.rate < 400
    assert worse.held_out == -2.0 and worse.rate == pytest.approx(100)
    assert "| 10.0 |" in equal_table([*anchor, *trained])
    assert equal_table(anchor) == "" == equal_table(trained)


@pytest.mark.parametrize(("loss", "low", "high"), [(0.3, 41.0, 42.0), (0.05, 46.0, 48.0)])
def test_the_aim_that_costs_just_so_much_is_found(loss, low, high):
    from nmc_tools.bench_rd import aim

    tried = []

    def measure(decibels):
        tried.append(decibels)
        (point,) = _points("c", "ours", [(decibels, 0.046 * (decibels - 41.0) - 0.314)])
        return replace(point, setting=f"aim {decibels:g} dB")

    known = [measure(decibels) for decibels in (50.0, 41.0)]
    tried.clear()
    aim.looked_for(measure, known, loss=loss)
    assert 0 < len(tried) < 7 and low < tried[-1] < high
    assert aim.is_met([measure(tried[-1])], loss) and not aim.is_met(known, loss)


@pytest.fixture
def plain(tmp_path):
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((40, 30)).astype(np.float32)
    path = tmp_path / "mine.nmc"
    with nmc.Writer(path) as writer:
        for t in range(3):
            moved = weight + np.float32(0.01 * t) * rng.standard_normal((40, 30))
            writer.append({"w": moved.astype(np.float32), "k": np.array([t], np.int64)})
    return path


def test_a_package_without_cameras_is_judged_by_its_numbers(plain):
    from nmc_tools.bench_rd.baselines import codecs
    from nmc_tools.bench_rd.packaged import packaged_chain
    from nmc_tools.bench_rd.points import measure

    chain = packaged_chain(plain)
    assert (chain.name, chain.seen, chain.exponents) == (
        "mine",
        "its numbers",
        list(range(-2, -9, -1)),
    )
    codec = codecs([-4, -8])[0]
    coarse, fine = (measure(chain, codec, f"step 2^{e}") for e in (-4, -8))
    peak = float(np.ptp(chain.states[0]["w"]))
    expected = 20 * np.log10(peak * 12**0.5 / 2.0**-8)
    assert fine.fidelity == pytest.approx(expected, abs=0.5)
    assert fine.fidelity - coarse.fidelity == pytest.approx(24.1, abs=0.5)


def test_a_broken_package_is_refused_with_its_code(plain, command_line, tmp_path):
    plain.write_bytes(plain.read_bytes()[:-40])
    done = command_line("bench", "rd", "--chain", plain, "--no-nncodec", "-o", tmp_path / "o")
    assert done.code == 1 and "Traceback" not in done.err and "package/" in done.err


def test_a_package_with_cameras_is_judged_by_some_and_measured_by_others(tmp_path):
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.models import build
    from nmc_framework.scene import arc_rig
    from nmc_tools.bench_rd.packaged import packaged_chain
    from nmc_tools.commands.framework import package_cameras

    options = {"levels": 3, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8,
               "geometry": 3, "samples": 24, "occupancy": 8}  # fmt: skip
    model = build("hash_grid", options, seed=1)
    rig = arc_rig(4, 1, (12, 12))
    path = tmp_path / "seen.nmc"
    with nmc.Writer(path, **model.in_package()) as writer:
        writer.set_cameras(package_cameras(RigDocument(rig.cameras)))
        writer.append(model.save())
    chain = packaged_chain(path)
    assert "of its cameras" in chain.seen and chain.curvature is not None
    assert chain.judge(0, chain.states[0]).fidelity == np.inf == chain.measured(chain.states[0])
    noisy = {
        name: a + np.float32(0.1) if "table" in name else a for name, a in chain.states[0].items()
    }
    assert 0 < chain.measured(noisy) < 90 and 0 < chain.judge(0, noisy).fidelity < 90
    assert chain.curvature(0).elements


def test_errors_are_told_of_both_ends_of_a_chain(tmp_path):
    from nmc_tools.bench_rd import drift
    from nmc_tools.bench_rd.chains import toy_chain

    chain = toy_chain()
    rows = drift.measured(chain, tmp_path, lambda *_: None)
    assert [row.aim for row in rows] == list(drift.AIMS)
    for row in rows:
        assert row.frames == 3 and row.key > row.delta > 0
        assert row.fidelity[0] == pytest.approx(row.aim, abs=3)
    fine, coarse = rows[0], rows[-1]
    assert fine.key > coarse.key and coarse.held_out[2] <= coarse.held_out[0]
    silent = replace(chain, judge=None, states=chain.states)
    assert drift.measured(silent, tmp_path, None) == rows  # it was kept
    assert "| aim 46 dB |" in drift.table("toy", rows)


def test_the_large_mlp_is_as_large_as_it_says():
    from dataclasses import fields

    from nmc_framework.models import build
    from nmc_tools.bench_rd.chains import BenchChain
    from nmc_tools.bench_rd.run import CHAINS
    from nmc_tools.bench_rd.small import KINDS

    kind = KINDS["mlp-large"]
    model = build(kind.family, kind.options, seed=0)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(1.2e6, rel=0.02)
    for each in KINDS.values():
        assert set(each.measured) <= {field.name for field in fields(BenchChain)}
    assert kind.measured["loss"] == 0.05 and set(KINDS) <= set(CHAINS)
