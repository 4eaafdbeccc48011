"""What the network learns from, and how well it does: pairs of views, and IoU of held-out masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmc_framework.inverse.multiview import MultiView, ObjectsError
from nmc_framework.inverse.network import InverseGraphics, Views
from nmc_framework.inverse.viewpoints import apart


class ViewPairs:
    """Pairs of views of the same object, as :class:`~nmc_framework.training.Examples`.

    Parameters
    ----------
    views
        The objects to train with.
    single
        Whether each picture is an object of its own, as in a single-view data set: the same
        pictures, but nothing says which of them show the same object.
    """

    def __init__(self, views: MultiView, *, single: bool = False) -> None:
        if not single and len(views.annotated) < 2:
            raise ObjectsError(
                "a multi-view set has two viewpoints at least; train with --single-view"
            )
        self.single = single
        self._pictures = torch.from_numpy(views.pictures)
        self._masks = torch.from_numpy(views.masks)

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        focus: float | None = None,  # noqa: ARG002 - frames of a chain have the same objects
    ) -> Views:
        """Draw ``count`` objects with replacement, and two different viewpoints of each."""
        objects, viewpoints = self._masks.shape[:2]
        chosen = torch.randint(objects, (count,), generator=generator)
        first = torch.randint(viewpoints, (count,), generator=generator)
        if self.single:
            return self._batch(chosen, first[:, None])
        step = torch.randint(1, viewpoints, (count,), generator=generator)
        return self._batch(chosen, torch.stack([first, (first + step) % viewpoints], dim=1))

    def _batch(self, chosen: Tensor, viewpoints: Tensor) -> Views:
        pictures = self._pictures[chosen[:, None], viewpoints].permute(0, 1, 4, 2, 3)
        masks = self._masks[chosen[:, None], viewpoints]
        return Views(pictures.float() / 255, masks.float() / 255, viewpoints)

    def kept_back(self, seed: int) -> None:  # noqa: ARG002 - held-out objects are scored apart
        """Return nothing."""
        return


@dataclass(frozen=True)
class Scores:
    """How well a network does on objects that it has not seen.

    Parameters
    ----------
    same, other
        Mean intersection over union of masks, of binary pixels: from the viewpoint of the picture
        that it was shown, and from all others.
    worst
        The mean over objects of the worst of an object's views.
    colour
        Mean absolute difference of colours, 0..1, where both masks are, over the other viewpoints.
    cameras
        Mean angle in degrees between the refined viewpoints and the true ones, and what it was by
        the bins; None where nobody knows them.
    """

    same: float
    other: float
    worst: float
    colour: float
    cameras: tuple[float, float] | None


def scored(model: InverseGraphics, views: MultiView) -> Scores:
    """Show the network each picture, and compare what it sees from every viewpoint with the truth.

    Raises
    ------
    ObjectsError
        When the set has other viewpoints or pictures of another size than the model.
    """
    require_fitting(model, views)
    objects, viewpoints = views.masks.shape[:2]
    iou = np.empty((objects, viewpoints, viewpoints))
    colour = np.empty_like(iou)
    model.eval()
    every = model.poses.detach()
    with torch.no_grad():
        for number in range(objects):
            pictures = torch.from_numpy(views.pictures[number]).to(every.device)
            pictures = pictures.permute(0, 3, 1, 2).float() / 255
            masks = torch.from_numpy(views.masks[number]).to(every.device) >= 128
            for shown in range(viewpoints):
                found = model(pictures[shown : shown + 1])
                seen = model.shown(found[torch.zeros(viewpoints, dtype=torch.long)], every)
                mask = seen.mask >= 0.5
                both, either = (mask & masks).sum((1, 2)), (mask | masks).sum((1, 2))
                iou[number, shown] = (both / either.clamp_min(1)).cpu().numpy()
                shared = (mask & masks & seen.solid)[:, None]
                off = (shared * (seen.colour.clamp(0, 1) - pictures).abs()).sum((1, 2, 3))
                colour[number, shown] = (
                    (off / (3 * shared.sum((1, 2, 3))).clamp_min(1)).cpu().numpy()
                )
    own = np.eye(viewpoints, dtype=bool)
    others = ~own if viewpoints > 1 else own
    angles = None
    if views.poses is not None:
        before = apart(views.first_poses(), views.poses).mean()
        angles = (float(apart(every.cpu().numpy(), views.poses).mean()), float(before))
    return Scores(
        same=float(iou[:, own].mean()),
        other=float(iou[:, others].mean()),
        worst=float(iou.min(axis=2).mean()),
        colour=float(colour[:, others].mean()),
        cameras=angles,
    )


def require_fitting(model: InverseGraphics, views: MultiView) -> None:
    """Refuse a set of another size, or of other viewpoints, than a model learned from."""
    size, count = model.configuration["size"], len(model.poses)
    if views.size != size or len(views.annotated) != count:
        raise ObjectsError(
            f"the network learned from {count} viewpoints in pictures of {size}x{size}; the set "
            f"has {len(views.annotated)} of {views.size}x{views.size}: make one with its numbers"
        )
