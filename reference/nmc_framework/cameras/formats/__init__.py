"""Camera files of other tools, both ways: the converter that clause 5.1 asks for.

Every reader returns a :class:`RigDocument` in the canonical convention; every writer refuses by
name what its format cannot say. :mod:`~nmc_framework.cameras.formats.camera_files` reads and writes
files of any format that is known, those of other packages too.
"""

from nmc_framework.cameras.formats import (
    calibration,
    camera_files,
    colmap,
    datasets,
    llff,
    miv,
    photogrammetry,
    transforms,
)
from nmc_framework.cameras.formats.format import Format, Found
from nmc_framework.cameras.formats.rig_document import (
    ConversionError,
    Lens,
    RigDocument,
    Similarity,
)

__all__ = [
    "ConversionError",
    "Format",
    "Found",
    "Lens",
    "RigDocument",
    "Similarity",
    "calibration",
    "camera_files",
    "colmap",
    "datasets",
    "llff",
    "miv",
    "photogrammetry",
    "transforms",
]
