"""Procedural dynamic multi-view scenes: what a demo or a test films when it has no footage."""

from nmc_framework.scene.diorama import BACKGROUND, BOUNDS
from nmc_framework.scene.embedded import scenes
from nmc_framework.scene.filming import film, render, view_all
from nmc_framework.scene.imaging import ColourTransform
from nmc_framework.scene.rig import TARGET, Rig, arc_rig, orbit_camera
from nmc_framework.scene.scene import Scene

__all__ = [
    "BACKGROUND",
    "BOUNDS",
    "TARGET",
    "ColourTransform",
    "Rig",
    "Scene",
    "arc_rig",
    "film",
    "orbit_camera",
    "render",
    "scenes",
    "view_all",
]
