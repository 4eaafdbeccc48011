"""The steps from frames to a checked package of chained models (clauses 5.2 to 5.4)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.device import usable_device
from nmc_framework.pipeline.footage_steps import POINTS
from nmc_framework.pipeline.step import PipelineError, Task

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.camera import FloatArray
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.capture.captured_folder import CapturedFrames
    from nmc_framework.models import ChainModel
    from nmc_framework.training import Schedule

PACKAGE = "chain.nmc"


@dataclass(frozen=True, eq=False)
class Frames:
    """What the step ``cameras`` left: pictures, their cameras, and which of these test.

    ``points`` (P, 3) are those that structure from motion reconstructed, where it ran.
    """

    captured: CapturedFrames
    rig: RigDocument
    held_out: tuple[str, ...]
    points: FloatArray | None = None

    @property
    def training(self) -> tuple[str, ...]:
        """The names of the cameras to train with."""
        return tuple(c.name for c in self.rig.cameras if c.name not in self.held_out)

    def cameras(self, names: tuple[str, ...]) -> list[Camera]:
        """Return cameras by name."""
        known = {camera.name: camera for camera in self.rig.cameras}
        return [known[name] for name in names]


def open_frames(folder: Path) -> Frames:
    """Open the folder of the step ``cameras``."""
    from nmc_framework.cameras.formats import native
    from nmc_framework.capture.captured_folder import CAMERAS, read_capture

    held_out = json.loads((folder / "held_out.json").read_text(encoding="utf-8"))
    path = folder / POINTS
    points = np.load(path, allow_pickle=False) if path.exists() else None
    return Frames(read_capture(folder), native.read(folder / CAMERAS), tuple(held_out), points)


def train(task: Task) -> Mapping[str, Any]:
    """Train one model a frame, each from the one before, into a folder of checkpoints."""
    import torch

    from nmc_framework.training import CheckpointFolder, Course, Progress, freeze, train_into

    frames = open_frames(task.made_by("cameras"))
    options = task.configuration.section("training")
    model, warnings = _model(task, frames)
    model = model.to(usable_device(options["device"]))
    schedule = planned(options, model, frames.cameras(frames.training))
    # A wrong choice is refused now, not after the first frame is trained.
    freeze(model, model.layers(), schedule.exclude_layers, schedule.reading)
    store = CheckpointFolder(task.folder, model)
    count = len(frames.captured)
    course = Course(schedule, count)
    names = frames.training
    losses, quality = {}, math.nan

    def report(progress: Progress) -> None:
        nonlocal quality
        quality = progress.quality
        place = f"frame {progress.frame + 1} of {count}"
        note = f"{place} loss {progress.loss:.5f} {quality:5.2f} dB"
        task.report(*course.at(progress), note=note)

    with torch.random.fork_rng():
        for frame in train_into(
            store,
            model,
            frames.cameras(names),
            lambda first: frames.captured.views(names, first),
            schedule,
            report=report,
        ):
            ended = f"frame {frame.index + 1} of {count}, loss {frame.loss:.5f}"
            kept_back = f", pixels kept back {quality:.2f} dB" if math.isfinite(quality) else ""
            task.report(*course.after(frame), f"{ended}, {frame.seconds:.1f} s{kept_back}")
            losses[frame.index] = frame.loss
    if len(store) < count:
        raise PipelineError(f"{len(store)} of {count} frames were trained")
    told: dict[str, Any] = {"frames": count, "family": model.family, "warnings": warnings}
    if losses:
        told["last_loss"] = round(losses[max(losses)], 6)
    return told


def _model(task: Task, frames: Frames) -> tuple[ChainModel, list[str]]:
    """Return the model, and what has to be said of it."""
    from nmc_framework.cameras.extent import scene_extent
    from nmc_framework.models import build, family
    from nmc_framework.models.radiance.fitting import endless, fit
    from nmc_framework.models.views import shown
    from nmc_framework.scene import BACKGROUND
    from nmc_framework.scene import BOUNDS as SCENE_BOUNDS

    options = task.configuration.section("model")
    cameras = frames.cameras(frames.training)
    filmed = "scene" in task.configuration.section("source")
    # The embedded scene's extent is known in its own coordinates, not in those of an estimated rig.
    placed = filmed and "sfm" not in task.configuration.section("cameras")
    known = family(options["family"]).defaults()
    extent = scene_extent(cameras, frames.points, frames.rig.depths_of(frames.training))
    bounds = options["configuration"].get("bounds", SCENE_BOUNDS if placed else None)
    reason = endless(known, extent, bounds)
    chosen = fit(
        known,
        cameras,
        extent,
        bounds=SCENE_BOUNDS if placed else None,
        background=BACKGROUND if filmed else frames.captured.background,
    )
    seed = task.configuration.section("training")["seed"]
    model = build(options["family"], chosen | dict(options["configuration"]), seed=seed)
    return shown(model), [] if reason is None else [reason]


def planned(
    options: Mapping[str, Any], model: ChainModel, cameras: Sequence[Camera] = ()
) -> Schedule:
    """Return the schedule of a configuration's section ``training``, for a model of its family.

    How long frame 0 learns follows from the training cameras' pictures, where nobody says.
    """
    from nmc_framework.models.radiance.fitting import LATER_RAYS, iterations
    from nmc_framework.training import AutoFreezing, LayerChoice, Rate, Schedule

    numbers = options.get("exclude_layers")
    chosen = LayerChoice(
        None if numbers is None else tuple(numbers),
        options.get("exclude_front"),
        options.get("exclude_back"),
        options.get("exclude_like"),
    )
    share = options.get("exclude_auto")
    price = options.get("rate")
    return Schedule(
        first=options.get("first", iterations(cameras)),
        later=options["later"],
        most_later=_most_later(options),
        rays=options["rays"],
        later_rays=options.get("later_rays", round(LATER_RAYS * options["rays"])),
        first_seconds=options.get("first_seconds"),
        later_seconds=options.get("later_seconds"),
        colour=options["colour"],
        learning_rate=options.get("learning_rate"),
        later_learning_rate=options.get("later_learning_rate"),
        exclude_layers=chosen.of(model),
        reading=options["reading"],
        auto=None if share is None else AutoFreezing(give_up=share),
        hold=options["hold"],
        rate=None if price is None else Rate.named(price, options["renew_every"]),
        seed=options["seed"],
    )


def _most_later(options: Mapping[str, Any]) -> int | None:
    """Return up to how many iterations a later frame may go on, where it falls short."""
    from nmc_framework.models.radiance.fitting import MOST_LATER

    if options.get("rate") is not None:
        return None
    return int(options.get("most_later", MOST_LATER * options["later"]))


def package(task: Task) -> Mapping[str, Any]:
    """Put the checkpoints into one package, with what training them took."""
    import nmc
    from nmc_framework.cameras.packaged import manifest_cameras
    from nmc_framework.models import build
    from nmc_framework.training import CheckpointFolder

    frames = open_frames(task.made_by("cameras"))
    checkpoints = task.made_by("train")
    head = json.loads((checkpoints / "chain.json").read_text(encoding="utf-8"))
    model = build(head["family"], head["configuration"])
    store = CheckpointFolder(checkpoints, model)
    options = task.configuration.section("package")
    path, rate = task.folder / PACKAGE, frames.captured.rate
    with nmc.Writer(
        path,
        key_every=options["key_every"],
        effort=options["effort"],
        profile="lossy" if len(store) and store.steps(0) else options["profile"],
        **model.in_package(),
        timescale=rate.numerator,
    ) as writer:
        writer.set_cameras(manifest_cameras(frames.rig))
        for index in range(len(store)):
            record, steps = store.record(index), store.steps(index)
            writer.append(
                store[index],
                presentation_time=index * rate.denominator,
                requires_grad=record["requires_grad"],
                exclude_layers=record["exclude_layers"],
                iterations=record["iterations"],
                seconds=record["seconds"],
                trained_from_previous=index > 0,
                colour=record.get("colour"),
                quantisation=steps.quantisation() if steps else None,
            )
            task.report(index + 1, len(store))
    with nmc.open(path) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        size = sequence.size
    return {"frames": len(store), "raw_bytes": raw, "bytes": size, "ratio": round(raw / size, 4)}


def check(task: Task) -> Mapping[str, Any]:
    """Check the package: structure, integrity, every decoded state, what was frozen."""
    import nmc

    decode = task.configuration.section("check")["decode"]
    path = task.made_by("package") / PACKAGE
    report = nmc.check(path, decode=decode, progress=task.report)
    text = json.dumps(report.to_json(), indent=1) + "\n"
    (task.folder / "report.json").write_text(text, encoding="utf-8")
    if not report.accepted:
        first = next(found for found in report.findings if found.severity == "error")
        raise PipelineError(f"the package is refused: {first.code} at {first.place}")
    return {"accepted": True, "decoded": report.decoded, "findings": len(report.findings)}
