"""Models of pictures: the protocol, batches, chains of clips, what is shown of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parent))
from clip_samples import moving

import nmc
from nmc_framework.capture import CaptureError, open_moving
from nmc_framework.evaluation.clip_scores import clip_psnr, score_clips
from nmc_framework.metrics import MetricError, psnr
from nmc_framework.models import ModelError, build, families, family
from nmc_framework.models.pictures import ClipBatch, ClipModel, PixelWise, played
from nmc_framework.models.pictures.ffnerv import TimeGrid, warp
from nmc_framework.rendering.clips import clip_model, clip_pictures, package_pictures
from nmc_framework.training import (
    CheckpointFolder,
    ClipPixels,
    PackageStore,
    Schedule,
    ViewsError,
    train_clips,
    train_on,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CLIP = {"width": 32, "height": 24, "pictures": 3}
SMALL = {
    "siren": {"hidden": 32, "depth": 3},
    "coin": {"hidden": 24, "depth": 4},
    "inric": {"quality": "Q1", "frequencies": 8},
    "nerv": {"channels": 16, "strides": [2, 2], "levels": 8, "hidden": 24},
    "hnerv": {"channels": 16, "strides": [2, 2], "embedding": 4},
    "ffnerv": {"channels": 16, "strides": [2, 2], "times": [2, 3], "features": 4},
    "psnerv": {"channels": 16, "strides": [2, 2], "patch": 16, "levels": 8, "hidden": 24},
    "nvp": {"features": 2, "resolutions": [0.25, 0.5], "grid_features": 2, "hidden": 16},
}
PLAN = Schedule(first=250, later=120, rays=1024, seed=1, hold=0)
ALL = sorted(SMALL)


def small(name, **more):
    return build(name, CLIP | SMALL[name] | more, seed=3)


def test_every_family_of_clips_is_tried_here():
    of_clips = {name for name in families() if issubclass(family(name), ClipModel)}
    assert of_clips == set(SMALL)


@pytest.mark.parametrize("name", ALL)
def test_a_family_keeps_its_promises(name):
    model = small(name)
    parameters = dict(model.named_parameters())
    assert model.family == name and set(model.layer_of()) == set(parameters)
    assert set(model.save()) == set(parameters) | {"length"} | {
        key for key, _ in model.named_buffers() if key in model.state_dict()
    }
    other = build(name, model.configuration, seed=9)
    other.load(model.save())
    with torch.no_grad():
        one, two = (m.eval().render_picture(1) for m in (model, other))
    assert one.shape == (24, 32, 3) and torch.equal(one, two)


@pytest.mark.parametrize("name", ALL)
def test_the_loss_reaches_every_layer(name):
    model = small(name).train()
    batch = ClipPixels(model, moving(3)).draw(3 * 24 * 32, torch.Generator().manual_seed(0))
    model.loss(batch).backward()
    for index, layer in enumerate(model.layers()):
        grads = [p.grad for p in layer.parameters()]
        assert any(grad is not None and grad.abs().sum() > 0 for grad in grads), index


@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", ALL)
def test_a_chain_goes_the_whole_way(name, tmp_path):
    clips = [moving(3), moving(2, start=3)]
    model, package = small(name), tmp_path / "film.nmc"
    with nmc.Writer(package, **model.in_package(), timescale=30) as writer:
        store = PackageStore(writer, span=3)
        done = list(train_clips(store, model, lambda k: clips[k:], PLAN, rate=30))
    assert nmc.check(package).accepted
    assert [frame.time for frame in done] == [0.0, 0.1]
    with nmc.open(package) as sequence:
        assert [frame.presentation_time for frame in sequence.frames] == [0, 3]
        shown = list(package_pictures(sequence, clip_model(sequence)))
        scores = score_clips(sequence, [0, 1], lambda k: clips[k])
    assert [(frame, number) for frame, number, _ in shown] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
    ]
    truth = np.concatenate(clips)
    for (_, _, picture), true, score in zip(shown, truth, scores, strict=True):
        flat = np.broadcast_to(true.mean(axis=(0, 1)).round().astype(np.uint8), true.shape)
        assert psnr(picture, true) > psnr(flat, true) + 3
        assert score.psnr == psnr(picture, true)
    assert np.isnan(scores[0].flicker) and np.isfinite(scores[3].flicker)


def test_a_chain_that_is_taken_up_again_is_the_same(tmp_path):
    clips = [moving(3), moving(3, start=3), moving(3, start=6)]
    plan = Schedule(first=20, later=10, rays=64)
    for name, stops in (("whole", (3,)), ("stopped", (2, 3))):
        for stop in stops:
            model = small("siren")
            store = CheckpointFolder(tmp_path / name, model)
            for _ in train_clips(store, model, lambda k, stop=stop: clips[k:stop], plan):
                pass
    for index in range(3):
        one, two = (
            load_file(tmp_path / name / f"frame_{index:08d}.safetensors")
            for name in ("whole", "stopped")
        )
        assert all(np.array_equal(one[key], two[key]) for key in one)


def test_a_pixel_of_a_batch_is_where_it_says():
    model = small("siren")
    clip = moving(3)
    batch = ClipBatch(torch.from_numpy(clip), torch.tensor([0, 33, 24 * 32, 3 * 24 * 32 - 1]))
    assert batch.indices.tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0], [2, 23, 31]]
    for (t, y, x), colour in zip(batch.indices.tolist(), batch.colours, strict=True):
        np.testing.assert_allclose(colour.numpy(), clip[t, y, x] / 255, rtol=1e-6)
    seen = []
    model.colours = lambda places: seen.append(places) or torch.zeros(len(places), 3)
    model.loss(batch)
    model.render_picture(1)
    # The picture that is rendered asks for the places that were learned.
    asked = seen[1][0]
    torch.testing.assert_close(seen[0][2], asked)
    torch.testing.assert_close(seen[0][0], torch.tensor([1 / 32 - 1, 1 / 24 - 1, 1 / 3 - 1]))


def test_whole_pictures_of_a_batch_are_as_many_as_its_pixels_fill():
    clip = torch.zeros(5, 4, 6, 3, dtype=torch.uint8)
    chosen = torch.arange(120)
    assert len(ClipBatch(clip, chosen[:10]).pictures) == 1
    assert ClipBatch(clip, chosen[torch.arange(0, 120, 7)].repeat(8)).pictures.tolist() == [0, 1]


def test_what_is_pixel_wise_has_any_size_and_one_picture_has_no_time():
    one = small("siren", pictures=1)
    assert isinstance(one, PixelWise) and one.network[0].in_features == 2
    with torch.no_grad():
        assert one.render_picture(0, size=(7, 5)).shape == (5, 7, 3)


def test_clips_of_another_size_are_refused():
    model = small("siren")
    for pixels in (moving(4), moving(3, width=31), moving(3)[:0]):
        with pytest.raises(ViewsError, match="is not one of 3 of 32x24"):
            ClipPixels(model, pixels)
    with pytest.raises(ModelError, match="at least one pixel and at most"):
        small("siren", pictures=0)
    with pytest.raises(ModelError, match="at least one pixel and at most"):
        small("siren", width=1 << 20, height=1 << 20)


def test_a_state_cannot_show_more_than_its_clip():
    model = small("siren")
    state = model.save()
    for length, shown in ((2**60, 3), (-1, 0), (2, 2)):
        model.load(state | {"length": np.array(length)})
        assert len(list(clip_pictures(model))) == shown


def test_models_of_other_things_show_no_pictures():
    with pytest.raises(ModelError, match="a voxel_grid model holds no pictures"):
        played(build("voxel_grid", {"cells": [4]}))


def test_inric_refuses_frequencies_that_overflow():
    with pytest.raises(ModelError, match="16 frequencies of ratio 100"):
        small("inric", ratio=100.0, frequencies=16)
    with pytest.raises(ModelError, match="Q1, Q2, Q3, Q4, Q5, not 'Q9'"):
        small("inric", quality="Q9")
    sizes = [
        sum(p.numel() for p in small("inric", quality=f"Q{k}").parameters()) for k in range(1, 6)
    ]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", ["nerv", "hnerv", "ffnerv", "psnerv"])
def test_sizes_that_no_stride_divides_are_cut_off(name):
    odd = {"width": 31, "height": 23}
    model = small(name, **odd)
    pixels = moving(3, width=31, height=23)
    done = train_on(model, ClipPixels(model, pixels), Schedule(first=3, rays=2000), frame=0)
    assert done.iterations == 3
    assert [picture.shape for picture in clip_pictures(model)] == [(23, 31, 3)] * 3
    with pytest.raises(ModelError, match=f"a {name} model shows pictures of 31x23 only"):
        next(clip_pictures(model, size=(16, 16)))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nerv", {"strides": []}, "strides are numbers from 1 on"),
        ("nerv", {"strides": [2, -2]}, "strides are numbers from 1 on"),
        ("nerv", {"strides": [2.5]}, "strides are numbers from 1 on"),
        ("hnerv", {"strides": [1 << 20]}, "are more than 4096 in all"),
        ("ffnerv", {"reduction": 0}, "channels and their reduction are above 0"),
        ("nerv", {"base": 10.0, "levels": 400}, "frequencies up to inf"),
        ("nerv", {"levels": 0}, "choose from 1 level on"),
        ("ffnerv", {"times": [0]}, "times are numbers of maps from 1 on"),
        ("ffnerv", {"times": []}, "times are numbers of maps from 1 on"),
        ("ffnerv", {"neighbours": [0]}, "neighbours are steps such as -1 or 2"),
        ("psnerv", {"patch": 30}, "does not divide by its strides"),
        ("psnerv", {"strides": [0]}, "does not divide by its strides"),
        ("nvp", {"resolutions": []}, "are shares above 0"),
        ("nvp", {"grid": [1.0, 1.0]}, "are shares above 0"),
        ("nvp", {"grid": [1e9, 1.0, 1.0]}, "a table of 2 features and sides"),
        ("siren", {"levels": 3}, "siren knows no option levels"),
    ],
)
def test_options_that_make_no_model_are_refused(name, options, told):
    with pytest.raises(ModelError) as refused:
        small(name, **options)
    assert told in str(refused.value)


def test_the_embeddings_of_hnerv_come_from_its_encoder_and_are_then_learned():
    model = small("hnerv")
    examples = ClipPixels(model, moving(3))
    first = model.embeddings.weight.detach().clone()
    train_on(model, examples, Schedule(first=30, rays=768), frame=0)
    # The encoder is gone, and no tensor of it is in the state.
    assert not model._encoding and not any("encod" in name for name in model.save())
    assert not torch.equal(first, model.embeddings.weight)
    encoded = model.embeddings.weight.detach().clone()
    train_on(model, examples, Schedule(later=5, rays=768, hold=0), frame=1)
    assert not model._encoding and not torch.equal(encoded, model.embeddings.weight)


def test_a_flow_moves_a_picture_by_so_many_pixels():
    picture = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(1, 2, 6, 8)
    torch.testing.assert_close(warp(picture, flow), picture)
    flow[:, 0], flow[:, 1] = 2, -1
    moved = warp(picture, flow)
    torch.testing.assert_close(moved[:, :, 1:, :6], picture[:, :, :5, 2:])


def test_a_time_grid_is_interpolated_from_its_first_map_to_its_last():
    grid = TimeGrid(3, (1, 1, 1))
    with torch.no_grad():
        grid.table.weight.copy_(torch.tensor([[0.0], [2.0], [6.0]]))
        found = grid(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])).flatten()
        one = TimeGrid(1, (1, 1, 1))(torch.tensor([0.0, 1.0]))
    assert found.tolist() == [0, 1, 2, 4, 6] and one[0] == one[1]


def test_patches_of_a_picture_lie_where_they_are_learned():
    model = small("psnerv", width=31, height=23)
    seen = []

    def patches(places):
        seen.append(places)
        made = torch.zeros(len(places), 3, 16, 16)
        return made + (places[:, 1] * 10 + places[:, 2])[:, None, None, None] / 100

    model.patches = patches
    picture = model.images(torch.tensor([1]))[0, 0]
    assert picture.shape == (23, 31)
    assert picture[0, 0] == 0 and picture[0, 16] == pytest.approx(0.01)
    assert picture[16, 0] == pytest.approx(0.1) and picture[22, 30] == pytest.approx(0.11)
    clip = torch.from_numpy(moving(3, width=31, height=23))
    last = torch.tensor([3 * 23 * 31 - 1] * 256)
    model.loss(ClipBatch(clip, last))
    assert seen[-1].tolist() == [[2, 1, 1]]


@pytest.mark.slow(minutes=0.04)
def test_siren_reaches_thirty_decibels_on_a_picture():
    picture = moving(1, width=48, height=48)
    model = build("siren", {"width": 48, "height": 48, "pictures": 1, "hidden": 48, "depth": 3})
    train_on(model, ClipPixels(model, picture), Schedule(first=400, rays=2304), frame=0)
    assert clip_psnr(model, picture) > 30


def test_pictures_are_read_of_a_folder_and_of_one_file(tmp_path):
    clip = moving(5)
    for index, picture in enumerate(clip):
        Image.fromarray(picture).save(tmp_path / f"p{index + 6}.png")
    found = open_moving(tmp_path)
    assert (found.count, found.rate, found.size) == (5, 30, (32, 24))
    # p10 comes after p9: names are in the natural order.
    np.testing.assert_array_equal(np.concatenate(list(found.clips(2))), clip)
    assert [len(c) for c in found.clips(2, 1)] == [2, 1]
    assert next(open_moving(tmp_path, size=(16, 12)).clips(4)).shape == (4, 12, 16, 3)
    assert open_moving(tmp_path / "p6.png").count == 1
    assert open_moving(tmp_path, limit=2).count == 2


def test_what_holds_no_pictures_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    with pytest.raises(CaptureError, match="holds no pictures; its folder 'inner' may be meant"):
        open_moving(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    with pytest.raises(CaptureError, match=r"film\.mp4 is not a video that can be read"):
        open_moving(tmp_path / "film.mp4")
    (tmp_path / "film.txt").write_bytes(b"nothing")
    with pytest.raises(CaptureError, match="neither a folder nor of a kind that is read"):
        open_moving(tmp_path / "film.txt")
    Image.fromarray(moving(1)[0]).save(tmp_path / "a.png")
    Image.fromarray(moving(1, width=30)[0]).save(tmp_path / "b.png")
    with pytest.raises(CaptureError, match="picture 1 is 30x24, the ones before were 32x24"):
        list(open_moving(tmp_path).clips(2))


def test_a_video_that_is_shorter_than_the_chain_is_told(tmp_path):
    model, package = small("siren"), tmp_path / "film.nmc"
    with nmc.Writer(package, **model.in_package()) as writer:
        writer.append(model.save())
    with nmc.open(package) as sequence:
        with pytest.raises(MetricError, match="picture 2 has no true one"):
            score_clips(sequence, [0], lambda _: moving(2))
        with pytest.raises(MetricError, match="picture 0: the true one is 30x24, expected 32x24"):
            score_clips(sequence, [0], lambda _: moving(3, width=30))


def test_mixed_precision_learns_nearly_the_same():
    clip = np.tile(np.arange(0, 192, 16, dtype="u1")[None, None, :, None], (2, 12, 1, 3))
    losses = {}
    for precision in ("single", "mixed"):
        model = build("nerv", {"width": 12, "height": 12, "pictures": 2}, seed=1)
        plan = Schedule(first=60, rays=288, precision=precision)
        losses[precision] = train_on(model, ClipPixels(model, clip), plan, frame=0).loss
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert losses["mixed"] != losses["single"] and losses["mixed"] < 3 * losses["single"] + 0.01
