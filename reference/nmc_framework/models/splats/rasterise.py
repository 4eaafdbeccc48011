"""Drawing 3D Gaussians: projected, sorted, and blended pixel by pixel (Kerbl et al. 2023).

What is drawn are tiles, squares of pixels of some views: whole pictures are many of them, a batch
to learn from is a few of several pictures. Each tile has its own list of Gaussians, front to back;
only these are projected. On the CPU the kernels of :mod:`~nmc_framework.models.splats.kernels`
blend them, elsewhere torch does. Everything has a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmc_framework.models.radiance.threads import spread
from nmc_framework.models.splats import kernels

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

#: Side of the tiles of a whole picture, in pixels.
TILE = 16
#: Tiles a thread blends at a time.
_CHUNK = 16
#: Keeps the inverse of a covariance finite.
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians: ``means`` (N, 3), ``covariances`` (N, 3, 3), ``opacities`` (N,) in 0..1.

    World units, one floating type.
    """

    means: Tensor
    covariances: Tensor
    opacities: Tensor


@dataclass(frozen=True, eq=False)
class Tiles:
    """T squares of pixels of some cameras, ``side`` pixels wide.

    ``views`` (T,) int64 ascending: which of the ``cameras`` sees each; ``corners`` (T, 2) int64:
    column and row of its first pixel, which may lie outside of the picture.
    """

    cameras: Sequence[Camera]
    views: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]
    side: int

    @classmethod
    def of(cls, camera: Camera) -> Tiles:
        """Return the tiles that cover a picture, row by row; the last reach over its edge."""
        down, across = -(-camera.height // TILE), -(-camera.width // TILE)
        row, column = np.divmod(np.arange(down * across), across)
        corners = np.stack([column, row], axis=1) * TILE
        return cls((camera,), np.zeros(len(corners), np.int64), corners.astype(np.int64), TILE)


@dataclass(frozen=True, eq=False)
class Met:
    """The pairs of a tile and a Gaussian that meet, tile by tile, front to back in each.

    ``index`` (P,) int64 says which Gaussian, ``views`` (P,) int64 which camera; ``starts`` (T + 1,)
    where each tile's begin.
    """

    index: Tensor
    views: Tensor
    starts: npt.NDArray[np.int64]


def rotations(quaternions: Tensor) -> Tensor:
    """Return matrices (N, 3, 3) of rotations w, x, y, z (N, 4) of any length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=1).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def covariances(scales: Tensor, quaternions: Tensor) -> Tensor:
    """Return R S Sᵀ Rᵀ (N, 3, 3) of scales (N, 3) and rotations (N, 4) (equation 6)."""
    scaled = rotations(quaternions) * scales[:, None]
    return scaled @ scaled.transpose(1, 2)


@torch.no_grad()
def meet(gaussians: Gaussians, tiles: Tiles, near: float) -> Met:
    """Return which Gaussians each tile meets, from the nearest on.

    ``near`` is the depth, in world units, from which on they are drawn.
    """
    device = gaussians.means.device
    arrays = [
        t.detach().cpu().contiguous().numpy()
        for t in (gaussians.means, gaussians.covariances, gaussians.opacities)
    ]
    views, first = np.unique(tiles.views, return_index=True)
    ends = [*first[1:], len(tiles.views)]
    found = spread(
        kernels.meet,
        [
            (*arrays, _numbers(tiles.cameras[v]), near, tiles.corners[a:b], tiles.side)
            for v, a, b in zip(views, first, ends, strict=True)
        ],
    )
    lengths = [len(pairs) for pairs, _ in found]
    offsets = np.cumsum([0, *lengths])
    starts = [own[:-1] + offset for (_, own), offset in zip(found, offsets, strict=False)]
    return Met(
        torch.from_numpy(np.concatenate([pairs for pairs, _ in found])).to(device),
        torch.from_numpy(np.repeat(views, lengths)).to(device),
        np.concatenate([*starts, offsets[-1:]]),
    )


def project(gaussians: Gaussians, met: Met, cameras: Sequence[Camera]) -> tuple[Tensor, Tensor]:
    """Return where pairs are pictured, and how wide.

    Places (P, 2) in pixels, and conics (P, 3): a, b, c of a x² + 2 b x y + c y², the inverse of the
    covariance in the picture, J W Σ Wᵀ Jᵀ (equation 5) and a little blur.
    """
    kind, device = gaussians.means.dtype, gaussians.means.device
    known = torch.from_numpy(np.stack([_numbers(c) for c in cameras])).to(device, kind)[met.views]
    rotation = known[:, :9].view(-1, 3, 3)
    away = gaussians.means[met.index] - known[:, 9:12]
    local = (rotation @ away[:, :, None])[:, :, 0]
    fx, fy, cx, cy, width, height = known[:, 12:].unbind(1)
    depth = local[:, 2]
    u, v = local[:, 0] / depth, local[:, 1] / depth
    places = torch.stack([fx * u + cx, fy * v + cy], dim=1)
    edge = kernels.LIMIT
    u = torch.minimum(torch.maximum(u, (-edge * width - cx) / fx), ((1 + edge) * width - cx) / fx)
    v = torch.minimum(torch.maximum(v, (-edge * height - cy) / fy), ((1 + edge) * height - cy) / fy)
    right, down, forward = rotation.unbind(1)
    across = (right - u[:, None] * forward) * (fx / depth)[:, None]
    along = (down - v[:, None] * forward) * (fy / depth)[:, None]
    spreads = gaussians.covariances[met.index]
    turned = (spreads @ across[:, :, None])[:, :, 0]
    a = (across * turned).sum(dim=1) + kernels.BLUR
    b = (along * turned).sum(dim=1)
    c = (along * (spreads @ along[:, :, None])[:, :, 0]).sum(dim=1) + kernels.BLUR
    determinant = (a * c - b * b).clamp_min(_TINY)
    return places, torch.stack([c, -b, a], dim=1) / determinant[:, None]


def blended(
    places: Tensor, conics: Tensor, opacities: Tensor, colours: Tensor, met: Met, tiles: Tiles
) -> tuple[Tensor, Tensor]:
    """Return the light of pairs on their tiles (equation 3), and the share that passes them.

    Colours (T, side², 3), and (T, side²) of what is behind, row by row.
    """
    if places.device.type == "cpu":
        made: tuple[Tensor, Tensor] = _Blend.apply(  # type: ignore[no-untyped-call]
            places, conics, opacities, colours, met.starts, tiles.corners, tiles.side
        )
        return made
    seen, left = [], []
    for t in range(len(tiles.corners)):
        part = slice(int(met.starts[t]), int(met.starts[t + 1]))
        one = blend_in_torch(
            places[part], conics[part], opacities[part], colours[part],
            tuple(int(v) for v in tiles.corners[t]), tiles.side,
        )  # fmt: skip
        seen.append(one[0])
        left.append(one[1])
    return torch.stack(seen), torch.stack(left)


def blend_in_torch(
    places: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colours: Tensor,
    corner: tuple[int, ...],
    side: int,
) -> tuple[Tensor, Tensor]:
    """Return the light on one tile (side², 3), and the share (side²,) that passes.

    The same sums as the kernels', on any device.
    """
    steps = torch.arange(side, device=places.device, dtype=places.dtype) + 0.5
    dy, dx = torch.meshgrid(steps + corner[1], steps + corner[0], indexing="ij")
    dx, dy = dx.reshape(-1, 1) - places[:, 0], dy.reshape(-1, 1) - places[:, 1]
    a, b, c = conics.unbind(1)
    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    alpha = (opacities * torch.exp(power.clamp_max(0))).clamp_max(kernels.OPAQUE)
    alpha = torch.where(alpha < kernels.FAINT, torch.zeros_like(alpha), alpha)
    left = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=1)[:, : alpha.shape[1]]
    drawn = torch.where(before < kernels.SPENT, torch.zeros_like(alpha), alpha)
    passing = torch.cumprod(1 - drawn, dim=1)
    behind = passing[:, -1] if passing.shape[1] else torch.ones_like(dx[:, :0].sum(dim=1))
    return (before * drawn) @ colours, behind


class _Blend(torch.autograd.Function):
    """The CPU path."""

    @staticmethod
    def forward(
        ctx: Any,
        places: Tensor,
        conics: Tensor,
        opacities: Tensor,
        colours: Tensor,
        starts: npt.NDArray[np.int64],
        corners: npt.NDArray[np.int64],
        side: int,
    ) -> tuple[Tensor, Tensor]:
        pairs = [each.detach().contiguous() for each in (places, conics, opacities, colours)]
        seen = places.new_zeros(len(corners), side * side, 3)
        left = places.new_ones(len(corners), side * side)
        arrays = [each.numpy() for each in pairs]
        spread(
            kernels.blend,
            (
                (
                    *arrays, starts[a : a + _CHUNK + 1], corners[a : a + _CHUNK], side,
                    seen[a : a + _CHUNK].numpy(), left[a : a + _CHUNK].numpy(),
                )
                for a in range(0, len(corners), _CHUNK)
            ),
        )  # fmt: skip
        ctx.save_for_backward(*pairs, seen, left)
        ctx.tiles = starts, corners, side
        return seen, left

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        places, conics, opacities, colours, seen, left = ctx.saved_tensors
        starts, corners, side = ctx.tiles
        given, given_left = (each.contiguous() for each in gradients)
        result = places.new_zeros(len(places), 9)
        arrays = tuple(each.numpy() for each in (places, conics, opacities, colours))
        kind = arrays[0].dtype
        spread(
            kernels.blend_gradient,
            (
                (
                    arrays,
                    (starts[a : a + _CHUNK + 1], corners[a : a + _CHUNK], side),
                    (seen[a : a + _CHUNK].numpy(), left[a : a + _CHUNK].numpy()),
                    (given[a : a + _CHUNK].numpy(), given_left[a : a + _CHUNK].numpy()),
                    (np.empty(side * side, kind), np.empty((side * side, 3), kind)),
                    result.numpy(),
                )
                for a in range(0, len(corners), _CHUNK)
            ),
        )
        return result[:, :2], result[:, 2:5], result[:, 5], result[:, 6:], None, None, None


def picture_of(tiled: Tensor, camera: Camera) -> Tensor:
    """Return a picture (height, width, C) of what all its tiles show, (T, 256, C)."""
    down, across = -(-camera.height // TILE), -(-camera.width // TILE)
    grid = tiled.view(down, across, TILE, TILE, -1).transpose(1, 2)
    whole = grid.reshape(down * TILE, across * TILE, -1)
    return whole[: camera.height, : camera.width]


def _numbers(camera: Camera) -> npt.NDArray[np.float64]:
    """Return what the kernels are told of a camera, (18,)."""
    told = [camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]
    return np.concatenate([camera.rotation.T.ravel(), camera.centre, np.array(told)])
