"""The family ``hnerv``: an embedding for each picture, and what makes pictures of embeddings.

After Chen et al. 2023 (HNeRV): the embeddings come from the pictures by an encoder, and the
decoder's blocks have kernels that grow and channels that shrink slowly (section 3.1), so that the
parameters are spread evenly. What is sent is the embeddings and the decoder; both are tensors of
the chain. The encoder lives in the first part of a chain's first clip only. From then on the
embeddings are learned like any weight, those of a later clip from the ones before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nmc_framework.models.pictures.clip import ClipBatch
from nmc_framework.models.pictures.upscaling import UPSCALING, UPSCALING_MEANINGS, Upscaled

#: Share of the first clip's iterations in which there is an encoder.
_ENCODED = 0.4
#: Its width, and the step size of its optimiser.
_WIDTH, _RATE = 32, 2e-3
#: Sides of the kernels: of the first block, and of the others.
_KERNELS = (1, 5)


class _Encoder(nn.Module):
    """Pictures (N, 3, H, W) to embeddings (N, channels, h, w): strided convolutions."""

    def __init__(self, strides: Sequence[int], channels: int, cells: tuple[int, int]) -> None:
        super().__init__()
        self.cells = (cells[0] * prod(strides), cells[1] * prod(strides))
        widths = [3, *[_WIDTH] * len(strides)]
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[k], _WIDTH, stride, stride=stride),
                nn.GELU(),
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH),
                nn.Conv2d(_WIDTH, _WIDTH, 1),
            )
            for k, stride in enumerate(reversed(strides))
        )
        self.last = nn.Conv2d(_WIDTH, channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        below, right = (
            want - have for want, have in zip(self.cells, pictures.shape[2:], strict=True)
        )
        values = nn.functional.pad(pictures - 0.5, (0, right, 0, below), mode="replicate")
        for step in self.steps:
            values = step(values)
        embedded: Tensor = self.last(values)
        return embedded


class Hnerv(Upscaled):
    """An embedding for each picture and a decoder (HNeRV): better than NeRV for its size."""

    family: ClassVar[str] = "hnerv"
    meanings: ClassVar[Mapping[str, str]] = UPSCALING_MEANINGS | {
        "embedding": "channels of each picture's embedding",
    }

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a clip of 16 pictures of 128 pixels a side."""
        return UPSCALING | {"embedding": 12, "reduction": 1.3, "channels": 32}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        self.cells = (c["embedding"], *self.map[1:])
        self.embeddings = nn.Embedding(self.size[0], prod(self.cells))
        nn.init.normal_(self.embeddings.weight, std=0.1)
        self.stem = nn.Conv2d(c["embedding"], c["channels"], 1)
        self.build_blocks([_KERNELS[k > 0] for k in range(len(c["strides"]))])
        # Plain objects, not modules of this one: they are no part of the state.
        self._encoding: list[tuple[_Encoder, torch.optim.Optimizer]] = []
        self._clip = torch.empty(0)

    def layers(self) -> Sequence[nn.Module]:
        """Return the embeddings, the first convolution, the blocks and the last convolution."""
        return [self.embeddings, self.stem, *self.blocks, self.head]

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the first convolution makes of the embeddings."""
        return self._stemmed(self.embeddings(pictures).view(-1, *self.cells))

    def _stemmed(self, embeddings: Tensor) -> Tensor:
        return nn.functional.gelu(self.stem(embeddings))

    def begin_frame(self, index: int) -> None:
        """Begin a chain with an encoder."""
        self._encoding = []
        if not index:
            c = self.configuration
            encoder = _Encoder(c["strides"], c["embedding"], self.cells[1:]).to(self.length.device)
            self._encoding = [(encoder, torch.optim.Adam(encoder.parameters(), lr=_RATE))]

    def loss(self, batch: ClipBatch) -> Tensor:
        """Return the mean squared error; while there is an encoder, through it."""
        if not (self._encoding and self.training):
            return super().loss(batch)
        self._clip = batch.clip
        truth = batch.truth(batch.pictures)
        encoder, optimiser = self._encoding[0]
        optimiser.zero_grad(set_to_none=True)
        return self.error(torch.sigmoid(self.upscaled(self._stemmed(encoder(truth)))), truth)

    def after_step(self, iteration: int) -> bool:  # noqa: ARG002 - the share is told by progress
        """Move the encoder; when its time is over, take over the embeddings that it gives."""
        if not self._encoding:
            return False
        encoder, optimiser = self._encoding[0]
        optimiser.step()
        if self.progress < _ENCODED:
            return False
        with torch.no_grad():
            truth = self._clip.permute(0, 3, 1, 2).float() / 255
            self.embeddings.weight.copy_(encoder(truth).flatten(1))
        self._encoding, self._clip = [], torch.empty(0)
        return True
