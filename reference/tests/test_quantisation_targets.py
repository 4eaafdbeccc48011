"""Frames of so many bytes, or so near to their originals, and declared PSNR (chapter 12)."""

from __future__ import annotations

import numpy as np
import pytest
from nmc_samples import same_state
from quantised_samples import interrupted, nearness, packed, trained

import nmc
from nmc.reading.declared import seen_frames


@pytest.mark.parametrize("target", [1500, 4000, 9000])
@pytest.mark.parametrize("key_every", [1, 5, 0])
def test_bytes_of_a_frame(tmp_path, target, key_every) -> None:
    asked = nmc.Quantisation(target_bytes=target, frames=10)
    writer = packed(tmp_path / "a.nmc", trained(10), asked, key_every=key_every)
    assert writer.notes == {}
    with nmc.open(tmp_path / "a.nmc") as sequence:
        sizes = [frame.segment_length for frame in sequence.frames]
    assert 0.6 * target < np.mean(sizes) <= target
    assert sizes[0] <= 8 * target
    assert key_every == 1 or all(n <= target for t, n in enumerate(sizes) if t % (key_every or 99))


@pytest.mark.parametrize("target", [10.0, 30.0, 45.5])
def test_nearness_of_a_frame(tmp_path, target) -> None:
    asked = nmc.Quantisation(target_psnr=target, distortion=nearness)
    states = list(trained(6))
    packed(tmp_path / "a.nmc", states, asked, key_every=4)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        found = [nearness(sequence[t], states[t]) for t in range(6)]
    assert min(found) >= target
    assert found[0] < target + 0.5


def test_proportions_of_steps_are_kept(tmp_path) -> None:
    states = list(trained(1))
    asked = nmc.Quantisation({"a": 0.04, "b": 0.01}, target_bytes=9000, dependent=False)
    packed(tmp_path / "a.nmc", states, asked, key_every=1)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        declared = sequence.declared_errors(0)
    assert declared["a"] == pytest.approx(4 * declared["b"], rel=0.1)


def test_targets_that_cannot_be_met_say_how_close(tmp_path) -> None:
    states = list(trained(3))
    small = packed(tmp_path / "a.nmc", states, nmc.Quantisation(target_bytes=20))
    assert "bytes, more than its" in small.notes["frame 0"]
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert str(sequence.frames[2].segment_length) in small.notes["frame 2"]
    asked = nmc.Quantisation(target_psnr=40.0, distortion=lambda state, original: 12.5)
    far = packed(tmp_path / "a.nmc", states, asked)
    assert far.notes["frame 1"] == ("it comes to 12.50 dB, not to 40 dB: finer steps bring no more")


def test_a_distortion_that_fails(tmp_path) -> None:
    """The writer is as before, and goes on with a state that works."""
    states, answers = list(trained(3)), iter([50.0, ZeroDivisionError("no light"), float("nan")])

    def judge(state, original):
        answer = next(answers, 50.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = nmc.Quantisation(quality=50, target_psnr=49.9, distortion=judge)
    with nmc.Writer(tmp_path / "a.nmc", quantisation=asked) as writer:
        writer.append(states[0])
        before = writer.last_state
        for words in ("ZeroDivisionError: no light", "it returned NaN"):
            with pytest.raises(nmc.FormatError, match=words):
                writer.append(states[1])
        assert len(writer) == 1
        assert same_state(writer.last_state, before)
        writer.append(states[1])
    assert nmc.check(tmp_path / "a.nmc").decoded == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"target_psnr": float("nan"), "distortion": nearness}, "of dB"),
        ({"target_bytes": 0}, "above 0"),
        ({"target_bytes": 9, "target_psnr": 30.0}, "target_bytes and target_psnr"),
        ({"target_bytes": 9, "max_error": 1.0}, "max_error and target_bytes"),
    ],
)
def test_what_is_no_target(asked, words) -> None:
    with pytest.raises(ValueError, match=words):
        nmc.Quantisation(**asked)


@pytest.mark.sweep(3)
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_target_goes_on_where_it_was(tmp_path, stop) -> None:
    states, options = list(trained(7)), {"key_every": 4}
    options["quantisation"] = nmc.Quantisation(target_bytes=3000)
    with nmc.Writer(tmp_path / "a.nmc", **options) as writer:
        for state in states:
            writer.append(state)
    interrupted(tmp_path / "b.nmc", states, stop, options)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()


def test_declared_psnr(tmp_path) -> None:
    """Whatever asks for the loss, each frame says what was measured of it, rounded down."""
    states = list(trained(5))
    for asked in (
        nmc.Quantisation(quality=40, distortion=nearness),
        nmc.Quantisation(target_psnr=30.0, distortion=nearness),
        nmc.Quantisation(target_bytes=4000, distortion=nearness),
    ):
        packed(tmp_path / "a.nmc", states, asked, key_every=3)
        with nmc.open(tmp_path / "a.nmc") as sequence:
            for t, state in enumerate(states):
                seen, declared = nearness(sequence[t], state), sequence.frames[t].declared_psnr
                assert declared is not None and seen - 0.01 <= declared <= seen
            found = list(seen_frames(sequence, states, nearness))
            assert [f.frame for f in found] == [0, 1, 2, 3, 4] and all(f.holds for f in found)
            swapped = [states[0], states[2], states[1], *states[3:]]
            assert [f.holds for f in seen_frames(sequence, swapped, nearness)][1:3] == [False] * 2


def test_a_resting_tensor_is_seen_beside_its_original(tmp_path) -> None:
    """What stays as it is decoded is as far from its original as before, and counts."""
    state = next(trained(1))
    asked = nmc.Quantisation(quality=20, distortion=nearness)
    packed(tmp_path / "a.nmc", [state, state, state], asked)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        declared = [frame.declared_psnr for frame in sequence.frames]
    assert declared[0] == declared[1] == declared[2] < 60


def test_psnr_without_a_measure(tmp_path) -> None:
    states = list(trained(3))
    with nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(quality=40)) as writer:
        for wrong in (-1.0, 1000.5, float("nan"), float("inf")):
            with pytest.raises(nmc.FormatError, match="PSNR"):
                writer.append(states[0], declared_psnr=wrong)
        writer.append(states[0])
        writer.append(states[1], declared_psnr=41)
    with nmc.Writer(tmp_path / "b.nmc", resume=True) as resumed:
        resumed.append(states[0], declared_psnr=12.5)
    nmc.extract(tmp_path / "a.nmc", [1], tmp_path / "c.nmc")  # coded again, with the same bits
    for name, expected in (("a", [None, 41.0]), ("b", [12.5]), ("c", [41.0])):
        with nmc.open(tmp_path / f"{name}.nmc") as sequence:
            assert [frame.declared_psnr for frame in sequence.frames] == expected
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(quality=40))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.manifest.frames.declared_psnr is None
    same = nmc.Quantisation(quality=40, distortion=lambda state, original: float("inf"))
    packed(tmp_path / "a.nmc", states, same)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.frames[2].declared_psnr == 1000.0
    below = nmc.Quantisation(quality=40, distortion=lambda state, original: -3.0)
    packed(tmp_path / "a.nmc", states, below)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert sequence.frames[2].declared_psnr is None


def test_an_interrupted_writer_keeps_what_was_declared(tmp_path) -> None:
    asked = nmc.Quantisation(quality=40, distortion=nearness)
    states = list(trained(3))
    writer = nmc.Writer(tmp_path / "a.nmc", quantisation=asked)
    writer.append(states[0])
    del writer
    with nmc.Writer(tmp_path / "a.nmc", quantisation=asked, resume=True) as writer:
        writer.append(states[1])
        writer.append(states[2])
    packed(tmp_path / "b.nmc", states, asked)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()
