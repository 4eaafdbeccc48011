"""What each part of the depth network brings: the same training without it, on made-up rooms."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc_framework.depth.difference import FOCUSES, focus_shares
from nmc_framework.depth.estimate import estimate, judged
from nmc_framework.depth.learning import train_depth
from nmc_framework.depth.metrics import DepthScore, better, depth_score, known_depth, mean_score
from nmc_framework.depth.pairs import Pair
from nmc_framework.depth.turning import PICTURES, RATE, turning
from nmc_framework.depth.unet import DepthUnet
from nmc_framework.rendering.video import write_video
from nmc_framework.training import Schedule
from nmc_tools.experiments.kept import Kept, State

Report = Callable[[int, int, str], None]

#: Name of a variant, what its configuration differs in, and its learning rate if another one.
VARIANTS: dict[str, tuple[dict[str, Any], float | None]] = {
    "as it is": ({}, None),
    "without difference of Gaussians": ({"difference": False}, None),
    "Gaussians by variances": ({"focus": "variance"}, None),
    "without attention": ({"attention": False}, None),
    "without gradient losses": ({"gradients": False}, None),
    "without the grid's gradients": ({"grid": False}, None),
    "without SSIM": ({"structure": False}, None),
    "ReLU in place of SELU": ({"activation": "relu"}, None),
    "learning rate 0.009": ({}, 9e-3),
}


@dataclass(frozen=True)
class Row:
    """A variant, or what predicts without looking, and its mean scores over seeds.

    ``aligned`` is the AbsRel after alignment by medians, ``gain`` by which share the AbsRel is
    below that of the mean depth, ``edges`` the global gradient loss in metres a pixel.
    """

    name: str
    score: DepthScore
    aligned: float
    gain: float
    edges: float
    seeds: int


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be compared: pictures to learn from and to judge by, and how long.

    ``data`` says in JSON values what the pictures follow from, for results that are kept.
    """

    training: Sequence[Pair]
    judges: Sequence[Pair]
    data: Mapping[str, Any]
    size: tuple[int, int]
    iterations: int
    seeds: int
    options: Mapping[str, Any]


def compared(request: Request, kept: Kept, report: Report) -> Iterator[Row]:
    """Yield what predicts without looking, and then each variant; what is kept is not redone."""
    yield from _blind(request)
    total = len(VARIANTS) * request.seeds
    for number, name in enumerate(VARIANTS):
        found = []
        for seed in range(request.seeds):
            done = number * request.seeds + seed
            report(done, total, name)
            found.append(
                kept.values(_inputs(request, name, seed), _work(request, name, seed, kept))
            )
        yield _row(name, found)
    report(total, total, "")


def trained_variant(request: Request, name: str, seed: int, kept: Kept) -> DepthUnet:
    """Return a variant that was trained, now or before."""
    options, rate = VARIANTS[name]
    rows, columns = request.size
    size = {"rows": rows, "columns": columns}
    model = DepthUnet.build({**request.options, **size, **options}, seed=seed)
    assert isinstance(model, DepthUnet)

    def train() -> State:
        schedule = Schedule(
            first=request.iterations, rays=model.batch, learning_rate=rate, seed=seed
        )
        return train_depth(model, request.training, schedule).state

    model.load(kept.state(_inputs(request, name, seed) | {"what": "state"}, train))
    return model.eval()


def table(rows: Sequence[Row], told: str) -> str:
    """Return the comparison as Markdown."""
    head = "| variant | AbsRel | aligned | RMSE m | log10 | δ<1.25 | δ<1.25² | δ<1.25³ |"
    lines = [told, "", f"{head} gradient | better than the mean |", "|---|" + "---|" * 9]
    for row in rows:
        s = row.score
        values = [s.absrel, row.aligned, s.rmse, s.log10, s.delta1, s.delta2, s.delta3, row.edges]
        numbers = " | ".join("-" if not np.isfinite(v) else f"{v:.3f}" for v in values)
        lines.append(f"| {row.name} | {numbers} | {row.gain:+.1%} |")
    return "\n".join(lines) + "\n"


def focus_told(pairs: Sequence[Pair], size: tuple[int, int]) -> str:
    """Return in words what sets the Gaussians of pictures at a size (rows, columns)."""
    pictures = [pair.resized(*size).picture for pair in pairs]
    told = []
    for focus in FOCUSES:
        shares = focus_shares(pictures, focus)
        told.append(
            f"by the {focus}, {shares.free:.0%} of the wide Gaussians are set by the picture, "
            f"{shares.fixed:.0%} fixed and {shares.bounded:.0%} bounded, their median "
            f"{shares.median:.1f} pixels"
        )
    return "; ".join(told)


def film_told(picture: npt.NDArray[np.uint8], model: DepthUnet, kept: Kept) -> str:
    """Return in words what a film of a picture takes, (height, width, 3) uint8: depth and film."""
    shape = f"{picture.shape[1]}x{picture.shape[0]}"

    def work() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            for pictures in (1, PICTURES):  # once before, as kernels are compiled at first
                cpu, wall = time.process_time(), time.perf_counter()
                depth = estimate(model, picture)
                film = turning(picture, depth, pictures=pictures)
                write_video(Path(folder) / "film.mp4", film, RATE, quality=20)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}

    took = kept.values({"film": shape, "pictures": PICTURES, "version": 1}, work)
    return (
        f"A film of {PICTURES} pictures of {shape}, with the depth that it needs, takes "
        f"{took['cpu']:.1f} s of CPU, here {took['wall']:.1f} s by the clock."
    )


def sheet(models: Mapping[str, DepthUnet], pairs: Sequence[Pair]) -> npt.NDArray[np.uint8]:
    """Return pictures, true depths and what models say, side by side, one picture a row."""
    from nmc_framework.depth.colouring import coloured

    rows = []
    for pair in pairs:
        known = pair.depth[pair.depth > 0]
        bounds = (float(known.min()), float(known.max()))
        parts = [pair.picture, coloured(pair.depth, bounds)]
        parts += [coloured(estimate(model, pair.picture), bounds) for model in models.values()]
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows)


def _blind(request: Request) -> Iterator[Row]:
    """Yield the mean depth, and the mean depth of each pixel, of what is trained on."""
    depths = np.stack([pair.resized(*request.size).depth for pair in request.training])
    known = depths > 0
    constant = float(depths[known].mean())
    map_ = depths.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    map_ = np.where(map_ > 0, map_, constant)
    judges = [pair.resized(*request.size) for pair in request.judges]
    mean: DepthScore | None = None
    for name, depth in (
        ("the mean depth", np.full(request.size, constant)),
        ("the mean depth of each pixel", map_),
    ):
        scores = [_score(depth, pair, aligned=False) for pair in judges]
        aligned = [_score(depth, pair, aligned=True) for pair in judges]
        score = mean_score([s for s in scores if s])
        mean = mean or score
        level = mean_score([s for s in aligned if s]).absrel
        yield Row(name, score, level, better(score, mean), np.nan, 1)


def _score(depth: npt.NDArray[Any], pair: Pair, *, aligned: bool) -> DepthScore | None:
    known = known_depth(pair.depth, (0.0, np.inf))
    return depth_score(depth, pair.depth, known, aligned=aligned)


def _inputs(request: Request, name: str, seed: int) -> dict[str, Any]:
    options, rate = VARIANTS[name]
    return {
        "experiment": "depth parts 2",
        "data": dict(request.data),
        "size": list(request.size),
        "iterations": request.iterations,
        "options": {**request.options, **options},
        "rate": rate,
        "seed": seed,
    }


def _work(request: Request, name: str, seed: int, kept: Kept) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        model = trained_variant(request, name, seed, kept)
        found = judged(model, request.judges)
        assert found.mean is not None
        return {
            "score": found.model.as_json(),
            "aligned": found.aligned.absrel,
            "gain": better(found.model, found.mean),
            "edges": found.losses["gradient_global"],
        }

    return work


def _row(name: str, found: Sequence[Mapping[str, Any]]) -> Row:
    score = mean_score([DepthScore(**each["score"]) for each in found])

    def mean(of: str) -> float:
        return float(np.mean([each[of] for each in found]))

    return Row(name, score, mean("aligned"), mean("gain"), mean("edges"), len(found))
