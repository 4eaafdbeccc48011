"""What the commands of the framework share: one-line errors, and options in one form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.terminal import refuse_input

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.formats import RigDocument

#: Where these commands stand in the help.
PANEL = r"Framework (pip install 'neural-model-chain\[framework]')"

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Size in pixels, such as 320x180.")
]


@contextmanager
def framework(place: str | Path) -> Iterator[None]:
    """Run what needs the framework: its errors become one line, and so does its absence."""
    # Read by the OpenMP runtime when torch is loaded: threads that wait sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"nmc", "nmc_format", "nmc_framework"}:
            raise
        refuse_input(
            "input/unsupported",
            str(place),
            f"it needs {error.name}",
            "pip install 'neural-model-chain[framework]'",
        )
    except (ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("nmc_framework."):
            raise
        refuse_input("input/unreadable", str(place), " ".join(str(error).split()))


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return (width, height) of ``WxH``."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(f"{text!r} is no size; write such as 320x180")
    return int(parts[0]), int(parts[1])


def parse_device(text: str) -> str:
    """Return the torch device, where it is there."""
    import torch

    try:
        device = torch.device(text)
    except RuntimeError:
        raise typer.BadParameter(f"{text!r} is no device; write such as cpu or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise typer.BadParameter(f"{text}: there are {torch.cuda.device_count()} CUDA devices")
    return text


def require_new(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file, unless forced."""
    if path.exists() and not force:
        refuse_input("host/exists", str(path), "", "choose another name, or overwrite with --force")


def package_cameras(rig: RigDocument) -> Any:
    """Return cameras without distortion in the form that a manifest takes."""
    import numpy as np

    import nmc

    return nmc.Cameras(
        names=[camera.name for camera in rig.cameras],
        size=np.array([[c.width, c.height] for c in rig.cameras]),
        intrinsics=np.array([[c.fx, c.fy, c.cx, c.cy] for c in rig.cameras]),
        camera_to_world=np.array([c.camera_to_world[:3] for c in rig.cameras]),
        normalisation=rig.normalisation.matrix,
    )


def cameras_in(sequence: Any) -> list[Camera]:
    """Return the cameras of an opened package; none where it has none."""
    import numpy as np

    from nmc.records import cameras_of
    from nmc_framework.cameras import Camera

    found = cameras_of(sequence.manifest)
    if found is None:
        return []
    cameras = []
    for k, name in enumerate(found.names):
        pose = np.eye(4)
        pose[:3] = found.camera_to_world[k]
        width, height = (int(side) for side in found.size[k])
        fx, fy, cx, cy = (float(value) for value in found.intrinsics[k])
        cameras.append(Camera(fx, fy, cx, cy, width, height, pose, name))
    return cameras
