"""One picture of an object to a mesh with its texture and light, and to a film that turns it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from nmc_framework.inverse.learning import require_fitting
from nmc_framework.inverse.mesh_files import Mesh
from nmc_framework.inverse.multiview import MultiView, ObjectsError
from nmc_framework.inverse.network import InverseGraphics, Object3d
from nmc_framework.inverse.rasterise import as_picture, normals
from nmc_framework.inverse.viewpoints import DISTANCE, ELEVATION

Pixels = npt.NDArray[np.uint8]

#: Least side of a picture that is scaled up for a network.
_LEAST = 8


def open_picture(path: Path, size: int) -> Pixels:
    """Return a picture cut to a square about its middle and scaled, (size, size, 3) uint8.

    Raises
    ------
    ObjectsError
        When it cannot be read, is too small, too large, or of one colour.
    """
    try:
        with warnings.catch_warnings():
            # A picture as large as that is refused, not warned of.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                pixels = _squared(ImageOps.exif_transpose(opened), path.name, size)
    except ObjectsError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ObjectsError(
            f"{path.name} is too large to be opened; scale it down, {size}x{size} is enough"
        ) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise ObjectsError(f"{path.name} cannot be read as a picture: {error}") from None
    if (pixels == pixels[0, 0]).all():
        raise ObjectsError(
            f"{path.name} is of one colour: there is no object in it; give another picture"
        )
    return pixels


def _squared(image: Image.Image, name: str, size: int) -> Pixels:
    """Return the square about a picture's middle, scaled, (size, size, 3) uint8."""
    width, height = image.size
    if min(width, height) < _LEAST:
        raise ObjectsError(
            f"{name} is {width}x{height}: nothing can be seen in it; give a picture of "
            f"{_LEAST}x{_LEAST} at least, {size}x{size} is best"
        )
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    how = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
    return np.asarray(image.convert("RGB").crop(box).resize((size, size), how))


def found_in(model: InverseGraphics, picture: Pixels) -> Object3d:
    """Return the one object that a network finds in a picture (size, size, 3) uint8."""
    size = int(model.configuration["size"])
    if picture.shape != (size, size, 3):
        raise ObjectsError(f"the network takes pictures of {size}x{size}, not {picture.shape}")
    model.eval()
    with torch.no_grad():
        values = torch.from_numpy(picture.copy()).to(model.poses.device)
        found: Object3d = model(values.permute(2, 0, 1)[None] / 255.0)
    return found


def mesh_of(model: InverseGraphics, found: Object3d) -> Mesh:
    """Return the mesh of one object."""
    towards, _ = normals(found.vertices, model.shape)
    texture = found.texture[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().byte()
    return Mesh(
        found.vertices[0].cpu().numpy().astype(np.float32),
        towards[0].cpu().numpy().astype(np.float32),
        model.shape.faces,
        model.shape.texture,
        texture.cpu().numpy(),
        tuple(float(value) for value in found.light[0]),
    )


def turned(
    model: InverseGraphics, found: Object3d, *, pictures: int = 72, size: int = 256
) -> Iterator[Pixels]:
    """Yield pictures (size, size, 3) of one object that turns once."""
    for k in range(pictures):
        around = [[360.0 * k / pictures, ELEVATION, DISTANCE]]
        pose = torch.tensor(around, device=model.poses.device)
        with torch.no_grad():
            yield as_picture(model.shown(found, pose, size=size))[0]


def seen_from_all(model: InverseGraphics, views: MultiView, number: int, shown: int) -> Pixels:
    """Return what a network sees of an object from all viewpoints, (V, size, size, 3) uint8.

    It is shown the picture from viewpoint ``shown``.

    Raises
    ------
    ObjectsError
        When the set has other viewpoints or pictures of another size than the model.
    """
    require_fitting(model, views)
    found = found_in(model, views.pictures[number, shown])
    every = torch.zeros(len(views.annotated), dtype=torch.long)
    with torch.no_grad():
        return as_picture(model.shown(found[every], model.poses))
