"""Camera parameters and their conversion: the second box of figure 5-1 (clause 5.1)."""

from nmc_framework.cameras.camera import Camera, CameraError, Rays, look_at
from nmc_framework.cameras.rig_json import read_rig, write_rig
from nmc_framework.cameras.viewpoint import Viewpoint

__all__ = ["Camera", "CameraError", "Rays", "Viewpoint", "look_at", "read_rig", "write_rig"]
