"""Quantised tensors (chapter 12): bounded errors, the same bits everywhere, nothing lost."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from nmc_samples import same_state

import nmc
from nmc.coding.quantised.grid import GridError, Part, rounded, words_of
from nmc_format.dtypes import DTYPES, from_words


def states(frames, *, seed=0):
    """Matrices whose changes are of low rank, tables of features, and what has no grid."""
    rng = np.random.default_rng(seed)
    state = {
        "matrix": rng.normal(size=(24, 20)).astype("f4"),
        "table": rng.normal(size=(60, 2)).astype("f2"),
        "wide": rng.normal(size=(2, 3, 40)),
        "bias": rng.normal(size=70).astype(ml_dtypes.bfloat16),
        "count": np.arange(80),
        "flat": np.full(70, 0.5, "f4"),
        "broken": np.array([np.nan, np.inf] * 40, "f4"),
        "empty": np.zeros((0, 4), "f4"),
    }
    found = []
    for t in range(frames):
        found.append(dict(state))
        low = rng.normal(size=(24, 2)) @ rng.normal(size=(2, 20))
        state["matrix"] = (state["matrix"] + 0.02 * low).astype("f4")
        state["table"] = (state["table"] + 0.02 * rng.normal(size=(60, 2))).astype("f2")
        if t % 3 == 1:
            state["wide"] = state["wide"] + 0.01 * rng.normal(size=(2, 3, 40))
        state["count"] = state["count"] + 1
    return found


def packed(path, chain, **options):
    with nmc.Writer(path, profile="lossy", overwrite=True, **options) as writer:
        for state in chain:
            writer.append(state)
    return path


STEPS = {"matrix": 0.01, "table": [(10, 0.02), (50, 0.005)], "wide": 1e-4, "bias": 0.01}


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("effort", ["fast", "strong"])
def test_errors_stay_bounded(tmp_path, effort, dependent) -> None:
    chain = states(30)
    quantisation = nmc.Quantisation(STEPS, dependent=dependent)
    path = packed(tmp_path / "a.nmc", chain, quantisation=quantisation, effort=effort)
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        for found, original in zip(sequence, chain, strict=True):
            assert list(found) == list(original)
            for name in ("count", "flat", "broken", "empty"):
                assert same_state({name: found[name]}, {name: original[name]})
            for name, step in (("matrix", 0.01), ("table", 0.02), ("wide", 1e-4), ("bias", 0.01)):
                error = np.abs(found[name].astype("f8") - original[name].astype("f8")).max()
                assert error <= 2 * step + (0.01 if name == "bias" else 0.001), name
    assert path.stat().st_size < packed(tmp_path / "b.nmc", chain).stat().st_size


def test_declared_errors_hold_and_are_tight(tmp_path) -> None:
    chain = states(6)
    path = packed(tmp_path / "a.nmc", chain, quantisation=nmc.Quantisation(STEPS))
    with nmc.open(path) as sequence:
        for t, original in enumerate(chain):
            declared = sequence.declared_errors(t)
            assert set(declared) == set(STEPS)
            found = sequence[t]
            for name, bound in declared.items():
                error = np.abs(found[name].astype("f8") - original[name].astype("f8")).max()
                assert error <= bound <= error * (1 + 1e-6) + 1e-30


def test_what_lies_on_a_grid_is_kept(tmp_path) -> None:
    rng = np.random.default_rng(0)
    step = 3 / 256
    chain = [{"w": (rng.integers(-40, 40, (50, 8)) * step).astype("f4")} for _ in range(5)]
    path = packed(tmp_path / "a.nmc", chain, quantisation=nmc.Quantisation({"w": step}))
    with nmc.open(path) as sequence:
        assert all(same_state(a, b) for a, b in zip(sequence, chain, strict=True))
        assert sequence.declared_errors(3) == {"w": 0.0}


def test_frames_in_any_order(tmp_path) -> None:
    chain = states(9)
    quantisation = nmc.Quantisation(STEPS)
    path = packed(tmp_path / "a.nmc", chain, quantisation=quantisation, key_every=4)
    with nmc.open(path) as sequence:
        forward = list(sequence)
        for t in (8, 2, 5, 0, 7, 3):
            assert same_state(sequence[t], forward[t])


def test_a_resumed_writer_goes_on(tmp_path) -> None:
    chain = states(6)
    options = {"profile": "lossy", "quantisation": nmc.Quantisation(STEPS)}
    whole = packed(tmp_path / "a.nmc", chain, quantisation=options["quantisation"])
    writer = nmc.Writer(tmp_path / "b.nmc", **options)
    for state in chain[:3]:
        writer.append(state)
    del writer
    with nmc.Writer(tmp_path / "b.nmc", resume=True, **options) as again:
        for state in chain[len(again) :]:
            again.append(state)
    with nmc.open(whole) as a, nmc.open(tmp_path / "b.nmc") as b:
        assert [f.state_digest for f in a.frames] == [f.state_digest for f in b.frames]


def test_the_same_bytes_by_every_number_of_threads_and_no_more_than_asked(
    tmp_path, monkeypatch
) -> None:
    from nmc.coding.quantised import coder

    asked = []

    class Pool(coder.ThreadPoolExecutor):
        def __init__(self, threads):
            asked.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(coder, "ThreadPoolExecutor", Pool)
    rng = np.random.default_rng(1)
    chain = [{str(k): rng.normal(size=(300, 100)) for k in range(4)} for _ in range(2)]
    lossy = nmc.Quantisation(0.01, refinements=(2,))
    made = {
        threads: packed(tmp_path / f"{threads}.nmc", chain, quantisation=lossy, threads=threads)
        for threads in (1, 2)
    }
    assert made[1].read_bytes() == made[2].read_bytes()
    assert set(asked) == {2}
    asked.clear()
    states = {}
    for threads in (1, 3):
        with nmc.open(made[1], threads=threads) as sequence:
            states[threads] = [sequence[t] for t in range(2)]
    assert set(asked) == {3}
    for one, three in zip(states[1], states[3], strict=True):
        assert all(one[name].tobytes() == three[name].tobytes() for name in one)


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf"), float("nan")])
def test_a_step_that_is_none(step) -> None:
    with pytest.raises(ValueError, match="above 0"):
        nmc.Quantisation(step)
    with pytest.raises(ValueError, match="above 0"):
        nmc.Quantisation({"w": [(3, step)]})


def test_quantised_tensors_take_their_profile(tmp_path) -> None:
    with pytest.raises(ValueError, match="lossy"):
        nmc.Writer(tmp_path / "a.nmc", profile="main", quantisation=nmc.Quantisation(0.1))


def test_parts_that_do_not_add_up(tmp_path) -> None:
    with nmc.Writer(
        tmp_path / "a.nmc", profile="lossy", quantisation=nmc.Quantisation({"w": [(3, 0.1)]})
    ) as writer:
        with pytest.raises(ValueError, match="3 rows of 70"):
            writer.append({"w": np.arange(70.0)})
        writer.append({"v": np.arange(70.0)})


@pytest.mark.parametrize("name", ["F64", "F32", "F16", "BF16"])
def test_elements_are_rounded_to_nearest(name) -> None:
    """The fast way and the way of the text agree, with ties, subnormal numbers and overflow."""
    dtype = DTYPES[name]
    rng = np.random.default_rng(0)
    limit = {"F64": 1023, "F32": 127, "F16": 15, "BF16": 127}[name]
    bias, m = (1 << (dtype.exponent_bits - 1)) - 1, dtype.mantissa_bits
    for exponent in (-1200, -1074, -bias - m - 3, -bias - m, -bias, -30, 0, limit - 50):
        if not -1200 <= exponent < 1024:
            continue
        for mantissa in (1, 3, (1 << 24) - 1, 1 << 23):
            bins = rng.integers(-(1 << 20), 1 << 20, (64, 1)).astype("i4")
            bins[:4, 0] = 0, 1, -1, (1 << 28) - 1
            products = bins.astype("i8") * mantissa
            try:
                expected = rounded(products, exponent, dtype)
            except GridError:
                with pytest.raises(GridError):
                    words_of(bins, (Part(64, mantissa, exponent),), dtype)
                continue
            found = words_of(bins, (Part(64, mantissa, exponent),), dtype)
            assert (found == expected.reshape(-1)).all(), (exponent, mantissa)
            if name == "F32" and exponent > -1000:
                exact = products.astype("f8") * 2.0**exponent
                assert (from_words(found, dtype, (64, 1)) == exact.astype("f4")).all()


def test_cutting_keeps_bins(tmp_path) -> None:
    chain = states(6)
    whole = packed(tmp_path / "a.nmc", chain, quantisation=nmc.Quantisation(STEPS))
    nmc.extract(whole, [2, 3, 5], tmp_path / "b.nmc")
    with nmc.open(whole) as a, nmc.open(tmp_path / "b.nmc") as b:
        for t, old in enumerate((2, 3, 5)):
            assert same_state(b[t], a[old])
            assert b.declared_errors(t) == a.declared_errors(old)
        assert b.manifest.profile == "lossy"
    lossless = packed(tmp_path / "c.nmc", [chain[t] for t in (2, 3, 5)])
    assert (tmp_path / "b.nmc").stat().st_size < lossless.stat().st_size


def test_a_large_tensor_that_is_skipped(tmp_path) -> None:
    """Its substream has no part in that frame."""
    rng = np.random.default_rng(0)
    first = {name: rng.normal(size=(300, 100)) for name in "abc"}
    second = first | {"c": rng.normal(size=(300, 100))}
    path = packed(tmp_path / "a.nmc", [first, second], quantisation=nmc.Quantisation(0.01))
    assert nmc.check(path).findings == ()


def test_a_coder_that_errs_is_found(tmp_path, monkeypatch) -> None:
    """What was coded is decoded before it is written; the writer stays as it was."""
    from nmc.coding.quantised import coder

    right = coder.encode

    def wrong(*args, **options):
        payload = bytearray(right(*args, **options))
        payload[-3] ^= 1
        return bytes(payload)

    chain = states(3)
    with nmc.Writer(
        tmp_path / "a.nmc", profile="lossy", quantisation=nmc.Quantisation(STEPS)
    ) as writer:
        writer.append(chain[0])
        monkeypatch.setattr(coder, "encode", wrong)
        with pytest.raises(nmc.FormatError, match="is not written"):
            writer.append(chain[1])
        monkeypatch.undo()
        writer.append(chain[1])
        assert len(writer) == 2
    assert nmc.check(tmp_path / "a.nmc").findings == ()


def test_bases_of_few_directions_do_no_harm(tmp_path) -> None:
    """A basis that was learnt from changes of rank 1 may be far from orthonormal."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((256, 256))
    chain = []
    for _ in range(4):
        chain.append({"w": weight.astype("f4")})
        weight = weight + 0.005 * np.outer(rng.standard_normal(256), rng.standard_normal(256))
    path = packed(tmp_path / "a.nmc", chain, quantisation=nmc.Quantisation(2**-9))
    assert nmc.check(path).findings == ()
    with nmc.open(path) as sequence:
        for found, original in zip(sequence, chain, strict=True):
            assert np.abs(found["w"] - original["w"]).max() < 8 * 2**-9


def test_updates_may_have_steps_of_their_own(tmp_path) -> None:
    chain = states(8)
    plain = packed(tmp_path / "a.nmc", chain, quantisation=nmc.Quantisation(STEPS))
    coarse = {name: step for name, step in STEPS.items() if name != "matrix"} | {"matrix": 0.08}
    quantisation = nmc.Quantisation(STEPS, update_step=coarse)
    path = packed(tmp_path / "b.nmc", chain, quantisation=quantisation, key_every=4)
    with nmc.open(plain) as a, nmc.open(path) as b:
        assert same_state(a[0], b[0])
        assert b.frames[2].segment_length < a.frames[2].segment_length
        assert b.declared_errors(4)["matrix"] < 0.02 < b.declared_errors(6)["matrix"]
    with pytest.raises(ValueError, match="goes with step"):
        nmc.Quantisation(quality=40, update_step=0.1)


def test_sensitivity_finds_what_is_seen() -> None:
    rng = np.random.default_rng(0)
    state = {n: rng.normal(size=(40, 30)).astype("f4") for n in ("seen", "hardly")}
    state["count"] = np.arange(5)

    def distortion(changed):
        error = sum(
            weight * float(((changed[n].astype("f8") - state[n]) ** 2).mean())
            for n, weight in (("seen", 1.0), ("hardly", 1e-4))
        )
        return float("inf") if error == 0 else -10 * np.log10(error)

    found = nmc.Sensitivity.measured(state, distortion, {"seen": [10, 30]})
    assert [(p.name, p.rows) for p in found.parts] == [("seen", 10), ("seen", 30), ("hardly", 40)]
    steps = found.steps(50.0)
    assert 50 < steps["hardly"][0][1] / steps["seen"][1][1] < 200
    assert found.update_steps(50.0)["seen"] == steps["seen"]
    with pytest.raises(ValueError, match="NaN"):
        nmc.Sensitivity.measured(state, lambda _: float("nan"))
