"""Pictures with their depth, and batches of them that a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from nmc_framework.depth.difference import Focus, Picture, stacked
from nmc_framework.depth.errors import DepthError

DepthMap = npt.NDArray[np.float32]  # (height, width), metres; 0 where it is not known

#: How far brightness is varied while training, as a share.
_BRIGHTNESS: Final = 0.2
#: The same of single colours.
_TINT: Final = 0.08


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture (height, width, 3) uint8 and its depth (height, width) float32 along the axis.

    Depth is in metres, and 0 where it is not known. ``name`` is what errors call it, ``room`` where
    it was taken, ``focal`` the focal length in pixels, 0 if that is not known.
    """

    picture: Picture
    depth: DepthMap
    name: str
    room: str
    focal: float = 0.0

    def __post_init__(self) -> None:
        if self.picture.shape[:2] != self.depth.shape:
            raise DepthError(
                f"{self.name}: the picture has {_size(self.picture)} pixels and the depth "
                f"{_size(self.depth)}; they have to be of one size"
            )

    def resized(self, rows: int, columns: int) -> Pair:
        """Return the pair at another size: colours are averaged, depths those of the nearest.

        Of a picture of another aspect the middle is taken, as stretching would change distances.
        """
        height, width = self.depth.shape
        if (height, width) == (rows, columns):
            return self
        high = min(height, max(1, round(width * rows / columns)))
        wide = min(width, max(1, round(height * columns / rows)))
        top, left = (height - high) // 2, (width - wide) // 2
        y = top + ((np.arange(rows) + 0.5) * high / rows).astype(np.int64)
        x = left + ((np.arange(columns) + 0.5) * wide / columns).astype(np.int64)
        middle = self.picture[top : top + high, left : left + wide]
        return Pair(
            resized_picture(middle, rows, columns),
            self.depth[y[:, None], x[None]],
            self.name,
            self.room,
            self.focal * columns / wide,
        )


def resized_picture(picture: Picture, rows: int, columns: int) -> Picture:
    """Return a picture (height, width, 3) uint8 at another size, its colours averaged."""
    whole = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    size = (rows, columns)
    small = functional.interpolate(whole, size, mode="bilinear", antialias=True)
    return np.asarray(small[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())


@dataclass(frozen=True, eq=False)
class DepthBatch:
    """N pictures: ``inputs`` (N, 6, height, width), ``depth`` and ``known`` (N, 1, …), float32."""

    inputs: Tensor
    depth: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


class DepthExamples:
    """Pairs of one size as :class:`~nmc_framework.training.Examples`.

    Parameters
    ----------
    pairs
        At least one, with some depth that is known.
    size
        Rows and columns that they are brought to.
    bounds
        The nearest and the farthest depth in metres; what lies outside counts as not known.
    device
        Where batches are wanted.
    focus
        What sets the difference of Gaussians.

    Raises
    ------
    DepthError
        When there are no pairs, or no depth of them is known.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: tuple[int, int],
        bounds: tuple[float, float],
        device: torch.device | str = "cpu",
        focus: Focus = "deviation",
    ) -> None:
        if not pairs:
            raise DepthError("there are no pictures with depth to learn from")
        small = [pair.resized(*size) for pair in pairs]
        self._inputs = torch.from_numpy(np.stack([stacked(pair.picture, focus) for pair in small]))
        depth = torch.from_numpy(np.stack([pair.depth for pair in small]))[:, None]
        nearest, farthest = bounds
        known = torch.isfinite(depth) & (depth >= nearest) & (depth <= farthest)
        self._known = known.float()
        self._depth = torch.where(known, depth, 0.0)
        self._device = device
        if not known.any():
            raise DepthError(
                f"{pairs[0].room}: no depth of its {len(pairs)} pictures lies within "
                f"{nearest:g} and {farthest:g} m; are the depths in another unit?"
            )
        # A picture of which nothing is known teaches nothing, and takes the place of another.
        self._useful = torch.nonzero(known.flatten(1).any(dim=1))[:, 0]

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def mean_depth(self) -> float:
        """The mean of the depths that are known, in metres."""
        return float(self._depth.double().sum() / self._known.double().sum())

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - nothing stands still from room to room
    ) -> DepthBatch:
        """Draw pictures with replacement; mirrored, brighter, darker or tinted by chance."""
        chosen = self._useful[torch.randint(len(self._useful), (count,), generator=generator)]
        mirrored = torch.rand(count, generator=generator) < 0.5
        gain = 1 + _BRIGHTNESS * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
        tint = 1 + _TINT * (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1)
        inputs, depth, known = (each[chosen] for each in (self._inputs, self._depth, self._known))
        colours = (inputs[:, :3] * gain * tint).clamp(0, 1)
        inputs = torch.cat([colours, inputs[:, 3:] * gain], dim=1)
        turned = [
            torch.where(mirrored[:, None, None, None], each.flip(-1), each).to(self._device)
            for each in (inputs, depth, known)
        ]
        return DepthBatch(*turned)

    def part(self, start: int, stop: int) -> DepthBatch:
        """Return pictures as they are, by their numbers."""
        parts = (self._inputs, self._depth, self._known)
        return DepthBatch(*(each[start:stop].to(self._device) for each in parts))

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - scores are told by ``nmc depth evaluate``
        """Return nothing: other rooms judge a model."""
        return


def _size(array: npt.NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
