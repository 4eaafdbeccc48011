"""Focal lengths that photographs carry with them (Exif 2.32, section 4.6.5)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from PIL import Image

#: Tags: focal length in mm, the same for 35 mm film, pixels per unit on the sensor, and that unit.
_FOCAL, _FOCAL_35, _DENSITY, _UNIT = 0x920A, 0xA405, 0xA20E, 0xA210
_SUB_TABLE = 0x8769
#: Millimetres of the units 2 (inch), 3 (centimetre), 4 (millimetre) and 5 (micrometre).
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
#: Diagonal of a frame of 35 mm film in mm, to which equivalent focal lengths relate (CIPA DCG-001).
_DIAGONAL = math.hypot(36.0, 24.0)
#: A focal length outside of these shares of the longer side is taken for a mistake.
_LEAST, _MOST = 0.2, 20.0


def focal_length(path: Path) -> float | None:
    """Return the focal length in pixels that a photograph's Exif data state; None without.

    By the equivalent for 35 mm film, which relates to the diagonal; else by the focal length and
    the sensor's pixel density; else as COLMAP's table of sensors has it for the camera's model.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            tags = dict(image.getexif().get_ifd(_SUB_TABLE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    longer = max(width, height)
    for found in (_equivalent(tags, width, height), _measured(tags, longer), _listed(path)):
        if found is not None and _LEAST * longer <= found <= _MOST * longer:
            return found
    return None


def _equivalent(tags: dict[int, Any], width: int, height: int) -> float | None:
    focal = _number(tags.get(_FOCAL_35))
    return None if focal is None else focal * math.hypot(width, height) / _DIAGONAL


def _measured(tags: dict[int, Any], longer: int) -> float | None:
    """Return focal length times pixel density, where the density is that of this picture's size."""
    focal, density = _number(tags.get(_FOCAL)), _number(tags.get(_DENSITY))
    unit = _UNITS.get(int(_number(tags.get(_UNIT)) or 2))
    if focal is None or density is None or unit is None:
        return None
    taken = max(_number(tags.get(0xA002)) or 0, _number(tags.get(0xA003)) or 0) or longer
    return focal * density / unit * longer / taken


def _listed(path: Path) -> float | None:
    try:
        import pycolmap

        found = pycolmap.Bitmap.read(path, as_rgb=False)
        focal = None if found is None else found.exif_focal_length()
        return None if focal is None else float(focal)
    except (ImportError, RuntimeError, ValueError, TypeError):
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
