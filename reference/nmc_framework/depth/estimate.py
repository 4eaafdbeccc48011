"""Depth of a whole picture by a model that learned small ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from nmc_framework.depth.difference import Picture, stacked
from nmc_framework.depth.errors import DepthError
from nmc_framework.depth.losses import Losses
from nmc_framework.depth.metrics import DepthScore, depth_score, known_depth, mean_score
from nmc_framework.depth.pairs import DepthExamples, DepthMap, Pair, resized_picture
from nmc_framework.depth.unet import DepthUnet
from nmc_framework.models.chained import ChainModel, ModelError

#: Pictures at a time where many are looked at.
_BATCH: Final = 16


def depth_model(model: ChainModel) -> DepthUnet:
    """Return a model that says depth.

    Raises
    ------
    ModelError
        When the model's family is of another kind.
    """
    if isinstance(model, DepthUnet):
        return model
    raise ModelError(
        f"a {model.family} model says no depth: nmc depth takes packages that nmc depth train made"
    )


def fitted_size(model: DepthUnet, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns at which a model looks at a picture of any size.

    They have about the area that it learned with, and the picture's aspect as far as a side that
    is a multiple of the coarsest map's pixels allows.
    """
    rows, columns = model.size
    least = model.coarsest
    scale = math.sqrt(rows * columns / (height * width))
    wanted = (max(1, round(height * scale / least)), max(1, round(width * scale / least)))
    most = max(1, 4 * rows * columns // (least * least))
    return least * min(wanted[0], most), least * min(wanted[1], most)


def estimate(model: DepthUnet, picture: Picture) -> DepthMap:
    """Return the depth (height, width) float32 in metres of a picture (height, width, 3) uint8.

    Called in evaluation mode; pictures may have any size of at least one pixel.

    Raises
    ------
    DepthError
        When it is no such picture.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise DepthError(f"a picture is (height, width, 3) uint8, not {picture.shape}")
    height, width = picture.shape[:2]
    small = resized_picture(picture, *fitted_size(model, height, width))
    device = next(model.parameters()).device
    with torch.no_grad():
        found = model(torch.from_numpy(stacked(small, model.focus))[None].to(device))
        whole = functional.interpolate(found, (height, width), mode="bilinear", align_corners=False)
    return np.asarray(whole[0, 0].cpu().numpy(), np.float32)


@dataclass(frozen=True)
class Judged:
    """What a model reached on pictures with depth.

    ``model`` and ``aligned`` are its scores as they are and after alignment by medians; ``mean``
    those of predicting the mean depth of what it was trained on; ``losses`` the seed's four terms.
    ``pictures`` were scored, ``empty`` had no depth that is known.
    """

    model: DepthScore
    aligned: DepthScore
    mean: DepthScore | None
    losses: dict[str, float]
    pictures: int
    empty: int


def judged(model: DepthUnet, pairs: Iterable[Pair], mean_depth: float | None = None) -> Judged:
    """Score a model on pictures with depth, at their own size.

    Parameters
    ----------
    model
        In evaluation mode.
    pairs
        Pictures with depth; those without any that is known are counted and passed over.
    mean_depth
        In metres, what the model is compared with; else that of its training.

    Raises
    ------
    DepthError
        When no depth at all is known.
    """
    c = model.configuration
    bounds = (float(c["nearest"]), float(c["farthest"]))
    constant = float(model.mean_depth) if mean_depth is None else mean_depth
    scores: dict[str, list[DepthScore]] = {"model": [], "aligned": [], "mean": []}
    scored: list[Pair] = []
    empty = 0
    for pair in pairs:
        known = known_depth(pair.depth, bounds)
        if not known.any():
            empty += 1
            continue
        found = estimate(model, pair.picture)
        flat = np.full_like(found, constant) if constant > 0 else None
        for name, depth, aligned in (
            ("model", found, False),
            ("aligned", found, True),
            ("mean", flat, False),
        ):
            score = (
                None if depth is None else depth_score(depth, pair.depth, known, aligned=aligned)
            )
            if score is not None:
                scores[name].append(score)
        scored.append(pair.resized(*model.size))
    means = {name: mean_score(each) for name, each in scores.items() if each}
    if "model" not in means:
        raise DepthError(
            f"none of {empty} pictures has a depth within {bounds[0]:g} and {bounds[1]:g} m"
        )
    return Judged(
        means["model"],
        means["aligned"],
        means.get("mean"),
        _losses(model, scored, bounds),
        len(scored),
        empty,
    )


def _losses(model: DepthUnet, pairs: list[Pair], bounds: tuple[float, float]) -> dict[str, float]:
    """Return the means of the four losses, at the size that the model learned with."""
    device = next(model.parameters()).device
    examples = DepthExamples(pairs, model.size, bounds, device, model.focus)
    sums: dict[str, float] = {}
    names = [*(field.name for field in fields(Losses)), "total"]
    with torch.no_grad():
        for start in range(0, len(examples), _BATCH):
            batch = examples.part(start, start + _BATCH)
            found = model.losses(batch)
            for name in names:
                term = float(getattr(found, name)) * len(batch)
                sums[name] = sums.get(name, 0.0) + term / len(examples)
    return sums
