"""The embedded scenes by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nmc_framework.scene import diorama, dome, thin, walk
from nmc_framework.scene.imaging import Handheld
from nmc_framework.scene.rig import arc_rig
from nmc_framework.scene.scene import Scene

ROOM = Scene(
    name="room",
    summary="a corner of a room in which things move; bounds and background are known",
    things=diorama.items(),
    lighting=diorama.LIGHTING,
    cameras=lambda size: arc_rig(size=size),
    bounds=diorama.BOUNDS,
    background=diorama.BACKGROUND,
    told=True,
    rate=15,
    frames=20,
    size=(128, 128),
)

EXPOSURE = replace(
    ROOM,
    name="exposure",
    summary="the room; exposure and white balance differ by camera and wander, noise, motion blur",
    imaging=Handheld(),
)

DOME = Scene(
    name="dome",
    summary="two people and a ball in a dark dome with bright lamps, cameras all round inside it",
    things=dome.things(),
    lighting=dome.lighting(),
    cameras=dome.rig,
    bounds=dome.BOUNDS,
    background=None,
    told=False,
    rate=30,
    frames=20,
    size=(320, 180),
    # As calibrated video is: nearly alike, a little noise, no time for blur.
    imaging=Handheld(stops=0.04, warmth=0.04, breath=0.0, instants=1, grain=0.008),
)

WALK = Scene(
    name="walk",
    summary="50 photographs on a walk about an owl of wood; ground to the horizon, hills, a sky",
    things=walk.things(),
    lighting=walk.lighting(),
    cameras=walk.rig,
    bounds=None,
    background=None,
    told=False,
    rate=15,
    frames=1,
    size=(180, 240),
)

THIN = Scene(
    name="thin",
    summary="wires, a fence, leaves and spokes, a mirroring ball and a glossy floor",
    things=tuple(thin.things()),
    lighting=thin.lighting(),
    cameras=thin.rig,
    bounds=thin.BOUNDS,
    background=None,
    told=False,
    rate=15,
    frames=20,
    size=(240, 160),
)


def scenes() -> Mapping[str, Scene]:
    """Return the embedded scenes by name, the easiest first."""
    return {scene.name: scene for scene in (ROOM, EXPOSURE, THIN, WALK, DOME)}
