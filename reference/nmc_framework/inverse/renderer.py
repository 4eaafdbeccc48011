"""The family ``style_renderer``: a generator whose codes say camera, shape, texture and background.

StyleGAN-R of Zhang et al. 2021 (arXiv 2010.09125, section 3.3): small networks map each of the four
to a code. That of the camera goes to the first four layers; the others are mixed for each later
layer by weights that are learned. What was one code becomes four that can be exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nmc_framework.inverse.generator import VIEWPOINT_LAYERS, StyleGenerator
from nmc_framework.inverse.learning import require_fitting
from nmc_framework.inverse.multiview import MultiView, Pixels
from nmc_framework.inverse.network import InverseGraphics
from nmc_framework.inverse.pictures import as_bytes
from nmc_framework.inverse.viewpoints import DISTANCE
from nmc_framework.models.chained import ChainModel, ModelError

#: Side of the picture that the background's network is shown.
_BACKDROP = 32
#: What elevations in degrees and distances are divided by.
_ELEVATIONS, _DISTANCES = 30.0, 1.0
#: Scales at which gradients of pictures are compared, and the weight of each.
_SCALES, _GRADIENTS = 3, 1.0


@dataclass(frozen=True)
class Parts:
    """What a picture is made of, N times.

    Parameters
    ----------
    poses
        Viewpoints (N, 3).
    moves
        (N, H, 3): by how much the vertices of one half differ from the mean shape.
    texture
        (N, 3, T, T) in 0..1.
    backdrop
        (N, 4, 32, 32): a picture without its object, and where the object was.
    """

    poses: Tensor
    moves: Tensor
    texture: Tensor
    backdrop: Tensor

    def with_parts(self, **parts: Tensor) -> Parts:
        """Return these with others in place of some; what is one alone is taken for all."""
        count = len(self.poses)
        wide = {name: part.expand(count, *part.shape[1:]) for name, part in parts.items()}
        return replace(self, **wide)


@dataclass(frozen=True)
class Rendering:
    """A batch: what pictures are made of, and the pictures (N, 3, size, size) in -1..1."""

    parts: Parts
    pictures: Tensor


class StyleRenderer(ChainModel):
    """Pictures from camera, shape, texture and background, through a generator (StyleGAN-R)."""

    family: ClassVar[str] = "style_renderer"
    meanings: ClassVar[Mapping[str, str]] = StyleGenerator.meanings | {
        "vertices": "vertices of one half of the mesh",
        "texture": "pixels of the sides of the texture map",
        "width": "of the networks that make codes of the parts",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2e-3, 1e-3)
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    damping: ClassVar[float] = 0.0

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration: the generator's, vertices of one half, side of the texture."""
        return StyleGenerator.defaults() | {"vertices": 313, "texture": 32, "width": 64}

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        own = {name: c[name] for name in StyleGenerator.defaults()}
        self.generator = StyleGenerator(own)
        if self.generator.codes <= VIEWPOINT_LAYERS:
            raise ModelError(f"a renderer's generator has more than {VIEWPOINT_LAYERS} layers")
        wide, code = int(c["width"]), int(c["code"])
        self.camera = _stack(4, wide, VIEWPOINT_LAYERS * code)
        self.shape = _stack(3 * int(c["vertices"]), 2 * wide, code)
        self.texture = _Picture(3, int(c["texture"]), wide, code)
        self.background = _Picture(4, _BACKDROP, wide, code)
        #: Weights of shape, texture and background in each later layer, before they add up to 1.
        self.choice = nn.ParameterList(
            [nn.Parameter(torch.zeros(self.generator.codes - VIEWPOINT_LAYERS, 3))]
        )

    def layers(self) -> Sequence[nn.Module]:
        """Return the four networks and the choice, then the generator's layers."""
        own = (self.camera, self.shape, self.texture, self.background, self.choice)
        return [*own, *self.generator.layers()]

    def coded(self, parts: Parts) -> Tensor:
        """Return a code for each layer, (N, codes, width)."""
        mean: Tensor = self.generator.mapping.w_avg
        azimuth = torch.deg2rad(parts.poses[:, 0])
        seen = [azimuth.sin(), azimuth.cos(), parts.poses[:, 1] / _ELEVATIONS]
        seen.append((parts.poses[:, 2] - DISTANCE) / _DISTANCES)
        viewed: Tensor = self.camera(torch.stack(seen, dim=1))
        viewed = viewed.view(len(azimuth), VIEWPOINT_LAYERS, -1)
        each = torch.stack(
            [
                self.shape(10 * parts.moves.flatten(1)),
                self.texture(2 * parts.texture - 1),
                self.background(parts.backdrop),
            ],
            dim=1,
        )
        mixed: Tensor = torch.softmax(self.choice[0], dim=1) @ each
        codes: Tensor = mean + torch.cat([viewed, 3 * mixed], dim=1)
        return codes

    def forward(self, parts: Parts) -> Tensor:
        """Return pictures (N, 3, size, size), about -1..1."""
        pictures: Tensor = self.generator(self.coded(parts))
        return pictures

    def loss(self, batch: Rendering) -> Tensor:
        """Return the mean absolute difference of pictures, and of their gradients at scales."""
        one = self(batch.parts)
        other = batch.pictures.to(one.device)
        loss: Tensor = (one - other).abs().mean()
        for _ in range(_SCALES):
            off = one - other
            across = (off[..., 1:] - off[..., :-1]).abs().mean()
            loss = loss + _GRADIENTS * (across + (off[..., 1:, :] - off[..., :-1, :]).abs().mean())
            one, other = nn.functional.avg_pool2d(one, 2), nn.functional.avg_pool2d(other, 2)
        return loss

    def shown(self, parts: Parts) -> Pixels:
        """Return pictures (N, size, size, 3) uint8."""
        self.eval()
        with torch.no_grad():
            return as_bytes(self(parts))


def renderer_of(
    generator: StyleGenerator, network: InverseGraphics, *, seed: int = 0
) -> StyleRenderer:
    """Return a renderer that begins at a generator, for what a network makes of pictures."""
    told = {
        "vertices": len(network.shape.half),
        "texture": int(network.configuration["texture"]),
    }
    model = StyleRenderer.build(generator.configuration | told, seed=seed)
    assert isinstance(model, StyleRenderer)
    model.generator.load_state_dict(generator.state_dict())
    return model


class RenderedViews:
    """Views of objects with what they are made of, as :class:`~nmc_framework.training.Examples`.

    Shape, texture and background come from one view of an object, the camera and the picture from
    another: what is asked of a code is what does not change with the camera.

    Raises
    ------
    ObjectsError
        When the set is of another size, or of other viewpoints, than the network.
    """

    def __init__(self, views: MultiView, network: InverseGraphics, size: int) -> None:
        require_fitting(network, views)
        objects, viewpoints = views.masks.shape[:2]
        self.poses = network.poses.detach()
        device = self.poses.device
        pictures = torch.from_numpy(views.pictures.reshape(-1, *views.pictures.shape[2:]))
        pictures = pictures.to(device).permute(0, 3, 1, 2).float() / 255
        masks = torch.from_numpy(views.masks.reshape(-1, 1, views.size, views.size))
        masks = masks.to(device).float() / 255
        moves, textures = [], []
        half = torch.from_numpy(network.shape.half).to(device)
        network.eval()
        with torch.no_grad():
            for part in torch.split(pictures, 64):
                found = network(part)
                moves.append(found.moves[:, half])
                textures.append(found.texture)
        self._moves, self._textures = torch.cat(moves), torch.cat(textures)
        bare = torch.cat([(2 * pictures - 1) * (1 - masks), masks], dim=1)
        self._backdrops = nn.functional.adaptive_avg_pool2d(bare, _BACKDROP)
        self._pictures = nn.functional.adaptive_avg_pool2d(2 * pictures - 1, size)
        self.objects, self.viewpoints = objects, viewpoints

    def parts(self, objects: Tensor, shown: Tensor, seen: Tensor) -> Parts:
        """Return what objects (N,) look made of from viewpoints ``shown``, to be seen from others.

        All are (N,) int64.
        """
        place = objects * self.viewpoints + shown
        return Parts(
            self.poses[seen], self._moves[place], self._textures[place], self._backdrops[place]
        )

    def pictures(self, objects: Tensor, seen: Tensor) -> Tensor:
        """Return the pictures (N, 3, size, size) in -1..1 of objects from viewpoints."""
        return self._pictures[objects * self.viewpoints + seen]

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - frames of a chain have the same objects
    ) -> Rendering:
        """Draw ``count`` pairs of views, each of one object, with replacement."""
        objects = torch.randint(self.objects, (count,), generator=generator)
        shown = torch.randint(self.viewpoints, (count,), generator=generator)
        seen = torch.randint(self.viewpoints, (count,), generator=generator)
        return Rendering(self.parts(objects, shown, seen), self.pictures(objects, seen))

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - held-out objects are looked at apart
        """Return nothing."""
        return


def fidelity(model: StyleRenderer, examples: RenderedViews) -> float:
    """Return the PSNR in dB of pictures from viewpoints other than that which was shown."""
    objects, viewpoints = examples.objects, examples.viewpoints
    errors = []
    model.eval()
    with torch.no_grad():
        for number in range(objects):
            shown, seen = torch.meshgrid(*[torch.arange(viewpoints)] * 2, indexing="ij")
            apart = shown != seen if viewpoints > 1 else shown == seen
            chosen = torch.full((int(apart.sum()),), number)
            made = model(examples.parts(chosen, shown[apart], seen[apart])).clamp(-1, 1)
            errors.append((made - examples.pictures(chosen, seen[apart])).square().mean() / 4)
    return float(-10 * torch.stack(errors).mean().clamp_min(1e-12).log10())


def swaps(
    model: StyleRenderer, examples: RenderedViews, objects: Sequence[int], seen: int
) -> list[Pixels]:
    """Return rows of pictures (4, size, size, 3), one an object (figure 10 of the paper).

    Columns: as it is; with the shape of the first; with the texture of the second; with the
    background of the third. All are seen from viewpoint ``seen``.
    """
    chosen = torch.tensor(list(objects))
    place = torch.full_like(chosen, seen)
    parts = examples.parts(chosen, place, place)
    columns = [
        parts,
        parts.with_parts(moves=parts.moves[:1]),
        parts.with_parts(texture=parts.texture[1:2]),
        parts.with_parts(backdrop=parts.backdrop[2:3]),
    ]
    pictures = np.stack([model.shown(column) for column in columns], axis=1)
    return list(pictures)


def _stack(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, outputs),
    )


class _Picture(nn.Module):
    """A picture (N, channels, side, side) to a code (N, code): strided convolutions."""

    def __init__(self, channels: int, side: int, width: int, code: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        inputs, at = channels, side
        while at > 4:
            steps += [nn.Conv2d(inputs, width // 2, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            inputs, at = width // 2, (at + 1) // 2
        self.steps = nn.Sequential(*steps)
        self.last = _stack(inputs * at * at, width, code)

    def forward(self, pictures: Tensor) -> Tensor:
        code: Tensor = self.last(self.steps(pictures).flatten(1))
        return code
