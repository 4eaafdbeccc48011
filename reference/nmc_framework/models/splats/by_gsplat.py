"""Drawing 3D Gaussians on CUDA by gsplat, where it is installed (Ye et al. 2024).

It draws whole pictures; those of the views that tiles lie in, from which the tiles are taken. It
needs a CUDA device and its compiler, and is never needed: without it torch blends.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nmc_framework.models.splats import kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_framework.cameras import Camera
    from nmc_framework.models.splats.rasterise import Tiles


def there_for(device: torch.device) -> bool:
    """Return whether gsplat draws on a device."""
    return device.type == "cuda" and find_spec("gsplat") is not None


def drawn(
    parts: dict[str, Tensor],
    degree: int,
    tiles: Tiles,
    near: float,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the light on tiles (T, side², 3), and the share (T, side²) that passes.

    Parameters
    ----------
    parts
        The tensors of the family, by the last part of their names.
    degree
        Of the harmonics.
    tiles, near
        As of :func:`~nmc_framework.models.splats.rasterise.meet`.
    watch
        Is given Gaussians (M,) and the gradients (M, 2) of their places in a picture, in pixels.
    """
    views = np.unique(tiles.views)
    light, left = [], []
    for view in views:
        mine = torch.from_numpy(tiles.corners[tiles.views == view])
        seen, alpha = _picture(parts, degree, tiles.cameras[view], near, watch)
        both = _taken(torch.cat([seen, 1 - alpha], dim=2), mine.to(seen.device), tiles.side)
        light.append(both[..., :3])
        left.append(both[..., 3])
    return torch.cat(light), torch.cat(left)


def _picture(
    parts: dict[str, Tensor],
    degree: int,
    camera: Camera,
    near: float,
    watch: Callable[[Tensor, Tensor], None] | None,
) -> tuple[Tensor, Tensor]:
    """Return what a camera sees, (height, width, 3), and how much of it is hidden, (…, 1)."""
    from gsplat import rasterization

    means = parts["means"]
    pose = np.linalg.inv(camera.camera_to_world)
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    harmonics = [parts["sh0"], parts["shN"]] if degree else [parts["sh0"]]
    seen, alpha, known = rasterization(
        means=means,
        quats=parts["quats"],
        scales=parts["scales"].clamp(-20, 20).exp(),
        opacities=torch.sigmoid(parts["opacities"]),
        colors=torch.cat(harmonics, dim=1),
        viewmats=torch.from_numpy(pose)[None].to(means),
        Ks=torch.from_numpy(matrix)[None].to(means),
        width=camera.width,
        height=camera.height,
        near_plane=near,
        eps2d=kernels.BLUR,
        sh_degree=degree,
        packed=False,
    )
    places = known["means2d"]
    if watch is not None and places.requires_grad:
        index = torch.arange(len(means), device=means.device)
        places.register_hook(lambda gradient: watch(index, gradient.reshape(-1, 2)))
    return seen[0], alpha[0]


def _taken(picture: Tensor, corners: Tensor, side: int) -> Tensor:
    """Return squares (T, side², C) of a picture (height, width, C); outside of it is nothing."""
    height, width = picture.shape[:2]
    step = torch.arange(side, device=picture.device)
    row, column = (t.reshape(-1) for t in torch.meshgrid(step, step, indexing="ij"))
    x, y = corners[:, :1] + column, corners[:, 1:] + row
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    taken = picture[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    nothing = torch.zeros_like(picture[0, 0])
    nothing[-1] = 1
    return torch.where(inside[..., None], taken, nothing)
