"""Training with weights of few bits: on a grid exactly, chained, packaged, better than rounding."""

import numpy as np
import pytest

import nmc
from nmc_framework.models import build
from nmc_framework.training import ClipPixels, PackageStore, Schedule, train_on
from nmc_framework.training.rate import RateError

pytestmark = pytest.mark.usefixtures("one_thread")

CLIP = {"width": 16, "height": 12, "pictures": 2, "hidden": 12, "depth": 2}
PLAN = {"first": 60, "later": 20, "rays": 384}


def clips(count=2):
    y, x = np.mgrid[:12, :16]
    return [
        np.stack(
            [np.stack([15 * x, 20 * y, 7 * (x + y) + 9 * (k + t)], axis=2) for t in range(2)]
        ).astype("u1")
        for k in range(count)
    ]


def trained(**plan):
    model = build("siren", CLIP, seed=1)
    schedule = Schedule(**(PLAN | plan))
    frames, steps = [], None
    for k, clip in enumerate(clips()):
        frames.append(train_on(model, ClipPixels(model, clip), schedule, frame=k, steps=steps))
        steps = frames[-1].steps
    return model, frames


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_have_so_many_levels_and_deltas_are_integers(bits):
    _, frames = trained(bits=bits)
    most = 2 ** (bits - 1) - 1
    assert frames[0].steps.of == frames[1].steps.of
    for frame in frames:
        for name, levels in frame.steps.levels(frame.state).items():
            assert np.abs(levels).max() <= most, name
    levels = frames[0].steps.levels(frames[0].state)
    assert max(np.abs(each).max() for each in levels.values()) == most
    moved = frames[1].steps.levels(frames[1].state)
    assert any(not np.array_equal(levels[name], moved[name]) for name in levels)


def test_training_beats_rounding_afterwards():
    model, frames = trained(bits=4, first=300)
    free, exact = trained(first=300)
    state = dict(exact[0].state)
    for name in frames[0].steps.of:
        step = np.abs(state[name]).max() / 7
        state[name] = (np.rint(state[name] / step) * step).astype("f4")
    pixels = ClipPixels(model, clips()[0])
    import torch

    batch = pixels.draw(4000, torch.Generator().manual_seed(0))

    def loss(of, weights):
        of.load(weights)
        with torch.no_grad():
            return float(of.loss(batch))

    assert loss(model, frames[0].state) < 0.7 * loss(free, state)


def test_a_chain_of_bits_goes_into_a_package_and_is_gone_on_with(tmp_path):
    model, frames = trained(bits=7)
    with nmc.Writer(tmp_path / "a.nmc", profile="lossy", **model.in_package()) as writer:
        store = PackageStore(writer)
        for frame in frames:
            store.append(frame)
            assert store.last_steps().of == frame.steps.of
    with nmc.open(tmp_path / "a.nmc") as sequence:
        for frame in frames:
            state = sequence[frame.index]
            assert all(np.array_equal(state[n], a) for n, a in frame.state.items())
        plain = sum(array.nbytes for array in frames[0].state.values())
        assert sequence.frames[0].segment_length < plain


def test_what_has_no_bits_is_no_beginning():
    with pytest.raises(RateError, match="the frame before it was not"):
        model = build("siren", CLIP)
        train_on(model, ClipPixels(model, clips()[0]), Schedule(bits=8, **PLAN), frame=1)


@pytest.mark.parametrize("bits", [1, 15])
def test_bits_that_cannot_be_are_refused(bits):
    with pytest.raises(RateError, match="2 to 14 bits"):
        Schedule(bits=bits)


@pytest.mark.parametrize("kind", ["bits", "rate", "later"])
def test_what_a_model_puts_into_its_weights_is_not_taken_back(kind):
    """Finer lattices, splats that are split, embeddings of an encoder: the model moves weights."""
    import torch

    from nmc_framework.models.pictures.siren import Siren
    from nmc_framework.training.rate import Rate

    class Moving(Siren):
        moved = False

        def after_step(self, iteration):
            if self.moved or self.progress < 0.6:
                return False
            self.moved = True
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.copy_(torch.full_like(parameter, 3.0))
            return True

    model = Moving(Siren.defaults() | CLIP)
    plan = {"bits": 8} if kind == "bits" else {"rate": Rate(0.01)}
    schedule = Schedule(**(PLAN | plan), learning_rate=1e-4, later_learning_rate=1e-4)
    steps = None
    for frame in range(1 + (kind == "later")):
        model.moved = frame == 0 and kind == "later"
        pixels = ClipPixels(model, clips()[0])
        done = train_on(model, pixels, schedule, frame=frame, steps=steps)
        steps = done.steps
    for name in steps.of:
        assert np.abs(done.state[name] - 3).max() < 0.3, name
