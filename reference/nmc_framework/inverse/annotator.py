"""The viewpoint and the mask of pictures that come without: those of a generator.

The paper has a person name the bins of its viewpoints, and takes masks from a network that others
trained; here a small network learns both from a multi-view set, whose annotations are bins too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmc_framework.inverse.multiview import MultiView, Pixels
from nmc_framework.inverse.pictures import scaled

#: Pictures of a batch, the step size, and pictures that are looked at together.
_BATCH, _RATE, _TOGETHER = 32, 2e-3, 256
#: Mixing of colour channels and brightness, so that colours of a generator are not strange to it.
_TINTED = 0.25


@dataclass(frozen=True, eq=False)
class Annotations:
    """What an annotator says of N pictures.

    Parameters
    ----------
    azimuths
        (N,) degrees, 0..360.
    masks
        (N, size, size) in 0..1.
    """

    azimuths: npt.NDArray[np.float64]
    masks: npt.NDArray[np.float32]


class Annotator(nn.Module):
    """Pictures (N, 3, size, size) in 0..1 to sine and cosine of the azimuth, and mask logits."""

    def __init__(self, size: int, width: int = 16) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(4, b), nn.LeakyReLU(0.2)
            )
            for a, b in pairwise(widths)
        )
        self.turn = nn.Sequential(
            nn.Linear(widths[-1] * (size // 8) ** 2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2)
        )
        joined = [4 * width, 2 * width + 2 * width, width + width]
        self.up = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1)
            for a, b in zip(joined, [2 * width, width, width], strict=True)
        )
        self.last = nn.Conv2d(width + 3, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return directions (N, 2) and logits (N, size, size)."""
        values, kept = 2 * pictures - 1, []
        for step in self.down:
            values = step(values)
            kept.append(values)
        turned: Tensor = self.turn(values.flatten(1))
        for step, beside in zip(self.up, [kept[1], kept[0], pictures], strict=True):
            values = nn.functional.leaky_relu(step(values), 0.2)
            values = nn.functional.interpolate(values, scale_factor=2, mode="bilinear")
            values = torch.cat([values, beside], dim=1)
        logits: Tensor = self.last(values)
        return turned, logits[:, 0]

    def annotate(self, pictures: Pixels) -> Annotations:
        """Return what it says of pictures (N, size, size, 3) uint8."""
        self.eval()
        device = self.last.weight.device
        turned, masks = [], []
        with torch.no_grad():
            for start in range(0, len(pictures), _TOGETHER):
                some = torch.from_numpy(pictures[start : start + _TOGETHER].copy()).to(device)
                found, logits = self(some.permute(0, 3, 1, 2).float() / 255)
                turned.append(found.cpu().numpy())
                masks.append(torch.sigmoid(logits).cpu().numpy())
        sines = np.concatenate(turned)
        angles = np.degrees(np.arctan2(sines[:, 0], sines[:, 1])) % 360
        return Annotations(angles.astype(np.float64), np.concatenate(masks))


def trained_annotator(
    views: MultiView, size: int, *, iterations: int = 400, seed: int = 0, device: str = "cpu"
) -> Annotator:
    """Train an annotator for pictures of ``size`` on a multi-view set, by its bins and masks.

    What is drawn at random is drawn on the CPU, whatever the torch ``device``.
    """
    objects, viewpoints = views.masks.shape[:2]
    flat = scaled(views.pictures.reshape(-1, views.size, views.size, 3), size)
    masks = scaled(np.repeat(views.masks.reshape(-1, views.size, views.size, 1), 3, axis=3), size)
    pictures = torch.from_numpy(flat).permute(0, 3, 1, 2)
    truth = torch.from_numpy(np.ascontiguousarray(masks[..., 0]))
    angles = torch.deg2rad(torch.from_numpy(views.first_poses()[:, 0]).float()).repeat(objects)
    assert len(angles) == objects * viewpoints
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Annotator(size).to(device)
        learner = torch.optim.Adam(model.parameters(), lr=_RATE)
        for iteration in range(iterations):
            for group in learner.param_groups:
                group["lr"] = _RATE * min(1.0, 2 * (1 - iteration / iterations))
            chosen = torch.randint(len(pictures), (_BATCH,))
            some = pictures[chosen].float() / 255
            tint = 1 + _TINTED * torch.randn(_BATCH, 3, 1, 1)
            turned, logits = model((some * tint).clamp(0, 1).to(device))
            wanted = torch.stack([angles[chosen].sin(), angles[chosen].cos()], dim=1)
            loss = (turned - wanted.to(device)).square().mean()
            loss = loss + nn.functional.binary_cross_entropy_with_logits(
                logits, truth[chosen].float().to(device) / 255
            )
            learner.zero_grad(set_to_none=True)
            loss.backward()
            learner.step()
    return model


def turned_by(one: npt.ArrayLike, other: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the angles in degrees, 0..180, between azimuths."""
    off = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)) % 360
    return np.asarray(np.minimum(off, 360 - off))
