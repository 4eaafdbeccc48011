"""The steps of the benchmark of inverse graphics: each leaves its figures, and its package."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nmc
from nmc_framework.inverse.annotator import trained_annotator, turned_by
from nmc_framework.inverse.cars import Car, draw_car
from nmc_framework.inverse.generator import StyleGenerator
from nmc_framework.inverse.layer_groups import effects, generated_views
from nmc_framework.inverse.learning import ViewPairs, scored
from nmc_framework.inverse.multiview import (
    MultiView,
    ObjectsError,
    filmed,
    filmed_cars,
    read_views,
    write_views,
)
from nmc_framework.inverse.network import InverseGraphics
from nmc_framework.inverse.packages import extended, open_model, write_package
from nmc_framework.inverse.pictures import PictureSet, scaled
from nmc_framework.inverse.renderer import RenderedViews, StyleRenderer, fidelity, renderer_of
from nmc_framework.training import Progress, Schedule, train_on
from nmc_tools.commands.inverse_generator import SIZES

Report = Callable[[int, int, str], None]
Tell = Callable[[Progress], None]
Figures = dict[str, Any]

#: Iterations of the trainings at share 1.
ITERATIONS = {"network": 4000, "generator": 4000, "renderer": 3000, "variant": 600}
#: The side of a generator's pictures.
GENERATOR_SIZE = 32
#: Folder of the set that a generator's pictures make, and how many objects it is made of.
GENERATED, _MADE = "generated", 60
#: Counted up whenever the same request would give other figures.
_VERSION = 2
#: How many iterations pass between two reports.
_TOLD = 10
#: Elevation in degrees from which the cars of the first variant are seen.
ABOVE = 55.0


@dataclass(frozen=True)
class Request:
    """What is measured: the folder of results, the set's size, and the share of iterations."""

    folder: Path
    size: int = 64
    objects: int = 220
    viewpoints: int = 12
    held_out: int = 20
    share: float = 1.0
    only: tuple[str, ...] = ()

    def iterations(self, kind: str) -> int:
        """Return how many iterations a training has."""
        return max(1, round(self.share * ITERATIONS[kind]))

    def package(self, name: str) -> Path:
        """Return where a package lies."""
        return self.folder / f"{name}.nmc"

    def left(self, step: str) -> bool:
        """Whether a step left what later ones begin with."""
        if step == "layers":
            return (self.folder / GENERATED / "views.json").exists()
        return self.package(step).exists()

    def known(self) -> Figures:
        """Return what figures follow from, as JSON values."""
        told = {k: v for k, v in asdict(self).items() if k not in ("folder", "only")}
        return {"version": _VERSION, **told}

    def views(self) -> MultiView:
        """Return the set of cars, filmed where it is not there."""
        folder = self.folder / f"cars-{self.size}-{self.objects}-{self.viewpoints}"
        if not folder.is_dir():
            write_views(folder, filmed_cars(self.objects, self.viewpoints, self.size))
        return read_views(folder)

    def network(self) -> InverseGraphics:
        """Return the network that learned from several views."""
        return open_model(self.package("multi-view"), InverseGraphics)


def run(request: Request, report: Report) -> dict[str, Figures]:
    """Carry out the steps that are asked for and not kept; return the figures of all there are.

    A step whose packages earlier steps have not left yet carries those out first. Of steps that
    are not asked for, what is kept of the same set counts, with whatever share of iterations.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    wanted = wanted_steps(request)
    known = request.known()
    of_the_set = {name: value for name, value in known.items() if name != "share"}
    found: dict[str, Figures] = {}
    for name, step in STEPS.items():
        path = request.folder / f"{name}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        whose = kept.get("request", {})
        if name not in wanted:
            if {key: value for key, value in whose.items() if key != "share"} == of_the_set:
                found[name] = kept["figures"]
            continue
        done = wanted.index(name)
        report(done, len(wanted), f"{name} next")
        if whose == known:
            found[name] = kept["figures"]
            continue

        def tell(at: Progress, name: str = name, done: int = done) -> None:
            if at.iteration % _TOLD == 0:
                report(done, len(wanted), f"{name}, iteration {at.iteration} of {at.iterations}")

        found[name] = step(request, tell)
        text = json.dumps({"request": known, "figures": found[name]}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
    report(len(wanted), len(wanted), "")
    return found


def wanted_steps(request: Request) -> list[str]:
    """Return the steps to carry out, in order: those asked for, and whose packages are missing."""
    if not request.only:
        return list(STEPS)
    wanted = set(request.only)
    for name in reversed(STEPS):
        if name in wanted:
            wanted |= {need for need in _NEEDS.get(name, ()) if not request.left(need)}
    return [name for name in STEPS if name in wanted]


@contextmanager
def _timed(figures: Figures) -> Iterator[None]:
    """Put the seconds that the block takes into the figures: by the clock, and of the processor."""
    wall, spent = time.monotonic(), time.process_time()
    yield
    figures["seconds"] = time.monotonic() - wall
    figures["processor_seconds"] = time.process_time() - spent


def _network(request: Request, name: str, tell: Tell, *, single: bool) -> Figures:
    views = request.views()
    training, testing = views.split(request.held_out)
    options = {"size": request.size, "viewpoints": request.viewpoints}
    model = InverseGraphics.build(options)
    assert isinstance(model, InverseGraphics)
    model.begin_at(training.first_poses())
    count = request.iterations("network")
    figures: Figures = {"iterations": count}
    with _timed(figures):
        pairs = ViewPairs(training, single=single)
        # As many pictures are rendered a step: one of each of twice as many objects, or two.
        schedule = Schedule(first=count, rays=32 if single else 16)
        frame = train_on(model, pairs, schedule, frame=0, report=tell)
    write_package(request.package(name), model, [frame], overwrite=True)
    return figures | asdict(scored(model, testing))


def _multi_view(request: Request, tell: Tell) -> Figures:
    return _network(request, "multi-view", tell, single=False)


def _single_view(request: Request, tell: Tell) -> Figures:
    return _network(request, "single-view", tell, single=True)


def _generator(request: Request, tell: Tell) -> Figures:
    training, _ = request.views().split(request.held_out)
    flat = training.pictures.reshape(-1, request.size, request.size, 3)
    pictures = PictureSet(scaled(flat, GENERATOR_SIZE))
    model = StyleGenerator.build(SIZES[GENERATOR_SIZE])
    count = request.iterations("generator")
    figures: Figures = {"iterations": count, "pictures": 16 * count}
    with _timed(figures):
        frame = train_on(model, pictures, Schedule(first=count, rays=16), frame=0, report=tell)
    write_package(request.package("generator"), model, [frame], overwrite=True)
    return figures


def _layers(request: Request, _: Tell) -> Figures:
    views, network = request.views(), request.network()
    model = open_model(request.package("generator"), StyleGenerator)
    training, testing = views.split(request.held_out)
    annotator = trained_annotator(training, model.size)
    flat = testing.pictures.reshape(-1, views.size, views.size, 3)
    told = annotator.annotate(scaled(flat, model.size))
    truth = np.tile(views.first_poses()[:, 0], len(testing))
    found = effects(model, annotator, network)
    figures: Figures = {
        "azimuth_off": float(turned_by(told.azimuths, truth).mean()),
        "groups": [asdict(effect) for effect in found],
    }
    try:
        made, agreement = generated_views(model, annotator, _MADE, request.viewpoints)
    except ObjectsError as error:
        return figures | {"set": None, "why": str(error)}
    folder = request.folder / GENERATED
    shutil.rmtree(folder, ignore_errors=True)
    write_views(folder, made)
    return figures | {"set": asdict(agreement)}


def _closed(request: Request, tell: Tell) -> Figures:
    """Learn meshes from pictures of the generator alone, and be judged by cars that were filmed."""
    if not request.left("layers"):
        return {"iterations": 0}  # it made no set, and that step says so
    training = read_views(request.folder / GENERATED)
    _, testing = replace(request, size=training.size).views().split(request.held_out)
    model = InverseGraphics.build({"size": training.size, "viewpoints": len(training.annotated)})
    assert isinstance(model, InverseGraphics)
    model.begin_at(training.first_poses())
    count = request.iterations("network")
    figures: Figures = {"iterations": count, "objects": len(training)}
    with _timed(figures):
        frame = train_on(
            model, ViewPairs(training), Schedule(first=count, rays=16), frame=0, report=tell
        )
    write_package(request.package("closed"), model, [frame], overwrite=True)
    model.begin_at(testing.first_poses())  # the filmed cars have viewpoints of their own
    return figures | asdict(scored(model, testing))


def _renderer(request: Request, tell: Tell) -> Figures:
    training, testing = request.views().split(request.held_out)
    network = request.network()
    generator = open_model(request.package("generator"), StyleGenerator)
    model = renderer_of(generator, network)
    count = request.iterations("renderer")
    figures: Figures = {"iterations": count}
    with _timed(figures):
        examples = RenderedViews(training, network, generator.size)
        frame = train_on(model, examples, Schedule(first=count, rays=16), frame=0, report=tell)
    write_package(request.package("renderer"), model, [frame], overwrite=True)
    held = RenderedViews(testing, network, generator.size)
    figures["psnr"] = fidelity(model, held)
    first = request.objects - request.held_out
    return figures | {"swaps": _swapped(model, held, testing, first)}


def _swapped(
    model: StyleRenderer, examples: RenderedViews, views: MultiView, first: int
) -> dict[str, tuple[float, float]]:
    """Return the PSNR in dB of exchanged parts against the tracer's picture of just that car.

    Beside it that of the picture without the exchange: what it is worth.
    """
    assert views.poses is not None
    cars = [draw_car(0, first + k) for k in range(len(views))]
    seen = 1 % len(views.annotated)
    objects = torch.arange(len(cars))
    others = objects.roll(1)
    places = torch.full_like(objects, seen)
    own = examples.parts(objects, places, places)
    theirs = examples.parts(others, places, places)
    exchanged: dict[str, tuple[Any, Callable[[Car, Car], Car]]] = {
        "shape": (own.with_parts(moves=theirs.moves), lambda a, b: replace(a, shape=b.shape)),
        "texture": (own.with_parts(texture=theirs.texture), lambda a, b: replace(a, paint=b.paint)),
        "background": (
            own.with_parts(backdrop=theirs.backdrop),
            lambda a, b: replace(a, background=b.background),
        ),
    }
    plain = model.shown(own)
    found = {}
    for name, (parts, exchange) in exchanged.items():
        pairs = zip(cars, (cars[k] for k in others.tolist()), strict=True)
        truth = scaled(
            np.stack([filmed(exchange(a, b), views.poses[seen], views.size)[0] for a, b in pairs]),
            model.generator.size,
        )
        found[name] = (_psnr(model.shown(parts), truth), _psnr(plain, truth))
    return found


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one / 255.0 - other / 255.0) ** 2))
    return -10 * float(np.log10(max(error, 1e-12)))


def _variants(request: Request, tell: Tell) -> Figures:
    """Fine-tune the viewpoint's layers on cars from above, then the last on cars in one paint."""
    count = max(2, request.objects // 10)
    from_above = np.stack(
        [
            filmed(draw_car(1, k), (30.0 * (k % 12), ABOVE, 4.2), GENERATOR_SIZE)[0]
            for k in range(12 * count)
        ]
    )
    poses = request.views().first_poses()
    repainted = np.stack(
        [
            filmed(_checked(draw_car(2, k)), poses[k % len(poses)], GENERATOR_SIZE)[0]
            for k in range(12 * count)
        ]
    )
    source, path = request.package("generator"), request.package("variants")
    model = open_model(source, StyleGenerator)
    told: list[Figures] = []
    with extended(source, path, model, overwrite=True) as store:
        for what, pictures, learn in (
            ("viewpoint", from_above, range(1, 5)),
            ("texture", repainted, range(13, 17)),
        ):
            frozen = tuple(k for k in range(model.codes + 1) if k not in learn)
            schedule = Schedule(
                later=request.iterations("variant"), rays=16, exclude_layers=frozen, hold=0.0
            )
            frame = train_on(model, PictureSet(pictures), schedule, frame=len(store), report=tell)
            store.append(frame)
            told.append({"what": what, "layers": [learn[0], learn[-1]]})
    with nmc.open(path) as sequence:
        sizes = [frame.segment_length for frame in sequence.frames]
        raw = sequence.frames[0].state_bytes
    told = [variant | {"bytes": size} for variant, size in zip(told, sizes[1:], strict=True)]
    return {"state_bytes": raw, "first_bytes": sizes[0], "variants": told}


def _checked(car: Car) -> Car:
    """Return a car in red and white checks."""
    paint = replace(car.paint, body=(0.8, 0.08, 0.06), stripe=(0.95, 0.95, 0.92), pattern="checks")
    return replace(car, paint=paint)


STEPS: dict[str, Callable[[Request, Tell], Figures]] = {
    "multi-view": _multi_view,
    "single-view": _single_view,
    "generator": _generator,
    "layers": _layers,
    "closed": _closed,
    "renderer": _renderer,
    "variants": _variants,
}
"""What is measured, in this order; later steps take packages of earlier ones."""

#: The steps whose packages a step begins with.
_NEEDS: dict[str, tuple[str, ...]] = {
    "layers": ("multi-view", "generator"),
    "closed": ("layers",),
    "renderer": ("multi-view", "generator"),
    "variants": ("generator",),
}
