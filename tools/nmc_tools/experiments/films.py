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
from nmc_framework.training import FrameViews, GroupPixels, Schedule, train_frame, train_on
from nmc_tools.commands.chain_run import LATER, RAYS
from nmc_tools.commands.footage import Footage
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
        digest = hashlib.sha256(self.truth.tobytes())
        for views in self.views:
            for image in views.images:
                digest.update(np.ascontiguousarray(image).tobytes())
        poses = [camera.camera_to_world.tolist() for camera in [*self.cameras, *self.tests]]
        return {"pictures": digest.hexdigest(), "poses": poses}

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

    def model(
        self, name: str, options: dict[str, Any] | None = None, *, seed: int = 0
    ) -> ViewModel:
        """Build a model of a family for the scene; of groups, one of all its frames."""
        kind = family(name)
        fitted = self.footage.options(kind.defaults(), self.training)
        if issubclass(kind, GroupModel):
            fitted["instants"] = len(self.views)
        return shown(build(name, fitted | (options or {}), seed=seed))


def trained_group(film: Film, model: ViewModel, share: float) -> State:
    """Train a model on all frames of a film at once; return its state.

    A model that knows nothing of time learns as long as one of a group.
    """
    times = model.times[0] if isinstance(model, GroupModel) else GroupModel.times[0]
    count = max(1, round(share * times * iterations(film.cameras)))
    examples = GroupPixels(model, film.cameras, film.views)
    return train_on(model, examples, Schedule(first=count, rays=RAYS), frame=0).state


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


def seen_of_frames(
    film: Film, name: str, schedule: Schedule, *, shared: bool, report: Callable[[int], None]
) -> tuple[Pictures, list[State]]:
    """Train a model a frame; return what held-out cameras see, and the states.

    ``shared``: each from the one before, else each from random weights of its own.
    """
    pictures, states = [], []
    model = film.model(name)
    before = None
    for index, views in enumerate(film.views):
        if not shared:
            model = film.model(name, seed=index)
        frame = index if shared else 0
        at = FrameViews(frame, views.time, views.images)
        plan = schedule if shared else Schedule(**{**vars(schedule), "seed": index})
        states.append(train_frame(model, film.cameras, at, plan, before=before).state)
        pictures.append(seen(film, model, index))
        before = views if shared else None
        report(index)
    return np.stack(pictures), states
