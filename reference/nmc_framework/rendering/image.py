"""Rendering whole images from a model of one frame (clause 5.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from nmc_framework.cameras import Camera
from nmc_framework.models import RadianceModel

#: Rays at a time; bounds memory whatever the image size.
CHUNK = 8192


def render_image(
    model: RadianceModel, camera: Camera, *, chunk: int = CHUNK
) -> npt.NDArray[np.uint8]:
    """Render what ``camera`` sees, (height, width, 3) uint8; the model's mode is left as it was."""
    device = next(model.parameters()).device
    rays = camera.rays()
    origins = torch.from_numpy(np.array(rays.origins, dtype=np.float32)).to(device)
    directions = torch.from_numpy(rays.directions.astype(np.float32)).to(device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        colours = [
            model.render_rays(origins[a : a + chunk], directions[a : a + chunk]).colour
            for a in range(0, len(rays), chunk)
        ]
    model.train(was_training)
    image = torch.cat(colours).clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return np.asarray(image.reshape(camera.height, camera.width, 3), dtype=np.uint8)
