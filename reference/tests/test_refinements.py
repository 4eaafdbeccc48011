"""Refinements: a base, and states that are nearer to the original at each stop (clause 12.7)."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmc
from nmc.coding.quantised import refine
from nmc.reading.declared import seen_frames
from nmc_format.stops import at_stop


def chain(frames, *, seed=0, dtype="f4"):
    """Matrices that are trained, one that rests, what is small, and what is never quantised."""
    rng = np.random.default_rng(seed)
    matrix, table = rng.normal(size=(32, 24)), 0.1 * rng.normal(size=(400, 2))
    for t in range(frames):
        yield {
            "matrix": matrix.astype(dtype),
            "table": table.astype(dtype),
            "resting": np.linspace(-1, 1, 90).astype(dtype),
            "count": np.arange(70) + t,
            "empty": np.zeros((0, 3), dtype),
            "broken": np.array([np.nan, 1.0] * 40, dtype),
        }
        matrix = matrix + 0.01 * rng.normal(size=matrix.shape)
        moved = rng.random(len(table)) < 0.1
        table = table + 0.01 * moved[:, None] * rng.normal(size=table.shape)


def packed(path, states, quantisation, **options):
    options = {"overwrite": True, **options}
    with nmc.Writer(path, quantisation=quantisation, **options) as writer:
        for state in states:
            writer.append(state)
    assert nmc.check(path).findings == ()


def read(path, stop=None):
    with nmc.open(path, stop=stop) as sequence:
        return [sequence[t] for t in range(len(sequence))]


def same(a, b):
    return all(
        x.keys() == y.keys() and all(x[n].tobytes() == y[n].tobytes() for n in x)
        for x, y in zip(a, b, strict=True)
    )


ASKED = nmc.Quantisation(quality=30, refinements=[2, 3])


@pytest.mark.parametrize("effort", ["fast", "strong"])
@pytest.mark.parametrize("key_every", [0, 3])
def test_each_stop_is_nearer(tmp_path, effort, key_every) -> None:
    states = list(chain(6))
    packed(tmp_path / "a.nmc", states, ASKED, effort=effort, key_every=key_every)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert (sequence.stops, sequence.stop) == (3, 2)
    errors = []
    for stop in range(3):
        with nmc.open(tmp_path / "a.nmc", stop=stop) as sequence:
            for t, state in enumerate(states):
                declared = sequence.declared_errors(t)
                assert declared.keys() == {"matrix", "table", "resting"}
                for name, bound in declared.items():
                    assert np.abs(sequence[t][name].astype("f8") - state[name]).max() <= bound
                assert sequence[t]["count"].tolist() == state["count"].tolist()
                assert sequence[t]["broken"].tobytes() == state["broken"].tobytes()
            errors.append(np.abs(sequence[5]["matrix"] - states[5]["matrix"]).max())
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 6


def test_the_base_is_what_it_is_without_refinements(tmp_path) -> None:
    """Nothing drifts: a base never depends on a refinement."""
    states = list(chain(6))
    packed(tmp_path / "a.nmc", states, ASKED, key_every=4)
    packed(tmp_path / "b.nmc", states, nmc.Quantisation(quality=30), key_every=4)
    assert same(read(tmp_path / "a.nmc", 0), read(tmp_path / "b.nmc"))
    for kept in range(3):
        nmc.extract(
            tmp_path / "a.nmc", range(6), tmp_path / "c.nmc", refinements=kept, overwrite=True
        )
        assert nmc.check(tmp_path / "c.nmc").findings == ()
        assert same(read(tmp_path / "a.nmc", kept), read(tmp_path / "c.nmc"))
        with nmc.open(tmp_path / "c.nmc") as cut:
            assert cut.stops == kept + 1
        if kept == 0:
            with nmc.open(tmp_path / "c.nmc") as cut, nmc.open(tmp_path / "b.nmc") as plain:
                assert [cut.coded(t) for t in range(6)] == [plain.coded(t) for t in range(6)]


def test_the_bytes_of_a_stop_are_the_first_of_a_segment(tmp_path) -> None:
    packed(tmp_path / "a.nmc", chain(3), ASKED)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, frame in enumerate(sequence.frames):
            segment = sequence.coded(t)
            for k, refined in enumerate(frame.refinements):
                body = b"".join(at_stop(segment, k, "x"))
                header = 8 + int.from_bytes(body[:8], "little")
                whole = 8 + int.from_bytes(segment[:8], "little")
                assert body[header:] == segment[whole : refined.start]


def test_cutting_and_joining(tmp_path) -> None:
    """A group that lost its beginning is coded again, each stop with its bits."""
    a, b, c = (tmp_path / name for name in ("a.nmc", "b.nmc", "c.nmc"))
    packed(a, chain(7), ASKED, key_every=4)
    nmc.extract(a, [1, 2, 3, 5], b)
    assert nmc.check(b).findings == ()
    for stop in range(3):
        found, wanted = read(b, stop), read(a, stop)
        assert same(found, [wanted[t] for t in (1, 2, 3, 5)])
    nmc.extract(a, [2, 3], c, refinements=1)
    assert same(read(c), read(a, 1)[2:4])
    nmc.concat([a, b], c, overwrite=True)
    assert same(read(c, 1), read(a, 1) + read(b, 1))
    packed(b, chain(2), nmc.Quantisation(quality=30))
    with pytest.raises(nmc.FormatError, match="frames have 0, 2 refinements"):
        nmc.concat([a, b], c, overwrite=True)
    nmc.concat([a, b], c, refinements=0, overwrite=True)
    assert same(read(c), read(a, 0) + read(b))
    for wrong in (-1, 3):
        with pytest.raises(nmc.FormatError, match="say how many are kept, 2 at most"):
            nmc.extract(a, [0], c, refinements=wrong, overwrite=True)


def test_an_interrupted_writer_makes_the_same_bytes(tmp_path) -> None:
    a, b = tmp_path / "a.nmc", tmp_path / "b.nmc"
    states = list(chain(5))
    packed(a, states, ASKED, key_every=4)
    for end in range(1, 5):
        writer = nmc.Writer(b, quantisation=ASKED, key_every=4, overwrite=True)
        for state in states[:end]:
            writer.append(state)
        del writer
        with nmc.Writer(b, quantisation=ASKED, key_every=4, resume=True) as writer:
            for state in states[end:]:
                writer.append(state)
        assert a.read_bytes() == b.read_bytes()
    writer = nmc.Writer(b, quantisation=ASKED, overwrite=True)
    writer.append(states[0])
    del writer
    assert nmc.recover(b) is not None
    assert same(read(b), read(a)[:1])


def test_frames_have_as_many(tmp_path) -> None:
    states = list(chain(2))
    with nmc.Writer(tmp_path / "a.nmc", quantisation=ASKED) as writer:
        writer.append(states[0])
        with pytest.raises(ValueError, match="the frames before have 2 refinements, this one 1"):
            writer.append(states[1], quantisation=nmc.Quantisation(quality=30, refinements=[1]))
        writer.append(states[1])
    assert nmc.check(tmp_path / "a.nmc").decoded == 2


@pytest.mark.parametrize("wrong", [[0], [13], [1.5], [True], [1] * 9, ["2"]])
def test_what_is_no_refinement(wrong) -> None:
    with pytest.raises(ValueError, match="refinement"):
        nmc.Quantisation(quality=30, refinements=wrong)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_what_is_no_stop(tmp_path, wrong) -> None:
    packed(tmp_path / "a.nmc", chain(1), ASKED)
    with pytest.raises(ValueError, match="its frames have 0 to 2"):
        nmc.open(tmp_path / "a.nmc", stop=wrong)
    packed(tmp_path / "b.nmc", chain(1), nmc.Quantisation(quality=30))
    with pytest.raises(ValueError, match="no refinement"):
        nmc.open(tmp_path / "b.nmc", stop=1)


def test_one_tensor_is_that_of_the_stop(tmp_path) -> None:
    packed(tmp_path / "a.nmc", chain(3), ASKED)
    for stop in range(3):
        whole = read(tmp_path / "a.nmc", stop)
        with nmc.open(tmp_path / "a.nmc", stop=stop) as sequence:
            for t in (2, 0):
                for name in ("matrix", "count"):
                    assert sequence.tensor(t, name).tobytes() == whole[t][name].tobytes()


def test_a_pickled_sequence_stays_at_its_stop(tmp_path) -> None:
    packed(tmp_path / "a.nmc", chain(2), ASKED)
    with (
        nmc.open(tmp_path / "a.nmc", stop=1) as sequence,
        pickle.loads(pickle.dumps(sequence)) as other,
    ):
        assert other.stop == 1
        assert same([other[1]], [sequence[1]])


def test_damage_above_is_no_damage_below(tmp_path) -> None:
    """A base is decoded whatever the refinements hold, and the damage is found above it."""
    path = tmp_path / "a.nmc"
    packed(path, chain(3), ASKED, directory=True)
    good = read(path, 0)
    with nmc.open(path) as sequence:
        start = sequence.frames[1].refinements[0].start
    segment = Path(path) / "segments" / "00000001.safetensors"
    data = bytearray(segment.read_bytes())
    data[start + 30] ^= 4
    segment.write_bytes(bytes(data))
    assert same(read(path, 0), good)
    with nmc.open(path) as sequence:
        assert sequence[0].keys() == good[0].keys()
        for t in (1, 2):
            with pytest.raises(nmc.FormatError, match=r"stop1|state"):
                sequence[t]
    assert nmc.check(path).findings


def test_declared_psnr_of_each_stop(tmp_path) -> None:
    def nearness(state, original):
        gap = np.mean((state["matrix"] - original["matrix"]) ** 2)
        return float(-10 * np.log10(gap)) if gap else float("inf")

    asked = nmc.Quantisation(quality=30, refinements=[2], distortion=nearness)
    packed(tmp_path / "a.nmc", chain(2), asked)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        frame = sequence.frames[1]
    assert frame.refinements[0].declared_psnr > frame.declared_psnr + 6
    for stop in range(2):
        with nmc.open(tmp_path / "a.nmc", stop=stop) as sequence:
            seen = list(seen_frames(sequence, list(chain(2)), nearness))
        declared = [frame.declared_psnr, frame.refinements[0].declared_psnr][stop]
        assert [(s.frame, s.stop, s.holds) for s in seen] == [(0, stop, True), (1, stop, True)]
        assert seen[1].declared == declared


def test_a_lag_is_expected_where_that_is_smaller(tmp_path, monkeypatch) -> None:
    """No reach at all is tried too: contexts know the lag as well."""
    states = list(chain(4))
    packed(tmp_path / "a.nmc", states, ASKED)
    monkeypatch.setattr(refine, "_TRIED", 10**9)
    packed(tmp_path / "weighed.nmc", states, ASKED)
    monkeypatch.setattr(refine, "_TRIED", 1)
    packed(tmp_path / "tried.nmc", states, ASKED)
    sizes = [(tmp_path / f"{name}.nmc").stat().st_size for name in ("tried", "weighed")]
    assert sizes[0] < sizes[1]
    assert same(read(tmp_path / "tried.nmc"), read(tmp_path / "weighed.nmc"))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    dtype=st.sampled_from(["f2", "f4", "f8"]),
    quality=st.floats(1, 100),
)
def test_any_refinements_come_back(tmp_path_factory, seed, bits, dtype, quality) -> None:
    path = tmp_path_factory.mktemp("any") / "a.nmc"
    states = list(chain(3, seed=seed, dtype=dtype))
    packed(path, states, nmc.Quantisation(quality=quality, refinements=bits))
    before = None
    for stop in range(len(bits) + 1):
        with nmc.open(path, stop=stop) as sequence:
            declared = sequence.declared_errors(2)
            for name, bound in declared.items():
                gap = np.abs(sequence[2][name].astype("f8") - states[2][name].astype("f8"))
                assert gap.max() <= bound
                assert before is None or bound <= before[name]
        before = declared
