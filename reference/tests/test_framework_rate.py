"""Training for rate: states on their grids, fewer bits for a higher price, the same bits again."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import nmc
from nmc_framework.models import ChainModel, build
from nmc_framework.scene import BACKGROUND, BOUNDS, arc_rig, view_all
from nmc_framework.training import (
    CheckpointFolder,
    FrameViews,
    PackageStore,
    Rate,
    RateError,
    Schedule,
    Steps,
    TrainingError,
    train_chain,
    train_into,
    train_on,
)
from nmc_framework.training.rate import KEY_TIMES, price
from nmc_framework.training.rate.level_cost import ROW_CONTEXTS, level_cost, row_context
from nmc_framework.training.rate.steps import LARGEST_LEVEL, MANTISSA_BITS, rounded

RIG = arc_rig(4, 1, (24, 24))
CONFIGURATION = {
    "bounds": [list(corner) for corner in BOUNDS], "background": list(BACKGROUND), "levels": 3,
    "features": 2, "log2_entries": 10, "coarsest": 4, "finest": 24, "hidden": 16, "geometry": 7,
    "samples": 32, "occupancy": 12, "warm_up": 8,
}  # fmt: skip
PLAN = Schedule(first=60, later=10, rays=256, seed=7, rate=Rate(1.0))

pytestmark = pytest.mark.usefixtures("one_thread")


def frames(count=3, start=0):
    for index in range(start, count):
        yield FrameViews(index, index * 0.1, view_all(RIG.training, index * 0.1))


def grid(seed=0):
    return build("hash_grid", CONFIGURATION, seed=seed)


def chain(rate, count=3, **options):
    return list(
        train_chain(grid(), RIG.training, frames(count), replace(PLAN, rate=rate, **options))
    )


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return chain(Rate(1.0))


def test_every_weight_of_every_frame_is_an_integer_times_its_step(trained):
    parameters = {name for name, _ in grid().named_parameters()}
    for frame in trained:
        assert set(frame.steps.of) == parameters
        for name, levels in frame.steps.levels(frame.state).items():
            product = levels * np.float64(frame.steps.of[name])
            assert np.array_equal(product, frame.state[name]), "exactly, not after rounding"
            assert not np.signbit(frame.state[name][levels == 0]).any(), "no minus zero"
            assert np.abs(levels).max() <= LARGEST_LEVEL
        assert all(float(s).as_integer_ratio()[0] < 1 << 24 for s in frame.steps.of.values())
        assert np.isfinite(frame.bits) and frame.bits > 0
    assert trained[0].steps == trained[1].steps == trained[2].steps, "one grid a chain"
    assert any((trained[1].state[n] != trained[0].state[n]).any() for n in parameters)


def moved(chain):
    return sum(
        int(np.count_nonzero(after.state[name] != before.state[name]))
        for before, after in pairwise(chain)
        for name in before.steps.of
    )


@pytest.mark.slow(minutes=0.02)
def test_a_higher_price_makes_fewer_bits_and_fewer_moves(trained):
    cheap = chain(Rate(0.01))
    dear = chain(Rate(30.0))
    assert dear[0].bits < trained[0].bits < cheap[0].bits
    assert moved(dear) < moved(trained) < moved(cheap)
    assert dear[1].bits < trained[1].bits < cheap[1].bits
    assert cheap[0].loss < dear[0].loss, "and the loss pays for it"


@pytest.mark.slow(minutes=0.02)
def test_the_chain_is_the_same_again_and_after_an_interruption(trained, tmp_path):
    again = chain(PLAN.rate)
    model = grid()
    store = CheckpointFolder(tmp_path, model)
    list(train_into(store, model, RIG.training, lambda first: frames(2, first), PLAN))
    model = grid(seed=5)
    store = CheckpointFolder(tmp_path, model)
    assert store.last_steps() == trained[1].steps
    (resumed,) = train_into(store, model, RIG.training, lambda first: frames(3, first), PLAN)
    for name, array in trained[2].state.items():
        assert np.array_equal(array, again[2].state[name])
        assert np.array_equal(array, resumed.state[name]), name
    assert resumed.steps == trained[2].steps


DOUBLING = Rate(0.5, per="doubling")


@pytest.mark.slow(minutes=0.04)
def test_a_price_by_the_doubling_goes_by_the_size_of_the_model(tmp_path):
    """A model of twice the bits pays half as much for each; a chain is taken up at its price."""
    assert DOUBLING.of_bit(1.0, 2e5, key=True) == DOUBLING.of_bit(1.0, 1e5, key=True) / 2
    assert DOUBLING.of_bit(1.0, 0.0, key=True) < float("inf"), "nor is what is all zeros free"
    by_doubling = DOUBLING.of_bit(1.0, 8e5, key=False)
    assert by_doubling == pytest.approx(Rate(0.5 / np.log(2) / 30).of_bit(1.0, 1.0, key=False))
    plan = replace(PLAN, rate=DOUBLING)
    whole = chain(DOUBLING)
    dear = chain(replace(DOUBLING, price=8.0), count=2)
    assert dear[0].bits < whole[0].bits and dear[1].bits < whole[1].bits
    model = grid()
    store = CheckpointFolder(tmp_path, model)
    list(train_into(store, model, RIG.training, lambda first: frames(2, first), plan))
    (last,) = train_into(store, grid(5), RIG.training, lambda first: frames(3, first), plan)
    assert all(np.array_equal(array, last.state[name]) for name, array in whole[2].state.items())


@pytest.mark.parametrize(("named", "price"), [("auto", Rate(0.5, 0.3, 7, "doubling"))])
def test_a_price_that_is_named(named, price):
    assert Rate.named(named, 7) == price
    assert Rate.named(0.1, 7) == Rate(0.1, key_every=7)


def test_frozen_layers_are_on_their_grids_and_cost_nothing():
    first, second = chain(Rate(0.01), count=2, exclude_layers=(0, 1))
    for name, learns in second.freezing.requires_grad.items():
        assert learns or np.array_equal(first.state[name], second.state[name])
    assert second.steps == first.steps
    second.steps.levels(second.state)


def test_the_bitmap_opens_only_where_matter_came_and_closes_at_key_frames():
    rate = Rate(0.01, key_every=3)
    states = [frame.state["occupancy.cells"] for frame in chain(rate, count=4)]
    assert (states[1] >= states[0]).all() and (states[2] >= states[1]).all()
    assert (states[3] < states[2]).any(), "frame 3 is a key frame"


@pytest.mark.slow(minutes=0.02)
def test_a_key_frame_renews_the_chain_and_its_grids(tmp_path):
    """It learns the steps on, pays for levels and not for moves, and takes longer."""
    plan = replace(PLAN, rate=Rate(1.0, key_every=2), later=6)
    whole = list(train_chain(grid(), RIG.training, frames(4), plan))
    assert [frame.iterations for frame in whole] == [60, 6, 6 * KEY_TIMES, 6]
    assert [plan.iterations_of(t) for t in range(4)] == [60, 6, 6 * KEY_TIMES, 6]
    assert plan.iterations_before(4) == 60 + 12 + 6 * KEY_TIMES
    assert whole[0].steps == whole[1].steps != whole[2].steps == whole[3].steps
    for frame in whole:
        frame.steps.levels(frame.state)
    assert whole[2].bits < 1.2 * whole[0].bits, "all levels, as in frame 0"
    model = grid()
    store = CheckpointFolder(tmp_path, model)
    list(train_into(store, model, RIG.training, lambda first: frames(2, first), plan))
    model = grid(seed=5)
    resumed = list(train_into(store, model, RIG.training, lambda first: frames(4, first), plan))
    for name, array in whole[3].state.items():
        assert np.array_equal(array, resumed[1].state[name]), name


def test_a_package_holds_what_was_trained_and_can_be_gone_on_with(tmp_path):
    """Grids of key frames, of small tensors and of constant ones are taken up as they were."""
    plan = replace(PLAN, rate=Rate(300.0, key_every=2), later=4)
    options = {"profile": "lossy", "key_every": 2, **grid().in_package()}

    def made(path, *counts):
        for count in counts:
            model = grid(seed=counts.index(count))
            with (
                suppress(KeyboardInterrupt),
                nmc.Writer(path, resume=count > counts[0], **options) as writer,
            ):
                store = PackageStore(writer)
                assert (store.last_steps() is None) == (count == counts[0])
                given = partial(frames, count)
                for frame in train_into(store, model, RIG.training, given, plan):
                    assert store.last_steps() == frame.steps
                if count < counts[-1]:
                    raise KeyboardInterrupt
        return path

    whole = made(tmp_path / "whole.nmc", 4)
    assert nmc.check(whole).findings == ()
    halted = made(tmp_path / "halted.nmc", 1, 3, 4)
    with nmc.open(whole) as one, nmc.open(halted) as other:
        assert [f.coding for f in one.frames] == ["key", "delta", "key", "delta"]
        for a, b in zip(one.frames, other.frames, strict=True):
            assert a.segment_sha256 == b.segment_sha256
        state = one[3]
        tables = [array for name, array in state.items() if array.dtype == np.float32]
        assert any((t == t.ravel()[0]).all() for t in tables), "one is constant"
        assert any(t.size < 20 for t in tables), "one is small"


def test_layers_that_a_key_frame_freezes_keep_their_grids():
    plan = replace(PLAN, rate=Rate(1.0, key_every=1), later=6, exclude_layers=(0,))
    first, second = train_chain(grid(), RIG.training, frames(2), plan)
    assert second.steps.of["levels.0.table"] == first.steps.of["levels.0.table"]
    assert second.steps.of["levels.1.table"] != first.steps.of["levels.1.table"]
    second.steps.levels(second.state)


def test_no_iterations_still_leave_a_grid():
    first, second = chain(Rate(0.1), count=2, first=0, later=0)
    first.steps.levels(first.state)
    second.steps.levels(second.state)


def test_a_chain_that_was_trained_without_cannot_be_gone_on_with():
    model = grid()
    (plain,) = train_chain(model, RIG.training, frames(1), replace(PLAN, rate=None))
    assert plain.steps is None and np.isnan(plain.bits)
    later = frames(2, start=1)
    with pytest.raises(RateError, match="frame 1 is trained for rate, but the frame before it"):
        list(train_chain(model, RIG.training, later, PLAN))
    some = Steps(dict.fromkeys((n for n, _ in model.named_parameters()), 0.5))
    with pytest.raises(RateError, match=r"is not on its grid of step 0\.5"):
        list(train_chain(model, RIG.training, frames(2, start=1), PLAN, steps=some))
    with pytest.raises(RateError, match="has no step"):
        list(train_chain(model, RIG.training, frames(2, start=1), PLAN, steps=Steps({})))
    with pytest.raises(RateError, match="is not on its grid"):
        some.levels(plain.state)
    with pytest.raises(RateError, match="the state has no such tensor"):
        Steps({"nothing": 1.0}).levels(plain.state)
    with pytest.raises(RateError, match="'w' is not on its grid"):
        Steps({"w": 1.0}).levels({"w": np.array([np.nan, np.inf])})


@pytest.mark.parametrize("value", [-1.0, -1e-30, np.nan, np.inf, -np.inf])
def test_a_price_is_a_finite_number_from_0_on(value):
    with pytest.raises(RateError, match="the price of a kilobyte is a finite number of decibels"):
        Rate(value)


def test_other_members_of_a_rate_are_checked():
    with pytest.raises(RateError, match="a share above 0"):
        Rate(1.0, key_share=0.0)
    with pytest.raises(RateError, match="key frames come every so many"):
        Rate(1.0, key_every=-1)
    assert [Rate(0, key_every=4).is_key(i) for i in (0, 1, 4, 5)] == [True, False, True, False]
    assert [Rate(0, key_every=0).is_key(i) for i in (0, 1, 4)] == [True, False, False]


def test_the_price_is_in_decibels_of_the_loss():
    """A kilobyte at the price moves 10·log10 of the loss by it, to first order."""
    loss = 2e-3
    kilobyte = 8000 * Rate(0.01).of_bit(loss, 1.0, key=False)
    assert 10 * np.log10((loss + kilobyte) / loss) == pytest.approx(0.01, rel=2e-3)
    half = Rate(0.01, key_share=0.5).of_bit(loss, 1.0, key=True)
    assert half * 2 == Rate(0.01).of_bit(loss, 1.0, key=False)
    assert Rate(0.01).of_bit(-3.0, 1.0, key=True) == 0


@pytest.mark.parametrize("step", [1.0, 1 / 3, 3e-9, 12345.678, 1e-300, 1e300])
def test_a_step_has_a_short_mantissa(step):
    found = rounded(step)
    numerator, denominator = found.as_integer_ratio()
    odd = numerator // (numerator & -numerator)
    assert odd < 1 << MANTISSA_BITS and denominator & (denominator - 1) == 0
    if 1e-20 < step < 1e20:
        assert found == pytest.approx(step, rel=2.0**-MANTISSA_BITS)


def test_the_estimate_is_the_entropy_of_the_levels():
    generator = torch.Generator().manual_seed(1)
    levels = (torch.rand(4000, 4, generator=generator) < 0.25).float()
    levels[:2000] = 0
    flat = level_cost(levels, torch.zeros(4000, 4, dtype=torch.int64), 1, zeros=0.5)
    p = float(levels.mean())
    entropy = -(p * np.log2(p / 2) + (1 - p) * np.log2(1 - p))  # with a sign
    assert flat.bits == pytest.approx(16000 * entropy, rel=0.01)
    near = level_cost(levels, row_context(levels), ROW_CONTEXTS, zeros=0.5)
    assert near.bits < 0.9 * flat.bits, "empty rows are cheap among empty rows"
    assert (near.slopes >= 0).all()
    first_move = near.slope(torch.zeros(4000, 4))
    assert first_move[:1900].mean() > first_move[2100:].mean(), "dear where all is empty"


class Line(ChainModel):
    """Scalars, an empty tensor, a tensor without rows: shapes that a matrix is not."""

    family = "line"
    learning_rates = (0.05, 0.05)
    width = torch.float32

    @classmethod
    def defaults(cls):
        return {}

    def __init__(self, configuration):
        super().__init__(configuration)
        self.slope = nn.Parameter(torch.tensor(0.5, dtype=self.width))
        self.offset = nn.Parameter(torch.zeros(3, dtype=self.width))
        self.none = nn.Parameter(torch.empty(0, 4, dtype=self.width))
        self.unused = nn.Parameter(torch.ones(2, 2, 2, dtype=self.width))

    def layers(self):
        return [self]

    def loss(self, batch):
        x, y = batch
        return ((self.slope * x[:, None] + self.offset - y) ** 2).mean() + 1e-3


class Points:
    def __init__(self, frame):
        self.frame = frame

    def draw(self, count, generator, focus=None):
        x = torch.rand(count, generator=generator)
        return x, torch.stack([x, x, 2 * x + 0.3 * self.frame], dim=1)

    def kept_back(self, seed):
        return None


def test_tensors_of_any_shape_have_grids():
    model = Line.build()
    plan = Schedule(first=80, later=40, rays=64, rate=Rate(5.0))
    first = train_on(model, Points(0), plan, frame=0)
    second = train_on(model, Points(1), plan, frame=1, steps=first.steps)
    assert set(second.steps.levels(second.state)) == {"slope", "offset", "unused"}
    assert (second.state["unused"] == first.state["unused"]).all()
    assert second.loss < 0.3, "it followed the line"
    with pytest.raises(RateError, match="has no step"):
        train_on(model, Points(2), plan, frame=2, steps=Steps({"slope": second.steps.of["slope"]}))


def test_weights_travel_as_far_as_their_grid_is_coarse():
    """A learning rate that is small beside the steps would leave every weight where it is."""

    class Slow(Line):
        learning_rates = (0.05, 1e-4)

    model = Slow.build()
    plan = Schedule(first=80, later=40, rays=64, rate=Rate(0.1))
    first = train_on(model, Points(0), plan, frame=0)
    second = train_on(model, Points(1), plan, frame=1, steps=first.steps)
    assert (second.state["offset"] != first.state["offset"]).any()


class Broken(Line):
    """Its loss is a number, the gradient of some weights is none."""

    def loss(self, batch):
        chosen = torch.zeros(2, 2, dtype=torch.bool)
        return super().loss(batch) + torch.where(chosen, torch.sqrt(0 * self.unused[1]), 0.0).sum()


@pytest.mark.parametrize("frame", [0, 1, 10])
def test_weights_that_run_away_are_named(frame):
    model = Broken.build()
    plan = Schedule(first=80, later=40, rays=8, rate=Rate(1.0))
    steps = Steps(dict.fromkeys(("slope", "offset", "unused"), 0.5))
    with pytest.raises(
        TrainingError, match=f"frame {frame}: training diverged, unused reached nan"
    ):
        train_on(model, Points(0), plan, frame=frame, steps=steps if frame else None)


def test_weights_of_half_precision_are_refused(monkeypatch):
    monkeypatch.setattr(Line, "width", torch.bfloat16)
    with pytest.raises(RateError, match="needs weights of 32 or 64 bits"):
        train_on(Line.build(), Points(0), Schedule(first=20, rays=8, rate=Rate(1.0)), frame=0)


def test_the_record_of_a_checkpoint_has_the_steps(trained, tmp_path):
    store = CheckpointFolder(tmp_path, grid())
    store.append(trained[0])
    assert json.loads(json.dumps(store.record(0)["steps"])) == dict(trained[0].steps.of)
    assert price.TIMES >= 1
