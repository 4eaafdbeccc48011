"""A procedural dynamic multi-view scene: what a demo or a test films when it has no footage."""

from nmc_framework.scene.diorama import BACKGROUND, BOUNDS
from nmc_framework.scene.footage import film, view_all
from nmc_framework.scene.rig import TARGET, Rig, arc_rig, orbit_camera
from nmc_framework.scene.tracer import render

__all__ = [
    "BACKGROUND",
    "BOUNDS",
    "TARGET",
    "Rig",
    "arc_rig",
    "film",
    "orbit_camera",
    "render",
    "view_all",
]
