"""What a model of a clip adds to one that can be chained: it learns pictures, and shows them.

A clip is a run of pictures of one size; a package's frame is one clip, shown until the next begins.
A family that says a pixel's colour is :class:`PixelWise`, one that says a whole picture at once
:class:`ImageWise` (the words are those of Chen et al. 2021, NeRV).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ChainModel, ModelError

#: Pixels at a time where a whole picture is rendered; bounds memory whatever the picture's size.
CHUNK = 65536
#: The options that say of what size a clip is.
SIZE: dict[str, Any] = {"width": 128, "height": 128, "pictures": 16}
#: What they say.
SIZE_MEANINGS: dict[str, str] = {
    "width": "pixels of a row; of the video where it is trained on one",
    "height": "rows of a picture; likewise",
    "pictures": "pictures of a clip; --clip sets it",
}
#: Most pixels of a clip: what a table of all of them needs stays below 4 GiB.
_MOST = 1 << 30


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Some pixels of a clip to learn from.

    ``clip`` (pictures, height, width, 3) uint8 is all of it, and ``chosen`` (N,) int64 counts its
    pixels row by row and picture by picture; both are on the model's device.
    """

    clip: Tensor
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def colours(self) -> Tensor:
        """The colours (N, 3) float32 in 0..1 of the pixels."""
        colours: Tensor = self.clip.view(-1, 3)[self.chosen].float() / 255
        return colours

    @property
    def indices(self) -> Tensor:
        """Picture, row and column of each pixel, (N, 3) int64."""
        height, width = self.clip.shape[1:3]
        row = self.chosen // width
        return torch.stack([row // height, row % height, self.chosen % width], dim=1)

    @property
    def pictures(self) -> Tensor:
        """Numbers of different pictures, ascending: as many as the pixels would fill, or one."""
        height, width = self.clip.shape[1:3]
        count = max(1, len(self) // (height * width))
        different: Tensor = torch.unique(self.chosen[:count] // (height * width))
        return different

    def truth(self, pictures: Tensor) -> Tensor:
        """Return pictures by number, (N, 3, height, width) float32 in 0..1."""
        return self.clip[pictures].permute(0, 3, 1, 2).float() / 255


class ClipModel(ChainModel):
    """A model of a clip; ``width``, ``height`` and ``pictures`` are among its options.

    The buffer ``length`` says how many of its pictures are shown: a video's last clip may be
    shorter than the others.
    """

    length: Tensor

    # From clip to clip everything moves: nothing is spared.
    damping: ClassVar[float] = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    #: Iterations that serve the family: from random weights, and from the clip before.
    iterations: ClassVar[tuple[int, int]] = (1500, 500)
    #: Pixels a batch.
    batch: ClassVar[int] = 8192
    #: Pictures of a clip, where nobody says how many and the video has as many.
    usual: ClassVar[int] = 16

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        sizes = [self.configuration[name] for name in ("pictures", "height", "width")]
        if min(sizes) < 1 or sizes[0] * sizes[1] * sizes[2] > _MOST:
            raise ModelError(
                f"{self.family}: a clip has at least one pixel and at most {_MOST}, not "
                f"{sizes[0]} pictures of {sizes[2]}x{sizes[1]}"
            )
        self.register_buffer("length", torch.tensor(sizes[0], dtype=torch.int64))

    @property
    def size(self) -> tuple[int, int, int]:
        """Pictures, height and width of the clip."""
        c = self.configuration
        return int(c["pictures"]), int(c["height"]), int(c["width"])

    def prepare(self, examples: Any) -> None:
        """Take over how many pictures the clip has."""
        self.length.fill_(int(getattr(examples, "length", self.size[0])))

    @abstractmethod
    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the scalar to minimise for some pixels of the clip."""

    @abstractmethod
    def render_picture(self, index: int, *, size: tuple[int, int] | None = None) -> Tensor:
        """Return picture ``index``, counted from 0, as (height, width, 3) float32 in 0..1.

        Called in evaluation mode and without gradients. ``size`` is another (width, height) to show
        it at, for families that can.

        Raises
        ------
        ModelError
            If the family shows its pictures at one size only.
        """


class PixelWise(ClipModel):
    """A model that says the colour of each pixel from its place in space and time."""

    @property
    def axes(self) -> int:
        """Coordinates of a place: x and y, and the time where a clip has several pictures."""
        return 2 if self.size[0] == 1 else 3

    @abstractmethod
    def colours(self, places: Tensor) -> Tensor:
        """Return the colours (N, 3) float32 of places (N, axes) in -1..1: x, y and the time."""

    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the mean squared error of colours."""
        pictures, height, width = self.size
        t, y, x = batch.indices.float().add(0.5).unbind(1)
        places = torch.stack([x / width, y / height, t / pictures], dim=1) * 2 - 1
        return nn.functional.mse_loss(self.colours(places[:, : self.axes]), batch.colours)

    def render_picture(self, index: int, *, size: tuple[int, int] | None = None) -> Tensor:
        """Ask for every pixel; a picture can have any size."""
        width, height = size or self.size[:0:-1]
        device = self.length.device
        x = (torch.arange(width, device=device) + 0.5) / width * 2 - 1
        y = (torch.arange(height, device=device) + 0.5) / height * 2 - 1
        time = torch.tensor((index + 0.5) / self.size[0] * 2 - 1, device=device)
        places = torch.stack(
            [x.expand(height, width), y[:, None].expand(height, width), time.expand(height, width)],
            dim=2,
        ).view(-1, 3)[:, : self.axes]
        parts = [self.colours(places[a : a + CHUNK]) for a in range(0, len(places), CHUNK)]
        return torch.cat(parts).view(height, width, 3)


class ImageWise(ClipModel):
    """A model that says whole pictures from their times."""

    @abstractmethod
    def images(self, pictures: Tensor) -> Tensor:
        """Return pictures by number (N,) int64 as (N, 3, height, width) float32 in 0..1."""

    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the mean squared error of the batch's pictures."""
        pictures = batch.pictures
        return self.error(self.images(pictures), batch.truth(pictures))

    def error(self, seen: Tensor, truth: Tensor) -> Tensor:
        """Return what pictures (N, 3, height, width) are apart from the true ones."""
        return nn.functional.mse_loss(seen, truth)

    def render_picture(self, index: int, *, size: tuple[int, int] | None = None) -> Tensor:
        """Return one picture, of the size of the clip."""
        if size is not None and size != self.size[:0:-1]:
            raise ModelError(
                f"a {self.family} model shows pictures of {self.size[2]}x{self.size[1]} only"
            )
        return self.images(torch.tensor([index], device=self.length.device))[0].permute(1, 2, 0)


def played(model: ChainModel) -> ClipModel:
    """Return a model that shows a clip.

    Raises
    ------
    ModelError
        When the model's family is of another kind.
    """
    if isinstance(model, ClipModel):
        return model
    raise ModelError(f"a {model.family} model holds no pictures: it is not one of a clip")
