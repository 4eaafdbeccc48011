"""The family ``depth_unet``: a U-Net with SELU and two attention layers, from picture to depth.

After Ronneberger et al. 2015 (U-Net), with SELU (Klambauer et al. 2017) in place of ReLU and, after
the last block, an attention over channels (Hu et al. 2018) and one over places (Chen et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nmc_framework.depth.difference import FOCUSES, Focus
from nmc_framework.depth.losses import Losses, losses
from nmc_framework.models.chained import ChainModel, ModelError

if TYPE_CHECKING:
    from nmc_framework.depth.pairs import DepthBatch

#: Channels of a picture, and with the difference of Gaussians stacked on it.
_PICTURE, _STACKED = 3, 6
#: Most blocks of the encoder: each halves the sides.
_MOST_LEVELS = 7
_MOST_WIDTH = 512
#: Share of the learning rate that the attention layers learn at.
ATTENTION_RATE = 0.01
_MOST_SIDE = 4096
#: Most weights: a gigabyte. Whose package it is may claim any width.
_MOST_WEIGHTS = 1 << 28


class DepthUnet(ChainModel):
    """A U-Net with SELU and two attention layers: depth in metres from one picture.

    Options: ``width``, the channels of the first block, and ``levels``, how often they double;
    ``rows`` and ``columns``, the size in pixels that pictures are learned at; ``nearest`` and
    ``farthest``, between which all depths lie, in metres; whether there are a ``difference`` of
    Gaussians, ``attention`` layers, and ``gradients``, their ``grid`` and ``structure`` (SSIM) in
    the loss. ``focus`` is the spread that sets the difference, ``"deviation"`` or ``"variance"``;
    ``activation`` is ``"selu"`` or ``"relu"``.
    """

    family: ClassVar[str] = "depth_unet"
    meanings: ClassVar[Mapping[str, str]] = {
        "width": "channels of the first block",
        "levels": "how often they double",
        "rows": "rows of the pictures that are learned",
        "columns": "their columns",
        "nearest": "no depth is less, in metres",
        "farthest": "none is more",
        "difference": "whether a difference of Gaussians is stacked on the picture",
        "attention": "whether there are attention layers",
        "gradients": "whether gradients count in the loss",
        "structure": "whether SSIM counts",
        "grid": "whether gradients of the grid of 4 by 4 count",
        "focus": "the spread that sets the difference: deviation or variance",
        "activation": "selu or relu",
    }
    # With 9e-3, four levels without normalisation say the mean depth
    # and nothing else; see docs/depth.md.
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 5e-4)
    damping: ClassVar[float] = 0.0
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    #: Iterations that serve: from random weights, and from one room to the next.
    iterations: ClassVar[tuple[int, int]] = (800, 100)
    #: Pictures a batch.
    batch: ClassVar[int] = 8

    mean_depth: Tensor

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return a network that a processor trains in minutes."""
        return {
            "width": 8,
            "levels": 4,
            "rows": 96,
            "columns": 128,
            "nearest": 0.2,
            "farthest": 20.0,
            "difference": True,
            "attention": True,
            "gradients": True,
            "structure": True,
            "grid": True,
            "focus": "deviation",
            "activation": "selu",
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        _check(c)
        width, levels = int(c["width"]), int(c["levels"])
        widths = [width << level for level in range(levels + 1)]
        inputs = [_STACKED if c["difference"] else _PICTURE, *widths]
        relu = c["activation"] == "relu"
        self.encoder = nn.ModuleList(
            _Block(a, b, relu) for a, b in zip(inputs, widths, strict=False)
        )
        self.decoder = nn.ModuleList(
            _Block(widths[k + 1] + widths[k], widths[k], relu) for k in reversed(range(levels))
        )
        self.channels = _ChannelAttention(width) if c["attention"] else None
        self.places = _PlaceAttention() if c["attention"] else None
        self.head = _normalised(nn.Conv2d(width, 1, 1), share=0.1)
        #: Of what it was trained on, in metres, for comparison; 0 before that.
        self.register_buffer("mean_depth", torch.zeros(()))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the pictures that it learns."""
        return int(self.configuration["rows"]), int(self.configuration["columns"])

    @property
    def focus(self) -> Focus:
        """What spread sets the difference of Gaussians."""
        return "variance" if self.configuration["focus"] == "variance" else "deviation"

    @property
    def coarsest(self) -> int:
        """The shortest side that a picture may have: that of one pixel of the coarsest map."""
        return 1 << int(self.configuration["levels"])

    @property
    def encoder_layers(self) -> tuple[int, ...]:
        """Indices of the layers that look at the picture: frozen from room to room."""
        return tuple(range(len(self.encoder)))

    def layers(self) -> Sequence[nn.Module]:
        """Return the blocks of the encoder, those of the decoder, both attentions, the head."""
        attention = [part for part in (self.channels, self.places) if part is not None]
        return [*self.encoder, *self.decoder, *attention, self.head]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return depth (N, 1, height, width) in metres of inputs (N, 6, height, width).

        The inputs are those of :func:`nmc_framework.depth.difference.stacked`; a model without the
        difference takes the first three channels. Each side has ``coarsest`` pixels at least.
        """
        kept = []
        maps = inputs if self.configuration["difference"] else inputs[:, :_PICTURE]
        for level, block in enumerate(self.encoder):
            maps = block(functional.max_pool2d(maps, 2) if level else maps)
            kept.append(maps)
        for block, beside in zip(self.decoder, reversed(kept[:-1]), strict=True):
            size = beside.shape[-2:]
            upper = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
            maps = block(torch.cat([upper, beside], dim=1))
        if self.channels is not None and self.places is not None:
            maps = self.places(self.channels(maps))
        nearest, farthest = (self.configuration[name] for name in ("nearest", "farthest"))
        depth: Tensor = nearest * (farthest / nearest) ** torch.sigmoid(self.head(maps))
        return depth

    def parameter_groups(
        self, learning_rate: float, *, later: bool = False
    ) -> list[dict[str, Any]]:
        """Return the attentions' parameters by themselves: they learn at a hundredth.

        A step of theirs moves the worth of everything; at the full rate nothing else settles.
        """
        [group] = super().parameter_groups(learning_rate, later=later)
        layers = [part for part in (self.channels, self.places) if part is not None]
        attentive = {id(p) for part in layers for p in part.parameters()}
        shares = {False: 1.0, True: ATTENTION_RATE}
        return [
            {"params": chosen, "lr": share * learning_rate}
            for inside, share in shares.items()
            if (chosen := [p for p in group["params"] if (id(p) in attentive) == inside])
        ]

    def prepare(self, examples: Any) -> None:
        """Remember the mean depth of the very first examples."""
        mean = getattr(examples, "mean_depth", None)
        if mean is not None and not self.mean_depth:
            self.mean_depth.fill_(float(mean))

    def losses(self, batch: DepthBatch) -> Losses:
        """Return the four losses for a batch, whichever of them are trained on."""
        return losses(self(batch.inputs), batch.depth, batch.known, self._reach)

    def loss(self, batch: DepthBatch) -> Tensor:
        """Return L1 + global gradient + 0.3 · grid gradient + SSIM, or what is not left out."""
        found = losses(
            self(batch.inputs),
            batch.depth,
            batch.known,
            self._reach,
            gradients=bool(self.configuration["gradients"]),
            grid=bool(self.configuration["grid"]),
            structure=bool(self.configuration["structure"]),
        )
        return found.total

    @property
    def _reach(self) -> float:
        """The range of depths, to which SSIM's constants relate, in metres."""
        return float(self.configuration["farthest"]) / 2

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state; one with numbers that are none is refused.

        Raises
        ------
        ModelError
            When the state is of another architecture, or a weight is not finite.
        """
        super().load(state)
        for name, parameter in self.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ModelError(f"{name!r} has weights that are not finite numbers")


class _Block(nn.Module):
    """Two 3 x 3 convolutions, each followed by SELU; or by ReLU, and then weights of its own.

    ReLU keeps half of the variance: the weights have twice as much (He et al. 2015).
    """

    def __init__(self, inputs: int, outputs: int, relu: bool = False) -> None:
        super().__init__()
        share = math.sqrt(2) if relu else 1.0
        self.first = _normalised(nn.Conv2d(inputs, outputs, 3, padding=1), share)
        self.second = _normalised(nn.Conv2d(outputs, outputs, 3, padding=1), share)
        self.bent = functional.relu if relu else functional.selu

    def forward(self, maps: Tensor) -> Tensor:
        return self.bent(self.second(self.bent(self.first(maps))))


class _ChannelAttention(nn.Module):
    """Squeeze and excitation: what each channel is worth, from the mean of all (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 4)
        self.squeeze = _normalised(nn.Linear(channels, narrow))
        self.excite = _indifferent(nn.Linear(narrow, channels))

    def forward(self, maps: Tensor) -> Tensor:
        means = maps.mean(dim=(2, 3))
        worth = self.excite(functional.selu(self.squeeze(means)))
        return maps * _gate(worth)[:, :, None, None]


class _PlaceAttention(nn.Module):
    """What each place is worth, from the mean and the largest of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = _indifferent(nn.Conv2d(2, 1, 7, padding=3))

    def forward(self, maps: Tensor) -> Tensor:
        seen = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        return maps * _gate(self.look(seen))


def _gate(worth: Tensor) -> Tensor:
    """Return what is multiplied with: 0 to 2, and 1 where nothing is known of a worth.

    With weights drawn by chance and a plain sigmoid, the network shuts both attentions in the first
    iterations and says the mean depth from then on.
    """
    return 2 * torch.sigmoid(worth)


def _indifferent(layer: Any) -> Any:
    """Begin with no preference at all."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _normalised(layer: Any, share: float = 1.0) -> Any:
    """Draw weights of variance 1 / inputs, with which SELU keeps mean and variance, or a share."""
    inputs = math.prod(layer.weight.shape[1:])
    nn.init.normal_(layer.weight, std=share / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    return layer


def _check(c: Mapping[str, Any]) -> None:
    """Refuse options of which no network can be made, before any weight is drawn."""
    if not 1 <= c["levels"] <= _MOST_LEVELS or not 1 <= c["width"] <= _MOST_WIDTH:
        raise ModelError(
            f"a depth_unet has 1 to {_MOST_LEVELS} levels and 1 to {_MOST_WIDTH} channels of the "
            f"first, not {c['levels']} and {c['width']}"
        )
    if (weights := _weights(int(c["width"]), int(c["levels"]))) > _MOST_WEIGHTS:
        raise ModelError(
            f"a depth_unet has at most {_MOST_WEIGHTS} weights, not about {weights}, as "
            f"{c['levels']} levels above {c['width']} channels have"
        )
    least = 1 << int(c["levels"])
    if not all(least <= c[side] <= _MOST_SIDE for side in ("rows", "columns")):
        raise ModelError(
            f"a depth_unet of {c['levels']} levels learns pictures of {least} to {_MOST_SIDE} "
            f"pixels a side, not {c['columns']}x{c['rows']}"
        )
    for name, known in (("focus", FOCUSES), ("activation", ("selu", "relu"))):
        if c[name] not in known:
            raise ModelError(f"{name} is {' or '.join(known)} in a depth_unet, not {c[name]!r}")
    if not (0 < c["nearest"] < c["farthest"] and np.isfinite(c["farthest"])):
        raise ModelError(
            f"depths lie between a nearest one above 0 and a farthest one, not {c['nearest']} "
            f"and {c['farthest']} m"
        )


def _weights(width: int, levels: int) -> int:
    """Return about how many weights the convolutions of encoder and decoder have."""
    squares = [(width << level) ** 2 for level in range(levels + 1)]
    return 9 * (11 * sum(squares[:-1]) + 3 * squares[-1]) // 2
