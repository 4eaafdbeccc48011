"""The whole way of clause 5 on a scene of its own: film, solve the rig, train, pack, render."""

from __future__ import annotations

import os

# Threads that wait must sleep: training and coding alternate on the same few cores. Read by the
# OpenMP runtime when torch is loaded, hence set before the imports below.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import nmc
from nmc_framework.evaluation import (
    CAPTION,
    ChainPoint,
    HeldOut,
    above,
    beside,
    captioned,
    enlarged,
    plot_chain,
    write_scores,
)
from nmc_framework.models import ChainModel, build
from nmc_framework.rendering import orbit, render_track, write_track, write_video
from nmc_framework.scene import BACKGROUND, BOUNDS, TARGET, Rig, arc_rig, orbit_camera, view_all
from nmc_framework.scene.rig import AZIMUTH
from nmc_framework.training import (
    FrameViews,
    PackageStore,
    Schedule,
    TrainedFrame,
    train_chain,
)
from nmc_framework.training import Progress as Step
from nmc_tools.commands.framework import package_cameras
from nmc_tools.demo_cameras import SolvedRig, estimate
from nmc_tools.demo_report import DemoResult, FrameRow, show

Picture = npt.NDArray[np.uint8]


# The two finest levels of the grid keep what they learned in frame 0: freezing them halves the
# bytes of a delta frame, and costs a few tenths of a decibel at first and nothing later.
_SCHEDULE = Schedule(first=420, later=60, exclude_layers=(6, 7))


@dataclass(frozen=True)
class Size:
    """How much the demo does.

    ``frames`` models a chain, ``views`` training cameras of ``pixels`` squared, ``track`` pixels
    squared of the user's video, ``turns`` how often the chain is played while the viewpoint swings
    once across the scene and back, ``rate`` frames a second. The cameras are estimated from videos
    of ``filmed`` frames of ``footage`` pixels squared.
    """

    frames: int = 20
    views: int = 16
    held_out: int = 3
    pixels: int = 128
    footage: int = 512
    filmed: int = 2
    track: int = 256
    turns: int = 2
    rate: int = 15
    key_every: int = 10
    schedule: Schedule = _SCHEDULE
    configuration: Mapping[str, Any] = field(default_factory=dict)


FULL = Size()
QUICK = Size(
    frames=3,
    views=12,
    held_out=1,
    pixels=32,
    footage=192,
    filmed=1,
    track=48,
    turns=1,
    key_every=2,
    schedule=Schedule(first=24, later=6, rays=512, exclude_layers=(3,)),
    configuration={
        "levels": 4,
        "finest": 32,
        "log2_entries": 11,
        "hidden": 16,
        "occupancy": 16,
        "samples": 48,
        "warm_up": 16,
    },
)


class DemoError(RuntimeError):
    """The demo's own result is not what it has to be."""


def run(
    out: Path,
    *,
    quick: bool = False,
    frames: int | None = None,
    size: Size | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Film a small dynamic scene, find its cameras, train a chain, pack, check, unpack, render.

    The cameras that train and test are those that structure from motion finds in the videos,
    moved into the scene's coordinates; the pictures are those that the true cameras take.

    Parameters
    ----------
    out
        Folder for ``scene.nmc``, ``video.mp4``, ``chain.png``, ``rig.png``, ``track.csv`` and
        ``scores.csv``; made if need be.
    quick
        A toy size that takes seconds and looks like it: for tests.
    frames
        Another number of frames than the size's own.
    size
        Everything else; overrides ``quick``.
    console
        Where the table and the summary go; standard output by default, without the table if that
        is no terminal. Progress goes to standard error, if that is a terminal.

    Raises
    ------
    DemoError
        When a decoded state differs from the trained one, or the check finds a fault.
    """
    chosen = size or (QUICK if quick else FULL)
    if frames is not None:
        chosen = replace(chosen, frames=frames)
    if chosen.frames < 1:
        raise DemoError(f"a chain has at least one frame, not {chosen.frames}")
    screen = console or Console(highlight=False, emoji=False)
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    truth = arc_rig(chosen.views, chosen.held_out, (chosen.pixels, chosen.pixels))
    bounded = {"bounds": [list(b) for b in BOUNDS], "background": list(BACKGROUND)}
    model = build("hash_grid", bounded | dict(chosen.configuration), seed=chosen.schedule.seed)
    package = out / "scene.nmc"
    with _progress() as progress:
        solved = _solve(out, truth, chosen, progress)
        chain = _train_and_pack(package, model, truth, solved, chosen, progress)
        write_scores(out / "scores.csv", chain.quality.scores)
        findings = _check(package, progress)
        with nmc.open(package) as sequence:
            rows = _unpack(sequence, chain, progress)
            video = _film(out, sequence, model, chosen, chain.strips, progress)
    points = [ChainPoint(r.index, r.psnr, r.raw_bytes, r.coded_bytes, r.coding) for r in rows]
    plot_chain(out / "chain.png", points, _title(chosen))
    result = DemoResult(
        rig=solved,
        package=package,
        video=video,
        plot=out / "chain.png",
        track=out / "track.csv",
        scores=out / "scores.csv",
        frames=tuple(rows),
        findings=findings,
        seconds=time.perf_counter() - began,
    )
    show(result, screen, table=console is not None or screen.is_terminal)
    if findings:
        raise DemoError(f"the check of {package.name} found: {'; '.join(findings)}")
    return result


def _progress() -> Progress:
    screen = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=32),
        TextColumn("{task.completed:>5.0f}/{task.total:<5.0f}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


@dataclass(frozen=True, eq=False)
class _Chain:
    """What training leaves beside the package: no state, only what to know each one again by."""

    quality: HeldOut
    effort: list[tuple[int, float]]
    fingerprints: list[str]
    strips: list[Picture]


def _frames(rig: Rig, size: Size) -> Iterator[FrameViews]:
    for index in range(size.frames):
        t = index / size.rate
        yield FrameViews(index, t, view_all(rig.training, t))


def _solve(out: Path, truth: Rig, size: Size, progress: Progress) -> SolvedRig:
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            words = "film" if stage == "film" else f"solve the rig: {stage}"
            tasks[stage] = progress.add_task(words, total=total, note="")
        progress.update(tasks[stage], completed=done, total=total)

    return estimate(out, truth, pixels=size.footage, frames=size.filmed, report=report)


def _train_and_pack(
    package: Path,
    model: ChainModel,
    truth: Rig,
    solved: SolvedRig,
    size: Size,
    progress: Progress,
) -> _Chain:
    plan = size.schedule
    total = plan.first + (size.frames - 1) * plan.later
    task = progress.add_task("train and pack", total=total, note="")
    chain = _Chain(HeldOut(solved.rig.held_out), [], [], [])
    with nmc.Writer(
        package,
        key_every=size.key_every,
        effort="strong",
        **model.in_package(),
        timescale=size.rate,
        overwrite=True,
    ) as writer:
        writer.set_cameras(package_cameras(solved.document))
        store = PackageStore(writer)
        frames, report = _frames(truth, size), _reporter(progress, task)
        for frame in train_chain(model, solved.rig.training, frames, plan, report=report):
            store.append(frame)
            _score(chain, model, truth, size, frame)
        writer.set_quality(nmc.Quality(**chain.quality.quality()))
    return chain


def _score(chain: _Chain, model: ChainModel, truth: Rig, size: Size, frame: TrainedFrame) -> None:
    truths = view_all(truth.held_out, frame.time)
    views = chain.quality.score(model, frame.index, truths)
    shown = len(views) // 2
    decibels = chain.quality.mean(frame.index, "psnr")
    chain.strips.append(_strip(views[shown], truths[shown], decibels, size.track // 2))
    chain.effort.append((frame.iterations, frame.seconds))
    chain.fingerprints.append(_fingerprint(frame.state))


def _reporter(progress: Progress, task: Any) -> Callable[[Step], None]:
    def report(step: Step) -> None:
        progress.update(task, advance=1, note=f"frame {step.frame:2d}  {step.psnr:5.2f} dB")

    return report


def _fingerprint(state: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check(package: Path, progress: Progress) -> tuple[str, ...]:
    task = progress.add_task("check the package", total=1, note="")

    def report(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return tuple(finding.message for finding in nmc.check(package, progress=report).findings)


def _unpack(sequence: nmc.ChainSequence, chain: _Chain, progress: Progress) -> list[FrameRow]:
    """Decode every frame, compare it with what was trained, and return the table's rows."""
    task = progress.add_task("unpack and compare", total=len(sequence), note="")
    rows = []
    for index, (iterations, seconds) in enumerate(chain.effort):
        if _fingerprint(sequence[index]) != chain.fingerprints[index]:
            raise DemoError(f"frame {index} does not decode to the state that was trained")
        record = sequence.frames[index]
        rows.append(
            FrameRow(
                index=index,
                coding=record.coding,
                iterations=iterations,
                seconds=seconds,
                psnr=chain.quality.mean(index, "psnr"),
                ssim=chain.quality.mean(index, "ssim"),
                raw_bytes=record.state_bytes,
                coded_bytes=record.segment_length,
            )
        )
        progress.update(task, advance=1, note="bit for bit")
    return rows


def _strip(view: Picture, truth: Picture, decibels: float, side: int) -> Picture:
    pictures = [(truth, "held-out camera: truth"), (view, f"rendered: {decibels:.1f} dB")]
    return above([captioned(enlarged(image, side, side), text) for image, text in pictures])


def _film(
    out: Path,
    sequence: nmc.ChainSequence,
    model: ChainModel,
    size: Size,
    strips: Sequence[Picture],
    progress: Progress,
) -> Path:
    """Play the chain to and fro while the viewpoint swings across the scene and back."""
    once = list(range(len(sequence)))
    shown = [i for turn in range(size.turns) for i in (once if turn % 2 == 0 else once[::-1])]
    azimuths = (AZIMUTH - 42, AZIMUTH + 42)
    track = orbit(TARGET, len(shown), distance=3.5, azimuths=azimuths, elevations=(14, 34))
    write_track(out / "track.csv", track)
    task = progress.add_task("render the viewpoint track", total=len(shown), note="")
    # As high as the two captioned pictures beside it.
    camera = orbit_camera(AZIMUTH, 20, (size.track, 2 * (size.track // 2) + CAPTION))

    def pictures() -> Iterator[Picture]:
        images = render_track(model, sequence, track, camera, shown)
        for number, (frame, image) in enumerate(zip(shown, images, strict=True)):
            note = f"frame {frame}, viewpoint {number}"
            progress.update(task, advance=1, note=note)
            yield beside([captioned(image, f"user's viewpoint (6DoF): {note}"), strips[frame]])

    write_video(out / "video.mp4", pictures(), size.rate)
    return out / "video.mp4"


def _title(size: Size) -> str:
    return (
        f"A chain of {size.frames} models: {size.schedule.first} iterations for frame 0, "
        f"{size.schedule.later} for each later one"
    )
