"""Structure from motion: the cameras of a rig from its own images (clause 5.1), by pycolmap."""

from nmc_framework.sfm.sfm_options import SfmError, SfmOptions
from nmc_framework.sfm.solution import CameraFit, PointCloud, RigSolution
from nmc_framework.sfm.solve import solve_rig
from nmc_framework.sfm.unplaced import UnplacedError
from nmc_framework.sfm.verdict import Reason, Verdict, against_known

__all__ = [
    "CameraFit",
    "PointCloud",
    "Reason",
    "RigSolution",
    "SfmError",
    "SfmOptions",
    "UnplacedError",
    "Verdict",
    "against_known",
    "solve_rig",
]
