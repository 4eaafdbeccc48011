"""The demo's cameras: estimated from the video files of the scene's rig alone, or as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmc_framework.cameras.alignment import Alignment, align
from nmc_framework.cameras.formats import RigDocument, native
from nmc_framework.cameras.rig_plot import plot_rig
from nmc_framework.capture import find_sources, read_frames, synchronise
from nmc_framework.scene import BOUNDS, Rig, film
from nmc_framework.sfm import RigSolution, SfmOptions, solve_rig

#: The scene's cameras are of one make and have no distortion.
_OPTIONS = SfmOptions(camera_model="simple_pinhole", shared_intrinsics=True)
#: Seconds between the frames that are filmed for it, so that what moves has moved.
_APART = 1


@dataclass(frozen=True, eq=False)
class SolvedRig:
    """The rig as structure from motion found it, in the scene's coordinates.

    ``document`` has the cameras at the size they are used in, and the normalisation by which they
    came from the coordinates in which they were solved.
    """

    rig: Rig
    document: RigDocument
    solution: RigSolution
    alignment: Alignment
    picture: Path

    def line(self) -> str:
        """Sum up in one line how well the cameras were found."""
        a = self.alignment
        return (
            f"{len(self.solution.errors)} cameras estimated from their videos: "
            f"{self.solution.error:.2f} px reprojection error, centres off by "
            f"{100 * a.mean_centre:.2f} % of the scene (worst {100 * a.worst_centre:.2f} %), "
            f"rotations by {a.mean_rotation:.2f} degrees"
        )


@dataclass(frozen=True, eq=False)
class TrueRig:
    """A rig as the scene knows it; nothing was estimated."""

    rig: Rig
    document: RigDocument
    picture: Path

    def line(self) -> str:
        """Say in one line where the cameras come from."""
        return f"{len(self.rig.cameras)} cameras, exact, as the scene has them"


def as_they_are(out: Path, truth: Rig) -> TrueRig:
    """Write a rig's cameras and their picture into the folder ``out``, and return the rig."""
    document = RigDocument(truth.cameras)
    native.write(out / "cameras.json", document)
    marked = frozenset(camera.name for camera in truth.held_out)
    plot_rig(out / "rig.png", truth.cameras, f"{len(truth.cameras)} cameras", marked=marked)
    return TrueRig(truth, document, out / "rig.png")


def estimate(
    out: Path,
    truth: Rig,
    *,
    pixels: int,
    frames: int,
    report: Callable[[str, int, int], None] | None = None,
) -> SolvedRig:
    """Film a rig and find it again from the video files.

    Parameters
    ----------
    out
        Folder for ``footage/`` (the videos and the true cameras), ``sfm/`` (the work folder),
        ``cameras.json`` and ``rig.png``.
    truth
        The cameras as they are, at the size at which they will be used.
    pixels
        Filmed and solved at this many pixels squared.
    frames
        How many are filmed, a second apart.
    report
        Called with the step, how much of it is done and how much there is.
    """
    large = [camera.resized(pixels, pixels) for camera in truth.cameras]
    done = 0

    def filmed(_: object) -> None:
        nonlocal done
        done += 1
        if report:
            report("film", done, len(large))

    folder = out / "footage"
    film(folder, large, frames, _APART, supersampling=1, report=filmed)
    sources = find_sources(folder)
    views = list(read_frames(sources, synchronise(sources)))
    images = {source.name: [view.images[k] for view in views] for k, source in enumerate(sources)}
    found = solve_rig(images, out / "sfm", _OPTIONS, report=report, replace=True)
    extent = float(np.ptp(np.array(BOUNDS), axis=0).max())
    alignment = align(found.rig, RigDocument(tuple(large)), extent)
    solution = found.moved(alignment.similarity)
    by_name = {camera.name: camera for camera in solution.rig.cameras}
    training, held_out = (
        tuple(by_name[camera.name].resized(camera.width, camera.height) for camera in part)
        for part in (truth.training, truth.held_out)
    )
    rig = Rig(training, held_out)
    document = RigDocument(rig.cameras, normalisation=solution.rig.normalisation)
    native.write(out / "cameras.json", document)
    points = (solution.points.positions, solution.points.colours)
    marked = frozenset(camera.name for camera in held_out)
    title = f"{len(rig.cameras)} cameras estimated from their videos, {len(solution.points)} points"
    plot_rig(out / "rig.png", rig.cameras, title, marked=marked, points=points)
    return SolvedRig(rig, document, solution, alignment, out / "rig.png")
