"""What was computed for pictures: kept for a while, for whoever knows its name."""

from __future__ import annotations

import io
import secrets
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nmc_framework.depth.unet import DepthUnet

#: Results that are kept; the oldest goes for a new one.
_KEPT = 24
#: Millimetres that 16 bits hold.
_MOST = 65535


@dataclass(eq=False)
class Result:
    """A picture, its depth in metres, the focal length in pixels, and files made of them."""

    picture: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    focal: float
    name: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the page is told of it."""
        height, width = self.depth.shape
        return {
            "id": self.name,
            "width": width,
            "height": height,
            "focal": self.focal,
            "nearest": float(self.depth.min()),
            "farthest": float(self.depth.max()),
            "median": float(np.median(self.depth)),
        }

    @property
    def millimetres(self) -> npt.NDArray[np.uint16]:
        """The depth, (height, width) uint16."""
        return np.clip(np.rint(self.depth * 1000), 1, _MOST).astype(np.uint16)

    @cached_property
    def film(self) -> bytes:
        """The turning view as MP4."""
        from nmc_framework.depth.turning import RATE, turning
        from nmc_framework.rendering.video import write_video

        with tempfile.TemporaryDirectory(prefix="nmc-depth-") as folder:
            path = Path(folder) / "turning.mp4"
            write_video(path, turning(self.picture, self.depth, self.focal), RATE, quality=23)
            return path.read_bytes()

    @cached_property
    def mesh(self) -> bytes:
        """The surface as PLY."""
        from nmc_framework.depth.surface import surface, write_ply

        with tempfile.TemporaryDirectory(prefix="nmc-depth-") as folder:
            path = Path(folder) / "surface.ply"
            write_ply(path, surface(self.picture, self.depth, self.focal))
            return path.read_bytes()

    def file(self, what: str) -> tuple[bytes, str] | None:
        """Return a file and its media type; None where there is no such one."""
        from nmc_framework.depth.colouring import coloured

        if what == "depth.bin":
            return self.millimetres.astype("<u2").tobytes(), "application/octet-stream"
        if what == "depth.png":
            return _png(self.millimetres), "image/png"
        if what == "colours.png":
            return _png(coloured(self.depth)), "image/png"
        if what == "picture.png":
            return _png(self.picture), "image/png"
        if what == "turning.mp4":
            return self.film, "video/mp4"
        if what == "surface.ply":
            return self.mesh, "application/octet-stream"
        return None


class Results:
    """The newest results by name."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, Result] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, result: Result) -> None:
        """Keep a result, and forget the oldest."""
        with self._lock:
            self._by_name[result.name] = result
            while len(self._by_name) > _KEPT:
                self._by_name.popitem(last=False)

    def get(self, name: str) -> Result | None:
        """Return a result that is still there."""
        with self._lock:
            return self._by_name.get(name)


def computed(model: DepthUnet, data: bytes, longest: int) -> Result:
    """Return the result of a picture's bytes, reduced so that no side is longer.

    Raises
    ------
    DepthError
        When it is no picture that can be read.
    """
    from nmc_framework.depth.estimate import estimate
    from nmc_framework.depth.pictures import read_picture
    from nmc_framework.depth.surface import usual_focal

    picture = read_picture(data, longest=longest)
    height, width = picture.shape[:2]
    return Result(picture, estimate(model, picture), usual_focal(width, height))


def warmed(model: DepthUnet) -> None:
    """Compile and load what the first picture would have to wait for."""
    from nmc_framework.depth.estimate import estimate
    from nmc_framework.depth.turning import turning

    picture = np.zeros((16, 16, 3), np.uint8)
    for _ in turning(picture, estimate(model, picture), pictures=1):
        pass


def _png(pixels: npt.NDArray[Any]) -> bytes:
    from PIL import Image

    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, "PNG", compress_level=3)
    return coded.getvalue()
