"""Layered generators: the protocol, what layers do, frozen layers, sets made of a generator."""

import numpy as np
import pytest
import torch
from PIL import Image

from nmc_framework.inverse.annotator import Annotator, trained_annotator, turned_by
from nmc_framework.inverse.generator import StyleGenerator
from nmc_framework.inverse.layer_groups import effects, generated_views, groups_of, made
from nmc_framework.inverse.modulated import SynthesisLayer, doubled
from nmc_framework.inverse.multiview import ObjectsError, filmed_cars
from nmc_framework.inverse.network import InverseGraphics
from nmc_framework.inverse.pictures import PictureSet, grid, read_pictures, scaled
from nmc_framework.inverse.renderer import RenderedViews, fidelity, renderer_of, swaps
from nmc_framework.models import ModelError, build
from nmc_framework.training import Schedule, train_on

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {
    "noise": 8,
    "code": 8,
    "mapping": 2,
    "sides": [4, 8, 16],
    "layers": [1, 3, 11],
    "channels": [8, 8, 6],
}


@pytest.fixture(scope="module")
def cars():
    return filmed_cars(6, 4, 16, seed=2)


def built(seed=1, **more):
    model = build("style_generator", TINY | more, seed=seed)
    assert isinstance(model, StyleGenerator)
    return model


def codes_of(model, count=3, seed=0):
    return model.drawn(count, torch.Generator().manual_seed(seed))


def test_sixteen_layers_of_which_each_has_a_code():
    for config in ({}, TINY):
        model = build("style_generator", config)
        assert model.codes == 16 and len(model.layers()) == 17
        names = {name for name, _ in model.named_parameters()}
        assert set(model.layer_of()) == names
        assert set(model.layer_of().values()) == set(range(17))
    assert build("style_generator").size == 64


def test_same_seed_same_weights():
    one, two, three = (built(s).save() for s in (1, 1, 2))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert any(not np.array_equal(one[k], three[k]) for k in one)


def test_each_code_changes_the_picture_through_its_own_layer_alone():
    model = built().eval()
    codes = codes_of(model)
    with torch.no_grad():
        before = model(codes)
        assert before.shape == (3, 3, 16, 16) and torch.equal(model(codes), before)
        for k in range(16):
            changed = codes.clone()
            changed[:, k] += 0.5
            assert not torch.equal(model(changed), before), k


def test_modulation_is_that_of_scaled_weights():
    """Equation 1 to 3 of StyleGAN2, weights of each picture scaled and normalised."""
    torch.manual_seed(0)
    layer = SynthesisLayer(5, 7, 8, 16)
    values, code = torch.randn(2, 5, 16, 16), torch.randn(2, 8)
    style = layer.affine(code)
    for k in range(2):
        weight = layer.weight * style[k][None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        found = torch.nn.functional.conv2d(values[k : k + 1], weight, padding=1)
        found = torch.nn.functional.leaky_relu(found, 0.2) * 2**0.5
        assert torch.allclose(layer(values, code)[k : k + 1], found, atol=1e-5)


def test_doubling_keeps_what_is_even_and_its_place():
    taps = built().get_submodule("synthesis.b8.conv0").resample_filter
    image = torch.full((1, 3, 8, 8), 0.7)
    assert torch.allclose(doubled(image, taps)[..., 2:-2, 2:-2], torch.tensor(0.7))
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    wide = doubled(ramp, taps)[0, 0, 8, 2:-2]
    assert torch.allclose(wide, (torch.arange(16.0) / 2 - 0.25)[2:-2], atol=1e-5)


def test_impossible_generators_are_refused():
    for wrong, told in (
        ({"sides": [4, 8, 20]}, "4, 8, 16 and so on"),
        ({"layers": [1, 1]}, "as many counts"),
        ({"channels": [8, 8, 0]}, "from 1 on"),
    ):
        with pytest.raises(ModelError, match=told):
            built(**wrong)


def test_it_learns_colours_and_later_frames_only_what_may_learn(cars):
    pictures = PictureSet(cars.pictures.reshape(-1, 16, 16, 3))
    model = built()
    train_on(model, pictures, Schedule(first=12, rays=8), frame=0)
    assert not model._against, "the discriminator is no part of what stays"
    before = model.save()
    frozen = tuple(k for k in range(17) if not 1 <= k <= 4)
    schedule = Schedule(later=9, rays=8, exclude_layers=frozen, hold=0.0)
    frame = train_on(model, pictures, schedule, frame=1)
    layer_of = model.layer_of()
    changed = {name for name in before if not np.array_equal(before[name], frame.state[name])}
    assert changed and {layer_of[name] for name in changed} == {1, 2, 3, 4}


def test_groups_of_layers_share_what_all_change(cars):
    model, annotator = built(), Annotator(16)
    network = build("inverse_graphics", {"size": 16, "divisions": 3, "texture": 8, "width": 4})
    assert isinstance(network, InverseGraphics)
    found = effects(model, annotator, network, pairs=6)
    assert [(e.first, e.last) for e in found] == [(1, 4), (5, 8), (9, 12), (13, 16)]
    whole = effects(model, annotator, network, pairs=6, groups=[range(16)])[0]
    assert whole.colour[1] == pytest.approx(1) and whole.shape[1] == pytest.approx(1)
    assert groups_of(10) == [range(4), range(4, 8), range(8, 10)]


def test_an_annotator_learns_viewpoints_and_masks(cars):
    annotator = trained_annotator(cars, 16, iterations=80)
    told = annotator.annotate(cars.pictures.reshape(-1, 16, 16, 3))
    truth = np.tile(cars.first_poses()[:, 0], len(cars))
    assert turned_by(told.azimuths, truth).mean() < 40
    masks = cars.masks.reshape(-1, 16, 16) >= 128
    assert ((told.masks >= 0.5) == masks).mean() > 0.85
    assert turned_by([350, 10], [10, 350]).tolist() == [20, 20]


def test_a_generated_set_shares_the_codes_of_viewpoints(cars, monkeypatch):
    model = built().eval()
    annotator = trained_annotator(cars, 16, iterations=2)
    full = np.full((1, 16, 16), 0.2, np.float32)
    full[:, 4:10, 4:12] = 0.9

    def annotate(pictures):
        from nmc_framework.inverse.annotator import Annotations

        angles = pictures.reshape(len(pictures), -1).mean(axis=1) * 7 % 360
        return Annotations(angles, np.repeat(full, len(pictures), axis=0))

    monkeypatch.setattr(annotator, "annotate", annotate)
    views, agreement = generated_views(model, annotator, 5, 3)
    assert views.pictures.shape == (5, 3, 16, 16, 3) and agreement.kept == agreement.made == 5
    assert len(views.annotated) == 3 and views.poses is None
    named, _ = generated_views(model, annotator, 5, 3, annotated=(1, 5, 9))
    assert named.annotated == (1, 5, 9)
    full[:] = 0
    with pytest.raises(ObjectsError, match="none of 5 objects has a good mask in all 3 views"):
        generated_views(model, annotator, 5, 3)


def test_any_folder_of_pictures_will_do(tmp_path):
    random = np.random.default_rng(0)
    for k in range(15):
        image = Image.fromarray(random.integers(0, 255, (20 + k, 31, 3), np.uint8))
        image.save(tmp_path / f"{k}.png")
    with pytest.raises(ObjectsError, match="has 15 pictures"):
        read_pictures(tmp_path, 16)
    Image.fromarray(random.integers(0, 255, (9, 8, 4), np.uint8)).save(tmp_path / "z.png")
    assert read_pictures(tmp_path, 16).shape == (16, 16, 16, 3)
    Image.fromarray(np.full((9, 9, 3), 5, np.uint8)).save(tmp_path / "z.png")
    with pytest.raises(ObjectsError, match=r"z\.png is of one colour"):
        read_pictures(tmp_path, 16)
    with pytest.raises(ObjectsError, match="16 pictures at least"):
        PictureSet(np.zeros((3, 16, 16, 3), np.uint8))


def test_grids_and_scaling():
    pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    assert grid([pictures, pictures[:1]], gap=1).shape == (11, 11, 3)
    assert scaled(pictures, 8).shape == (2, 8, 8, 3) and scaled(pictures, 4) is pictures
    model = built()
    assert made(model, codes_of(model)).shape == (3, 16, 16, 3)


def parts_of(cars):
    options = {"size": 16, "viewpoints": 4, "divisions": 3, "texture": 8, "width": 4}
    network = build("inverse_graphics", options)
    assert isinstance(network, InverseGraphics)
    network.begin_at(cars.first_poses())
    return network, RenderedViews(cars, network, 16)


def test_a_renderer_begins_at_its_generator_and_every_code_learns(cars):
    network, examples = parts_of(cars)
    generator = built(seed=5)
    model = renderer_of(generator, network)
    for name, value in generator.state_dict().items():
        assert torch.equal(model.generator.state_dict()[name], value)
    assert set(model.layer_of()) == {name for name, _ in model.named_parameters()}
    batch = examples.draw(5, torch.Generator().manual_seed(0))
    assert batch.pictures.shape == (5, 3, 16, 16) and batch.parts.backdrop.shape == (5, 4, 32, 32)
    model.loss(batch).backward()
    # All but the mapping network, which has no part in it, and the noise, which begins at 0.
    for index, layer in enumerate(model.layers()):
        learned = any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())
        assert learned == (index != 5), index


def test_the_camera_goes_to_the_first_layers_alone_and_the_others_to_the_rest(cars):
    network, examples = parts_of(cars)
    model = renderer_of(built(seed=5), network).eval()
    parts = examples.draw(2, torch.Generator().manual_seed(0)).parts
    before = model.coded(parts)
    turned = model.coded(parts.with_parts(poses=parts.poses + 40))
    assert torch.equal(turned[:, 4:], before[:, 4:]) and (turned[:, :4] != before[:, :4]).any()
    for name in ("moves", "texture", "backdrop"):
        other = model.coded(parts.with_parts(**{name: getattr(parts, name) + 0.3}))
        assert torch.equal(other[:, :4], before[:, :4]), name
        assert (other[:, 4:] != before[:, 4:]).any(dim=2).all(), name


def test_a_renderer_learns_and_parts_are_swapped(cars):
    network, examples = parts_of(cars)
    model = renderer_of(built(seed=5), network)
    before = fidelity(model, examples)
    train_on(model, examples, Schedule(first=40, rays=8), frame=0)
    assert fidelity(model, examples) > before + 1
    rows = swaps(model, examples, [0, 1, 2], 1)
    assert len(rows) == 3 and rows[0].shape == (4, 16, 16, 3)
    # What is swapped with itself stays as it is.
    assert all((rows[k][0] == rows[k][k + 1]).all() for k in range(3))
    assert any((rows[k][0] != rows[k][1]).any() for k in (1, 2))
