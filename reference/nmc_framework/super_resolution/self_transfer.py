"""Fine-tuning on the very video: a network of each scene, from that of the scene before.

With the original, at the sender, small pictures are learned to become those of the original;
small pictures are what the receiver will decode. Without it the small pictures are the goal, and
half as large ones are learned from (Jaeyeon Kim et al., Self-Transfer Learning).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import nmc
from nmc_framework.capture import CaptureError
from nmc_framework.metrics import MetricError
from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.criteria import Criterion
from nmc_framework.super_resolution.footage import Footage, Onward
from nmc_framework.super_resolution.niqe import BLOCK, LEAST_BLOCKS, niqe
from nmc_framework.super_resolution.patches import PATCH, PatchPairs
from nmc_framework.super_resolution.pretraining import LEAST_SIDE, multiple
from nmc_framework.super_resolution.resampling import Pictures, reduced
from nmc_framework.super_resolution.scenes import Scene
from nmc_framework.super_resolution.upscaler import Upscaler
from nmc_framework.training import Progress, Schedule, TrainedFrame, front, train_on

#: How often a network is looked at while it learns a scene, if NIQE chooses.
CHOICES = 5
#: When frame 0, the network as it was pre-trained, is shown: before the first picture.
BEFORE = -1


@dataclass(frozen=True)
class FineTuning:
    """How a network is fine-tuned on each scene.

    ``augment`` turns and mirrors patches: with the original that costs more than it brings.
    ``last`` are the layers at the end that learn; None: all do. ``most`` bounds the pictures of a
    scene that are held at a time: of more, as many are taken, evenly. ``by_niqe`` keeps the network
    of the iteration whose enlarged picture looks most natural (NIQE), the one before all included:
    what goes by no original, and the loss without one is that of other pictures.
    """

    criterion: Criterion
    iterations: int = 300
    batch: int = 16
    patch: int = PATCH
    augment: bool = False
    last: int | None = None
    learning_rate: float | None = None
    most: int = 64
    seed: int = 0
    by_niqe: bool = False

    def schedule(self, model: Upscaler) -> Schedule:
        """Return how a scene is trained."""
        layers = model.layers()
        frozen: tuple[int, ...] = ()
        if self.last is not None:
            if not 0 < self.last <= len(layers):
                raise ModelError(
                    f"{model.family} has {len(layers)} layers here: 1 to {len(layers)} of them can "
                    f"be the last that learn, not {self.last}"
                )
            frozen = front(layers, len(layers) - self.last)
        return Schedule(
            later=self.iterations,
            rays=self.batch,
            later_learning_rate=self.learning_rate,
            exclude_layers=frozen,
            seed=self.seed,
        )


def require_learnable(low: Footage, scale: int) -> None:
    """Refuse a small video that nothing can be learned from without the original.

    Raises
    ------
    CaptureError
        If its pictures are too small.
    """
    least = LEAST_SIDE * scale
    if min(low.size) < least:
        raise CaptureError(
            f"{low.path.name} is {low.size[0]}x{low.size[1]}: without the original, pictures of at "
            f"least {least} pixels a side are needed"
        )


def judged(size: tuple[int, int]) -> bool:
    """Whether enlarged pictures (width, height) are large enough for NIQE to choose by."""
    return (size[0] // BLOCK) * (size[1] // BLOCK) >= LEAST_BLOCKS


def require_judged(size: tuple[int, int]) -> None:
    """Refuse enlarged pictures (width, height) that are too small for NIQE to choose by.

    Raises
    ------
    CaptureError
        If they have fewer than two blocks.
    """
    if not judged(size):
        raise CaptureError(
            f"to choose by NIQE, enlarged pictures have at least {LEAST_BLOCKS} blocks of "
            f"{BLOCK}x{BLOCK} pixels, and {size[0]}x{size[1]} has not: leave it out"
        )


class MostNatural:
    """Keeps the state of a model whose enlarged picture has the smallest NIQE, as it learns.

    Parameters
    ----------
    model
        That is about to learn; as it is now counts too.
    picture
        (height, width, 3) uint8, that it enlarges.
    iterations
        That it is going to learn for; at :data:`CHOICES` of them it is looked at.
    """

    def __init__(self, model: Upscaler, picture: Pictures, iterations: int) -> None:
        self._model, self._picture = model, picture
        self._looked = {round(iterations * k / CHOICES) for k in range(1, CHOICES + 1)}
        self.iteration, self.niqe, self.state = 0, self._measured(), model.save()

    def look(self, iteration: int) -> None:
        """Look at the model after an iteration, if it is its turn."""
        if iteration in self._looked and (found := self._measured()) < self.niqe:
            self.iteration, self.niqe, self.state = iteration, found, self._model.save()

    def _measured(self) -> float:
        try:
            return niqe(self._model.enlarge(self._picture[None])[0])
        except MetricError:  # of one colour: no network is better than another
            return math.inf


def scene_pairs(
    model: Upscaler,
    small: Sequence[Pictures],
    original: Onward | None,
    numbers: Sequence[int],
    tuning: FineTuning,
) -> PatchPairs:
    """Return what the network of a scene learns from: its small pictures, and their numbers."""
    if original is None:
        large = [multiple(each, model.scale) for each in small]
        small = [reduced(each[None], model.scale)[0] for each in large]
    else:
        shape = tuple(model.scale * side for side in small[0].shape[:2])
        large = [_widened(each, shape) for each in original.chosen(numbers)]
    return PatchPairs(small, large, tuning.criterion, patch=tuning.patch, augment=tuning.augment)


def fine_tune(
    writer: nmc.Writer,
    model: Upscaler,
    scenes: Sequence[tuple[Scene, list[int]]],
    low: Footage,
    original: Footage | None,
    tuning: FineTuning,
    *,
    key_at_cuts: bool = True,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train a network a scene into a package; yield each when it is on disk.

    Parameters
    ----------
    writer
        Of a new package, or of one to go on with. Its timescale is that of ``low``.
    model
        As it was pre-trained; becomes frame 0.
    scenes
        With the numbers of their pictures to learn from.
    low
        The small video, as the receiver decodes it.
    original
        The video itself, with as many pictures; None where the sender has none.
    tuning
        How a scene is learned.
    key_at_cuts
        Whether the networks of scenes that begin with a cut are key frames, so that a seek into
        one decodes no other.
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        If a loss is not finite. The frames before are kept.
    """
    schedule = tuning.schedule(model)
    if not len(writer):
        writer.append(model.save(), presentation_time=BEFORE, trained_from_previous=False)
    size = (original or low).size
    # Scenes come one after the other: each film is decoded once, however many there are.
    small, large = Onward(low), None if original is None else Onward(original)
    for index, (scene, numbers) in enumerate(scenes, start=1):
        if index < len(writer):
            continue
        model.load(writer.last_state)  # what a receiver has, if the package is lossy
        chosen = _evenly(numbers, tuning.most)
        pictures = small.chosen(chosen)
        pairs = scene_pairs(model, pictures, large, chosen, tuning)
        extras: dict[str, Any] = {
            "pictures": [scene.first, scene.end],
            "learned": len(numbers),
        }
        told = report
        if tuning.by_niqe:
            best = MostNatural(model, pictures[len(pictures) // 2], tuning.iterations)
            told = partial(_looked_at, best, report)
        frame = train_on(model, pairs, schedule, frame=index, report=told)
        if tuning.by_niqe:
            frame = replace(frame, state=best.state)
            extras["iteration"] = best.iteration
        if original is not None:
            extras |= {"size": list(size)}
        writer.append(
            frame.state,
            key=key_at_cuts and scene.cut and index > 1,
            presentation_time=low.moments[scene.first].ticks,
            requires_grad=frame.freezing.requires_grad,
            exclude_layers=list(frame.freezing.exclude_layers),
            iterations=frame.iterations,
            seconds=frame.seconds,
            extras=extras,
        )
        yield frame


def _looked_at(
    best: MostNatural, report: Callable[[Progress], None] | None, progress: Progress
) -> None:
    best.look(progress.iteration)
    if report:
        report(progress)


def _evenly(numbers: Sequence[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return list(numbers)
    places = np.linspace(0, len(numbers) - 1, most).round().astype(int)
    return [numbers[place] for place in dict.fromkeys(places.tolist())]


def _widened(picture: Pictures, shape: tuple[int, ...]) -> Pictures:
    """Return a picture with its right and lower border repeated up to a size (height, width)."""
    below, right = (want - have for want, have in zip(shape, picture.shape[:2], strict=True))
    if min(below, right) < 0:
        raise CaptureError(
            f"the original is {picture.shape[1]}x{picture.shape[0]}, larger than the enlarged "
            f"small video of {shape[1]}x{shape[0]}: another scale is needed"
        )
    return np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
