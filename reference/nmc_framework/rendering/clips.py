"""Showing chains of clips: the pictures of a package, in order (clause 5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

import nmc
from nmc_framework.allocation import keep_freed_memory
from nmc_framework.models import build
from nmc_framework.models.pictures import ClipModel, played

Picture = npt.NDArray[np.uint8]
#: Pictures of a package of clips: frame, number in the clip, picture.
Shown: TypeAlias = Iterator[tuple[int, int, Picture]]


def clip_pictures(model: ClipModel, *, size: tuple[int, int] | None = None) -> Iterator[Picture]:
    """Yield the pictures of a model's clip, (height, width, 3) uint8 each.

    ``size`` is another (width, height) to show them at, for families that can. The model's mode is
    left as it was.

    Raises
    ------
    ModelError
        If the family shows its pictures at one size only.
    """
    keep_freed_memory()
    for index in range(shown_length(model)):
        was_training = model.training
        model.eval()
        with torch.no_grad():
            seen = model.render_picture(index, size=size)
        model.train(was_training)
        yield np.asarray(seen.clamp(0, 1).mul(255).round().byte().cpu().numpy(), dtype=np.uint8)


def shown_length(model: ClipModel) -> int:
    """Return how many pictures of its clip a model shows; a state can say no more than it has."""
    return min(max(int(model.length), 0), model.size[0])


def clip_model(sequence: nmc.ChainSequence, device: str = "cpu") -> ClipModel:
    """Return the model of a package of clips, with weights of no frame yet.

    Raises
    ------
    ModelError
        If the package's models are none of clips, or cannot be built.
    """
    return played(build(str(sequence.family), sequence.configuration).to(device))


def package_pictures(
    sequence: nmc.ChainSequence,
    model: ClipModel,
    frames: Sequence[int] | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> Shown:
    """Yield the pictures of a package of clips: frame, number in the clip, picture.

    Parameters
    ----------
    sequence
        An opened package.
    model
        That of the package, see :func:`clip_model`; takes the weights of one frame after the other.
    frames
        Those to show, ascending; all unless given.
    size
        As in :func:`clip_pictures`.

    Raises
    ------
    ModelError
        If a state is another architecture's.
    """
    for frame in range(len(sequence)) if frames is None else frames:
        model.load(sequence[frame])
        for number, picture in enumerate(clip_pictures(model, size=size)):
            yield frame, number, picture
