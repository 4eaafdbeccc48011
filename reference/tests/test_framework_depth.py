"""Depth from one picture: the stacked input, losses, metrics, the network and its chain."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from depth_samples import TINY, pair, pairs
from hypothesis import given
from hypothesis import strategies as st

import nmc
from nmc_framework.depth.difference import (
    FIXED_SIGMA,
    FOCUSES,
    FocusShares,
    difference_of_gaussians,
    focus_shares,
    focus_sigmas,
    focus_variances,
    grey_levels,
    stacked,
)
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.estimate import depth_model, estimate, fitted_size, judged
from nmc_framework.depth.learning import RoomStore, adapt, split, train_depth
from nmc_framework.depth.losses import GRID_WEIGHT, losses
from nmc_framework.depth.metrics import depth_score, known_depth, mean_score
from nmc_framework.depth.pairs import DepthExamples, Pair
from nmc_framework.models import ModelError, build
from nmc_framework.training import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


def noisy(height, width, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, (height, width, 3)).astype(np.uint8)


# --- the input ---------------------------------------------------------------------------------


def test_the_sixteen_inner_points_of_a_grid_of_six_by_six():
    points, variances = focus_variances(grey_levels(noisy(480, 640)))
    assert points.shape == (16, 2) and variances.shape == (16,)
    rows, columns = (sorted(set(points[:, axis].tolist())) for axis in (0, 1))
    assert rows == [95, 191, 287, 383]  # of 0, 95, 191, 287, 383, 479
    assert columns == [127, 255, 383, 511]


def test_the_variance_is_that_of_a_disc_about_the_point():
    grey = np.zeros((480, 640), np.float32)
    grey[95 - 10 : 95 + 11, 127 - 10 : 127 + 11] = 100  # holds the disc of radius 10
    grey[191, 255] = 50
    _, variances = focus_variances(grey)
    assert variances[0] == 0  # all of one level
    y, x = np.mgrid[-10:11, -10:11]
    count = (x * x + y * y <= 100).sum()
    assert variances[5] == pytest.approx(50**2 * (1 / count - 1 / count**2))


@pytest.mark.parametrize("focus", ["deviation", "variance"])
def test_the_difference_of_the_two_largest_spreads_is_the_sigma(focus):
    grey = np.zeros((480, 640), np.float32)
    count = 317  # pixels of a disc of radius 10
    levels = (60, 40) if focus == "variance" else (240, 40)
    grey[95, 127], grey[191, 255] = levels
    share = 1 / count - 1 / count**2
    variances = [level**2 * share for level in levels]
    first, second = variances if focus == "variance" else np.sqrt(variances)
    narrow, wide = focus_sigmas(grey, focus)
    assert wide == pytest.approx(first - second)
    assert narrow == pytest.approx(wide / 10)


@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_sigma_is_fixed_where_the_variances_differ_by_less_than_one(apart):
    grey = np.zeros((480, 640), np.float32)
    grey[95, 127], grey[191, 255] = 20 + apart, 20
    assert focus_sigmas(grey) == (FIXED_SIGMA / 10, FIXED_SIGMA)


def test_pictures_with_much_to_see_set_the_gaussian_by_deviations_alone():
    """Two places of unequal contrast, as any photograph has: variances blur to the mean of it."""
    picture = np.full((480, 640, 3), 128, np.uint8)
    picture[80:112, 110:144] = noisy(32, 34, 60, 196)
    picture[176:208, 240:272] = noisy(32, 32, 80, 176, seed=1)
    by = {focus: focus_shares([picture], focus) for focus in FOCUSES}
    assert by["variance"] == FocusShares(fixed=0, bounded=1, median=120)
    assert by["deviation"].free == 1 and 1 < by["deviation"].median < 40
    plain = np.full((48, 64, 3), 9, np.uint8)
    assert focus_shares([plain, plain, picture]).fixed == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no pictures"):
        focus_shares([])


def test_six_channels_the_last_three_alike():
    picture = noisy(24, 32)
    found = stacked(picture)
    assert found.shape == (6, 24, 32) and found.dtype == np.float32
    assert np.array_equal(found[:3], picture.transpose(2, 0, 1).astype(np.float32) / 255)
    assert np.array_equal(found[3], found[4]) and np.array_equal(found[3], found[5])
    assert np.array_equal(found[3], difference_of_gaussians(picture))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_any_picture_has_a_finite_difference(height, width, level, seed):
    one_colour = np.full((height, width, 3), level, np.uint8)
    assert np.abs(stacked(one_colour)[3:]).max() < 1e-5
    found = stacked(noisy(height, width, seed=seed))
    assert np.isfinite(found).all() and np.abs(found).max() <= 1 + 1e-6


# --- losses ------------------------------------------------------------------------------------


def maps(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 1 + 3 * torch.rand(*shape, generator=generator)


def test_losses_of_the_truth_are_none_and_the_total_weighs_them():
    truth = maps(2, 1, 16, 20)
    known = torch.ones_like(truth)
    none = losses(truth, truth, known, 10)
    assert float(none.total) == pytest.approx(0, abs=1e-5)
    found = losses(maps(2, 1, 16, 20, seed=1), truth, known, 10)
    expected = found.depth + found.gradient_global + 0.3 * found.gradient_grid + found.ssim
    assert GRID_WEIGHT == 0.3 and torch.equal(found.total, expected)
    assert min(float(found.depth), float(found.gradient_grid), float(found.ssim)) > 0


def test_losses_against_plain_sums():
    a, b = maps(1, 1, 8, 8), maps(1, 1, 8, 8, seed=1)
    found = losses(a, b, torch.ones_like(a), 10)
    x, y = a[0, 0].numpy(), b[0, 0].numpy()
    assert float(found.depth) == pytest.approx(np.abs(x - y).mean(), rel=1e-5)

    def gradient(p, q):
        return sum(np.abs(np.diff(p, axis=axis) - np.diff(q, axis=axis)).mean() for axis in (0, 1))

    assert float(found.gradient_global) == pytest.approx(gradient(x, y), rel=1e-5)
    cells = [(slice(i, i + 2), slice(j, j + 2)) for i in range(0, 8, 2) for j in range(0, 8, 2)]
    of_cells = np.mean([gradient(x[cell], y[cell]) for cell in cells])
    assert float(found.gradient_grid) == pytest.approx(of_cells, rel=1e-5)


@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1))
def test_what_is_not_known_counts_for_nothing(height, width, share):
    truth, found = maps(1, 1, height, width), maps(1, 1, height, width, seed=1)
    known = (
        torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(2)) < share
    ).float()
    other = torch.where(known > 0, truth, torch.full_like(truth, 777.0))
    one, two = losses(found, truth, known, 10), losses(found, other, known, 10)
    assert float(one.total) == float(two.total) and np.isfinite(float(one.total))
    if not known.any():
        assert float(one.total) == 0


def test_unknown_depth_pulls_no_weight():
    found = maps(1, 1, 12, 12, seed=1).requires_grad_()
    known = torch.zeros(1, 1, 12, 12)
    known[..., :6] = 1
    losses(found, maps(1, 1, 12, 12), known, 10).total.backward()
    assert found.grad[..., :6].abs().min() > 0 and found.grad[..., 7:].abs().max() == 0


# --- metrics -----------------------------------------------------------------------------------


def test_metrics_of_a_small_example():
    truth = np.array([[1.0, 2.0, 4.0, 0.0]])
    found = np.array([[1.2, 2.0, 2.0, 9.0]])
    score = depth_score(found, truth, known_depth(truth, (0.1, 10)))
    assert score.absrel == pytest.approx((0.2 + 0 + 0.5) / 3)
    assert score.rmse == pytest.approx(np.sqrt((0.04 + 4) / 3))
    assert score.log10 == pytest.approx((np.log10(1.2) + np.log10(2)) / 3)
    assert (score.delta1, score.delta2, score.delta3) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    doubled = depth_score(2 * truth, truth, known_depth(truth, (0.1, 10)), aligned=True)
    assert doubled.absrel == 0 and doubled.delta1 == 1


def test_metrics_without_any_depth():
    truth = np.zeros((4, 4))
    assert depth_score(truth + 1, truth, known_depth(truth, (0.1, 10))) is None
    with pytest.raises(DepthError, match="no picture has a depth"):
        mean_score([])
    nan = np.full((4, 4), np.nan)
    assert not known_depth(nan, (0.1, 10)).any()
    with pytest.raises(DepthError, match="unequal size"):
        depth_score(truth, truth[:2], truth > 0)
    with pytest.raises(DepthError, match="not a positive number"):
        depth_score(nan, truth + 1, truth == 0)


# --- the network -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 13), (24, 32), (65, 47)])
def test_any_picture_gets_a_depth_of_its_size(size):
    model = build("depth_unet", TINY).eval()
    found = estimate(model, noisy(*size))
    assert found.shape == size and found.dtype == np.float32
    assert found.min() >= 0.2 and found.max() <= 20
    rows, columns = fitted_size(model, *size)
    assert rows % 4 == 0 and columns % 4 == 0 and rows * columns <= 4 * 24 * 32


@pytest.mark.parametrize("options", [{}, {"difference": False}, {"attention": False}])
def test_layers_are_all_parameters_and_the_encoder_comes_first(options):
    model = build("depth_unet", TINY | options)
    own = {id(p) for p in model.parameters()}
    assert {id(p) for layer in model.layers() for p in layer.parameters()} == own
    assert model.encoder_layers == (0, 1, 2)
    assert all(name.startswith("encoder.") for name, k in model.layer_of().items() if k < 3)
    inputs = model.encoder[0].first.weight.shape[1]
    assert inputs == (3 if options.get("difference") is False else 6)
    assert (model.channels is None) == (options.get("attention") is False)


def test_selu_keeps_the_variance_of_what_goes_through():
    model = build("depth_unet", {"width": 16, "levels": 2, "rows": 32, "columns": 32})
    maps_in = torch.randn(8, 6, 32, 32, generator=torch.Generator().manual_seed(0))
    out = model.encoder[0](maps_in).detach()
    assert 0.5 < float(out.var()) < 1.6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"levels": 0}, "1 to 7 levels"),
        ({"width": 0}, "1 to 512 channels"),
        ({"width": 10**9}, "1 to 512 channels"),
        ({"width": 512, "levels": 7, "rows": 128}, "at most 268435456 weights"),
        ({"rows": 8}, "pixels a side"),
        ({"columns": 10**6}, "pixels a side"),
        ({"nearest": 0.0}, "nearest one above 0"),
        ({"nearest": 3.0, "farthest": 2.0}, "nearest one above 0"),
        ({"farthest": float("inf")}, "nearest one above 0"),
    ],
)
def test_options_of_which_no_network_can_be_made(options, words):
    with pytest.raises(ModelError, match=words):
        build("depth_unet", options)


def test_states_of_others_are_refused():
    model = build("depth_unet", TINY)
    with pytest.raises(ModelError, match="another architecture"):
        model.load(build("depth_unet", TINY | {"width": 8}).save())
    state = model.save()
    state["head.bias"] = np.array([np.nan], np.float32)
    with pytest.raises(ModelError, match="not finite numbers"):
        model.load(state)
    with pytest.raises(ModelError, match="says no depth"):
        depth_model(build("siren", {"width": 8, "height": 8}))


# --- learning ----------------------------------------------------------------------------------


def trained(iterations=70, count=8):
    model = build("depth_unet", TINY)
    frame = train_depth(model, pairs(count), Schedule(first=iterations, rays=4, learning_rate=9e-3))
    return model, frame


def test_it_learns_depth_better_than_the_mean():
    model, frame = trained()
    found = judged(model, [pair(100 + k) for k in range(4)])
    assert found.pictures == 4 and found.mean is not None
    assert found.model.absrel < 0.7 * found.mean.absrel
    assert 2.5 < float(model.mean_depth) < 3.2
    assert set(found.losses) == {"depth", "gradient_global", "gradient_grid", "ssim", "total"}
    assert frame.iterations == 70


def test_training_is_the_same_for_a_seed():
    one, two = trained(5)[1].state, trained(5)[1].state
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_pictures_without_depth_are_passed_over_and_counted():
    blind = Pair(pair(1).picture, np.zeros((24, 32), np.float32), "blind", "a room")
    full = pair(2)
    examples = DepthExamples([blind, full], (24, 32), (0.1, 10))
    batch = examples.draw(16, torch.Generator().manual_seed(0))
    assert (batch.known.flatten(1).sum(dim=1) > 0).all()
    with pytest.raises(DepthError, match="no depth of its 1 pictures"):
        DepthExamples([blind], (24, 32), (0.1, 10))
    with pytest.raises(DepthError, match="no pictures with depth"):
        DepthExamples([], (24, 32), (0.1, 10))
    model = build("depth_unet", TINY).eval()
    found = judged(model, [blind, full])
    assert (found.pictures, found.empty) == (1, 1)
    with pytest.raises(DepthError, match="none of 1 pictures"):
        judged(model, [blind])
    with pytest.raises(DepthError, match="of one size"):
        Pair(full.picture, full.depth[:5], "x", "y")


def test_examples_are_mirrored_with_their_depth():
    found = pair(3)
    examples = DepthExamples([found], (24, 32), (0.1, 10))
    batch = examples.draw(32, torch.Generator().manual_seed(0))
    plain = torch.from_numpy(found.depth)
    same = [bool(torch.equal(depth[0], plain)) for depth in batch.depth]
    turned = [bool(torch.equal(depth[0], plain.flip(-1))) for depth in batch.depth]
    assert all(a != b for a, b in zip(same, turned, strict=True))
    assert 4 < sum(same) < 28
    assert examples.part(0, 1).depth.equal(plain[None, None])


def test_from_room_to_room_the_encoder_stays(tmp_path):
    model, _ = trained(20)
    before = model.save()
    rooms = [split(name, [pair(k + 50 * n, room=name) for k in range(5)], 5)
             for n, name in enumerate(("kitchen", "office"))]  # fmt: skip
    assert [len(room.training) for room in rooms] == [4, 4]
    path = tmp_path / "rooms.nmc"
    schedule = Schedule(later=10, rays=4)
    with nmc.Writer(path, **model.in_package()) as writer:
        told = [room.name for room, _ in adapt(RoomStore(writer), model, rooms, schedule)]
    assert told == ["kitchen", "office"]
    with nmc.open(path) as sequence:
        assert len(sequence) == 3
        assert [f.extras for f in sequence.frames][1:] == [{"room": "kitchen"}, {"room": "office"}]
        assert sequence.frames[1].exclude_layers == model.encoder_layers
        for t in (0, 1, 2):
            same = {n for n, a in sequence[t].items() if a.tobytes() == before[n].tobytes()}
            assert {n for n in before if n.startswith("encoder.")} <= same
            assert (t == 0) == (same == set(before))
        first, second = (sequence.frames[t].segment_length for t in (0, 1))
        assert second < first
    with pytest.raises(DepthError, match="no pictures to learn from"):
        split("hall", [], 5)
