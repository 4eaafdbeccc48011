"""Volume rendering along rays: where rays meet a cuboid, and the quadrature (Max 1995).

C = sum over i of T_i (1 - exp(-sigma_i delta_i)) c_i, with T_i = exp(-sum over j<i of
sigma_j delta_j): Mildenhall et al. 2020 (NeRF), equation 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nmc_framework.models.radiance.field import Rendered


def enter_and_leave(
    origins: Tensor, directions: Tensor, lower: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the distances (N,), (N,) between which each ray is inside a cuboid.

    Rays that miss get an empty interval; a ray that starts inside begins at 0.
    """
    tiny = torch.full_like(directions, 1e-9)
    safe = torch.where(directions.abs() < tiny, tiny, directions)
    a, b = (lower - origins) / safe, (upper - origins) / safe
    near = torch.minimum(a, b).amax(dim=1).clamp_min(0)
    far = torch.maximum(a, b).amin(dim=1)
    return near, torch.maximum(far, near)


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
        (3,) what lies behind everything.
    """
    depth_of_field = density * delta
    optical = torch.cumsum(depth_of_field, dim=1)
    before = torch.exp(-(optical - depth_of_field))
    weights = before * -torch.expm1(-depth_of_field)
    opacity = weights.sum(dim=1)
    seen = (weights[..., None] * colour).sum(dim=1)
    return Rendered(
        colour=seen + (1 - opacity)[:, None] * background,
        opacity=opacity,
        depth=(weights * distance).sum(dim=1) / opacity.clamp_min(1e-6),
    )


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
