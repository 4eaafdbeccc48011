"""How near the pictures of a decoded model are to those of the original one: *fidelity*, in dB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nmc_framework.evaluation.gallery import spread
from nmc_framework.metrics import psnr
from nmc_framework.models import build
from nmc_framework.models.views import shown

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera

State = Mapping[str, Any]

VIEWS = 4
"""So many cameras are rendered, evenly apart: a search asks for pictures again and again."""


def fidelity(
    family: str, configuration: Any, cameras: Sequence[Camera], *, views: int = VIEWS
) -> Callable[[State, State], float]:
    """Return a distortion for :class:`nmc.Quantisation`, by renderings.

    Parameters
    ----------
    family, configuration
        Of the model, as in its package.
    cameras
        Of which some are rendered, at their own size.
    views
        How many.

    Returns
    -------
    callable
        Two states, by name: the decoded and the original one. Returns the PSNR in dB between what
        the cameras see of them; infinity if that is the same.

    Raises
    ------
    ModelError
        If the family cannot be built, or cameras do not see it.
    """
    model = build(family, configuration)
    model.eval()
    seen_by = spread(list(cameras), views)
    view = shown(model)
    known: list[Any] = [None, None]

    def pictures(state: State) -> np.ndarray[Any, Any]:
        model.load(state)
        with torch.no_grad():
            found = [view.render_view(camera).clamp(0, 1).cpu().numpy() for camera in seen_by]
        return np.concatenate([picture.reshape(-1, 3) for picture in found])

    def distortion(state: State, original: State) -> float:
        if known[0] is not original:
            known[:] = [original, pictures(original)]
        return psnr(pictures(state), known[1])

    return distortion
