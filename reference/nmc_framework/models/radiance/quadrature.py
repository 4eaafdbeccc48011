"""Volume rendering of packed samples (Max 1995), with its gradients (clause 5.1).

C = sum over i of T_i (1 - exp(-sigma_i delta_i)) c_i, with T_i = exp(-sum over j<i of
sigma_j delta_j): Mildenhall et al. 2020 (NeRF), equation 3. On the CPU the kernels of
:mod:`~nmc_framework.models.radiance.ray_kernels` do the work; on any other device, torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmc_framework.models.radiance import ray_kernels
from nmc_framework.models.radiance.field import Rendered
from nmc_framework.models.radiance.sampling import Samples
from nmc_framework.models.radiance.volume import composite, contributions, distortion


def weights(
    samples: Samples, density: Tensor, light: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return what each sample contributes and the light left behind it, (M,), without gradients.

    ``density`` (M,) is in 1 / scene unit; ``light`` (N,) is what each ray has before its first
    sample, all of it unless given.
    """
    if light is None:
        light = density.new_ones(len(samples.starts) - 1)
    optical = density.detach() * samples.length
    if density.device.type == "cpu":
        found, left = torch.empty_like(optical), torch.empty_like(optical)
        ray_kernels.weigh(
            samples.starts.numpy(),
            density.detach().numpy(),
            samples.length.numpy(),
            light.numpy(),
            found.numpy(),
            left.numpy(),
        )
        return found, left
    summed = torch.cumsum(optical.double(), 0)
    before = torch.nn.functional.pad(summed, (1, 0))[samples.starts[:-1]]
    left = light[samples.ray] * torch.exp(-(summed - before[samples.ray])).float()
    return left * torch.expm1(optical), left


def render(
    samples: Samples,
    density: Tensor,
    colour: Tensor,
    background: Tensor,
    blur: tuple[float, float] = (0.0, 1.0),
) -> Rendered:
    """Composite packed samples front to back.

    Parameters
    ----------
    density
        (M,), 1 / scene unit.
    colour
        (M, 3), 0 to 1.
    background
        (N, 3), what lies behind each ray.
    blur
        What the mean distortion of the rays counts in the loss, and the distance that is half of
        the scale it is measured on, see :func:`normalised`. Its gradient is added to that of the
        density (Barron et al. 2022, equation 15), its value to no output.
    """
    if density.device.type != "cpu":
        return _in_torch(samples, density, colour, background, blur)
    out = _Composite.apply(density, colour, samples, background, blur)  # type: ignore[no-untyped-call]
    opacity = out[:, 3]
    return Rendered(out[:, :3], opacity, out[:, 4] / opacity.clamp_min(1e-6))


def normalised(samples: Samples, unit: float) -> tuple[Tensor, Tensor]:
    """Return distances and lengths (M,) on a scale of 0 to 1: half of it up to ``unit``."""
    t = samples.distance / unit
    near = t < 1
    width = samples.length / unit
    return torch.where(near, t / 2, 1 - 0.5 / t), torch.where(near, width / 2, 0.5 * width / t**2)


class _Composite(torch.autograd.Function):
    """Gradients reach density and colour, from colour and opacity; depth has none."""

    @staticmethod
    def forward(
        ctx: Any,
        density: Tensor,
        colour: Tensor,
        samples: Samples,
        background: Tensor,
        blur: tuple[float, float],
    ) -> Tensor:
        found, left = weights(samples, density)
        colour, background = colour.contiguous(), background.contiguous()
        out = torch.empty(len(samples.starts) - 1, 5)
        ray_kernels.composite(
            samples.starts.numpy(),
            found.numpy(),
            left.numpy(),
            colour.detach().numpy(),
            samples.distance.numpy(),
            background.numpy(),
            out.numpy(),
        )
        ctx.samples, ctx.blur = samples, blur
        ctx.save_for_backward(found, left, colour, background)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found, left, colour, background = ctx.saved_tensors
        samples = ctx.samples
        spread_gradient = np.zeros(len(samples), np.float32)
        share, unit = ctx.blur
        if share:
            middle, width = normalised(samples, unit)
            scale = share / (len(samples.starts) - 1)
            ray_kernels.distortion(
                samples.starts.numpy(),
                found.numpy(),
                middle.numpy(),
                width.numpy(),
                scale,
                spread_gradient,
            )
        to_density, to_colour = torch.empty(len(samples)), torch.empty(len(samples), 3)
        ray_kernels.composite_back(
            samples.starts.numpy(),
            found.numpy(),
            left.numpy(),
            colour.numpy(),
            samples.length.numpy(),
            background.numpy(),
            gradients[0].contiguous().numpy(),
            spread_gradient,
            to_density.numpy(),
            to_colour.numpy(),
        )
        return to_density, to_colour, None, None, None


class _Beside(torch.autograd.Function):
    """Passes values on, and gives a number that counts beside them in the loss its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, number: Tensor) -> Tensor:  # noqa: ARG004
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG004
        return gradients[0], gradients[0].new_ones(())


def _in_torch(
    samples: Samples,
    density: Tensor,
    colour: Tensor,
    background: Tensor,
    blur: tuple[float, float] = (0.0, 1.0),
) -> Rendered:
    count = samples.starts.diff()
    place = torch.arange(len(samples), device=density.device) - samples.starts[samples.ray]
    shape = (len(count), max(1, int(count.max()) if len(count) else 1))

    def spread_out(values: Tensor) -> Tensor:
        out = values.new_zeros(*shape, *values.shape[1:])
        return out.index_put((samples.ray, place), values)

    dense, length = spread_out(density), spread_out(samples.length)
    rendered = composite(
        dense, spread_out(colour), spread_out(samples.distance), length, background
    )
    share, unit = blur
    if not share:
        return rendered
    middle, width = (spread_out(values) for values in normalised(samples, unit))
    spread = share * distortion(contributions(dense * length), middle, width)
    return replace(rendered, colour=_Beside.apply(rendered.colour, spread))  # type: ignore[no-untyped-call]
