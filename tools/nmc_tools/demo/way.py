"""The whole way of clause 5 on a scene of its own: film, solve the rig, train, pack, render."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import nmc
from nmc_framework.cameras.extent import scene_extent
from nmc_framework.counting import counted
from nmc_framework.evaluation import (
    ChainPoint,
    HeldOut,
    plot_chain,
    write_scores,
)
from nmc_framework.models import ChainModel, build, family
from nmc_framework.models.radiance.fitting import fit, iterations
from nmc_framework.scene import Rig, Scene, arc_rig, scenes
from nmc_framework.training import (
    FrameViews,
    PackageStore,
    Rate,
    Schedule,
    TrainedFrame,
    train_chain,
)
from nmc_framework.training import Progress as Step
from nmc_framework.training.rate import TIMES
from nmc_tools.commands.footage import SceneName
from nmc_tools.commands.framework import package_cameras
from nmc_tools.demo.size import FULL, QUICK, Size
from nmc_tools.demo.solved_rig import SolvedRig, TrueRig, as_they_are, estimate
from nmc_tools.demo.summary import DemoResult, FrameRow, show
from nmc_tools.demo.user_film import film, strip, user_of

Picture = npt.NDArray[np.uint8]


class DemoError(RuntimeError):
    """The demo's own result is not what it has to be."""


def run(
    out: Path,
    *,
    quick: bool = False,
    frames: int | None = None,
    size: Size | None = None,
    scene: SceneName = "room",
    rate: float | Literal["auto"] | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Film a small dynamic scene, find its cameras, train a chain, pack, check, unpack, render.

    The cameras that train and test in the room are those that structure from motion finds in the
    videos, moved into the scene's coordinates; the pictures are those that the true cameras take.
    The other scenes give their true cameras.

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
    scene
        Which of the embedded scenes.
    rate
        Train for rate, at this price of a kilobyte in decibels; ``"auto"``: by the model's size.
    console
        Where the table and the summary go; standard output by default, without the table if that
        is not a terminal. Progress goes to standard error, if that is a terminal.

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
    filmed = scenes()[scene]
    chosen = chosen if scene == "room" else replace(chosen, rate=filmed.rate)
    truth = _truth(filmed, chosen)
    fitted = _fitted(filmed, truth)
    if chosen.schedule == FULL.schedule and not filmed.told:
        longer = replace(FULL.schedule, first=iterations(truth.training), colour="auto")
        chosen = replace(chosen, schedule=longer)
    if rate is not None:
        chosen = replace(chosen, schedule=_for_rate(chosen, rate))
    model = build("hash_grid", fitted | dict(chosen.configuration), seed=chosen.schedule.seed)
    package = out / "scene.nmc"
    with _progress() as progress:
        solved: SolvedRig | TrueRig
        if scene == "room":
            solved = _solve(out, truth, chosen, progress)
        else:
            solved = as_they_are(out, truth)
        chain = _train_and_pack(package, model, filmed, truth, solved, chosen, progress)
        write_scores(out / "scores.csv", chain.quality.scores)
        findings = _check(package, progress)
        with nmc.open(package) as sequence:
            rows = _unpack(sequence, chain, progress)
        user = user_of(filmed, truth, chosen)
        video = film(out, package, chosen, user, chain.strips, progress)
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
        rate=rate,
    )
    show(result, screen, table=console is not None or screen.is_terminal)
    if findings:
        raise DemoError(f"the check of {package.name} found: {'; '.join(findings)}")
    return result


def _for_rate(size: Size, price: float | Literal["auto"]) -> Schedule:
    """Return a schedule that pays for bytes, and so need not freeze anything to save them."""
    plan = size.schedule
    return replace(
        plan,
        first=TIMES * plan.first,
        later=TIMES * plan.later,
        exclude_layers=(),
        rate=Rate.named(price, size.key_every),
    )


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


def _truth(scene: Scene, size: Size) -> Rig:
    if scene.name == "room":
        return arc_rig(size.views, size.held_out, (size.pixels, size.pixels))
    width, height = (max(8, round(size.scale * side)) for side in scene.size)
    return scene.rig((width, height))


def _frames(scene: Scene, rig: Rig, size: Size) -> Iterator[FrameViews]:
    for index in range(size.frames):
        t = index / size.rate
        yield FrameViews(index, t, scene.view_all(rig.training, t))


def _fitted(scene: Scene, rig: Rig) -> dict[str, Any]:
    """Return the model's options for a scene: of a hard one nobody tells bounds and background."""
    return fit(
        family("hash_grid").defaults(),
        rig.training,
        scene_extent(rig.training),
        bounds=scene.bounds if scene.told else None,
        background=scene.background if scene.told else None,
    )


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
    scene: Scene,
    truth: Rig,
    solved: SolvedRig | TrueRig,
    size: Size,
    progress: Progress,
) -> _Chain:
    plan = size.schedule
    total = plan.iterations_before(size.frames)
    task = progress.add_task("train and pack", total=total, note="")
    chain = _Chain(HeldOut(solved.rig.held_out), [], [], [])
    with nmc.Writer(
        package,
        key_every=size.key_every,
        effort="strong",
        profile="lossy" if plan.rate else "main",
        **model.in_package(),
        timescale=size.rate,
        overwrite=True,
    ) as writer:
        writer.set_cameras(package_cameras(solved.document))
        store = PackageStore(writer)
        frames, report = _frames(scene, truth, size), _reporter(progress, task)
        for frame in train_chain(model, solved.rig.training, frames, plan, report=report):
            store.append(frame)
            _score(chain, model, scene, truth, size, frame)
        writer.set_quality(nmc.Quality(**chain.quality.quality()))
    return chain


def _score(
    chain: _Chain,
    model: ChainModel,
    scene: Scene,
    truth: Rig,
    size: Size,
    frame: TrainedFrame,
) -> None:
    truths = scene.view_all(truth.held_out, frame.time)
    views = chain.quality.score(model, frame.index, truths)
    shown = len(views) // 2
    decibels = chain.quality.mean(frame.index, "psnr")
    chain.strips.append(strip(views[shown], truths[shown], decibels, size.track // 2))
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
    for index, (taken, seconds) in enumerate(chain.effort):
        if _fingerprint(sequence[index]) != chain.fingerprints[index]:
            raise DemoError(f"frame {index} does not decode to the state that was trained")
        record = sequence.frames[index]
        rows.append(
            FrameRow(
                index=index,
                coding=record.coding,
                iterations=taken,
                seconds=seconds,
                psnr=chain.quality.mean(index, "psnr"),
                ssim=chain.quality.mean(index, "ssim"),
                raw_bytes=record.state_bytes,
                coded_bytes=record.segment_length,
            )
        )
        progress.update(task, advance=1, note="bit for bit")
    return rows


def _title(size: Size) -> str:
    return (
        f"A chain of {counted(size.frames, 'model')}: {size.schedule.first} iterations for "
        f"frame 0, {size.schedule.later} for each later one"
    )
