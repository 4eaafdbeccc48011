"""What a writer is asked to lose, and what it remembers from frame to frame (chapter 12)."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from nmc_samples import same_state

import nmc
from nmc.reading.declared import seen_frames


def chain(frames, *, seed=0):
    """A matrix that is trained, one that rests for some frames, and what is never quantised."""
    rng = np.random.default_rng(seed)
    matrix, resting = rng.normal(size=(32, 24)), rng.normal(size=(40, 3))
    found = []
    for t in range(frames):
        found.append(
            {
                "matrix": matrix.astype("f4"),
                "resting": resting.astype("f4"),
                "count": np.arange(70) + t,
                "mask": np.arange(70) > t,
                "flat": np.ones(70, "f4"),
                "empty": np.zeros((0, 3), "f4"),
                "broken": np.array([np.nan, np.inf] * 40, "f4"),
            }
        )
        matrix = matrix + 0.01 * rng.normal(size=matrix.shape)
        if t in (2, 5):
            resting = resting + 0.01 * rng.normal(size=resting.shape)
    return found


def packed(path, states, quantisation, **options):
    with nmc.Writer(path, quantisation=quantisation, overwrite=True, **options) as writer:
        for state in states:
            writer.append(state)
    assert nmc.check(path).findings == ()
    return writer


def error(a, b):
    return float(np.abs(a.astype("f8") - b.astype("f8")).max())


@pytest.mark.parametrize("quality", [1, 30, 60, 100])
def test_quality_is_relative_to_magnitude(tmp_path, quality) -> None:
    small = [{name: a * 1e-3 if a.dtype == "f4" else a for name, a in s.items()} for s in chain(4)]
    asked = nmc.Quantisation(quality=quality, rate=0.0, transform=False)
    for states, scale in ((chain(4), 1.0), (small, 1e-3)):
        packed(tmp_path / "a.nmc", states, asked)
        with nmc.open(tmp_path / "a.nmc") as sequence:
            for t, state in enumerate(states):
                worst = error(sequence[t]["matrix"], state["matrix"])
                step = scale * 2.0 ** (-quality / 8)
                assert 0.2 * step < worst < 0.8 * step


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ml_dtypes.bfloat16])
@pytest.mark.parametrize("allowed", [1.0, 0.1, 4e-3, 1e-4, 1e-7])
def test_no_element_is_farther_than_allowed(tmp_path, dtype, allowed) -> None:
    rng = np.random.default_rng(0)
    states = [
        {"w": (np.exp(3 * rng.normal(size=(50, 40))) * (1 + 0.01 * t)).astype(dtype)}
        for t in range(3)
    ]
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(max_error=allowed))
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            assert error(sequence[t]["w"], state["w"]) <= allowed
            assert sequence.declared_errors(t).get("w", 0.0) <= allowed


def test_an_error_that_a_type_cannot_keep(tmp_path) -> None:
    rng = np.random.default_rng(0)
    states = [{"w": (1000 * rng.normal(size=(50, 40))).astype("f2")} for _ in range(2)]
    writer = packed(tmp_path / "a.nmc", states, nmc.Quantisation(max_error=1e-6))
    assert "stays lossless" in writer.notes["w"]
    with nmc.open(tmp_path / "a.nmc") as sequence:
        assert same_state(sequence[1], states[1])


@pytest.mark.parametrize(
    "asked", [{"step": 5e-324}, {"step": 1e308}, {"max_error": 1e308}, {"quality": 50}]
)
@pytest.mark.filterwarnings("error")
def test_numbers_at_the_end_of_the_range(tmp_path, asked) -> None:
    """A declared error is a binary32 number: what is farther off cannot be quantised."""
    rng = np.random.default_rng(0)
    states = [{"w": rng.normal(size=(20, 9)) * size} for size in (1e300, 1e-300, 1e-310, 1.0)]
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(**asked), key_every=1)
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for t, state in enumerate(states):
            bound = sequence.declared_errors(t).get("w", 0.0)
            assert error(sequence[t]["w"], state["w"]) <= bound


def test_what_is_not_as_asked_is_said(tmp_path) -> None:
    writer = packed(tmp_path / "a.nmc", chain(2), nmc.Quantisation({"matrix": 1e-9, "resting": 99}))
    assert writer.notes == {
        "matrix": "stays lossless: the step is too fine for its largest elements (frame 0)",
        "resting": "all its elements became 0: the step is larger than they are (frame 0)",
        "broken": "stays lossless: it has NaN or infinity (frame 0)",
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "none"),
        ({"step": 0.1, "quality": 4}, "step and quality"),
        ({"quality": 0}, "from 1 to 100"),
        ({"quality": 100.5}, "from 1 to 100"),
        ({"quality": float("nan")}, "from 1 to 100"),
        ({"quality": "high"}, "from 1 to 100"),
        ({"max_error": 0}, "above 0"),
        ({"max_error": float("inf")}, "above 0"),
        ({"max_error": {"w": -1}}, "above 0"),
        ({"step": "fine"}, "rows and step"),
        ({"step": {"w": ["fine"]}}, "rows and step"),
        ({"step": 1.0, "rate": float("nan")}, "at least 0"),
    ],
)
def test_what_is_no_quantisation(asked, words) -> None:
    with pytest.raises(ValueError, match=words):
        nmc.Quantisation(**asked)


@pytest.mark.parametrize("key_every", [0, 4])
def test_what_was_given_again_stays(tmp_path, key_every) -> None:
    """Originals are compared with originals: a tensor that rests is skipped, and was frozen."""
    layers = {"matrix": 0, "resting": 1}
    states = chain(8)
    asked = nmc.Quantisation(0.05)
    path = tmp_path / "a.nmc"
    packed(path, states, asked, key_every=key_every, layers=layers, detect_frozen=True)
    with nmc.open(path) as sequence:
        frozen = [frame.exclude_layers for frame in sequence.frames]
        found = [state["resting"].tobytes() for state in sequence]
    assert frozen == [(), (1,), (1,), (), (1,), (1,), (), (1,)]
    for t in range(1, 8):
        assert (found[t] == found[t - 1]) or t in (3, 6)


def test_a_change_below_the_step_is_training(tmp_path) -> None:
    """Bins that stay do not mean that nobody trained."""
    first = chain(1)[0]
    states = [first, {**first, "resting": first["resting"] + np.float32(1e-5)}]
    path = tmp_path / "a.nmc"
    packed(path, states, nmc.Quantisation(5.0), detect_frozen=True)
    with nmc.open(path) as sequence:
        rows = [row.name for row in sequence.manifest.tensors]
        flags = dict(zip(rows, sequence.frames[1].requires_grad, strict=True))
        assert flags["resting"]
        assert not flags["matrix"]


def test_what_is_frozen_may_not_change(tmp_path) -> None:
    states = chain(4)
    flags = {name: name not in ("resting", "flat") for name in states[0]}
    with nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(5.0)) as writer:
        for state in states[:3]:
            writer.append(state, requires_grad=flags)
        with pytest.raises(nmc.FormatError, match="frozen-changed"):
            writer.append(states[3], requires_grad=flags)  # by less than a step
        changed = {**states[2], "matrix": states[3]["matrix"]}
        writer.append(changed, requires_grad=flags)
        again = {**writer.last_state, "matrix": states[3]["matrix"] + 1}
        writer.append(again, requires_grad=flags)  # training goes on from what is decoded
    assert nmc.check(tmp_path / "a.nmc").findings == ()


ASKED = [{"step": 0.05}, {"quality": 40}, {"max_error": 1e-3}, {"step": 0.05, "dependent": True}]


def interrupted(path, states, stop, options) -> None:
    """Write a package whose writer is given up after some frames, and taken up again."""
    writer = nmc.Writer(path, **options)
    for state in states[:stop]:
        writer.append(state)
    del writer
    with nmc.Writer(path, resume=True, **options) as again:
        for state in states[len(again) :]:
            again.append(state)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_a_resumed_package_has_the_same_bytes(tmp_path, asked, stop) -> None:
    states, options = chain(8), {"key_every": 4, "detect_frozen": True}
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(**asked), **options)
    options["quantisation"] = nmc.Quantisation(**asked)
    interrupted(tmp_path / "b.nmc", states, stop, options)
    assert (tmp_path / "a.nmc").read_bytes() == (tmp_path / "b.nmc").read_bytes()


OTHERS = [{"step": 0.1}, {"step": 0.05, "rate": 0.3}, {"quality": 9}]


@pytest.mark.parametrize("other", [None, *(nmc.Quantisation(**asked) for asked in OTHERS)])
def test_other_settings_do_not_go_on(tmp_path, other) -> None:
    states = chain(2)
    writer = nmc.Writer(tmp_path / "a.nmc", quantisation=nmc.Quantisation(0.05))
    writer.append(states[0])
    del writer
    with pytest.raises(nmc.FormatError, match="when the package was begun"):
        nmc.Writer(tmp_path / "a.nmc", quantisation=other, profile="lossy", resume=True)
    with nmc.Writer(
        tmp_path / "a.nmc", quantisation=nmc.Quantisation(np.float64(0.05)), resume=True
    ) as again:
        again.append(states[1])


def test_what_is_not_known_is_not_recorded(tmp_path) -> None:
    """After a segment that was copied, nobody knows what its originals were."""
    states = chain(3)
    packed(tmp_path / "a.nmc", states, nmc.Quantisation(0.05))
    with (
        nmc.open(tmp_path / "a.nmc") as sequence,
        nmc.Writer(
            tmp_path / "b.nmc", quantisation=nmc.Quantisation(0.05), detect_frozen=True
        ) as writer,
    ):
        rows = sequence.manifest.tensors
        writer.append_coded(sequence.coded(0), sequence.frames[0], rows, lineage=False)
        writer.append(states[1])
        writer.append(states[2])
    with nmc.open(tmp_path / "b.nmc") as sequence:
        assert sequence.frames[1].requires_grad is None
        assert sequence.frames[2].requires_grad is not None


def trained(frames, *, seed=0):
    """A larger chain, as fine-tuning makes it."""
    rng = np.random.default_rng(seed)
    state = {"a": rng.normal(size=(96, 64)), "b": 0.01 * rng.normal(size=(3000, 2))}
    for _ in range(frames):
        yield {name: array.astype("f4") for name, array in state.items()}
        for name, array in state.items():
            state[name] = array + 0.02 * array.std() * rng.normal(size=array.shape)


def nearness(state, original):
    """A distance as a renderer would give it, in dB."""
    errors = [np.mean((state[n] - a) ** 2) / np.mean(a**2) for n, a in original.items()]
    return float(-10 * np.log10(np.mean(errors))) if any(errors) else float("inf")


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
    assert far.notes["frame 1"] == "it comes to 12.50 dB, not to 40 dB"


def test_a_distortion_that_fails(tmp_path) -> None:
    """The writer is as before, and goes on with a state that works."""
    states, answers = list(trained(3)), iter([50.0, ZeroDivisionError("no light"), float("nan")])

    def judge(state, original):
        answer = next(answers, 50.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = nmc.Quantisation(target_psnr=49.9, distortion=judge)
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
        ({"target_psnr": 30.0}, "needs a distortion"),
        ({"target_psnr": float("nan"), "distortion": nearness}, "of dB"),
        ({"target_bytes": 0}, "above 0"),
        ({"target_bytes": 9, "target_psnr": 30.0}, "target_bytes and target_psnr"),
        ({"target_bytes": 9, "max_error": 1.0}, "max_error and target_bytes"),
    ],
)
def test_what_is_no_target(asked, words) -> None:
    with pytest.raises(ValueError, match=words):
        nmc.Quantisation(**asked)


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
