"""What each group of layers of a generator decides, and multi-view sets that follow from it.

The codes of some layers are exchanged between pictures; how much viewpoint, shape and colour change
is told as a share of what they change by when all codes are exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmc_framework.inverse.annotator import Annotator, turned_by
from nmc_framework.inverse.generator import VIEWPOINT_LAYERS, StyleGenerator
from nmc_framework.inverse.multiview import SHARES, MultiView, ObjectsError, Pixels
from nmc_framework.inverse.network import InverseGraphics
from nmc_framework.inverse.pictures import as_bytes, scaled
from nmc_framework.inverse.viewpoints import Bins

#: Codes are drawn so near to their mean, as for pictures that are shown.
TRUNCATION = 0.8
#: Pictures that are made together.
_TOGETHER = 64


@dataclass(frozen=True)
class GroupEffect:
    """What exchanging the codes of layers ``first`` to ``last``, counted from 1, changes.

    ``viewpoint`` in degrees of azimuth; ``shape`` the mean distance of vertices in scene units;
    ``colour`` and ``background`` the mean difference of mean colours, 0..1, of the object and of
    the rest. Each as a pair: what changes, and its share of what the exchange of all codes changes.
    """

    first: int
    last: int
    viewpoint: tuple[float, float]
    shape: tuple[float, float]
    colour: tuple[float, float]
    background: tuple[float, float]


def groups_of(codes: int, size: int = 4) -> list[range]:
    """Return the layers, counted from 0, in groups of ``size``; the last may be smaller."""
    return [range(start, min(start + size, codes)) for start in range(0, codes, size)]


def effects(
    generator: StyleGenerator,
    annotator: Annotator,
    network: InverseGraphics,
    *,
    pairs: int = 96,
    seed: int = 0,
    groups: Sequence[range] | None = None,
) -> list[GroupEffect]:
    """Measure what each group of layers changes, over pairs of pictures.

    Parameters
    ----------
    annotator
        Says viewpoints and masks of pictures of the generator's size.
    network
        Says shapes, whatever the viewpoint.
    """
    random = torch.Generator().manual_seed(seed)
    one = generator.drawn(pairs, random, truncation=TRUNCATION)
    other = generator.drawn(pairs, random, truncation=TRUNCATION)
    before = _known(generator, annotator, network, one)
    whole = _changes(before, _known(generator, annotator, network, other))
    found = []
    for group in groups or groups_of(generator.codes):
        mixed = one.clone()
        mixed[:, list(group)] = other[:, list(group)]
        changed = _changes(before, _known(generator, annotator, network, mixed))
        shares = [(a, a / b if b > 0 else 0.0) for a, b in zip(changed, whole, strict=True)]
        found.append(GroupEffect(group[0] + 1, group[-1] + 1, *shares))
    return found


@dataclass(frozen=True, eq=False)
class _Known:
    azimuths: np.ndarray
    vertices: np.ndarray
    colours: np.ndarray
    backgrounds: np.ndarray


def made(generator: StyleGenerator, codes: Tensor) -> Pixels:
    """Return pictures (N, size, size, 3) uint8 of codes (N, codes, width), in parts."""
    generator.eval()
    with torch.no_grad():
        return np.concatenate([as_bytes(generator(part)) for part in torch.split(codes, _TOGETHER)])


def _known(
    generator: StyleGenerator, annotator: Annotator, network: InverseGraphics, codes: Tensor
) -> _Known:
    pictures = made(generator, codes)
    told = annotator.annotate(pictures)
    size = int(network.configuration["size"])
    large = torch.from_numpy(scaled(pictures, size).copy()).permute(0, 3, 1, 2).float() / 255
    network.eval()
    with torch.no_grad():
        vertices = np.concatenate(
            [
                network(part.to(network.poses.device)).vertices.cpu().numpy()
                for part in torch.split(large, _TOGETHER)
            ]
        )
    inside = (told.masks >= 0.5)[..., None]
    values = pictures / 255.0

    def mean(where: np.ndarray) -> np.ndarray:
        return np.asarray((values * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1))

    return _Known(told.azimuths, vertices, mean(inside), mean(~inside))


def _changes(one: _Known, other: _Known) -> tuple[float, float, float, float]:
    return (
        float(turned_by(one.azimuths, other.azimuths).mean()),
        float(np.linalg.norm(one.vertices - other.vertices, axis=2).mean()),
        float(np.abs(one.colours - other.colours).mean()),
        float(np.abs(one.backgrounds - other.backgrounds).mean()),
    )


@dataclass(frozen=True)
class Agreement:
    """How alike the objects of a generated set are seen from each viewpoint.

    ``spread`` is the mean over viewpoints of the median angle, in degrees, between an object's
    azimuth and the viewpoint's; ``kept`` of ``made`` objects had good masks in all views.
    """

    spread: float
    kept: int
    made: int


def generated_views(
    generator: StyleGenerator,
    annotator: Annotator,
    count: int,
    viewpoints: int,
    seed: int = 0,
    *,
    annotated: Sequence[int] | None = None,
) -> tuple[MultiView, Agreement]:
    """Make a multi-view set of a generator: one code of the first layers a viewpoint, for all.

    Parameters
    ----------
    annotated
        The bin of each viewpoint, as a person sees it. Where nobody says, that of the mean azimuth
        that the annotator finds over all objects.

    Raises
    ------
    ObjectsError
        When no object has a good mask in all views.
    """
    random = torch.Generator().manual_seed(seed)
    wide = max(4 * viewpoints, 24)
    candidates = generator.drawn(wide, random, truncation=TRUNCATION)
    objects = generator.drawn(count, random, truncation=TRUNCATION)
    chosen = _spread_out(generator, annotator, candidates, objects[:8], viewpoints)
    codes = objects[:, None].expand(-1, viewpoints, -1, -1).clone()
    codes[:, :, :VIEWPOINT_LAYERS] = candidates[chosen][None, :, :VIEWPOINT_LAYERS]
    pictures = made(generator, codes.flatten(0, 1))
    told = annotator.annotate(pictures)
    size = generator.size
    masks = (told.masks.reshape(count, viewpoints, size, size) * 255).round().astype(np.uint8)
    share = (masks >= 128).mean(axis=(2, 3))
    good = ((share >= SHARES[0]) & (share <= SHARES[1])).all(axis=1)
    if not good.any():
        raise ObjectsError(
            f"none of {count} objects has a good mask in all {viewpoints} views; train the "
            "generator longer, or make more objects"
        )
    azimuths = told.azimuths.reshape(count, viewpoints)[good]
    means = _mean_angle(azimuths)
    bins = Bins()
    named = tuple(annotated) if annotated is not None else tuple(bins.of(a) for a in means)
    spread = float(np.median(turned_by(azimuths, means[None]), axis=0).mean())
    whole = pictures.reshape(count, viewpoints, size, size, 3)[good]
    made_of = MultiView(np.ascontiguousarray(whole), masks[good], bins, named)
    return made_of, Agreement(spread, int(good.sum()), count)


def _spread_out(
    generator: StyleGenerator,
    annotator: Annotator,
    candidates: Tensor,
    objects: Tensor,
    viewpoints: int,
) -> list[int]:
    """Return candidates whose viewpoints lie around the object, by what a few objects show."""
    codes = objects[None].expand(len(candidates), -1, -1, -1).clone()
    codes[:, :, :VIEWPOINT_LAYERS] = candidates[:, None, :VIEWPOINT_LAYERS]
    told = annotator.annotate(made(generator, codes.flatten(0, 1)))
    means = _mean_angle(told.azimuths.reshape(len(candidates), -1).T)
    wanted = (np.arange(viewpoints) + 0.5) * 360 / viewpoints
    free = set(range(len(candidates)))
    chosen = []
    for angle in wanted:
        nearest = min(free, key=lambda k: float(turned_by(means[k], angle)))
        free.discard(nearest)
        chosen.append(nearest)
    return chosen


def _mean_angle(degrees: np.ndarray) -> np.ndarray:
    """Return the mean azimuths of columns, by their directions."""
    angles = np.radians(degrees)
    mean = np.degrees(np.arctan2(np.sin(angles).mean(axis=0), np.cos(angles).mean(axis=0)))
    return np.asarray(mean % 360)
