"""A small soft rasteriser: pictures of a textured mesh, with gradients, on a CPU.

As in DIB-R (Chen et al. 2019, arXiv 1908.01210) a pixel inside shows the nearest triangle, whose
attributes are interpolated in perspective, and what is near the outline is covered in part. The
part follows from the signed distance to the outline by a logistic curve, inside as well as outside
(as in Liu et al. 2019, SoftRas), so that an object that is too large shrinks as well as one that is
too small grows. Which triangle and which edge count is chosen without gradient
(:mod:`nmc_framework.inverse.raster_kernels`); all that is computed of them has one, which the
tests compare with finite differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.inverse.raster_kernels import covered, outlined
from nmc_framework.inverse.template import Template

#: Beyond so many widths of the curve from the outline a pixel is covered wholly, or not at all.
_REACH = 4.5
#: Squared pixels added to squared distances, whose root has no gradient at 0.
_ROUND = 1e-8


@dataclass(frozen=True)
class Seen:
    """What a rasteriser shows.

    Parameters
    ----------
    colour
        (N, 3, size, size) in 0..1; 0 where nothing is.
    mask
        (N, size, size): how far each pixel is covered, 0..1.
    solid
        (N, size, size) bool: pixels whose centre is covered, which have a colour.
    """

    colour: Tensor
    mask: Tensor
    solid: Tensor


def coverage(places: Tensor, shown: Tensor, shape: Template, softness: float) -> Tensor:
    """Return how far each pixel is covered, (N, size, size).

    Parameters
    ----------
    places
        Vertices (N, V, 2) in pixels.
    shown
        (N, size, size) int64: the triangle of each pixel, -1 where none is.
    softness
        Width of the logistic curve in pixels.
    """
    device = places.device
    edge = torch.from_numpy(
        outlined(
            places.detach().double().cpu().numpy(),
            shown.cpu().numpy(),
            shape.faces,
            shape.edges,
            shape.beside,
            _REACH * softness,
        )
    ).to(device)
    inside = shown >= 0
    picture, row, column = (edge >= 0).nonzero(as_tuple=True)
    ends = torch.from_numpy(shape.edges).to(device)[edge[picture, row, column]]
    a, b = places[picture, ends[:, 0]], places[picture, ends[:, 1]]
    centre = torch.stack([column, row], dim=1).to(places.dtype) + 0.5
    along, towards = b - a, centre - a
    length = along.square().sum(dim=1).clamp_min(1e-9)
    share = ((towards * along).sum(dim=1) / length).clamp(0, 1)
    off = towards - share[:, None] * along
    distance = (off.square().sum(dim=1) + _ROUND).sqrt()
    signed = torch.where(inside[picture, row, column], distance, -distance)
    part = torch.sigmoid(signed / softness)
    return inside.to(places.dtype).index_put((picture, row, column), part)


def rasterise(
    places: Tensor,
    depths: Tensor,
    shape: Template,
    texture: Tensor,
    shading: Tensor,
    size: int,
    *,
    softness: float = 0.7,
) -> Seen:
    """Show textured meshes.

    Parameters
    ----------
    places, depths
        Vertices (N, V, 2) in pixels and their depths (N, V), as
        :func:`~nmc_framework.inverse.viewpoints.project` returns them.
    shape
        Whose faces and texture map the meshes have.
    texture
        (N, 3, T, T) in 0..1.
    shading
        (N, V): what the texture is multiplied by.
    size
        Pixels of the pictures' sides.
    softness
        Width in pixels of the curve along the outline.
    """
    device = places.device
    shown = torch.from_numpy(
        covered(
            places.detach().double().cpu().numpy(),
            depths.detach().double().cpu().numpy(),
            shape.faces,
            size,
        )
    ).to(device)
    solid = shown >= 0
    mask = coverage(places, shown, shape, softness)
    picture, row, column = solid.nonzero(as_tuple=True)
    corners = torch.from_numpy(shape.faces).to(device)[shown[picture, row, column]]
    weights = _weights(places, depths, picture, corners, row, column)
    map_of = torch.from_numpy(shape.texture).to(device, places.dtype)
    place = (weights[..., None] * map_of[corners]).sum(dim=1)
    light = (weights * shading[picture[:, None], corners]).sum(dim=1)
    grid = torch.zeros(*shown.shape, 2, device=device, dtype=places.dtype)
    grid = grid.index_put((picture, row, column), 2 * place - 1)
    lit = torch.zeros(shown.shape, device=device, dtype=places.dtype)
    lit = lit.index_put((picture, row, column), light)
    colour = nn.functional.grid_sample(texture, grid, padding_mode="border", align_corners=False)
    return Seen(colour * lit[:, None], mask, solid)


def _weights(
    places: Tensor, depths: Tensor, picture: Tensor, corners: Tensor, row: Tensor, column: Tensor
) -> Tensor:
    """Return the weights (P, 3) of the corners of each pixel's triangle, in perspective."""
    centre = torch.stack([column, row], dim=1).to(places.dtype) + 0.5
    a, b, c = (places[picture, corners[:, k]] - centre for k in range(3))

    def doubled(p: Tensor, q: Tensor) -> Tensor:
        return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

    flat = torch.stack([doubled(b, c), doubled(c, a), doubled(a, b)], dim=1)
    weights = flat / depths[picture[:, None], corners]
    return weights / weights.sum(dim=1, keepdim=True)


def normals(vertices: Tensor, shape: Template) -> tuple[Tensor, Tensor]:
    """Return unit normals of the vertices (N, V, 3), by area, and of the faces (N, F, 3)."""
    faces = torch.from_numpy(shape.faces).to(vertices.device)
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    wide = torch.linalg.cross(b - a, c - a)
    sums = torch.zeros_like(vertices)
    for k in range(3):
        sums = sums.index_add(1, faces[:, k], wide)
    return nn.functional.normalize(sums, dim=-1), nn.functional.normalize(wide, dim=-1)


def harmonics(directions: Tensor) -> Tensor:
    """Return the real spherical harmonics of degrees 0 to 2, (..., 9), of unit directions."""
    x, y, z = directions.unbind(dim=-1)
    first = math.sqrt(3 / (4 * math.pi))
    second = math.sqrt(15 / (4 * math.pi))
    return torch.stack(
        [
            torch.full_like(x, math.sqrt(1 / (4 * math.pi))),
            first * y,
            first * z,
            first * x,
            second * x * y,
            second * y * z,
            math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1),
            second * x * z,
            second / 2 * (x * x - y * y),
        ],
        dim=-1,
    )


def as_picture(seen: Seen, background: float = 1.0) -> np.ndarray:
    """Return what is seen before one colour, (N, size, size, 3) uint8."""
    mask = seen.mask[:, None] * seen.solid[:, None]
    image = seen.colour * mask + background * (1 - mask)
    image = image.detach().clamp(0, 1).mul(255).round().byte()
    return np.asarray(image.permute(0, 2, 3, 1).cpu().numpy())
