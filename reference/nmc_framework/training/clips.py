"""Chains of clips: the pictures that one model learns, and the way through a video (clause 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch

from nmc_framework.models import ChainModel
from nmc_framework.models.pictures import ClipBatch, ClipModel
from nmc_framework.training.chain import train_on
from nmc_framework.training.examples import Examples
from nmc_framework.training.finished import Progress, TrainedFrame
from nmc_framework.training.pixels import ViewsError
from nmc_framework.training.schedule import Schedule
from nmc_framework.training.store import Store

#: A clip, (pictures, height, width, 3) uint8.
Pixels = npt.NDArray[np.uint8]


class ClipPixels:
    """All pixels of a clip, as :class:`~nmc_framework.training.Examples`.

    A clip of fewer pictures than the model has is learned with its last picture repeated; the
    model shows ``length`` of them.

    Parameters
    ----------
    model
        It says of what size a clip is.
    pixels
        (pictures, height, width, 3) uint8.
    """

    def __init__(self, model: ClipModel, pixels: Pixels) -> None:
        pictures, height, width = model.size
        self.length = len(pixels)
        if pixels.shape[1:] != (height, width, 3) or not 0 < self.length <= pictures:
            raise ViewsError(
                f"a clip of {self.length} pictures of {pixels.shape[2]}x{pixels.shape[1]} is not "
                f"one of {pictures} of {width}x{height}, as the model has them"
            )
        whole = np.concatenate([pixels, np.repeat(pixels[-1:], pictures - self.length, axis=0)])
        self.clip = torch.from_numpy(np.ascontiguousarray(whole)).to(model.length.device)

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - between clips, what stands still is not known
    ) -> ClipBatch:
        """Draw pixels with replacement."""
        chosen = torch.randint(self.clip[..., 0].numel(), (count,), generator=generator)
        return ClipBatch(self.clip, chosen.to(self.clip.device))

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - a clip is learned by heart
        """Return nothing: what is not learned is not sent."""
        return


def train_clips(
    store: Store,
    model: ClipModel,
    clips: Callable[[int], Iterable[Pixels]],
    schedule: Schedule,
    *,
    rate: Fraction | int = 1,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train a model a clip into ``store``, each from the one before; yield each when on disk.

    Parameters
    ----------
    store
        May hold frames already; what follows is bit for bit what an uninterrupted run would have
        made.
    model
        With random weights; a store's last state is loaded into it.
    clips
        Called with the index of the first clip wanted; yields clips from there on.
    schedule
        Its ``rays`` are pixels a batch.
    rate
        Pictures a second.
    report
        Called after every iteration.

    Raises
    ------
    TrainingError
        When a loss is not finite.
    ViewsError
        When a clip is of another size than the model's.
    """
    return train_each(
        store,
        model,
        lambda first: (ClipPixels(model, pixels) for pixels in clips(first)),
        schedule,
        seconds=float(model.size[0] / Fraction(rate)),
        report=report,
    )


def train_each(
    store: Store,
    model: ChainModel,
    frames: Callable[[int], Iterable[Examples]],
    schedule: Schedule,
    *,
    seconds: float,
    report: Callable[[Progress], None] | None = None,
) -> Iterator[TrainedFrame]:
    """Train a model a frame into ``store``, of what each is learned from; yield each when on disk.

    ``frames`` is called with the index of the first frame wanted; ``seconds`` are those that a
    frame is shown. The rest is as in :func:`train_clips`.
    """
    done = len(store)
    steps = None
    if done:
        model.load(store.last_state())
        steps = store.last_steps()
    for index, examples in enumerate(frames(done), start=done):
        frame = train_on(
            model,
            examples,
            schedule,
            frame=index,
            time=index * seconds,
            steps=steps,
            report=report,
        )
        steps = frame.steps
        store.append(frame)
        yield frame
