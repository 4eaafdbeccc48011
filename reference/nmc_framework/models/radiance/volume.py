"""Volume rendering along rays: the quadrature (Max 1995), and where it asks for more.

C = sum over i of T_i (1 - exp(-sigma_i delta_i)) c_i, with T_i = exp(-sum over j<i of
sigma_j delta_j): Mildenhall et al. 2020 (NeRF), equation 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nmc_framework.models.radiance.field import Rendered


def composite(
    density: Tensor, colour: Tensor, distance: Tensor, delta: Tensor | float, background: Tensor
) -> Rendered:
    """Composite S samples on each of N rays, front to back.

    Parameters
    ----------
    density
        (N, S), 1 / scene unit; 0 where there is no sample.
    colour
        (N, S, 3), 0 to 1.
    distance
        (N, S), scene units along the ray.
    delta
        Length of each sample's interval, (N, S) or one number.
    background
        (3,) or (N, 3), what lies behind everything.
    """
    weights = contributions(density * delta)
    opacity = weights.sum(dim=1)
    seen = (weights[..., None] * colour).sum(dim=1)
    return Rendered(
        colour=seen + (1 - opacity)[:, None] * background,
        opacity=opacity,
        depth=(weights * distance).sum(dim=1) / opacity.clamp_min(1e-6),
    )


def contributions(optical: Tensor) -> Tensor:
    """Return what samples of an optical depth (N, S) contribute to the colour of their ray."""
    return torch.exp(optical - torch.cumsum(optical, dim=1)) * -torch.expm1(-optical)


def distortion(weights: Tensor, middle: Tensor, width: Tensor) -> Tensor:
    """Return how far along rays their matter is spread, the mean over N rays.

    Barron et al. 2022, equation 15, in the linear form of Sun et al. 2022 (DVGOv2); ``middle`` and
    ``width`` (N, S) are of the samples' intervals, ascending.
    """
    before = torch.cumsum(weights, dim=1) - weights
    nearer = torch.cumsum(weights * middle, dim=1) - weights * middle
    pairs = 2 * weights * (middle * before - nearer) + weights**2 * width / 3
    return pairs.sum() / len(weights)


def importance_samples(distance: Tensor, weights: Tensor, count: int, *, jitter: bool) -> Tensor:
    """Draw distances where a first pass saw something (Mildenhall et al. 2020, section 5.2).

    Parameters
    ----------
    distance, weights
        (N, S) samples of the first pass, front to back, and what each contributed.
    count
        How many to draw on each ray by inverting the piecewise constant distribution.
    jitter
        Random positions within equal shares of probability, instead of their middles.

    Returns
    -------
    Tensor
        (N, count), ascending.
    """
    middles = 0.5 * (distance[:, 1:] + distance[:, :-1])
    chance = weights[:, 1:-1] + 1e-5
    cumulative = torch.cumsum(chance / chance.sum(dim=1, keepdim=True), dim=1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=1)
    shares = torch.arange(count, device=distance.device).expand(len(distance), count)
    offset = torch.rand(shares.shape, device=distance.device) if jitter else 0.5
    wanted = ((shares + offset) / count).contiguous()
    above = torch.searchsorted(cumulative, wanted, right=True).clamp(1, cumulative.shape[1] - 1)
    low, high = cumulative.gather(1, above - 1), cumulative.gather(1, above)
    start, end = middles.gather(1, above - 1), middles.gather(1, above)
    return start + (end - start) * (wanted - low) / (high - low).clamp_min(1e-6)
