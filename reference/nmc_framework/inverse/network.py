"""The family ``inverse_graphics``: from one picture of an object to a mesh, a texture and light.

After Zhang et al. 2021 (arXiv 2010.09125, section 3.2): an encoder, and heads that say how the
vertices of a mirrored sphere move, which texture lies on it and which light it stands in. It learns
from pictures of the same object from several viewpoints, whose cameras begin where bins say and
are refined along with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmc_framework.inverse.losses import (
    Weights,
    colour_loss,
    laplacian,
    mask_iou,
    movement,
    perceptual_loss,
    smoothness,
)
from nmc_framework.inverse.rasterise import Seen, harmonics, normals, rasterise
from nmc_framework.inverse.template import Template, template
from nmc_framework.inverse.viewpoints import DISTANCE, ELEVATION, project
from nmc_framework.models.chained import ChainModel, ModelError

if TYPE_CHECKING:
    from nmc_framework.evaluation.lpips import Lpips

#: Half lengths of the ellipsoid that training begins with: x, y, z.
_FIRST = (0.95, 0.40, 0.30)
#: Softness of the outline in pixels of a 64 pixel picture: at first, and from _SHARP on.
_SOFT, _CRISP, _SHARP = 2.0, 0.6, 0.6
#: What the viewpoints' learning rate is multiplied by: they are in degrees, and units of distance.
_DEGREES = 60.0


@dataclass(frozen=True)
class Views:
    """A batch: each object seen once or several times.

    Parameters
    ----------
    pictures
        (B, K, 3, size, size) in 0..1; the network is shown the first.
    masks
        (B, K, size, size) in 0..1.
    viewpoints
        (B, K) int64.
    """

    pictures: Tensor
    masks: Tensor
    viewpoints: Tensor

    def to(self, device: torch.device) -> Views:
        """Return the batch on a device."""
        return Views(self.pictures.to(device), self.masks.to(device), self.viewpoints.to(device))


@dataclass(frozen=True)
class Object3d:
    """What the network makes of pictures: N objects.

    Parameters
    ----------
    vertices
        (N, V, 3); the faces are the template's.
    moves
        (N, V, 3): by how much each object's vertices differ from the mean shape's.
    texture
        (N, 3, T, T) in 0..1.
    light
        (N, 9): coefficients of spherical harmonics of degrees 0 to 2.
    """

    vertices: Tensor
    moves: Tensor
    texture: Tensor
    light: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> Object3d:
        return Object3d(
            self.vertices[chosen], self.moves[chosen], self.texture[chosen], self.light[chosen]
        )


class InverseGraphics(ChainModel):
    """A picture to a mesh, a texture map and light, learned through a rasteriser (GANverse3D)."""

    family: ClassVar[str] = "inverse_graphics"
    meanings: ClassVar[Mapping[str, str]] = {
        "size": "pixels of the pictures' sides, divisible by 16",
        "viewpoints": "viewpoints of the set, whose cameras are learned",
        "divisions": "parts of an edge of the mesh's template",
        "texture": "pixels of the sides of the texture map",
        "code": "numbers that a picture is encoded in",
        "width": "channels of the encoder's first layer",
    }
    learning_rates: ClassVar[tuple[float, float]] = (1e-3, 5e-4)
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    damping: ClassVar[float] = 0.0

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of pictures of 64 pixels a side, from 12 viewpoints."""
        return {
            "size": 64,
            "viewpoints": 12,
            "divisions": 12,
            "texture": 32,
            "code": 160,
            "width": 24,
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if c["size"] % 16 or not 16 <= c["size"] <= 512:
            raise ModelError(
                f"inverse_graphics has pictures of sides divisible by 16, up to 512, not "
                f"{c['size']}; scale them, such as to 64"
            )
        if c["texture"] & (c["texture"] - 1) or not 8 <= c["texture"] <= 512:
            raise ModelError(f"a texture has a side of 8, 16, 32 to 512, not {c['texture']}")
        self.shape: Template = template(int(c["divisions"]))
        self.weights = Weights()
        #: Where a user has weights of LPIPS; a plain list, so that they are no part of the state.
        self.judges: list[Lpips] = []
        wide, code = int(c["width"]), int(c["code"])
        self.encoder = _Encoder(int(c["size"]), wide, code)
        half = len(self.shape.half)
        self.shape_head = nn.Sequential(
            nn.Linear(code, 2 * code), nn.LeakyReLU(0.2), nn.Linear(2 * code, 3 * half)
        )
        self.texture_head = _Texture(code, 2 * wide, int(c["texture"]))
        self.light_head = nn.Linear(code, 9)
        self.mean = _Held(
            torch.from_numpy(self.shape.vertices[self.shape.half]) * torch.tensor(_FIRST)
        )
        first = torch.tensor(
            [[360.0 * k / c["viewpoints"], ELEVATION, DISTANCE] for k in range(c["viewpoints"])]
        )
        self.viewpoints = _Held(first)
        with torch.no_grad():
            for head in (self.shape_head[-1], self.light_head):
                head.get_parameter("weight").mul_(0.02)
                head.get_parameter("bias").zero_()
            # The first harmonic is constant: with 1/Y it lights everything evenly.
            self.light_head.bias[0] = (4 * np.pi) ** 0.5

    @property
    def poses(self) -> Tensor:
        """The viewpoints (V, 3): azimuth and elevation in degrees, distance."""
        return self.viewpoints.value

    def layers(self) -> Sequence[nn.Module]:
        """Return the viewpoints, the encoder's layers, the mean shape, then the heads.

        The heads are those of shape, texture and light.
        """
        heads = (self.mean, self.shape_head, self.texture_head, self.light_head)
        return [self.viewpoints, *self.encoder.steps, self.encoder.last, *heads]

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - alike in all frames
    ) -> list[dict[str, Any]]:
        """Return the network's parameters, and the viewpoints with a rate in degrees."""
        own = [p for n, p in self.named_parameters() if p.requires_grad and n != "viewpoints.value"]
        groups = [{"params": own, "lr": learning_rate}]
        if self.viewpoints.value.requires_grad:
            groups.append({"params": [self.viewpoints.value], "lr": _DEGREES * learning_rate})
        return groups

    def begin_at(self, poses: npt.ArrayLike) -> None:
        """Put the viewpoints where annotations say, (V, 3)."""
        given = torch.as_tensor(np.asarray(poses, np.float32))
        if given.shape != self.poses.shape:
            raise ModelError(f"the model has {len(self.poses)} viewpoints, the set {len(given)}")
        with torch.no_grad():
            self.poses.copy_(given)

    def forward(self, pictures: Tensor) -> Object3d:
        """Return the objects of pictures (N, 3, size, size) in 0..1."""
        code = self.encoder(pictures)
        move = 0.3 * self.shape_head(code).view(len(code), -1, 3)
        return Object3d(
            self.shape.whole(self.mean.value + move),
            self.shape.whole(move),
            self.texture_head(code),
            self.light_head(code),
        )

    def shown(self, objects: Object3d, poses: Tensor, *, size: int | None = None) -> Seen:
        """Show objects from viewpoints (N, 3), in pictures of ``size`` or the model's own."""
        side = size or int(self.configuration["size"])
        places, depths = project(objects.vertices, poses, side)
        towards, _ = normals(objects.vertices, self.shape)
        light = (harmonics(towards) * objects.light[:, None]).sum(dim=-1).clamp_min(0)
        soft = self.softness * side / 64
        return rasterise(places, depths, self.shape, objects.texture, light, side, softness=soft)

    @property
    def softness(self) -> float:
        """Width of the outline in pixels of a 64 pixel picture, as far as training is."""
        share = min(self.progress / _SHARP, 1.0)
        return float(_SOFT * (_CRISP / _SOFT) ** share)

    def loss(self, batch: Views) -> Tensor:
        """Return the loss of equation 1, summed over views as in the paper's multi-view loss."""
        count, views = batch.viewpoints.shape
        batch = batch.to(self.poses.device)
        objects = self(batch.pictures[:, 0])
        again = torch.arange(count, device=self.poses.device).repeat_interleave(views)
        seen = self.shown(objects[again], self.poses[batch.viewpoints.flatten()])
        pictures, masks = batch.pictures.flatten(0, 1), batch.masks.flatten(0, 1)
        w = self.weights
        judge = self.judges[0] if self.judges else None
        of_view = (
            w.colour * colour_loss(seen, pictures, masks)
            + w.perceptual * perceptual_loss(seen, pictures, masks, judge)
            + 1
            - mask_iou(seen.mask, masks)
        )
        of_shape = (
            w.smooth * smoothness(objects.vertices, self.shape)
            + w.laplacian * laplacian(objects.moves, self.shape)
            + w.movement * movement(objects.moves)
        )
        return of_view.mean() * views + of_shape.mean()


class _Held(nn.Module):
    """A parameter that is a layer of its own."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)


class _Encoder(nn.Module):
    """A picture (N, 3, size, size) to a code (N, code): strided convolutions."""

    def __init__(self, size: int, width: int, code: int) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 6 * width]
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 5 if a == 3 else 3, stride=2, padding=2 if a == 3 else 1),
                nn.GroupNorm(4, b),
                nn.LeakyReLU(0.2),
            )
            for a, b in pairwise(widths)
        )
        self.last = nn.Sequential(
            nn.Linear(widths[-1] * (size // 16) ** 2, code), nn.LeakyReLU(0.2)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        values = 2 * pictures - 1
        for step in self.steps:
            values = step(values)
        coded: Tensor = self.last(values.flatten(1))
        return coded


class _Texture(nn.Module):
    """A code to a texture map (N, 3, side, side) in 0..1, from 4 x 4 on."""

    def __init__(self, code: int, width: int, side: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(code, width * 16)
        self.steps = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(side.bit_length() - 3)
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        values = nn.functional.leaky_relu(self.first(code), 0.2).view(-1, self.width, 4, 4)
        for step in self.steps:
            values = nn.functional.interpolate(values, scale_factor=2, mode="bilinear")
            values = nn.functional.leaky_relu(step(values), 0.2)
        return torch.sigmoid(self.last(values))
