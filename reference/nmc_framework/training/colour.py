"""How each camera saw colours: an affine map a view and frame, learned beside the scene.

Cameras set their exposure and white balance by themselves. A scene that had to explain that would
put fog before the cameras; here the rendered colour is taken through a small map of each view's
before it is compared with the picture (as NeRF in the Wild does with an embedding, Martin-Brualla
et al. 2021, and Urban Radiance Fields with an affine map, Rematas et al. 2022, section 3.3). The
maps belong to the training record, not to the scene: their mean over the views is the identity, so
that a viewpoint of nobody's camera shows the scene as the cameras saw it on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nmc_framework.models import ChainModel, RayBatch

#: Whether maps are learned; ``auto`` leaves them out where the cameras turn out to see alike.
Colour = Literal["off", "on", "auto"]
Matrices = Mapping[str, npt.NDArray[np.float64]]

#: Of Adam; a hundred steps are enough for a stop of exposure.
_RATE = 3e-3
#: Change of a middle grey, as root mean square over views and channels, below which cameras saw
#: alike: on pictures of one exposure maps of 0.01 to 0.02 are learned from noise, of cameras with
#: exposures of their own 0.05.
_ALIKE = 0.03
#: Rounds of reweighting, the error below which a pixel counts in full, and how many pixels the map
#: before is worth.
_ROUNDS, _EXACT, _HOLD = 6, 0.02, 4.0
#: What the mean square of the maps' distance from the identity counts in the loss.
_PENALTY = 1e-3


class ColourMaps(nn.Module):
    """An affine map (3, 4) for each view: picture = A·(r, g, b) + b.

    Parameters
    ----------
    views
        Names of the training views.
    known
        Maps (3, 4) by view to begin with, those of the frame before; the identity for others.
    """

    def __init__(self, views: Sequence[str], known: Matrices | None = None) -> None:
        super().__init__()
        self.views = tuple(views)
        begin = [np.eye(3, 4) if not known or v not in known else known[v] for v in self.views]
        identity = torch.eye(3, 4)
        self.register_buffer("identity", identity)
        self.change = nn.Parameter(torch.tensor(np.array(begin), dtype=torch.float32) - identity)

    def developing(self, batch: RayBatch) -> RayBatch:
        """Return the batch, told how each of its rays' cameras saw colours."""
        assert batch.views is not None, "pixels were drawn from pictures"
        maps = (self.change + torch.eye(3, 4, device=self.change.device))[batch.views]

        def develop(rendered: Tensor) -> Tensor:
            return torch.einsum("nij,nj->ni", maps[:, :, :3], rendered) + maps[:, :, 3]

        return replace(batch, develop=develop)

    def alike(self) -> bool:
        """Whether the maps change a middle grey so little that the cameras saw alike."""
        grey = torch.tensor([0.5, 0.5, 0.5, 1.0], device=self.change.device)
        changed = torch.einsum("vij,j->vi", self.change.detach(), grey)
        return float(changed.square().mean().sqrt()) < _ALIKE

    @torch.no_grad()
    def anticipate(self, model: ChainModel, batch: RayBatch) -> None:
        """Fit the maps to a new frame's pictures while the model still shows the frame before.

        Almost all of a scene stands still: what differs everywhere is exposure. Each view's map is
        the one with the least absolute error, by reweighted least squares that hold on to the map
        before, so that what moved does not count.
        """
        assert batch.views is not None, "pixels were drawn from pictures"
        seen: list[Tensor] = []

        def look(rendered: Tensor) -> Tensor:
            seen.append(rendered)
            return rendered

        was_training = model.training
        model.eval()
        model.loss(replace(batch, develop=look))
        model.train(was_training)
        if not seen:
            return  # a family that does not heed how cameras saw colours
        for view in range(len(self.views)):
            mine = batch.views == view
            fitted = _fitted(seen[-1][mine], batch.colours[mine], self.change[view])
            self.change[view] = fitted
        self.settle()

    def penalty(self) -> Tensor:
        """Return what the maps themselves add to the loss."""
        return _PENALTY * self.change.square().mean()

    @torch.no_grad()
    def settle(self) -> None:
        """Make the mean map the identity: what all cameras have in common belongs to the scene."""
        self.change.sub_(self.change.mean(dim=0))

    def matrices(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the map (3, 4) of each view."""
        maps = (self.change.detach() + torch.eye(3, 4, device=self.change.device)).cpu().double()
        return dict(zip(self.views, maps.numpy(), strict=True))

    def optimiser(self) -> torch.optim.Optimizer:
        """Return what moves the maps."""
        return torch.optim.Adam(self.parameters(), lr=_RATE, betas=(0.9, 0.99))


def _fitted(rendered: Tensor, pictured: Tensor, before: Tensor) -> Tensor:
    """Return the change (3, 4) that takes rendered colours (N, 3) to those of the picture."""
    inputs = torch.cat([rendered, torch.ones_like(rendered[:, :1])], dim=1).double()
    wanted = (pictured - rendered).double()
    hold = _HOLD * torch.eye(4, dtype=torch.float64, device=inputs.device)
    change = before.double()
    for _ in range(_ROUNDS):
        error = (inputs @ change.T - wanted).abs().amax(dim=1, keepdim=True)
        weight = _EXACT / error.clamp_min(_EXACT)
        normal = inputs.T @ (weight * inputs) + hold
        change = torch.linalg.solve(
            normal, inputs.T @ (weight * wanted) + hold @ before.double().T
        ).T
    return change.float()
