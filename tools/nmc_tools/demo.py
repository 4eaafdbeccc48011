"""The whole way of clause 5 on a scene of its own: film, train, pack, check, unpack, render."""

from __future__ import annotations

import os

# Threads that wait must sleep: training and coding alternate on the same few cores. Read by the
# OpenMP runtime when torch is loaded, hence before it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import nmc
from nmc_framework.cameras import Camera
from nmc_framework.evaluation import (
    ChainPoint,
    above,
    beside,
    captioned,
    enlarged,
    plot_chain,
)
from nmc_framework.metrics import psnr, ssim
from nmc_framework.models import RadianceModel, build
from nmc_framework.rendering import orbit, render_image, render_track, write_track, write_video
from nmc_framework.scene import (
    BACKGROUND,
    BOUNDS,
    TARGET,
    Rig,
    arc_rig,
    orbit_camera,
    view_all,
)
from nmc_framework.scene.rig import AZIMUTH
from nmc_framework.training import FrameViews, Schedule, TrainedFrame, train_chain
from nmc_framework.training import Progress as Step

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Size:
    """How much the demo does.

    ``frames`` models a chain, ``views`` training cameras of ``pixels`` squared, ``track`` pixels
    squared of the user's video, ``turns`` how often the chain is played while the viewpoint goes
    once around, ``rate`` frames a second; the rest is the model's and the schedule's.
    """

    frames: int = 16
    views: int = 16
    held_out: int = 3
    pixels: int = 128
    track: int = 256
    turns: int = 2
    rate: int = 10
    key_every: int = 8
    schedule: Schedule = field(default_factory=lambda: Schedule(first=420, later=70))
    configuration: dict[str, Any] = field(default_factory=dict)


FULL = Size()
QUICK = Size(
    frames=3,
    views=6,
    held_out=1,
    pixels=32,
    track=48,
    turns=1,
    key_every=2,
    schedule=Schedule(first=24, later=6, rays=512),
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


@dataclass(frozen=True)
class FrameRow:
    """What became of one frame; quality is the mean over the held-out views."""

    index: int
    coding: str
    iterations: int
    seconds: float
    psnr: float
    ssim: float
    raw_bytes: int
    coded_bytes: int


@dataclass(frozen=True)
class DemoResult:
    """What the demo left behind, and how it went; ``seconds`` is the wall time of all of it."""

    package: Path
    video: Path
    plot: Path
    track: Path
    frames: tuple[FrameRow, ...]
    findings: tuple[str, ...]
    seconds: float

    @property
    def accepted(self) -> bool:
        """Whether the check of the package found nothing."""
        return not self.findings


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
    """Film a small dynamic scene, train a chain, pack it, check it, unpack it and render it.

    Parameters
    ----------
    out
        Folder for ``scene.nmc``, ``video.mp4``, ``chain.png`` and ``track.csv``; made if need be.
    quick
        A toy size that takes seconds and looks like it: for tests.
    frames
        Another number of frames than the size's own.
    size
        Everything else; overrides ``quick``.
    console
        Where progress and the table go.

    Raises
    ------
    DemoError
        When a decoded state differs from the trained one, or the check finds a fault.
    """
    chosen = size or (QUICK if quick else FULL)
    chosen = chosen if frames is None else _with_frames(chosen, frames)
    screen = console or Console()
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    rig = arc_rig(chosen.views, chosen.held_out, (chosen.pixels, chosen.pixels))
    model = build(
        "hash_grid",
        {"bounds": [list(b) for b in BOUNDS], "background": list(BACKGROUND)}
        | chosen.configuration,
        seed=chosen.schedule.seed,
    )
    package = out / "scene.nmc"
    with _progress(screen) as progress:
        trained = _train_and_pack(package, model, rig, chosen, progress)
        findings = _check(package)
        with nmc.open(package) as sequence:
            _compare(sequence, trained)
            rows, strips = _evaluate(sequence, model, rig, chosen, trained, progress)
            video = _film(out, sequence, model, chosen, strips, progress)
    points = [ChainPoint(r.index, r.psnr, r.raw_bytes, r.coded_bytes, r.coding) for r in rows]
    plot_chain(out / "chain.png", points, _title(chosen))
    result = DemoResult(
        package=package,
        video=video,
        plot=out / "chain.png",
        track=out / "track.csv",
        frames=tuple(rows),
        findings=findings,
        seconds=time.perf_counter() - began,
    )
    _show(result, screen)
    if findings:
        raise DemoError(f"the check of {package.name} found: {'; '.join(findings)}")
    return result


def _with_frames(size: Size, frames: int) -> Size:
    if frames < 1:
        raise DemoError(f"a chain has at least one frame, not {frames}")
    return Size(**{**vars(size), "frames": frames})


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=32),
        TextColumn("{task.completed:>5.0f}/{task.total:<5.0f}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
    )


@dataclass(frozen=True, eq=False)
class _Trained:
    """A trained frame without its state, and one number by which to know the state again."""

    index: int
    iterations: int
    seconds: float
    fingerprint: int


def _frames(rig: Rig, size: Size) -> Iterator[FrameViews]:
    for index in range(size.frames):
        t = index / size.rate
        yield FrameViews(index, t, view_all(rig.training, t))


def _train_and_pack(
    package: Path, model: RadianceModel, rig: Rig, size: Size, progress: Progress
) -> list[_Trained]:
    plan = size.schedule
    total = plan.first + (size.frames - 1) * plan.later
    task = progress.add_task("film, train and pack", total=total, note="")
    parameters = {name for name, _ in model.named_parameters()}
    trained: list[_Trained] = []
    with nmc.Writer(
        package,
        key_every=size.key_every,
        effort="strong",
        family=model.family,
        configuration=model.configuration,
        layers=model.layer_of(),
        buffers=[name for name in model.state_dict() if name not in parameters],
        timescale=size.rate,
        overwrite=True,
    ) as writer:
        writer.set_cameras(_cameras(rig.cameras))
        chain = train_chain(
            model, rig.training, _frames(rig, size), plan, report=_reporter(progress, task)
        )
        for frame in chain:
            _append(writer, frame)
            trained.append(
                _Trained(frame.index, frame.iterations, frame.seconds, _fingerprint(frame.state))
            )
    return trained


def _append(writer: nmc.Writer, frame: TrainedFrame) -> None:
    writer.append(
        frame.state,
        presentation_time=frame.index,
        requires_grad=frame.freezing.requires_grad,
        exclude_layers=list(frame.freezing.exclude_layers),
        iterations=frame.iterations,
        seconds=frame.seconds,
        trained_from_previous=frame.index > 0,
    )


def _reporter(progress: Progress, task: Any) -> Callable[[Step], None]:
    def report(step: Step) -> None:
        progress.update(task, advance=1, note=f"frame {step.frame:2d}  {step.psnr:5.2f} dB")

    return report


def _cameras(cameras: Sequence[Camera]) -> nmc.Cameras:
    return nmc.Cameras(
        names=[camera.name for camera in cameras],
        size=np.array([[c.width, c.height] for c in cameras]),
        intrinsics=np.array([[c.fx, c.fy, c.cx, c.cy] for c in cameras]),
        camera_to_world=np.array([c.camera_to_world[:3] for c in cameras]),
        normalisation=np.eye(4),
    )


def _fingerprint(state: Any) -> int:
    return hash(tuple((name, np.asarray(state[name]).tobytes()) for name in sorted(state)))


def _check(package: Path) -> tuple[str, ...]:
    return tuple(finding.message for finding in nmc.check(package).findings)


def _compare(sequence: nmc.ChainSequence, trained: Sequence[_Trained]) -> None:
    for frame in trained:
        if _fingerprint(sequence[frame.index]) != frame.fingerprint:
            raise DemoError(f"frame {frame.index} does not decode to the state that was trained")


def _evaluate(
    sequence: nmc.ChainSequence,
    model: RadianceModel,
    rig: Rig,
    size: Size,
    trained: Sequence[_Trained],
    progress: Progress,
) -> tuple[list[FrameRow], list[Picture]]:
    """Render the held-out views of every frame; return the numbers and a strip a frame."""
    task = progress.add_task("render held-out views", total=len(sequence), note="")
    rows, strips = [], []
    shown = len(rig.held_out) // 2
    for frame in trained:
        model.load(sequence[frame.index])
        views = [render_image(model, camera) for camera in rig.held_out]
        truths = view_all(rig.held_out, frame.index / size.rate)
        pairs = list(zip(views, truths, strict=True))
        record = sequence.frames[frame.index]
        row = FrameRow(
            index=frame.index,
            coding=record.coding,
            iterations=frame.iterations,
            seconds=frame.seconds,
            psnr=float(np.mean([psnr(a, b) for a, b in pairs])),
            ssim=float(np.mean([ssim(a, b) for a, b in pairs])),
            raw_bytes=record.state_bytes,
            coded_bytes=record.segment_length,
        )
        rows.append(row)
        strips.append(_strip(views[shown], truths[shown], row, size))
        progress.update(task, advance=1, note=f"{row.psnr:5.2f} dB")
    return rows, strips


def _strip(view: Picture, truth: Picture, row: FrameRow, size: Size) -> Picture:
    side = size.track // 2
    pictures = [(truth, "held-out camera: truth"), (view, f"rendered: {row.psnr:.1f} dB")]
    return above([captioned(enlarged(image, side, side), text) for image, text in pictures])


def _film(
    out: Path,
    sequence: nmc.ChainSequence,
    model: RadianceModel,
    size: Size,
    strips: Sequence[Picture],
    progress: Progress,
) -> Path:
    """Play the chain to and fro while the viewpoint swings once across the scene and back."""
    once = list(range(len(sequence)))
    shown = [i for turn in range(size.turns) for i in (once if turn % 2 == 0 else once[::-1])]
    track = orbit(
        TARGET,
        len(shown),
        distance=3.3,
        azimuths=(AZIMUTH - 42, AZIMUTH + 42),
        elevations=(14, 34),
    )
    write_track(out / "track.csv", track)
    task = progress.add_task("render the viewpoint track", total=len(shown), note="")
    camera = orbit_camera(AZIMUTH, 20, (size.track, size.track))

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


def _show(result: DemoResult, console: Console) -> None:
    table = Table(title="one model a frame", title_justify="left")
    for name in (
        "frame",
        "coding",
        "iterations",
        "train s",
        "PSNR dB",
        "SSIM",
        "raw",
        "coded",
        "ratio",
    ):
        table.add_column(name, justify="left" if name == "coding" else "right")
    for r in result.frames:
        table.add_row(
            str(r.index),
            r.coding,
            str(r.iterations),
            f"{r.seconds:.1f}",
            f"{r.psnr:.2f}",
            f"{r.ssim:.3f}",
            f"{r.raw_bytes:,}",
            f"{r.coded_bytes:,}",
            f"{r.raw_bytes / r.coded_bytes:.2f}",
        )
    console.print(table)
    raw, coded = (sum(getattr(r, f"{k}_bytes") for r in result.frames) for k in ("raw", "coded"))
    console.print(
        f"{raw:,} bytes of models in {coded:,} ({raw / coded:.2f} to 1, lossless); every frame "
        f"decoded to the trained bits; the check found {len(result.findings) or 'nothing'}; "
        f"{result.seconds:.0f} s in all"
    )
    for path in (result.package, result.video, result.plot, result.track):
        console.print(f"  {path}  {path.stat().st_size:,} bytes")
