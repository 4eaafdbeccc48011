"""The bicubic filter: how pictures are made small, and enlarged without a network.

The kernel is Keys' with a = -0.5, widened by the scale where a picture is made smaller: that of
MATLAB's ``imresize`` and of Pillow, with which the pairs of DIV2K and all benchmarks were made.
Values are rounded to 8 bits, as a picture that is sent is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

#: Pictures, (pictures, height, width, 3) uint8.
Pictures = npt.NDArray[np.uint8]


def resized(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures (N, C, h, w) at another size (height, width), any values."""
    return nn.functional.interpolate(
        pictures, size=size, mode="bicubic", align_corners=False, antialias=True
    )


def enlarged(pictures: Tensor, scale: int) -> Tensor:
    """Return pictures (N, C, h, w) as (N, C, scale·h, scale·w); values may leave their range."""
    height, width = pictures.shape[2:]
    return resized(pictures, (scale * height, scale * width))


def small_size(size: tuple[int, int], scale: int) -> tuple[int, int]:
    """Return the size (height, width) of the small pictures of large ones: rounded up."""
    return -(-size[0] // scale), -(-size[1] // scale)


def reduced(pictures: Pictures, scale: int) -> Pictures:
    """Return small pictures of large ones.

    Sides that the scale does not divide are first made longer by repeating the border at the right
    and at the bottom.

    Parameters
    ----------
    pictures
        (N, height, width, 3) uint8.

    Returns
    -------
    numpy.ndarray
        (N, ⌈height/scale⌉, ⌈width/scale⌉, 3) uint8.
    """
    height, width = pictures.shape[1:3]
    small = small_size((height, width), scale)
    missing = ((0, 0), (0, small[0] * scale - height), (0, small[1] * scale - width), (0, 0))
    whole = np.pad(pictures, missing, mode="edge")
    return to_pictures(resized(to_tensor(whole), small))


def bicubic(pictures: Pictures, scale: int) -> Pictures:
    """Return pictures (N, h, w, 3) uint8 enlarged by the filter alone."""
    return to_pictures(enlarged(to_tensor(pictures), scale))


def to_tensor(pictures: Pictures) -> Tensor:
    """Return (N, 3, height, width) float32 in 0..1 of (N, height, width, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def to_pictures(values: Tensor) -> Pictures:
    """Return (N, height, width, 3) uint8 of (N, 3, height, width) about 0..1."""
    rounded = values.detach().clamp(0, 1).mul(255).round().byte()
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).cpu().numpy())
