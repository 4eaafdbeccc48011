"""``nmc sr pretrain``: a package of one frame, the network as many pictures made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nmc
from nmc_framework.super_resolution.criteria import Criterion
from nmc_framework.super_resolution.luma import luma_psnr
from nmc_framework.super_resolution.pretraining import Gallery, multiple, pre_train, read_gallery
from nmc_framework.super_resolution.resampling import Pictures, bicubic, reduced
from nmc_framework.super_resolution.self_transfer import BEFORE
from nmc_framework.super_resolution.shipped import photographs, scene_pictures
from nmc_framework.super_resolution.upscaler import Upscaler
from nmc_framework.training import Progress

#: Side in pixels of the middle of each picture that the result is judged by.
_JUDGED = 192


def gallery_of(folder: Path | None, scale: int) -> tuple[Gallery, str]:
    """Return the pictures to learn from, and what they are called."""
    if folder is not None:
        return read_gallery(folder, scale), folder.name
    found = photographs(scale)
    if found is not None:
        return found, "scikit-image"
    return scene_pictures(scale), "the embedded scenes"


def pretrained(
    model: Upscaler,
    folder: Path | None,
    output: Path,
    *,
    criterion: Criterion,
    iterations: int,
    batch: int,
    patch: int,
    augment: bool,
    seed: int,
    report: Callable[..., None],
    coded: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Train a network into a package; return what is worth telling of it as JSON values."""
    gallery, source = gallery_of(folder, model.scale)

    def tell(at: Progress) -> None:
        report(at.iteration, at.iterations, note=f"loss {at.loss:.4f}")

    frame = pre_train(
        model,
        gallery,
        criterion,
        iterations=iterations,
        batch=batch,
        patch=patch,
        augment=augment,
        seed=seed,
        coded=coded,
        report=tell,
    )
    told = {
        "family": model.family,
        "configuration": model.configuration,
        "weights": sum(p.numel() for p in model.parameters()),
        "source": source,
        "pictures": len(gallery.pictures),
        "names": list(gallery.names),
        "left_out": list(gallery.left_out),
        "coded": coded,
        "iterations": frame.iterations,
        "seconds": frame.seconds,
        **judged(model, gallery.pictures),
    }
    with nmc.Writer(output, timescale=1, overwrite=force, **model.in_package()) as writer:
        writer.append(
            frame.state,
            presentation_time=BEFORE,
            iterations=frame.iterations,
            seconds=frame.seconds,
            trained_from_previous=False,
            extras={"pre-trained on": source, "pictures": list(gallery.names)[:256]},
        )
    return told | {"bytes": output.stat().st_size}


def judged(model: Upscaler, pictures: Any) -> dict[str, float]:
    """Return mean PSNR of pictures' middles, of the network and of the bicubic filter."""
    scale = model.scale
    network, plain = [], []
    for picture in pictures:
        truth = multiple(_middle(picture), scale)
        small = reduced(truth[None], scale)
        network.append(luma_psnr(model.enlarge(small)[0], truth, scale))
        plain.append(luma_psnr(bicubic(small, scale)[0], truth, scale))
    return {"psnr": float(np.mean(network)), "bicubic": float(np.mean(plain))}


def _middle(picture: Pictures) -> Pictures:
    top, left = (max(0, (side - _JUDGED) // 2) for side in picture.shape[:2])
    return picture[top : top + _JUDGED, left : left + _JUDGED]
