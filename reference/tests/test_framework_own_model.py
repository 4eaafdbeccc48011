"""The page on models of one's own: its code as it stands, trained, packaged, rendered, scored."""

import re
import sys
import tomllib
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from clip_samples import moving

import nmc
from nmc_framework.evaluation import HeldOut
from nmc_framework.metrics import psnr
from nmc_framework.models import ModelError, RadianceModel, RayModel, ViewModel, build, registry
from nmc_framework.rendering import orbit, render_package
from nmc_framework.rendering.clips import clip_model, package_pictures
from nmc_framework.scene import BACKGROUND, BOUNDS, TARGET, arc_rig, view_all
from nmc_framework.training import (
    AutoFreezing,
    FrameViews,
    PackageStore,
    Schedule,
    train_clips,
    train_into,
    train_on,
)

PAGE = Path(__file__).parents[2] / "docs" / "your-own-model.md"
RIG = arc_rig(8, 1, (24, 24))
PLAN = Schedule(first=120, later=10, rays=512, seed=1, exclude_layers=(0,))
SMALL = {
    "planes_lines": {
        "bounds": [list(b) for b in BOUNDS], "background": list(BACKGROUND), "side": 24,
        "ranks": [4, 6], "features": 12, "hidden": 16, "samples": 40,
    },
    "light_field": {"width": 64, "depth": 3},
    "pictures": {"names": [c.name for c in RIG.training], "width": 48},
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def fenced(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class Pictures(RayModel):
    """A network of pictures: what each named camera sees, by picture coordinates alone."""

    family: ClassVar[str] = "pictures"
    learning_rates: ClassVar[tuple[float, float]] = (3e-2, 1e-2)

    @classmethod
    def defaults(cls):
        return {"names": [], "width": 32}

    def __init__(self, configuration):
        super().__init__(configuration)
        width = self.configuration["width"]
        self.codes = torch.nn.Embedding(len(self.configuration["names"]), 8)
        self.first, self.second = torch.nn.Linear(10, width), torch.nn.Linear(width, width)
        self.last = torch.nn.Linear(width, 3)

    def layers(self):
        return [self.codes, self.first, self.second, self.last]

    def at(self, names, views, pixels, size):
        codes = self.codes(torch.tensor([self.configuration["names"].index(n) for n in names]))
        values = torch.cat([codes[views], 8 * (pixels / size - 0.5)], dim=1)
        values = torch.sin(self.second(torch.sin(self.first(values))))
        return torch.sigmoid(self.last(values))

    def seen(self, rays):
        names = [camera.name for camera in rays.cameras]
        sizes = torch.tensor([[c.width, c.height] for c in rays.cameras])[rays.views]
        return self.at(names, rays.views, rays.pixels, sizes)


@pytest.fixture
def page(monkeypatch):
    """Install the page's package: its code as a module, found by its own entry points."""
    module = types.ModuleType("my_models")
    exec(compile("\n".join(fenced("python")), str(PAGE), "exec"), module.__dict__)
    module.Pictures = Pictures
    monkeypatch.setitem(sys.modules, "my_models", module)
    from importlib.metadata import EntryPoint, EntryPoints

    declared = tomllib.loads("\n".join(fenced("toml")))["project"]["entry-points"]
    declared[registry.GROUP]["pictures"] = "my_models:Pictures"
    points = EntryPoints(
        EntryPoint(name, value, group)
        for group, entries in declared.items()
        for name, value in entries.items()
    )
    monkeypatch.setattr(registry, "entry_points", points.select)
    return module


def frames(count):
    for index in range(count):
        yield FrameViews(index, index * 0.1, view_all(RIG.training, index * 0.1))


def flat(images):
    """Return what knows only the mean colour of each picture would show."""
    return [
        np.broadcast_to(im.mean(axis=(0, 1)).round().astype(np.uint8), im.shape) for im in images
    ]


@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_model_of_ones_own_goes_the_whole_way(page, tmp_path, name):
    model = build(name, SMALL[name], seed=PLAN.seed)
    package = tmp_path / "own.nmc"
    with nmc.Writer(package, **model.in_package()) as writer:
        store = PackageStore(writer)
        trained = list(train_into(store, model, RIG.training, lambda _: frames(2), PLAN))
    assert nmc.check(package).accepted
    assert trained[1].freezing.exclude_layers == (0,)
    with nmc.open(package) as sequence:
        first, second = sequence[0], sequence[1]
        frozen = [key for key, learns in trained[1].freezing.requires_grad.items() if not learns]
        assert frozen and all(np.array_equal(first[k], second[k]) for k in frozen)
        again = build(sequence.family, sequence.configuration)
        again.load(second)
    # What comes out of the package is what was trained, and it has learned what is to be seen.
    cameras = RIG.training if name == "pictures" else RIG.cameras
    truths = view_all(cameras, 0.1)
    quality = HeldOut(cameras)
    images = quality.score(again, 1, truths)
    for image, other in zip(images, HeldOut(cameras).score(model, 1, truths), strict=True):
        np.testing.assert_array_equal(image, other)
    guessed = np.mean([psnr(a, b) for a, b in zip(flat(truths), truths, strict=True)])
    assert quality.mean(1, "psnr") > guessed + 2


@pytest.mark.parametrize("name", ["planes_lines", "light_field"])
def test_a_viewpoint_is_rendered_from_its_package(page, tmp_path, name):
    model = build(name, SMALL[name])
    package = tmp_path / "own.nmc"
    with nmc.Writer(package, **model.in_package()) as writer:
        writer.append(model.save())
    track = orbit(TARGET, 2, distance=3, azimuths=(0, 40), elevations=(10, 20))
    images = list(render_package(package, track, RIG.training[0], [0, 0]))
    assert [image.shape for image in images] == [(24, 24, 3)] * 2
    assert not np.array_equal(*images)


def test_the_loop_of_the_page_makes_a_package(page, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page, "Schedule", lambda **_: Schedule(first=2, later=1, rays=64))
    model = page.LightField.build(SMALL["light_field"])
    page.train_chain_of(model, list(RIG.training), frames(2), tmp_path / "loop.nmc")
    assert "frame 1: loss 0." in capsys.readouterr().out
    with nmc.open(tmp_path / "loop.nmc") as sequence:
        assert (len(sequence), sequence.family) == (2, "light_field")


def pictures(page, count):
    """Return pictures of a disc that moves."""
    for index in range(count):
        y, x = torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 24), indexing="ij")
        disc = ((x - 0.2 * index) ** 2 + y**2 < 0.3).float()
        yield torch.stack([disc, 0.5 * disc + 0.2, 0.8 - 0.6 * disc], dim=2)


def test_a_model_that_no_camera_sees_goes_the_whole_way(page, tmp_path, monkeypatch):
    short = Schedule(first=150, later=30, rays=256, exclude_layers=(0,))
    monkeypatch.setattr(page, "Schedule", lambda **_: short)
    model, package = build("picture_network", {"width": 32}), tmp_path / "video.nmc"
    page.train_video(model, pictures(page, 2), package)
    assert nmc.check(package).accepted
    with nmc.open(package) as sequence:
        states = [sequence[0], sequence[1]]
        again = build(sequence.family, sequence.configuration)
    assert all(np.array_equal(*(state[f"trunk.0.{n}"] for state in states)) for n in ("weight",))
    for state, picture in zip(states, pictures(page, 2), strict=True):
        again.load(state)
        shown = again(page.Picture(picture).places).view(picture.shape)
        assert torch.nn.functional.mse_loss(shown, picture) < 0.1 * picture.var()
    track = orbit(TARGET, 2, distance=3, azimuths=(0, 40), elevations=(10, 20))
    with pytest.raises(ModelError, match="a picture_network model is not seen by cameras"):
        list(render_package(package, track, RIG.training[0], [0, 0]))


def test_a_model_of_a_video_is_thirty_lines_and_goes_the_whole_way(page, tmp_path):
    code = fenced("python")[3]
    assert "class FeatureVideo" in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    # Neither side divides by the stride, and the last clip is short.
    clips = [moving(3, width=30, height=22), moving(2, width=30, height=22, start=3)]
    options = {"width": 30, "height": 22, "pictures": 3, "features": 4}
    model, package = build("feature_video", options, seed=2), tmp_path / "film.nmc"
    plan = Schedule(first=150, later=40, rays=3 * 30 * 22, exclude_layers=(2,))
    with nmc.Writer(package, **model.in_package()) as writer:
        store = PackageStore(writer, span=3)
        for _ in train_clips(store, model, lambda k: clips[k:], plan):
            pass
    with nmc.open(package) as sequence:
        shown = [im for _, _, im in package_pictures(sequence, clip_model(sequence))]
        one, two = sequence[0], sequence[1]
    assert np.array_equal(one["last.weight"], two["last.weight"])
    for picture, true in zip(shown, np.concatenate(clips), strict=True):
        assert psnr(picture, true) > psnr(flat([true])[0], true) + 3


def test_a_policy_and_a_clock_take_any_examples(page):
    model = page.PictureNetwork.build({"width": 16})
    one, two = (page.Picture(picture) for picture in pictures(page, 2))
    seen = []
    plan = Schedule(first=40, later=30, rays=128, auto=AutoFreezing(0.2))
    train_on(model, one, plan, frame=0)
    one.kept_back = two.kept_back = lambda seed: one.draw(64, torch.Generator().manual_seed(seed))
    told = train_on(model, two, plan, frame=1, time=0.5, report=seen.append)
    assert (told.index, told.time, told.iterations, told.colour) == (1, 0.5, 30, None)
    assert np.isnan(seen[0].held_out) and np.isfinite(seen[-1].held_out)
    assert len(told.freezing.exclude_layers) < len(model.layers())


def test_the_classes_of_the_page_are_short_and_of_three_kinds(page):
    for code in fenced("python")[:2]:
        lines = [x for x in code.splitlines() if x.strip() and not x.startswith(("from", "import"))]
        assert len(lines) <= 55
    light_field = fenced("python")[1]
    assert len([line for line in light_field.splitlines() if line.strip()]) <= 27
    assert issubclass(page.TensoRf, RadianceModel)
    assert issubclass(page.LightField, RayModel) and not issubclass(page.LightField, RadianceModel)
    assert not issubclass(page.PictureNetwork, ViewModel)
