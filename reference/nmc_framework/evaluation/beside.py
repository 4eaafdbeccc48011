"""Pictures of a lossy model beside its original: lossless, lossy, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nmc_framework.evaluation.gallery import spread
from nmc_framework.evaluation.panel import above, beside, captioned, enlarged
from nmc_framework.metrics import psnr
from nmc_framework.models import build
from nmc_framework.models.views import ViewModel, shown
from nmc_framework.whole_files import write_picture

if TYPE_CHECKING:
    import nmc
    from nmc_framework.cameras import Camera

_FRAMES, _VIEWS = 4, 2
_WIDTH = 240
_TIMES = 4
"""Differences are shown so many times as large."""


def pictures_beside(
    lossy: nmc.ChainSequence, original: Any, cameras: Sequence[Camera], folder: Path
) -> tuple[Path, dict[int, float]]:
    """Draw some frames of both from some cameras.

    Parameters
    ----------
    lossy : ChainSequence
        Its family and configuration are those of both.
    original : sequence of states
        As many frames.
    cameras : sequence of Camera
    folder : Path
        Made if need be.

    Returns
    -------
    Path, dict of int to float
        The picture, and by frame the PSNR in dB between the renderings of both.

    Raises
    ------
    ModelError
        If the family cannot be built, or cameras do not see it.
    """
    model = build(str(lossy.family), lossy.configuration)
    model.eval()
    view = shown(model)
    rows, fidelity = [], {}
    for t in spread(range(len(lossy)), _FRAMES):
        pairs = [
            (_seen(view, original[t], camera), _seen(view, lossy[t], camera))
            for camera in spread(list(cameras), _VIEWS)
        ]
        pixels = [np.concatenate([pair[k].reshape(-1, 3) for pair in pairs]) for k in (1, 0)]
        fidelity[t] = psnr(*pixels)
        rows.append(beside([_strip(a, b, t, fidelity[t]) for a, b in pairs]))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "beside.png"
    write_picture(path, above(rows))
    return path, fidelity


def _seen(view: ViewModel, state: Any, camera: Camera) -> Any:
    view.load(state)
    with torch.no_grad():
        picture = view.render_view(camera).clamp(0, 1).cpu().numpy()
    return picture.reshape(camera.height, camera.width, 3).astype(np.float32)


def _strip(original: Any, lossy: Any, t: int, decibels: float) -> Any:
    apart = np.clip(0.5 + _TIMES * (lossy - original), 0, 1)
    found = "the same" if np.isinf(decibels) else f"{decibels:.1f} dB"
    parts = ((original, f"frame {t}, lossless"), (lossy, f"lossy, {found}"))
    drawn = [captioned(_sized(picture), text) for picture, text in parts]
    return beside([*drawn, captioned(_sized(apart), f"difference, {_TIMES} times")])


def _sized(picture: Any) -> Any:
    pixels = np.round(255 * picture).astype(np.uint8)
    return enlarged(pixels, _WIDTH, max(1, round(_WIDTH * picture.shape[0] / picture.shape[1])))
