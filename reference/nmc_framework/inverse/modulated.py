"""The parts of a style-based generator, as StyleGAN2 has them (Karras et al. 2020, 1912.04958).

Names and shapes of parameters are those of the authors' program stylegan2-ada-pytorch, so that its
checkpoints fit as they are. Learning rates are equalised at run time: weights are drawn with
variance 1 and scaled by the inverse root of what goes into them (Karras et al. 2018, section 4.1).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

#: The filter of scaling up and down: binomial, [1, 3, 3, 1].
_TAPS = (1.0, 3.0, 3.0, 1.0)
#: The gain that keeps variances through a leaky rectifier of slope 0.2.
_GAIN = 2**0.5
_TINY = 1e-8


def rectified(values: Tensor) -> Tensor:
    """Return the leaky rectifier of slope 0.2, with its gain."""
    return nn.functional.leaky_relu(values, 0.2) * _GAIN


class Linear(nn.Module):
    """A linear map with an equalised learning rate.

    Parameters
    ----------
    inputs, outputs
        Features.
    start
        What the bias begins with.
    rate
        What the learning rate is multiplied by.
    """

    def __init__(self, inputs: int, outputs: int, start: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start))
        self.scale, self.rate = rate / inputs**0.5, rate

    def forward(self, values: Tensor) -> Tensor:
        """Return (N, outputs) of (N, inputs)."""
        return nn.functional.linear(values, self.weight * self.scale, self.bias * self.rate)


class Mapping(nn.Module):
    """From noise z to the intermediate code w; ``w_avg`` is the mean of the codes that were seen.

    Parameters
    ----------
    noise, code
        Widths of z and w.
    depth
        Layers.
    """

    w_avg: Tensor

    def __init__(self, noise: int, code: int, depth: int) -> None:
        super().__init__()
        for k in range(depth):
            self.add_module(f"fc{k}", Linear(code if k else noise, code, rate=0.01))
        self.depth = depth
        self.register_buffer("w_avg", torch.zeros(code))

    def forward(self, noise: Tensor) -> Tensor:
        """Return codes (N, code) of noise (N, width)."""
        values = noise * (noise.square().mean(dim=1, keepdim=True) + _TINY).rsqrt()
        for k in range(self.depth):
            values = rectified(self.get_submodule(f"fc{k}")(values))
        return values


class SynthesisLayer(nn.Module):
    """A modulated and demodulated convolution, noise, bias, rectifier; ``up`` doubles sides.

    The input is scaled by the style and the output by the demodulation, which is the same as
    scaling the weights (section 2.2), and needs no convolution of its own for each picture.
    """

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(
        self, inputs: int, outputs: int, code: int, side: int, *, up: bool = False
    ) -> None:
        super().__init__()
        self.up = up
        self.affine = Linear(code, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(side, side))
        self.register_buffer("resample_filter", _filter())

    def forward(self, values: Tensor, code: Tensor, *, noisy: bool = False) -> Tensor:
        """Return the next map of features, (N, outputs, side, side).

        ``noisy`` draws noise anew; else it is that of the state.
        """
        style = self.affine(code)
        power = self.weight.square().sum(dim=(2, 3))
        demodulation = (style.square() @ power.T + _TINY).rsqrt()
        values = values * style[:, :, None, None]
        if self.up:
            values = nn.functional.conv_transpose2d(values, self.weight.transpose(0, 1), stride=2)
            values = _filtered(values, 4 * self.resample_filter)
        else:
            values = nn.functional.conv2d(values, self.weight, padding=1)
        values = values * demodulation[:, :, None, None]
        side = values.shape[2]
        noise = self.noise_const
        if noisy:
            noise = torch.randn(len(values), 1, side, side, device=values.device)
        values = values + noise * self.noise_strength
        return rectified(values + self.bias[:, None, None])


class ToRGB(nn.Module):
    """A modulated 1 x 1 convolution to colours, without demodulation."""

    def __init__(self, inputs: int, colours: int, code: int) -> None:
        super().__init__()
        self.affine = Linear(code, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(colours, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(colours))
        self.scale = inputs**-0.5

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        """Return colours (N, colours, side, side)."""
        style = self.affine(code) * self.scale
        return nn.functional.conv2d(values * style[:, :, None, None], self.weight, self.bias)


def doubled(image: Tensor, taps: Tensor) -> Tensor:
    """Return pictures with twice the sides, by the filter."""
    channels = image.shape[1]
    kernel = (4 * taps)[None, None].expand(channels, 1, -1, -1)
    return nn.functional.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


def _filter() -> Tensor:
    taps = torch.tensor(_TAPS)
    both = taps[:, None] * taps[None]
    return both / both.sum()


def _filtered(values: Tensor, taps: Tensor) -> Tensor:
    channels = values.shape[1]
    kernel = taps[None, None].expand(channels, 1, -1, -1)
    return nn.functional.conv2d(values, kernel, padding=1, groups=channels)


class Discriminator(nn.Module):
    """Tells pictures from those of a generator: residual blocks, and the spread within a batch.

    Parameters
    ----------
    size
        Pixels of the pictures' sides, a power of two from 8 on.
    widths
        Channels at each side from ``size`` down to 4.
    """

    def __init__(self, size: int, widths: list[int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.ModuleList(_Residual(a, b) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.out = nn.Sequential(
            Linear(widths[-1] * 16, widths[-1]), nn.LeakyReLU(0.2), Linear(widths[-1], 1)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
        self.size = size

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N,): large for what looks real."""
        values = nn.functional.leaky_relu(self.first(pictures), 0.2)
        for block in self.blocks:
            values = block(values)
        spread = (values.var(dim=0, unbiased=False) + _TINY).sqrt().mean()
        together = torch.cat([values, spread.expand(len(values), 1, 4, 4)], dim=1)
        values = nn.functional.leaky_relu(self.last(together), 0.2)
        judged: Tensor = self.out(values.flatten(1))
        return judged[:, 0]


class _Residual(nn.Module):
    """Two convolutions and a shortcut; halves the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.two = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.past = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(values, 2)
        deep = nn.functional.leaky_relu(self.one(values), 0.2)
        deep = nn.functional.avg_pool2d(nn.functional.leaky_relu(self.two(deep), 0.2), 2)
        out: Tensor = (deep + self.past(small)) / _GAIN
        return out
