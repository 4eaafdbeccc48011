"""What structure from motion may be told, and the error with which it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nmc_framework.cameras.formats.colmap import MODEL_NAMES

#: Most features that are kept of an image, COLMAP's own default.
_FEATURES = 8192
_MOST_RIVALS = 16
Pairing = Literal["auto", "exhaustive", "sequential", "retrieval"]
PAIRINGS: tuple[Pairing, ...] = ("auto", "exhaustive", "sequential", "retrieval")


class SfmError(ValueError):
    """Images from which no rig can be solved; names the camera, the frame or the folder."""


@dataclass(frozen=True)
class SfmOptions:
    """How a rig is solved.

    Parameters
    ----------
    camera_model
        COLMAP's name of the lens model that is estimated, in lower case; not used where the
        intrinsics are known.
    shared_intrinsics
        One set of intrinsics for all cameras: right for cameras of one make and setting, and then
        much better conditioned.
    refine
        Ends with a bundle adjustment under a robust loss (Triggs et al. 2000, section 3), so that
        wrong correspondences do not pull at the cameras.
    allow_partial
        Cameras that cannot be registered are left out and reported instead of refused.
    features
        At most so many are kept of an image.
    seed
        Of everything random; the same seed gives the same numbers.
    rivals
        So many times the rig is mapped again, from other beginnings, to see whether the pictures
        allow another one.
    pairs
        Which cameras are compared; see :func:`~nmc_framework.sfm.camera_pairs.choose_pairs`.

    Raises
    ------
    SfmError
        When the camera model is not known, or a number is out of its range.
    """

    camera_model: str = "simple_radial"
    shared_intrinsics: bool = False
    refine: bool = True
    allow_partial: bool = False
    features: int = _FEATURES
    seed: int = 0
    rivals: int = 2
    pairs: Pairing = "auto"

    def __post_init__(self) -> None:
        known = [name.lower() for name in MODEL_NAMES]
        if self.camera_model not in known:
            raise SfmError(f"no camera model {self.camera_model!r}; there are {', '.join(known)}")
        if self.features < 1 or not 0 <= self.seed < 2**31:
            raise SfmError("features is at least 1, and seed a number from 0 to 2^31 - 1")
        if self.pairs not in PAIRINGS:
            raise SfmError(f"no pairing {self.pairs!r}; there are {', '.join(PAIRINGS)}")
        if not 0 <= self.rivals <= _MOST_RIVALS:
            raise SfmError(f"rivals is a number from 0 to {_MOST_RIVALS}")
