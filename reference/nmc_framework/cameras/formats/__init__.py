"""Camera files of other tools, both ways: the converter that clause 5.1 asks for.

Every reader returns a :class:`RigDocument` in the canonical convention; every writer refuses by
name what its format cannot say.
"""

from nmc_framework.cameras.formats import (
    calibration,
    colmap,
    datasets,
    llff,
    miv,
    photogrammetry,
    transforms,
)
from nmc_framework.cameras.formats.document import (
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
)

__all__ = [
    "ConversionError",
    "Lens",
    "RigDocument",
    "Similarity",
    "calibration",
    "colmap",
    "datasets",
    "llff",
    "miv",
    "photogrammetry",
    "transforms",
]
