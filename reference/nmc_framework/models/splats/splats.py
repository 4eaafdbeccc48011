"""The family ``splats``: 3D Gaussians, drawn onto pictures (Kerbl et al. 2023).

Their number grows and falls in a chain's first frame; later frames move and colour the ones there
are, or go on with that. The tensors end in the names that gsplat gives them, so that players and
viewers of splats know them; each layer holds those of one kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmc_framework.models.chained import ModelError
from nmc_framework.models.radiance.backdrop import backdrop, behind
from nmc_framework.models.radiance.grid_encoding import spherical_harmonics
from nmc_framework.models.splats import by_gsplat
from nmc_framework.models.splats.density import FREE, densify, free_rows
from nmc_framework.models.splats.rasterise import (
    Gaussians,
    Met,
    Tiles,
    blended,
    covariances,
    meet,
    picture_of,
    project,
)
from nmc_framework.models.views import CHUNK, PixelExamples, RayBatch, ViewModel

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

#: Harmonics of a colour channel by degree.
_HARMONICS = {0: 1, 1: 4, 2: 9}
#: The first harmonic, which stands for a colour from everywhere.
_FIRST = 0.28209479
#: Opacity that Gaussians begin with.
_BEGIN = 0.2
#: How often their number changes in a frame, and the shares of it between which that is.
_ROUNDS, _FROM, _TO = 10, 0.05, 0.6
#: Share of the most Gaussians that a frame begins with.
_START = 0.4
#: What is smaller than this share of the box's edge is cloned, else split.
_CLONED = 0.02
#: Nothing nearer to a camera is drawn, as a share of the box's edge.
_NEAR = 0.01
#: Gaussians are at most this share of the box's edge wide when they begin.
_WIDE = 0.1
#: Shares of the learning rate; of places for a box with an edge of 2.
_SHARES = {
    "means": 0.1, "scales": 1.0, "quats": 0.3, "opacities": 2.5, "sh0": 0.8, "shN": 0.08,
}  # fmt: skip


class Positions(nn.Module):
    """Where Gaussians are: ``means`` (N, 3), world units."""

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.means = nn.Parameter(means)


class Shapes(nn.Module):
    """How wide they are: ``scales`` (N, 3), natural logarithms of standard deviations; ``quats``.

    Quaternions (N, 4), w x y z, of any length.
    """

    def __init__(self, scales: Tensor, quats: Tensor) -> None:
        super().__init__()
        self.scales = nn.Parameter(scales)
        self.quats = nn.Parameter(quats)


class Opacity(nn.Module):
    """How much they hide: ``opacities`` (N,) before the sigmoid."""

    def __init__(self, opacities: Tensor) -> None:
        super().__init__()
        self.opacities = nn.Parameter(opacities)


class Colours(nn.Module):
    """Their colours from everywhere: ``sh0`` (N, 1, 3), of which 0 is middle grey."""

    def __init__(self, sh0: Tensor) -> None:
        super().__init__()
        self.sh0 = nn.Parameter(sh0)


class Harmonics(nn.Module):
    """What of their colours depends on where they are seen from: ``shN`` (N, K, 3)."""

    def __init__(self, rest: Tensor) -> None:
        super().__init__()
        self.shN = nn.Parameter(rest)


class Splats(ViewModel):
    """3D Gaussians (3DGS): quick to draw, and players of splats show them.

    ``splats`` are the most there may be, ``degree`` that of their spherical harmonics; ``grow``
    says in which frames their number changes: "never", "first" or "always".
    """

    family: ClassVar[str] = "splats"
    meanings: ClassVar[Mapping[str, str]] = {
        "bounds": "two corners of the cuboid that Gaussians begin in; set from cameras and points",
        "background": "the colour behind everything, 0..1; null: nobody knows",
        "splats": "most Gaussians that there may be",
        "degree": "of their spherical harmonics: 0, 1 or 2",
        "grow": "frames in which their number changes: never, first or always",
    }
    learning_rates: ClassVar[tuple[float, float]] = (2e-2, 3e-2)
    damping: ClassVar[float] = 0.5
    side: ClassVar[int] = 16
    rays: ClassVar[int] = 8192

    background: Tensor

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the configuration of a room of about two scene units."""
        return {
            "bounds": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]],
            "background": [0.0, 0.0, 0.0],
            "splats": 4000,
            "degree": 1,
            "grow": "first",
        }

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__(configuration)
        c = self.configuration
        if c["degree"] not in _HARMONICS or not 1 <= c["splats"] <= 1 << 22:
            raise ModelError(
                f"splats has a degree of 0 to 2 and 1 to {1 << 22} splats, not degree "
                f"{c['degree']} and {c['splats']} splats"
            )
        if c["grow"] not in {"never", "first", "always"}:
            raise ModelError(f"splats grows never, first or always, not {c['grow']!r}")
        share = 1.0 if c["grow"] == "never" else _START
        count = max(1, round(share * c["splats"]))
        bounds = torch.tensor(c["bounds"], dtype=torch.float32)
        self.edge = float((bounds[1] - bounds[0]).max())
        self.register_buffer("background", backdrop(c["background"]), persistent=False)
        width = min(0.5 * self.edge / count ** (1 / 3), _WIDE * self.edge)
        means = bounds[0] + torch.rand(count, 3) * (bounds[1] - bounds[0])
        self.positions = Positions(means)
        self.shapes = Shapes(torch.full((count, 3), math.log(width)), torch.randn(count, 4))
        self.opacity = Opacity(torch.logit(torch.full((count,), _BEGIN)))
        self.colours = Colours(torch.zeros(count, 1, 3))
        if c["degree"]:
            self.harmonics = Harmonics(torch.zeros(count, _HARMONICS[c["degree"]] - 1, 3))
        #: Whether nothing has been learned yet; and whether this frame changes the number.
        self._fresh, self._grows, self._rounds = True, False, 0
        self._pulls: tuple[Tensor, Tensor] | None = None

    def layers(self) -> Sequence[nn.Module]:
        """Return places, shapes, opacities, colours, and what of them depends on the view."""
        return list(self.children())

    def _parts(self) -> dict[str, nn.Parameter]:
        """Return the tensors by the last part of their names."""
        return {name.rpartition(".")[2]: tensor for name, tensor in self.named_parameters()}

    def parameter_groups(
        self,
        learning_rate: float,
        *,
        later: bool = False,  # noqa: ARG002 - the shares are the same
    ) -> list[dict[str, Any]]:
        """Each kind of tensor learns at its share of the rate; places by the size of the scene."""
        return [
            {
                "params": [tensor],
                "lr": learning_rate * _SHARES[name] * (self.edge / 2 if name == "means" else 1),
            }
            for name, tensor in self._parts().items()
            if tensor.requires_grad
        ]

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state, of any number of Gaussians."""
        lengths = {len(np.asarray(value)) for value in state.values() if np.ndim(value)}
        if len(lengths) > 1:
            raise ModelError(f"the state has tensors of {sorted(lengths)} Gaussians")
        if lengths and lengths != {len(self.positions.means)}:
            self._resize(lengths.pop())
        super().load(state)
        self._fresh = False

    def _resize(self, count: int) -> None:
        """Give every tensor so many rows: the first there are, then free ones."""
        for layer in self.layers():
            for name, old in list(layer.named_parameters(recurse=False)):
                new = old.new_full((count, *old.shape[1:]), FREE if name == "opacities" else 0)
                kept = min(count, len(old))
                new[:kept] = old.detach()[:kept]
                setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))

    def start_at(self, points: npt.NDArray[np.float64]) -> None:
        """Begin at points (P, 3) where structure from motion found something."""
        if not len(points):
            return
        count = len(self.positions.means)
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(points), generator=generator)[:count]
        with torch.no_grad():
            found = torch.from_numpy(np.asarray(points, np.float32))[chosen]
            self.positions.means[: len(found)] = found
            self.shapes.scales[: len(found)] -= math.log(2)

    def prepare(self, examples: PixelExamples) -> None:
        """Take the first colours from the pictures; make room where the number may change."""
        super().prepare(examples)
        if self._fresh:
            self._look(examples)
        grow = self.configuration["grow"]
        self._grows = grow == "always" or (grow == "first" and self._fresh)
        if self._grows:
            self._resize(max(self.configuration["splats"], len(self.positions.means)))

    @torch.no_grad()
    def _look(self, examples: PixelExamples) -> None:
        """Give each Gaussian the mean colour of the pixels that picture its place."""
        means = self.positions.means.double().cpu().numpy()
        total, seen = np.zeros((len(means), 3)), np.zeros(len(means))
        for camera, picture in zip(examples.cameras, examples.pictures, strict=True):
            local = (means - camera.centre) @ camera.rotation
            with np.errstate(all="ignore"):
                x = camera.fx * local[:, 0] / local[:, 2] + camera.cx
                y = camera.fy * local[:, 1] / local[:, 2] + camera.cy
                there = (local[:, 2] > _NEAR * self.edge) & (x >= 0) & (y >= 0)
                there &= (x < camera.width) & (y < camera.height)
            rows = np.flatnonzero(there)
            total[rows] += picture[y[rows].astype(int), x[rows].astype(int)] / 255
            seen[rows] += 1
        colours = np.where(seen[:, None] > 0, total / np.maximum(seen, 1)[:, None], 0.5)
        first = torch.from_numpy((colours - 0.5) / _FIRST).to(self.colours.sh0)
        self.colours.sh0.copy_(first[:, None])

    def gaussians(self) -> Gaussians:
        """Return what is drawn."""
        spreads = covariances(self.shapes.scales.clamp(-20, 20).exp(), self.shapes.quats)
        return Gaussians(self.positions.means, spreads, torch.sigmoid(self.opacity.opacities))

    def _coloured(self, met: Met, cameras: Sequence[Camera]) -> Tensor:
        """Return the colours (P, 3) of pairs, as their cameras see them."""
        sh0 = self.colours.sh0[met.index]
        if not self.configuration["degree"]:
            return (0.5 + _FIRST * sh0[:, 0]).clamp_min(0)
        centres = torch.tensor(np.stack([c.centre for c in cameras])).to(sh0)
        away = self.positions.means.detach()[met.index] - centres[met.views]
        coefficients = torch.cat([sh0, self.harmonics.shN[met.index]], dim=1)
        basis = spherical_harmonics(nn.functional.normalize(away, dim=1))
        basis = basis[:, : coefficients.shape[1], None]
        return (0.5 + (basis * coefficients).sum(dim=1)).clamp_min(0)

    def _drawn(self, tiles: Tiles, *, watched: bool = False) -> tuple[Tensor, Tensor]:
        """Return the light on tiles and the share of it that passes; see :func:`blended`."""
        if by_gsplat.there_for(self.positions.means.device):
            parts: dict[str, Tensor] = {**self._parts()}
            watch = self._pulled if watched else None
            near = _NEAR * self.edge
            return by_gsplat.drawn(parts, self.configuration["degree"], tiles, near, watch)
        gaussians = self.gaussians()
        met = meet(gaussians, tiles, _NEAR * self.edge)
        places, conics = project(gaussians, met, tiles.cameras)
        if watched and places.requires_grad:
            index = met.index
            places.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._pulled(index, gradient)
            )
        colours = self._coloured(met, tiles.cameras)
        return blended(places, conics, gaussians.opacities[met.index], colours, met, tiles)

    def _pulled(self, index: Tensor, gradient: Tensor) -> None:
        """Add up how much the pictures pull at each Gaussian, and how often."""
        assert self._pulls is not None
        self._pulls[0].index_add_(0, index, gradient.norm(dim=1))
        self._pulls[1].index_add_(0, index, (gradient != 0).any(dim=1).to(gradient))

    def loss(self, batch: RayBatch) -> Tensor:
        """Return the mean squared error of the batch's pixels."""
        assert batch.views is not None and batch.pixels is not None, "pixels come from pictures"
        unknown = self.configuration["background"] is None
        back = behind(batch.colours, self.background, drawn=unknown and self.training)
        if batch.squares is not None:
            squares = batch.squares
            tiles = Tiles(batch.cameras, squares.views, squares.corners, squares.side)
            light, left = self._drawn(tiles, watched=self._grows and self.training)
            kept = squares.kept
        else:
            order = torch.argsort(batch.views, stable=True)
            views = batch.views[order].cpu().numpy()
            corners = batch.pixels[order].floor().long().cpu().numpy()
            light, left = self._drawn(Tiles(batch.cameras, views, corners, 1))
            kept = torch.argsort(order)
        seen = light.view(-1, 3)[kept] + left.view(-1, 1)[kept] * back
        return batch.error(seen)

    def render_view(self, camera: Camera, *, chunk: int = CHUNK) -> Tensor:
        """Draw what a camera sees, tile by tile."""
        del chunk
        light, left = self._drawn(Tiles.of(camera))
        seen = light + left[:, :, None] * self.background
        return picture_of(seen, camera).clamp(0, 1)

    def begin_frame(self, index: int) -> None:
        """Begin to count what pulls at the Gaussians."""
        del index
        self._rounds = 0
        self._count()

    def _count(self) -> None:
        rows = self.opacity.opacities.detach()
        self._pulls = (torch.zeros_like(rows), torch.zeros_like(rows))

    def after_step(self, iteration: int) -> bool:
        """Clone, split and prune, now and then."""
        del iteration
        due = _FROM + (_TO - _FROM) * self._rounds / _ROUNDS
        if not self._grows or self._rounds >= _ROUNDS or self.progress < due:
            return False
        assert self._pulls is not None
        self._rounds += 1
        pull = self._pulls[0] / self._pulls[1].clamp_min(1)
        densify({n: p.data for n, p in self._parts().items()}, pull, _CLONED * self.edge)
        self._count()
        return True

    def end_frame(self) -> None:
        """Leave out the free rows: the state has the Gaussians that there are."""
        self._fresh, self._grows, self._pulls = False, False, None
        kept = torch.nonzero(~free_rows(self.opacity.opacities.detach()))[:, 0]
        for layer in self.layers():
            for name, old in list(layer.named_parameters(recurse=False)):
                learns = old.requires_grad
                setattr(layer, name, nn.Parameter(old.detach()[kept], requires_grad=learns))
