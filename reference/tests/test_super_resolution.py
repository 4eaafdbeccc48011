"""Super-resolution: its networks, filter, patches, scenes and metrics."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

import torch
from PIL import Image
from torch import nn

from nmc_framework.metrics import MetricError
from nmc_framework.models import ModelError, build
from nmc_framework.scene import scenes
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.edsr import Edsr
from nmc_framework.super_resolution.footage import Footage, Moment
from nmc_framework.super_resolution.luma import luma, luma_ms_ssim, luma_psnr, luma_ssim
from nmc_framework.super_resolution.niqe import niqe
from nmc_framework.super_resolution.opinion import Answer, OpinionError, opinions, read_answers
from nmc_framework.super_resolution.patches import PatchPairs
from nmc_framework.super_resolution.preference import (
    Choice,
    exact_interval,
    preferences,
    read_choices,
    sign_test,
    strengths,
)
from nmc_framework.super_resolution.resampling import bicubic, reduced
from nmc_framework.super_resolution.scenes import FrameChoice, Scene, learned_scenes, scenes_of

SMALL = {"edsr": {"blocks": 2, "channels": 6}, "vdsr": {"depth": 3, "channels": 6}}


def picture(height=40, width=52, seed=0):
    """Waves, which are smooth, and a grain."""
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    waves = np.stack([np.sin(x / 3 + k) + np.cos((y + k * x) / 5) for k in range(3)], axis=-1)
    return (128 + 50 * waves + grain).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_network_begins_as_the_bicubic_filter_and_learns(name, scale):
    model = build(name, SMALL[name] | {"scale": scale}, seed=2)
    low = picture()[None]
    assert np.array_equal(model.enlarge(low), bicubic(low, scale))
    high = picture(scale * 10, scale * 12)
    pairs = PatchPairs([reduced(high[None], scale)[0]], [high], criterion("l2"), patch=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        batch = pairs.draw(4, torch.Generator().manual_seed(0))
        loss = model.loss(batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    other = build(name, model.configuration, seed=5)
    other.load(model.save())
    assert np.array_equal(other.enlarge(low), model.enlarge(low))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("edsr", {"scale": 5}, "2, 3, 4 times, not 5"),
        ("edsr", {"blocks": 0}, "1 to 64 blocks"),
        ("edsr", {"channels": 4096}, "1 to 512 channels"),
        ("edsr", {"value_range": 0.0}, "value range is above 0"),
        ("vdsr", {"depth": 1}, "2 to 64 layers"),
    ],
)
def test_options_that_make_no_network_are_refused(name, options, told):
    with pytest.raises(ModelError, match=told):
        build(name, options)


class _Theirs(nn.Module):
    """EDSR as EDSR-PyTorch has it, written from its description: layers, names and ranges."""

    def __init__(self, blocks, channels, scale):
        super().__init__()
        self.mean = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1) * 255
        conv = lambda a, b: nn.Conv2d(a, b, 3, padding=1)  # noqa: E731
        self.head = nn.Sequential(conv(3, channels))
        inner = []
        for _ in range(blocks):
            block = nn.Module()
            block.body = nn.Sequential(
                conv(channels, channels), nn.ReLU(), conv(channels, channels)
            )
            inner.append(block)
        self.body = nn.Sequential(*inner, conv(channels, channels))
        shuffles = []
        for factor in (2, 2) if scale == 4 else (scale,):
            shuffles += [conv(channels, channels * factor**2), nn.PixelShuffle(factor)]
        self.tail = nn.Sequential(nn.Sequential(*shuffles), conv(channels, 3))

    def forward(self, pictures):
        values = features = self.head(pictures - self.mean)
        for block in list(self.body)[:-1]:
            values = values + block.body(values)
        return self.tail(self.body[-1](values) + features) + self.mean


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_checkpoint_of_edsr_pytorch_is_the_same_network(scale):
    torch.manual_seed(0)
    theirs = _Theirs(2, 8, scale)
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    for part in ("sub_mean", "add_mean"):
        state |= {f"{part}.weight": np.eye(3)[..., None, None], f"{part}.bias": np.zeros(3)}
    model = Edsr.from_foreign(state, scale)
    values = torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        assert torch.allclose(255 * model(values), theirs(255 * values), atol=1e-2)
    other = 3 if scale == 2 else 2
    with pytest.raises(ModelError, match=f"enlarges {scale} times, not {other}"):
        Edsr.from_foreign(state, other)


def test_checkpoints_of_other_networks_are_refused_by_what_they_lack():
    torch.manual_seed(0)
    state = {name: tensor.numpy() for name, tensor in _Theirs(2, 8, 2).state_dict().items()}
    with pytest.raises(ModelError, match=r"it lacks head\.0\.weight"):
        Edsr.from_foreign({"conv1.weight": np.zeros((8, 3, 3, 3), np.float32)}, 2)
    with pytest.raises(ModelError, match=r"tail\.0\.0\.weight"):
        Edsr.from_foreign({k: v for k, v in state.items() if not k.startswith("tail.0")}, 2)
    with pytest.raises(ModelError, match=r"it has also 'body.0.conv_du.0.weight'"):
        Edsr.from_foreign(state | {"body.0.conv_du.0.weight": np.zeros(3, np.float32)}, 2)
    with pytest.raises(ModelError, match="1 to 64 blocks"):
        many = {f"body.{k}.body.0.weight": np.zeros((8, 8, 3, 3), np.float32) for k in range(99)}
        Edsr.from_foreign(state | many, 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_filter_is_that_of_pillow(scale):
    large = picture(scale * 20, scale * 26)
    mine = reduced(large[None], scale)[0]
    theirs = np.asarray(Image.fromarray(large).resize((26, 20), Image.Resampling.BICUBIC))
    assert np.abs(mine.astype(int) - theirs).max() <= 1
    back = bicubic(mine[None], scale)[0]
    size = (scale * 26, scale * 20)
    theirs = np.asarray(Image.fromarray(mine).resize(size, Image.Resampling.BICUBIC))
    assert np.abs(back.astype(int) - theirs).max() <= 1
    assert reduced(large[None, 1:, 1:], scale).shape[1:3] == (20, 26)  # rounded up


def test_patches_show_the_same_place_small_and_large():
    high = picture(60, 80)
    low = high[::2, ::2]  # so that every small pixel is one of the large ones
    for augment in (True, False):
        pairs = PatchPairs([low], [high], criterion("l1"), patch=12, augment=augment)
        batch = pairs.draw(32, torch.Generator().manual_seed(1))
        assert batch.low.shape == (32, 3, 12, 12) and batch.high.shape == (32, 3, 24, 24)
        for small, large in zip(batch.low, batch.high, strict=True):
            corners = [large[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
            assert any(torch.equal(small, corner) for corner in corners)
    tiny = PatchPairs([high[:5, :9]], [bicubic(high[None, :5, :9], 2)[0]], criterion("l1"))
    assert tiny.draw(1, torch.Generator()).low.shape[2:] == (5, 5)
    with pytest.raises(ModelError, match="not 2 times"):
        PatchPairs([low], [high[:-1]], criterion("l1"))


def footage(ticks, cuts=(), intra=()):
    moments = tuple(Moment(t, n in intra, n in cuts or not n) for n, t in enumerate(ticks))
    return Footage(None, moments, (8, 8), (8, 8), 10)


def test_scenes_begin_at_cuts_and_long_ones_are_divided_evenly():
    film = footage(range(60), cuts=(20,))
    assert scenes_of(film) == [Scene(0, 20, True), Scene(20, 60, True)]
    found = scenes_of(film, seconds=2)
    assert found == [Scene(0, 20, True), Scene(20, 40, True), Scene(40, 60, False)]
    assert scenes_of(film, by_cuts=False) == [Scene(0, 60, True)]
    assert scenes_of(footage([0])) == [Scene(0, 1, True)]
    assert scenes_of(footage([0, 1000, 1001]), seconds=1e-3)[0] == Scene(0, 1, True)


def test_pictures_are_drawn_by_time_or_by_kind(tmp_path):
    film = footage([0, 1, 2, 3, 20, 21, 40], intra=(0, 5))
    scene = Scene(0, 7, True)
    assert FrameChoice().of(film, scene) == list(range(7))
    assert FrameChoice.named("1/s").of(film, scene) == [0, 4, 6]
    assert FrameChoice.named("5/s").of(film, scene) == [0, 2, 4, 6]
    assert FrameChoice.named("iframes").of(film, scene) == [0, 5]
    for text in ("some", "0/s", "-1/s", "nan/s", "inf/s", "/s", "2"):
        with pytest.raises(ValueError, match="write all, iframes, or such as 2/s"):
            FrameChoice.named(text)


def test_a_scene_without_i_frames_goes_with_its_neighbour(tmp_path):
    parts = [Scene(0, 2, True), Scene(2, 4, True), Scene(4, 6, True), Scene(6, 8, False)]
    film = footage(range(8), intra=(2, 3))
    found = learned_scenes(film, parts, FrameChoice(intra=True))
    assert found == [(Scene(0, 8, True), [2, 3])]
    bare = Footage(tmp_path / "x.mp4", film.moments[4:], (8, 8), (8, 8), 10)
    with pytest.raises(ValueError, match=r"x\.mp4 has no I-frame.*--frames 2/s"):
        learned_scenes(bare, [Scene(0, 4, True)], FrameChoice(intra=True))


def test_the_brightness_is_that_of_matlab():
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    assert luma(white)[0, 0] == pytest.approx(235) and luma(black)[0, 0] == pytest.approx(16)
    a = picture(200, 190)
    b = a.copy()
    b[:2] = 0  # in the border
    assert luma_psnr(b, a, 2) == 100 and luma_psnr(b, a, 1) < 40
    shifted = (a.astype(int) + 1).clip(0, 255).astype(np.uint8)
    error = float(np.mean((luma(shifted) - luma(a))[4:-4, 4:-4] ** 2))
    assert luma_psnr(shifted, a, 4) == pytest.approx(10 * np.log10(255**2 / error))
    assert 0.99 < luma_ssim(shifted, a, 4) <= 1 and 0.99 < luma_ms_ssim(shifted, a, 4) <= 1
    assert np.isnan(luma_ssim(a[:9, :9], a[:9, :9], 1)) and np.isnan(luma_ms_ssim(b, a, 20))
    with pytest.raises(MetricError, match="nothing is left of 4x4"):
        luma_psnr(a[:4, :4], a[:4, :4], 2)
    with pytest.raises(MetricError, match="cannot be compared"):
        luma_psnr(a[:4], a, 0)


def waves(size, seed):
    """A picture of integers alone, the same everywhere; BasicSR 1.4.2 told what its NIQE is."""
    generator = np.random.Generator(np.random.PCG64(seed))
    grain = generator.integers(0, 24, (*size, 3))
    y, x = np.mgrid[: size[0], : size[1]]
    return (((x * y // 7 + (x // 9) * 13)[..., None] + grain) % 256).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "seed", "told"), [((200, 300), 1, 14.62616), ((97, 200), 2, 15.89192)]
)
def test_niqe_is_that_of_basicsr(size, seed, told):
    assert niqe(waves(size, seed)) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("chelsea", (288, 384), 2.62552),
        ("stereo_motorcycle", (480, 672), 2.67249),
        ("astronaut", (384, 384), 3.10163),
        ("coffee", (384, 576), 4.11524),
    ],
)
def test_niqe_of_photographs_is_that_of_basicsr(name, size, told):
    """Figures are those of BasicSR 1.4.2, on the first rows and columns of each photograph."""
    data = pytest.importorskip("skimage.data")
    found = getattr(data, name)()
    whole = found[0] if isinstance(found, tuple) else found
    assert niqe(whole[: size[0], : size[1], :3]) == pytest.approx(told, rel=0.01)


def test_niqe_of_an_embedded_scene_is_that_of_basicsr():
    scene = scenes()["walk"]
    seen = scene.render(scene.rig((288, 192)).cameras[0], 0.0)
    assert niqe(seen) == pytest.approx(6.01128, rel=0.01)


def test_niqe_says_what_it_cannot_measure_and_that_blur_is_worse():
    sharp = picture(192, 288)
    assert niqe(bicubic(reduced(sharp[None], 4), 4)[0]) > niqe(sharp) + 1
    with pytest.raises(MetricError, match="at least 2 blocks of 96x96 pixels, and 150x96 has 1"):
        niqe(picture(96, 150))
    with pytest.raises(MetricError, match="of one colour"):
        niqe(np.full((192, 192, 3), 90, np.uint8))


def test_opinions_are_means_with_intervals(tmp_path):
    given = [Answer(str(p), "f", "a", s) for p, s in enumerate((4, 5, 3, 4))]
    given += [Answer("0", "f", "b", 2), Answer("0", "f", "b", 1)]
    best, worst = opinions(given)
    assert (best.way, best.answers, best.people, best.mean) == ("a", 4, 4, 4.0)
    assert best.interval == pytest.approx(3.182 * np.std([4, 5, 3, 4], ddof=1) / 2)
    assert (worst.mean, worst.answers) == (1.0, 1) and np.isnan(worst.interval)
    rows = [vars(each) for each in given[:2]]
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"answers": rows}))
    assert read_answers(path) == given[:2]
    table = tmp_path / "answers.csv"
    table.write_text("person,film,way,score\r\n0,f,a,4\r\n", encoding="utf-8-sig")
    assert read_answers(table) == given[:1]
    for text, told in (
        ("", "can be read"), ("[]", "holds no answers"), ("[3]", "is not a row"),
        ('[{"person": "a", "film": "f", "way": "w"}]', "lacks score"),
        ('[{"person": "a", "film": "f", "way": "w", "score": 6}]', "not 6"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(OpinionError, match=told):
            read_answers(path)


def chosen(first, second, *verdicts):
    return [Choice(str(k), "f", first, second, verdict) for k, verdict in enumerate(verdicts)]


@pytest.mark.parametrize(
    ("wins", "count", "low", "high"),
    [(8, 10, 0.4439, 0.9748), (10, 10, 0.6915, 1.0), (0, 4, 0.0, 0.6024), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_those_of_clopper_and_pearson(wins, count, low, high):
    assert exact_interval(wins, count) == pytest.approx((low, high), abs=1e-4)


def test_the_sign_test_is_exact():
    assert sign_test(8, 2) == sign_test(2, 8) == pytest.approx(0.109375)
    assert sign_test(0, 0) == sign_test(3, 3) == 1.0
    assert sign_test(5000, 4000) < 1e-20


def test_preferences_are_counted_pair_by_pair(tmp_path):
    given = chosen("b", "a", *["first"] * 3, "second", "none")
    given += [Choice("0", "f", "a", "b", "first")]  # person 0 thinks again, with other sides
    (found,) = preferences(given)
    assert (found.better, found.worse) == ("a", "b")
    assert (found.wins, found.losses, found.undecided, found.people) == (2, 2, 1, 5)
    assert found.chance == 1.0
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"answers": [vars(each) for each in given]}))
    assert read_choices(path) == given
    for row, told in (
        ({"chosen": "left"}, "chosen is first, second, none, not 'left'"),
        ({"second": "b"}, "compares 'b' with itself"),
        ({"film": ""}, "lacks film"),
    ):
        path.write_text(json.dumps([vars(given[0]) | row]))
        with pytest.raises(OpinionError, match=told):
            read_choices(path)


def test_strengths_say_how_often_one_wins():
    found = strengths(chosen("a", "b", "first", "first", "first", "second"))
    assert found == pytest.approx({"a": 0.75, "b": 0.25}) and list(found) == ["a", "b"]
    # Of strengths 4, 2 and 1 the wins expected of six comparisons a pair give these strengths.
    rows = chosen("a", "b", *["first"] * 4, *["second"] * 2)
    rows += chosen("b", "c", *["first"] * 4, *["second"] * 2)
    rows += chosen("a", "c", *["first"] * 4, *["second"])
    found = strengths(rows)
    assert found == pytest.approx({"a": 4 / 7, "b": 2 / 7, "c": 1 / 7}, abs=1e-6)
    assert strengths(chosen("a", "b", "first", "first")) is None
    assert strengths([]) is None
    assert strengths([*rows, *chosen("x", "y", "first", "second")]) is None
    even = strengths(chosen("a", "b", "none", "none"))
    assert even == pytest.approx({"a": 0.5, "b": 0.5})
