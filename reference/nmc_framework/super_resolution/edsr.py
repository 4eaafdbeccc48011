"""The family ``edsr``: residual blocks without normalisation at the small size (EDSR).

Lim et al. 2017 (arXiv 1707.02921): a convolution, residual blocks, a skip about them, a pixel
shuffle, a convolution. Tensors have the names of the authors' program EDSR-PyTorch, and with
``global_skip`` off and ``value_range`` 255 the network is theirs, so that their checkpoints are
read as they are. With ``global_skip``, the network adds to the bicubic picture, from which it
starts: small networks are of use after minutes that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.super_resolution.resampling import enlarged
from nmc_framework.super_resolution.upscaler import Upscaler

#: Mean colour of DIV2K, as the authors' program takes it off.
_MEAN = (0.4488, 0.4371, 0.4040)
#: The authors' baseline.
_BASELINE = {"blocks": 16, "channels": 64}
#: A checkpoint can ask for no more than the authors' largest network, some 43 million weights.
_MOST_BLOCKS, _MOST_CHANNELS = 64, 512


class _Block(nn.Module):
    def __init__(self, channels: int, scaling: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.scaling * self.body(features)
        return changed


def _shuffled(channels: int, scale: int) -> nn.Sequential:
    """Return convolutions and pixel shuffles: two by 2 where the scale is 4."""
    steps: list[nn.Module] = []
    for factor in {2: (2,), 3: (3,), 4: (2, 2)}[scale]:
        steps += [
            nn.Conv2d(channels, channels * factor**2, 3, padding=1),
            nn.PixelShuffle(factor),
        ]
    return nn.Sequential(*steps)


class Edsr(Upscaler):
    """Residual blocks at the small size and a pixel shuffle (EDSR)."""

    family: ClassVar[str] = "edsr"
    meanings: ClassVar[Mapping[str, str]] = {
        "scale": "2, 3 or 4",
        "blocks": "residual blocks",
        "channels": "of each",
        "residual_scaling": "what blocks add is multiplied by it",
        "global_skip": "whether the network adds to the bicubic picture",
        "value_range": "white; 255 in checkpoints of EDSR-PyTorch",
    }
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"blocks": 4, "channels": 12},
        "small": {"blocks": 8, "channels": 24},
        "medium": {"blocks": 16, "channels": 32},
        "baseline": _BASELINE,
    }

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a small network that doubles the sides."""
        return {
            "scale": 2,
            "blocks": 8,
            "channels": 24,
            "residual_scaling": 1.0,
            "global_skip": True,
            "value_range": 1.0,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        channels, blocks = int(c["channels"]), int(c["blocks"])
        if not (0 < channels <= _MOST_CHANNELS and 0 < blocks <= _MOST_BLOCKS):
            raise ModelError(
                f"edsr has 1 to {_MOST_BLOCKS} blocks of 1 to {_MOST_CHANNELS} channels, not "
                f"{blocks} of {channels}"
            )
        if not 0 < c["value_range"] < float("inf"):
            raise ModelError(f"edsr: the value range is above 0, not {c['value_range']}")
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1))
        inner = [_Block(channels, float(c["residual_scaling"])) for _ in range(blocks)]
        self.body = nn.Sequential(*inner, nn.Conv2d(channels, channels, 3, padding=1))
        last = nn.Conv2d(channels, 3, 3, padding=1)
        self.tail = nn.Sequential(_shuffled(channels, self.scale), last)
        if c["global_skip"]:
            # It begins as the bicubic filter.
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def layers(self) -> Sequence[nn.Module]:
        """Return the first convolution, the blocks, the one after them, and the tail's parts."""
        return [self.head, *self.body, self.tail[0], self.tail[1]]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return enlarged pictures."""
        span = float(self.configuration["value_range"])
        mean = torch.tensor(_MEAN, device=pictures.device).reshape(1, 3, 1, 1)
        features = self.head((pictures - mean) * span)
        change: Tensor = self.tail(features + self.body(features)) / span
        if self.configuration["global_skip"]:
            return enlarged(pictures, self.scale) + change
        return change + mean

    @classmethod
    def from_foreign(cls, state: Mapping[str, Any], scale: int | None) -> Edsr:
        """Build the network of a checkpoint of EDSR-PyTorch, ``edsr_baseline_x2`` and the like.

        Its parts ``sub_mean`` and ``add_mean`` are constants and fall away. The program does not
        store the scale of residuals: it is 1 up to 128 channels and 0.1 above, as the authors have
        it.
        """
        arrays = {
            name.removeprefix("model.").removeprefix("module."): np.asarray(value)
            for name, value in state.items()
        }
        arrays = {
            name: array
            for name, array in arrays.items()
            if not name.startswith(("sub_mean.", "add_mean."))
        }
        channels = _first_channels(arrays)
        blocks = sum(bool(re.fullmatch(r"body\.\d+\.body\.0\.weight", name)) for name in arrays)
        found = _scale_of(arrays, channels)
        if scale is not None and scale != found:
            raise ModelError(f"the checkpoint enlarges {found} times, not {scale}")
        model = cls.build(
            {
                "scale": found,
                "blocks": blocks,
                "channels": channels,
                "residual_scaling": 1.0 if channels <= _LARGE_FROM else 0.1,
                "global_skip": False,
                "value_range": 255.0,
            }
        )
        model.load({name: array.astype(np.float32) for name, array in arrays.items()})
        return model  # type: ignore[return-value]


#: Up to so many channels residuals are added as they are; above, a tenth of them.
_LARGE_FROM = 128


def _first_channels(arrays: Mapping[str, Any]) -> int:
    first = arrays.get("head.0.weight")
    if first is None or first.ndim != 4 or first.shape[1:] != (3, 3, 3):
        told = ", ".join(list(arrays)[:3]) or "nothing"
        raise ModelError(
            "the checkpoint is not one of EDSR-PyTorch: it lacks head.0.weight, a convolution of "
            f"3 channels; it begins with {told}. RCAN, MDSR and WDSR are other networks"
        )
    return int(first.shape[0])


def _scale_of(arrays: Mapping[str, Any], channels: int) -> int:
    if "tail.0.2.weight" in arrays:
        return 4
    first = arrays.get("tail.0.0.weight")
    if first is None or first.ndim != 4 or first.shape[0] not in (4 * channels, 9 * channels):
        raise ModelError(
            "the checkpoint is not one of EDSR-PyTorch: tail.0.0.weight, the convolution before "
            "its pixel shuffle, is missing or of another shape"
        )
    return 2 if first.shape[0] == 4 * channels else 3
