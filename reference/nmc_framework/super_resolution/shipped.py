"""Pictures for pre-training where a user has none: those of scikit-image, else embedded scenes.

scikit-image brings photographs that anyone may use; they are read from where it is installed, and
nothing is downloaded. What it says of their licences is listed here, and goes into the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from nmc_framework.super_resolution.pretraining import Gallery, multiple
from nmc_framework.super_resolution.resampling import Pictures

#: Photographs that scikit-image brings, by the function that returns each, and their licences.
PHOTOGRAPHS = {
    "astronaut": "public domain (NASA)",
    "brick": "CC0 (CC0Textures)",
    "camera": "CC0 (Lav Varshney)",
    "chelsea": "CC0 (Stefan van der Walt)",
    "coffee": "CC0 (Rachel Michetti)",
    "coins": "no known restrictions (Brooklyn Museum)",
    "grass": "CC0 (Linolafett, Poly Haven)",
    "gravel": "CC0 (CC0Textures)",
    "hubble_deep_field": "public domain (NASA)",
    "rocket": "public domain (SpaceX)",
    "stereo_motorcycle": "CC0 (Middlebury stereo data set)",
}
#: Size in pixels, and seconds apart, of what an embedded scene is filmed as.
_FILMED, _APART, _INSTANTS = (192, 144), 0.5, 4
#: The longest side of a photograph; larger ones are made smaller, which makes them sharper too.
_LONGEST = 768


def photographs(scale: int) -> Gallery | None:
    """Return the photographs of scikit-image, or None where it is not installed.

    ``names`` say the licence of each too.
    """
    try:
        from skimage import data
    except ModuleNotFoundError:
        return None
    pictures, names = [], []
    for name, licence in PHOTOGRAPHS.items():
        picture = _photograph(getattr(data, name, None))
        if picture is not None:
            pictures.append(multiple(picture, scale))
            names.append(f"{name}: {licence}")
    return Gallery(pictures, names) if pictures else None


def _photograph(load: Callable[[], Any] | None) -> Pictures | None:
    """Return what a function of scikit-image loads; None where this version does not bring it."""
    if load is None:
        return None
    try:
        found = load()
    except Exception:
        return None
    array = np.asarray(found[0] if isinstance(found, tuple) else found)
    colours = np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array[..., :3]
    picture = np.ascontiguousarray(colours, dtype=np.uint8)
    longest = max(picture.shape[:2])
    if longest <= _LONGEST:
        return picture
    height, width = (max(1, round(side * _LONGEST / longest)) for side in picture.shape[:2])
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.uint8)


def scene_pictures(scale: int) -> Gallery:
    """Return pictures of the embedded scenes: they are worked out here, and are free of rights."""
    found = list(_filmed())
    return Gallery([multiple(picture, scale) for _, picture in found], [name for name, _ in found])


def _filmed() -> Iterator[tuple[str, Pictures]]:
    from nmc_framework.scene import scenes

    for name, scene in scenes().items():
        for camera in scene.rig(_FILMED).cameras[:2]:
            for instant in range(_INSTANTS):
                yield f"{name} at {instant * _APART:g} s", scene.render(camera, instant * _APART)
