"""Rendering whole images from a model of one frame (clause 5.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from nmc_framework.allocation import keep_freed_memory
from nmc_framework.cameras import Camera
from nmc_framework.models import ChainModel
from nmc_framework.models.dynamic import GroupModel
from nmc_framework.models.views import CHUNK, shown


def render_image(
    model: ChainModel, camera: Camera, *, chunk: int = CHUNK, time: float | None = None
) -> npt.NDArray[np.uint8]:
    """Render what ``camera`` sees, (height, width, 3) uint8; the model's mode is left as it was.

    ``time`` is the instant of a model of a group, counted from 0; the first unless given.

    Raises
    ------
    ModelError
        When no camera can see the model.
    """
    seen_by = shown(model)
    keep_freed_memory()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        if isinstance(seen_by, GroupModel):
            seen = seen_by.render_view(camera, chunk=chunk, time=time or 0.0)
        else:
            seen = seen_by.render_view(camera, chunk=chunk)
    model.train(was_training)
    image = seen.clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return np.asarray(image.reshape(camera.height, camera.width, 3), dtype=np.uint8)
