"""What experiments and the demonstration take where nobody gives a film or a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nmc_framework.scene import scenes
from nmc_framework.super_resolution.coding import code_video
from nmc_framework.super_resolution.criteria import criterion
from nmc_framework.super_resolution.resampling import Pictures
from nmc_tools.super_resolution.pretraining import pretrained
from nmc_tools.super_resolution.training import network

#: The embedded scene that is filmed, by two cameras one after the other, so that there is a cut.
_SCENE, _RATE = "room", 12
#: Iterations' batches, and sides of patches, of the network that is made.
_BATCH, _PATCH = 8, 24
#: Options of that network.
_OPTIONS = ("blocks=6", "channels=16")


def base_network(
    path: Path, iterations: int, report: Callable[..., None], coded: int | None = None
) -> Path:
    """Return the package of a small pre-trained network, made where it is not there.

    With ``coded`` it learns from small pictures that were coded with that rate factor.
    """
    if not path.exists():
        pretrained(
            network("edsr", 2, "small", _OPTIONS, 0),
            None,
            path,
            criterion=criterion("l1"),
            iterations=iterations,
            batch=_BATCH,
            patch=_PATCH,
            augment=True,
            seed=0,
            coded=coded,
            report=report,
        )
    return path


def embedded_film(path: Path, *, pictures: int = 24, size: tuple[int, int] = (128, 96)) -> Path:
    """Return a film of an embedded scene, nearly without loss, made where it is not there."""
    if not path.exists():
        film_scene(path, pictures, size)
    return path


def film_scene(path: Path, pictures: int, size: tuple[int, int]) -> None:
    """Write a film of an embedded scene by two cameras, ``size`` (width, height) in pixels."""
    ticks = list(range(pictures))
    code_video(path, _filmed(pictures, size), ticks, _RATE, factor=4, chroma="yuv444p")


def _filmed(pictures: int, size: tuple[int, int]) -> Iterator[Pictures]:
    scene = scenes()[_SCENE]
    cameras = scene.rig(size).cameras
    for index in range(pictures):
        camera = cameras[0] if index < pictures // 2 else cameras[len(cameras) // 2]
        yield scene.render(camera, index / _RATE)
