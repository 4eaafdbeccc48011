"""Metrics against their definitions, held-out scores into tables and the manifest, the studies."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from grid_samples import CONFIGURATION
from PIL import Image

import nmc
from nmc_framework.evaluation import HeldOut, plot_scores, write_scores
from nmc_framework.evaluation.study import Bench, freezing, weight_sharing
from nmc_framework.metrics import (
    MetricError,
    colour_aligned,
    flicker,
    ms_ssim,
    psnr,
    ssim,
    static_flicker,
    unit,
)
from nmc_framework.models import build
from nmc_framework.scene import arc_rig, view_all
from nmc_framework.training import FrameViews, Schedule, back, front

RIG = arc_rig(4, 2, (20, 20))


pytestmark = pytest.mark.usefixtures("one_thread")


def noisy(seed, size=(180, 190)):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(*size, 3)), axis=0), axis=1)
    return (smooth - smooth.min()) / np.ptp(smooth)


def test_ms_ssim_is_one_for_equals_and_falls_with_noise():
    image = noisy(0)
    assert ms_ssim(image, image) == pytest.approx(1)
    grain = np.random.default_rng(1).normal(size=image.shape)
    little, much = (np.clip(image + amount * grain, 0, 1) for amount in (0.02, 0.2))
    assert 1 > ms_ssim(little, image) > ms_ssim(much, image) > 0
    # Fine grain counts less over several scales than over the finest alone.
    assert ms_ssim(little, image) > ssim(little, image)
    with pytest.raises(MetricError, match="at least 176"):
        ms_ssim(image[:100], image[:100])


def test_ssim_agrees_with_its_definition_at_one_window():
    a, b = noisy(2, (11, 11)), noisy(3, (11, 11))
    offsets = np.arange(-5, 6)
    weight = np.exp(-0.5 * (offsets / 1.5) ** 2)
    weight = np.outer(weight, weight)[..., None] / weight.sum() ** 2

    def mean(values):
        return (weight * values).sum(axis=(0, 1))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean((a - ma) ** 2), mean((b - mb) ** 2), mean((a - ma) * (b - mb))
    expected = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    # torchmetrics computes in float32 here.
    assert ssim(a, b) == pytest.approx(expected.mean(), abs=5e-6)


def test_flicker_counts_change_that_the_scene_does_not_make():
    a, b = noisy(4, (16, 16)), noisy(5, (16, 16))
    assert flicker(b, a, b, a) == 0
    assert flicker(a, a, b, b) == 0
    assert flicker(a + 0.25, a, b, b) == pytest.approx(0.25)


def test_static_flicker_looks_only_where_the_truth_stands_still():
    truth_before = noisy(6, (16, 16))
    truth = truth_before.copy()
    truth[:8] += 0.2  # what moves does not count, whatever the rendering does there
    before = noisy(7, (16, 16))
    image = before.copy()
    image[:8] += 0.5
    assert static_flicker(image, before, truth, truth_before) == 0
    image[8:12] += 0.1
    assert static_flicker(image, before, truth, truth_before) == pytest.approx(0.05)
    assert np.isnan(static_flicker(image, before, truth_before + 0.1, truth_before))
    # What video coding leaves counts as still: three steps of 255, and not four.
    steps = np.full((2, 2, 3), 100, np.uint8)
    changed = np.full((2, 2, 3), 151, np.uint8)
    assert static_flicker(changed, steps, steps + 3, steps) == pytest.approx(0.2)
    assert np.isnan(static_flicker(changed, steps, steps + np.uint8([0, 0, 4]), steps))
    with pytest.raises(MetricError, match="unequal shape"):
        static_flicker(image, before[:8], truth, truth_before[:8])


def test_aligned_colours_undo_an_exposure_and_nothing_else():
    truth = noisy(8, (20, 22))
    exposure = np.array([[0.5, 0.1, 0], [0, 0.6, 0.05], [0.02, 0, 0.7]])
    image = truth @ exposure.T + [0.1, 0.05, 0]
    assert psnr(image, truth) < 20 < 100 < psnr(colour_aligned(image, truth), truth)
    grain = np.random.default_rng(9).normal(size=truth.shape) * 0.05
    assert psnr(colour_aligned(image + grain, truth), truth) < 30
    for odd in (np.zeros_like(truth), np.full((1, 1, 3), 0.3)):  # nothing to fit by
        found = colour_aligned(odd, truth[: odd.shape[0], : odd.shape[1]])
        assert np.isfinite(found).all() and 0 <= found.min() <= found.max() <= 1
    # 8-bit images, as they are scored; never worse than as it is.
    eight = [np.round(255 * np.clip(x, 0, 1)).astype(np.uint8) for x in (image + grain, truth)]
    assert psnr(colour_aligned(*eight), unit(eight[1])) > psnr(*eight) + 3


def test_colours_are_aligned_where_it_is_asked_for(scored):
    assert np.isnan(scored.table("psnr_aligned")).all()
    aligned = HeldOut(RIG.held_out, align=True)
    model = build("hash_grid", CONFIGURATION, seed=0)
    aligned.score(model, 0, view_all(RIG.held_out, 0))
    assert (aligned.table("psnr_aligned") > aligned.table("psnr")).all()
    assert aligned.means()["psnr_aligned"] == aligned.table("psnr_aligned").mean()
    one = aligned.means(["test_01"])
    assert one["psnr"] == aligned.table("psnr")[0, 1] and "flicker" not in one


@pytest.fixture
def scored():
    held_out = HeldOut(RIG.held_out)
    for frame in range(3):
        model = build("hash_grid", CONFIGURATION, seed=frame)
        held_out.score(model, frame, view_all(RIG.held_out, frame * 0.1))
    return held_out


def test_scores_become_tables_csv_and_a_manifest(scored, tmp_path):
    table = scored.table("psnr")
    assert table.shape == (3, 2) and scored.mean(1, "psnr") == pytest.approx(table[1].mean())
    assert np.isnan(scored.table("flicker")[0]).all() and (scored.table("flicker")[1:] > 0).all()
    write_scores(tmp_path / "s.csv", scored.scores)
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and rows[0]["view"] == "test_00" and rows[0]["flicker"] == ""
    assert float(rows[5]["psnr"]) == pytest.approx(table[2, 1], rel=1e-5)
    with nmc.Writer(tmp_path / "a.nmc") as writer:
        for _ in range(3):
            writer.append({"w": np.zeros(3, np.float32)})
        writer.set_quality(nmc.Quality(**scored.quality()))
    assert nmc.check(tmp_path / "a.nmc").accepted


def test_flicker_is_between_neighbouring_frames_only():
    held_out = HeldOut(RIG.held_out[:1])
    model = build("hash_grid", CONFIGURATION)
    for frame in (0, 1, 4, 5):
        held_out.score(model, frame, view_all(RIG.held_out[:1], frame * 0.1))
    assert np.isnan(held_out.table("flicker"))[:, 0].tolist() == [True, False, True, False]


def test_the_picture_of_scores_has_a_panel_for_each_metric_that_was_measured(scored, tmp_path):
    sizes = []
    for name, lpips in (("without", float("nan")), ("with", 0.5)):
        scores = [replace(score, lpips=lpips) for score in scored.scores]
        plot_scores(tmp_path / f"{name}.png", scores, name)
        with Image.open(tmp_path / f"{name}.png") as image:
            sizes.append(image.size)
    assert sizes[1][1] > sizes[0][1] and sizes[1][0] == sizes[0][0]


def test_truths_that_do_not_fit_are_named(scored):
    model = build("hash_grid", CONFIGURATION)
    truths = view_all(RIG.held_out, 0.0)
    with pytest.raises(MetricError, match="frame 3: 1 true images for 2 held-out cameras"):
        scored.score(model, 3, truths[:1])
    with pytest.raises(MetricError, match=r"frame 3, camera 'test_01': the true image is \(9, 20"):
        scored.score(model, 3, [truths[0], truths[1][:9]])


@pytest.mark.slow(minutes=0.02)
def test_the_studies_measure_both_clauses():
    frames = tuple(FrameViews(t, 0.05 * t, view_all(RIG.training, 0.05 * t)) for t in (0, 1))
    bench = Bench(RIG.training, RIG.held_out, frames, view_all(RIG.held_out, 0.05))
    plan = Schedule(first=60, later=6, rays=256)
    (row,) = weight_sharing(bench, "hash_grid", CONFIGURATION, plan, [10])
    assert row.iterations == 10 and row.gain > 1
    choices = {"none": lambda _: (), "front": lambda m: front(m.layers(), 3),
               "back": lambda m: back(m.layers(), 5)}  # fmt: skip
    rows = freezing(bench, "hash_grid", CONFIGURATION, plan, choices)
    assert [r.name for r in rows] == ["none", "front", "back"]
    assert rows[0].relative == 1 and rows[1].exclude_layers == (0, 1, 2)
    assert rows[1].changed_bytes + rows[2].changed_bytes == rows[0].changed_bytes
