"""What the experiments on scenes share: a short film of several cameras, and models of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nmc_framework.cameras import Camera
from nmc_framework.models import build, family
from nmc_framework.models.dynamic import GroupModel
from nmc_framework.models.radiance.fitting import LATER_RAYS, iterations
from nmc_framework.models.views import ViewModel, shown
from nmc_framework.rendering import render_image
from nmc_framework.training import FrameViews, GroupPixels, Schedule, train_on
from nmc_tools.commands.chain_run import LATER, RAYS
from nmc_tools.commands.footage import Footage
from nmc_tools.experiments.inputs import learned
from nmc_tools.experiments.kept import State

Report = Callable[[int, int, str], None]
#: Pictures of views, (instants, views, height, width, 3) uint8.
Pictures = npt.NDArray[np.uint8]
#: A channel that is further than this from its median over the instants moves, of 255.
_MOVES = 12


@dataclass(frozen=True, eq=False)
class Film:
    """A few frames of several cameras, some of which are held out.

    ``views`` are the frames of the cameras to train with, ``truth`` what those held out see.
    """

    name: str
    footage: Footage
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    views: Sequence[FrameViews]
    truth: Pictures

    @classmethod
    def of(cls, name: str, footage: Footage, held_out: Sequence[str] | None) -> Film:
        """Read the frames of footage once."""
        training, kept = footage.split(held_out)
        views = list(footage.views(training))
        truth = np.stack([np.stack(each.images) for each in footage.views(kept)])
        return Film(name, footage, tuple(training), tuple(kept), views, truth)

    @property
    def cameras(self) -> list[Camera]:
        """The cameras to train with."""
        return self.footage.cameras(self.training)

    @property
    def tests(self) -> list[Camera]:
        """The cameras held out."""
        return self.footage.cameras(self.held_out)

    @property
    def pixels(self) -> int:
        """Pixels of all frames of the cameras to train with."""
        return len(self.views) * sum(camera.width * camera.height for camera in self.cameras)

    @cached_property
    def content(self) -> dict[str, Any]:
        """What results follow from, as JSON values."""
        digest = hashlib.sha256()
        images = [image for views in self.views for image in views.images]
        for image in [self.truth, *images]:
            digest.update(f"{image.shape} {image.dtype}".encode())
            digest.update(np.ascontiguousarray(image).tobytes())
        return {
            "pictures": digest.hexdigest(),
            "times": [views.time for views in self.views],
            "cameras": [_told(camera) for camera in self.cameras],
            "held out": [_told(camera) for camera in self.tests],
            "bounds": self.footage.bounds,
            "background": self.footage.background,
        }

    @cached_property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Which pixels of the truth move, (instants, views, height, width)."""
        apart = np.abs(self.truth.astype(np.int16) - np.median(self.truth, axis=0))
        return np.asarray(apart.max(axis=-1) > _MOVES)

    def of_view(self, view: int) -> Film:
        """Return the same film with one of the held-out cameras alone."""
        return replace(self, held_out=(self.held_out[view],), truth=self.truth[:, [view]])

    def psnr(self, seen: Pictures, *, moving: bool = False) -> float:
        """Return the PSNR in dB of all pixels of the truth, or of those that move."""
        error = (seen.astype(np.float32) - self.truth) / 255
        chosen = error[self.moving] if moving else error
        if not chosen.size:
            return float("nan")
        return float(-10 * np.log10(max(float(np.mean(chosen.astype(np.float64) ** 2)), 1e-10)))

    def configuration(self, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return all options of a family for the scene; of groups, for one of all its frames."""
        kind = family(name)
        whole = kind.defaults()
        fitted = self.footage.options(whole, self.training)
        if issubclass(kind, GroupModel):
            fitted["instants"] = len(self.views)
        return whole | fitted | (options or {})

    def model(
        self, name: str, options: dict[str, Any] | None = None, *, seed: int = 0
    ) -> ViewModel:
        """Build a model of a family for the scene; of groups, one of all its frames."""
        return shown(build(name, self.configuration(name, options), seed=seed))

    def learned(self, name: str, schedule: Schedule) -> dict[str, Any]:
        """Return what the weights of a family follow from, as JSON values."""
        return {"film": self.content} | learned(name, self.configuration(name), schedule)


def _told(camera: Camera) -> dict[str, Any]:
    return {**vars(camera), "camera_to_world": camera.camera_to_world.tolist()}


def group_schedule(film: Film, name: str, share: float) -> Schedule:
    """Return how long a model learns all frames of a film at once.

    One that knows nothing of time learns as long as one of a group.
    """
    kind = family(name)
    times = kind.times[0] if issubclass(kind, GroupModel) else GroupModel.times[0]
    return Schedule(first=max(1, round(share * times * iterations(film.cameras))), rays=RAYS)


def trained_group(film: Film, model: ViewModel, schedule: Schedule) -> State:
    """Train a model on all frames of a film at once; return its state."""
    examples = GroupPixels(model, film.cameras, film.views)
    return train_on(model, examples, schedule, frame=0).state


def planned(film: Film, share: float) -> Schedule:
    """Return the usual schedule of frames, at a share of its iterations."""
    return Schedule(
        first=max(1, round(share * iterations(film.cameras))),
        later=max(1, round(share * LATER)),
        rays=RAYS,
        later_rays=round(LATER_RAYS * RAYS),
    )


def seen(film: Film, model: ViewModel, instant: int) -> Pictures:
    """Return what the held-out cameras see of a model at an instant, (views, height, width, 3)."""
    time = float(instant) if isinstance(model, GroupModel) else None
    return np.stack([render_image(model, camera, time=time) for camera in film.tests])


def seen_of_group(film: Film, model: ViewModel) -> Pictures:
    """Return what the held-out cameras see of one model of all frames."""
    return np.stack([seen(film, model, instant) for instant in range(len(film.views))])
