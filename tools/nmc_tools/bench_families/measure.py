"""Every family on one embedded scene: weights, quality, seconds; clips, views, groups of views."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

import nmc
from nmc_framework.evaluation import HeldOut
from nmc_framework.evaluation.clip_scores import clip_psnr, pictures_psnr
from nmc_framework.models import ChainModel, build, families, family
from nmc_framework.models.dynamic import GroupModel
from nmc_framework.models.pictures import ClipModel, played
from nmc_framework.models.radiance.fitting import LATER_RAYS, iterations
from nmc_framework.models.views import ViewModel
from nmc_framework.scene import scenes
from nmc_framework.super_resolution import Upscaler, upscaling
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.patches import PatchPairs
from nmc_framework.super_resolution.pretraining import multiple
from nmc_framework.super_resolution.resampling import reduced
from nmc_framework.training import (
    ClipPixels,
    GroupPixels,
    PackageStore,
    Schedule,
    TrainedFrame,
    train_frame,
    train_on,
)
from nmc_tools.commands.chain_run import LATER
from nmc_tools.commands.footage import SceneName, film_scene
from nmc_tools.experiments.films import Film, group_schedule, seen_of_group, trained_group
from nmc_tools.experiments.kept import Kept

Report = Callable[[int, int, str], None]
#: The scene, and the size in which cameras film it.
_SCENE: SceneName = "room"
_VIEWS_SIZE = (96, 96)
#: Instants of a group.
INSTANTS = 8
#: Pictures of a clip that is enlarged, and patches of it that are learned from at a time.
_ENLARGED, _PATCHES = 8, 16
#: A picture alone is learned in this share of the iterations that a clip takes.
_ALONE = 0.2
#: A radiance network and its sampling that a CPU trains within minutes.
_SMALL = {"width": 64, "depth": 4, "skip": 2, "samples": 32, "fine_samples": 0}
#: Variants of a family, as options.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "siren": [{}, {"pictures": 1}],
    "tensorf": [{"decomposition": "vm"}, {"decomposition": "cp"}],
    "inric": [{"quality": f"Q{k}"} for k in range(1, 6)],
    "nerf_mlp": [_SMALL],
    "nerf_plus_plus": [_SMALL],
}
#: Families that learn neither a film nor a scene, and what measures them.
ELSEWHERE = {
    "depth_unet": "nmc depth experiment",
    "inverse_graphics": "nmc bench inverse",
    "style_generator": "nmc bench inverse",
    "style_renderer": "nmc bench inverse",
}


@dataclass(frozen=True)
class Reached:
    """What a family reached: a frame from random weights, and the next one from it.

    ``first`` and ``later`` are PSNR in dB: of a clip's pictures, or of held-out views; ``sizes``
    the bytes of the two segments, without loss; ``seconds`` those of training, by the clock.
    ``moving`` are those of the pixels that move, of a group and of a hash grid of its size that
    learns all its instants as one.
    """

    name: str
    pictures: int | None
    weights: int
    first: float
    later: float
    seconds: tuple[float, float]
    sizes: tuple[int, int]
    moving: tuple[float, float] | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Return what :func:`dataclasses.asdict` told of one, and JSON has made lists of."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**fields)


def wanted(names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return families and options to measure: those named, else all, the clips' first.

    Families that are measured elsewhere, and those of plug-ins that learn something else, are left
    out.
    """
    chosen = list(names) or sorted(families(), key=lambda n: (not _of_pictures(n), n))
    chosen = [name for name in chosen if _measure_of(family(name)) is not None]
    return [(name, options) for name in chosen for options in VARIANTS.get(name, [{}])]


def _of_pictures(name: str) -> bool:
    return issubclass(family(name), ClipModel | Upscaler)


def measured(
    each: Sequence[tuple[str, dict[str, Any]]],
    side: int,
    share: float,
    report: Report,
    kept: Kept,
    device: str = "cpu",
) -> Iterator[Reached]:
    """Yield what each family reaches, or reached when it was measured before.

    Parameters
    ----------
    each
        Families and options, of :func:`wanted`.
    side
        Pixels of the sides of a film's pictures.
    share
        Of the usual iterations.
    report
        Told how many are done, those of before too.
    kept
        Results of before, and those of now.
    device
        Torch's name of what trains.
    """
    for done, (name, options) in enumerate(each):
        report(done, len(each), f"{name} next")
        told = ", ".join(_words(option, value) for option, value in options.items())
        measure = _measure_of(family(name))
        assert measure is not None, "wanted() leaves it out"
        asked = _Asked(f"{name} {told}".strip(), name, options, side, share, device)
        yield Reached.of(kept.values(asked.inputs(), partial(_told, measure, asked)))
    report(len(each), len(each), "")


def _words(option: str, value: Any) -> str:
    if option == "pictures":
        return f"of {value} picture"
    return value if isinstance(value, str) else f"{option} {value}"


@dataclass(frozen=True)
class _Asked:
    """A family and its options, by what the table calls it, and how long and where it learns."""

    label: str
    name: str
    options: dict[str, Any]
    side: int
    share: float
    device: str

    def inputs(self) -> dict[str, Any]:
        """Return all that a result follows from, as JSON values."""
        kind = family(self.name)
        return asdict(self) | {
            "measures": "families",
            "version": nmc.__version__,
            "configuration": kind.defaults() | self.options,
            "rates": [kind.learning_rates, kind.betas, kind.damping],
            "film": [_SCENE, _VIEWS_SIZE, INSTANTS, _ENLARGED, _PATCHES, _ALONE],
        }


def _told(measure: Callable[[_Asked], Reached], asked: _Asked) -> dict[str, Any]:
    return asdict(measure(asked))


def _measure_of(kind: type[ChainModel]) -> Callable[[_Asked], Reached] | None:
    """Return what measures families of a kind."""
    measures = (
        (ClipModel, _clip), (GroupModel, _group), (Upscaler, _upscaler), (ViewModel, _views)
    )  # fmt: skip
    return next((measure for base, measure in measures if issubclass(kind, base)), None)


def film(side: int, count: int) -> npt.NDArray[np.uint8]:
    """Return what the first camera of the scene sees, (count, side, side, 3)."""
    scene = scenes()[_SCENE]
    camera = scene.rig((side, side)).cameras[0]
    return np.stack([scene.render(camera, k / scene.rate) for k in range(count)])


def _clip(asked: _Asked) -> Reached:
    kind, side = family(asked.name), asked.side
    assert issubclass(kind, ClipModel)
    size = {"width": side, "height": side, "pictures": kind.usual} | asked.options
    span = int(size["pictures"])
    model = played(build(asked.name, size).to(asked.device))
    share = asked.share * (_ALONE if span < kind.usual else 1)
    first, later = (max(1, round(share * count)) for count in kind.iterations)
    schedule = Schedule(first=first, later=later, rays=kind.batch)
    pixels = film(side, 2 * span)
    clips = [pixels[:span], pixels[span:]]
    trained, quality = [], []
    for index, clip in enumerate(clips):
        trained.append(train_on(model, ClipPixels(model, clip), schedule, frame=index))
        quality.append(clip_psnr(model, clip))
    return _reached(asked.label, span, model, trained, quality)


def _upscaler(asked: _Asked) -> Reached:
    """Learn to enlarge the pictures of a clip, and those of the next one from there."""
    model = upscaling(build(asked.name, asked.options).to(asked.device))
    first, later = (max(1, round(asked.share * count)) for count in model.iterations)
    schedule = Schedule(first=first, later=later, rays=_PATCHES)
    pixels = np.stack([multiple(each, model.scale) for each in film(asked.side, 2 * _ENLARGED)])
    trained, quality = [], []
    for index, high in enumerate((pixels[:_ENLARGED], pixels[_ENLARGED:])):
        low = reduced(high, model.scale)
        pairs = PatchPairs(list(low), list(high), criterion("l1"))
        trained.append(train_on(model, pairs, schedule, frame=index))
        quality.append(pictures_psnr(model.enlarge(low), high))
    return _reached(asked.label, _ENLARGED, model, trained, quality)


def _views(asked: _Asked) -> Reached:
    footage = film_scene(_SCENE, _VIEWS_SIZE, frames=2)
    training, held_out = footage.split(None)
    cameras = footage.cameras(training)
    kind = family(asked.name)
    assert issubclass(kind, ViewModel)
    fitted = footage.options(kind.defaults(), training)
    model = build(asked.name, fitted | asked.options).to(asked.device)
    schedule = Schedule(
        first=max(1, round(asked.share * iterations(cameras))),
        later=max(1, round(asked.share * LATER)),
        rays=kind.rays,
        later_rays=round(LATER_RAYS * kind.rays),
    )
    scored = HeldOut(footage.cameras(held_out))
    trained: list[TrainedFrame] = []
    before = None
    for views, truth in zip(footage.views(training), footage.views(held_out), strict=True):
        trained.append(train_frame(model, cameras, views, schedule, before=before))
        scored.score(model, views.index, truth.images)
        before = views
    return _reached(asked.label, None, model, trained, [scored.mean(k, "psnr") for k in range(2)])


def _group(asked: _Asked) -> Reached:
    kind, share = family(asked.name), asked.share
    assert issubclass(kind, GroupModel)
    footage = film_scene(_SCENE, _VIEWS_SIZE, frames=2 * INSTANTS)
    whole = Film.of(_SCENE, footage, None)
    films = [
        replace(whole, views=whole.views[part], truth=whole.truth[part])
        for part in (slice(INSTANTS), slice(INSTANTS, None))
    ]
    model = films[0].model(asked.name, asked.options).to(asked.device)
    first = round(share * kind.times[0] * iterations(whole.cameras))
    later = round(share * kind.times[1] * LATER)
    schedule = Schedule(first=max(1, first), later=max(1, later), rays=kind.rays)
    trained, quality = [], []
    moving = 0.0
    for index, film in enumerate(films):
        examples = GroupPixels(model, film.cameras, film.views)
        trained.append(train_on(model, examples, schedule, frame=index))
        seen = seen_of_group(film, model)
        quality.append(film.psnr(seen))
        moving = film.psnr(seen, moving=True) if not index else moving
    still = films[0].model("hash_grid", _of_size(films[0], model)).to(asked.device)
    plan = group_schedule(films[0], asked.name, share)
    trained_group(films[0], still, plan)
    beside = films[0].psnr(seen_of_group(films[0], still), moving=True)
    reached = _reached(asked.label, None, model, trained, quality)
    return replace(reached, moving=(moving, beside))


def _of_size(film: Film, model: ViewModel) -> dict[str, Any]:
    """Return options of a hash grid that has about as many weights as a model."""
    weights = sum(p.numel() for p in model.parameters())

    def apart(log2_entries: int) -> int:
        grid = film.model("hash_grid", {"log2_entries": log2_entries})
        return abs(weights - sum(p.numel() for p in grid.parameters()))

    return {"log2_entries": min(range(10, 19), key=apart)}


def _reached(
    label: str,
    pictures: int | None,
    model: Any,
    trained: Sequence[TrainedFrame],
    quality: Sequence[float],
) -> Reached:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "chain.nmc"
        with nmc.Writer(package, **model.in_package()) as writer:
            store = PackageStore(writer)
            for frame in trained:
                store.append(frame)
        with nmc.open(package) as sequence:
            sizes = [frame.segment_length for frame in sequence.frames]
    return Reached(
        name=label,
        pictures=pictures,
        weights=sum(p.numel() for p in model.parameters()),
        first=quality[0],
        later=quality[1],
        seconds=(trained[0].seconds, trained[1].seconds),
        sizes=(sizes[0], sizes[1]),
    )
