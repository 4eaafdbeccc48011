"""The steps from footage to frames with their cameras (clause 5.1)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.frame_rate import plain
from nmc_framework.pipeline.step import PipelineError, Task

if TYPE_CHECKING:
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.capture import Source
    from nmc_framework.capture.captured_folder import CapturedFrames
    from nmc_framework.pipeline.configuration import Configuration
    from nmc_framework.sfm import SfmOptions

#: What a camera's videos show, (width, height) by name, as its parameters mean it.
_SIZES = "sizes.json"
#: The cuboid of the points that were found with the cameras, where these were estimated.
POINTS = "points.npy"
#: The embedded scene on video, with its true cameras.
_SCENE = "scene"


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return (width, height) of a text such as ``320x180``, which the schema has checked."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    return int(width), int(height)


def capture(task: Task) -> Mapping[str, Any]:
    """Bring the pictures of all cameras together, frame by frame."""
    from nmc_framework.capture import background_of, picture_sizes, read_frames, synchronise
    from nmc_framework.capture.captured_folder import synchrony_record, write_capture

    options = task.configuration.section("source")
    sources = _sources(task)
    tolerance = options.get("tolerance_ms")
    synchrony = synchronise(
        sources,
        by=options["by"],
        reference=options.get("reference"),
        tolerance=None if tolerance is None else tolerance / 1000,
        every=options["every"],
        limit=options.get("limit"),
    )
    total = len(synchrony.instants)
    frames = read_frames(sources, synchrony, size=parse_size(options.get("size")))
    names = [source.name for source in sources]
    written = write_capture(
        task.folder,
        names,
        frames,
        synchrony,
        background=background_of(sources),
        report=lambda done: task.report(done, total),
    )
    (task.folder / _SIZES).write_text(json.dumps(picture_sizes(sources)) + "\n", encoding="utf-8")
    record = synchrony_record(synchrony)
    worst = max((c["worst_skew"] or 0.0 for c in record["cameras"]), default=0.0)
    return {
        "frames": len(written),
        "cameras": len(names),
        "rate": plain(written.rate),
        "dropped": len(record["dropped"]),
        "worst_skew_ms": round(1000 * worst, 3),
        "warnings": synchrony.warnings(),
    }


def camera_names(configuration: Configuration) -> list[str]:
    """Return what the cameras of the footage are called, before anything is read of it."""
    from nmc_framework.scene import arc_rig

    options = configuration.section("source")
    if "scene" in options:
        scene = options["scene"]
        size = parse_size(scene["size"])
        assert size is not None
        rig = arc_rig(scene["cameras"], scene["held_out"], size)
        return [camera.name for camera in rig.cameras]
    return [source.name for source in _footage(configuration)]


def _sources(task: Task) -> list[Source]:
    from nmc_framework.capture import open_sources

    options = task.configuration.section("source")
    if "scene" in options:
        return open_sources(_film(task, options["scene"]))
    return _footage(task.configuration)


def _footage(configuration: Configuration) -> list[Source]:
    from nmc_framework.capture import open_sources

    options = configuration.section("source")
    files = configuration.files
    paths = [path for place, path in files.items() if place.startswith("source.videos")]
    folder = configuration.file("source.folder")
    stamps = configuration.file("source.stamps")
    return open_sources([folder] if folder else paths, rate=options["rate"], stamps=stamps)


def _film(task: Task, options: Mapping[str, Any]) -> list[Path]:
    from nmc_framework.scene import arc_rig, film

    size = parse_size(options["size"])
    assert size is not None
    rig = arc_rig(options["cameras"], options["held_out"], size)
    return film(task.folder / _SCENE, rig.cameras, options["frames"], options["rate"])


def cameras(task: Task) -> Mapping[str, Any]:
    """Find the cameras, and leave frames free of distortion with the cameras of these."""
    from nmc_framework.capture.captured_folder import read_capture, straight_rig

    captured = read_capture(task.made_by("capture"))
    options = task.configuration.section("cameras")
    told: dict[str, Any] = {"method": "imported"}
    if "sfm" in options:
        rig, told = _estimated(task, captured, options["sfm"])
        apart: tuple[str, ...] = ()
    else:
        rig, apart = _imported(task, captured)
        _keep_points(task)
    held_out = _held_out(task, rig, options.get("held_out"), apart)
    straight = straight_rig(rig)
    _write_frames(task, captured, rig, straight, parse_size(options.get("size")))
    (task.folder / "held_out.json").write_text(json.dumps(held_out) + "\n", encoding="utf-8")
    narrowed = _narrowed(rig, straight)
    if narrowed:
        told |= {"narrowed": list(narrowed), "narrowed_by": narrowed}
    return {"cameras": len(rig.cameras), "held_out": held_out, **told}


def _imported(task: Task, captured: CapturedFrames) -> tuple[RigDocument, tuple[str, ...]]:
    """Return the cameras given, and the names of those that they set apart to test with."""
    path = task.configuration.file("cameras.file")
    if path is None:
        path = captured.folder / _SCENE / "cameras.json"
    return _matched(task, captured, path)


def _keep_points(task: Task) -> None:
    """Keep the points that lie beside the cameras, or in their COLMAP model."""
    from nmc_framework.capture.points import points_beside

    path = task.configuration.file("cameras.file")
    points = None if path is None else points_beside(path)
    if points is not None:
        np.save(task.folder / POINTS, points, allow_pickle=False)


def _matched(
    task: Task, captured: CapturedFrames, path: Path
) -> tuple[RigDocument, tuple[str, ...]]:
    """Read cameras, and bring them into the order and to the size of the captured pictures.

    The names returned are those of cameras that their data set sets apart to test with.
    """
    from nmc_framework.capture.captured_folder import matched
    from nmc_framework.capture.tested import named_apart, read_with_tests

    sizes = json.loads((captured.folder / _SIZES).read_text(encoding="utf-8"))
    own = {name: (int(width), int(height)) for name, (width, height) in sizes.items()}
    chosen = task.configuration.section("cameras").get("format")
    document, tested = read_with_tests(path, chosen, next(iter(own.values())))
    reduced = parse_size(task.configuration.section("source").get("size"))
    return matched(document, own, reduced), named_apart(own, tested)


def set_apart(configuration: Configuration) -> tuple[str, ...]:
    """Return the cameras of the footage that its camera file sets apart to test with.

    Raises
    ------
    CameraError, CaptureError
        When the camera file, or the first picture of the footage, cannot be read.
    """
    from nmc_framework.capture.opening import first_size
    from nmc_framework.capture.tested import named_apart, read_with_tests

    path = configuration.file("cameras.file")
    if path is None:
        return ()
    sources = _footage(configuration)
    chosen = configuration.section("cameras").get("format")
    _, tested = read_with_tests(path, chosen, first_size(sources[0]))
    return named_apart([source.name for source in sources], tested)


def _estimated(
    task: Task, captured: CapturedFrames, options: Mapping[str, Any]
) -> tuple[RigDocument, dict[str, Any]]:
    from nmc_framework.sfm import solve_rig

    for frame in options["frames"]:
        if frame >= len(captured):
            raise PipelineError(
                f"cameras.sfm.frames names frame {frame}; there are {len(captured)}, from 0"
            )
    images = {
        name: [captured.folder / name / f"{frame:08d}.png" for frame in options["frames"]]
        for name in captured.names
    }
    known = task.configuration.file("cameras.sfm.intrinsics")
    placed = task.configuration.file("cameras.sfm.poses")
    # Beside the results: its database is not a result, and it goes on where it stopped by itself.
    folder = task.configuration.work / "sfm"
    if task.forced:
        shutil.rmtree(folder, ignore_errors=True)
    solution = solve_rig(
        images,
        folder,
        options=sfm_options(options),
        intrinsics=None if known is None else _matched(task, captured, known)[0],
        poses=None if placed is None else _matched(task, captured, placed)[0],
        report=lambda _, done, total: task.report(done, total),
    )
    verdict = solution.verdict
    if verdict.kind != "sound" and not options["accept"]:
        reasons = "; ".join(reason.text() for reason in verdict.against)
        raise PipelineError(
            f"the cameras found are {verdict.kind}: {reasons}. Give known ones (cameras.file or "
            "cameras.sfm.poses), or take them all the same with cameras.sfm.accept: true"
        )
    fits = {fit.name: round(float(fit.error), 4) for fit in solution.errors}
    np.save(task.folder / POINTS, solution.points.positions, allow_pickle=False)
    told = {
        "method": "estimated",
        "reprojection_px": round(float(solution.error), 4),
        "by_camera_px": fits,
        "points": len(solution.points.positions),
        "missing": list(solution.missing),
        **verdict.as_json(),
    }
    return solution.rig, told


def sfm_options(options: Mapping[str, Any]) -> SfmOptions:
    """Return the options of structure from motion of a section ``cameras.sfm``."""
    from nmc_framework.sfm import SfmOptions

    others = {"frames", "intrinsics", "poses", "accept"}
    return SfmOptions(**{k: v for k, v in options.items() if k not in others})


def _held_out(
    task: Task, rig: RigDocument, named: Sequence[str] | None, apart: Sequence[str]
) -> list[str]:
    """Return the cameras to test with: those named, or else those that the data set sets apart."""
    names = [camera.name for camera in rig.cameras]
    if named is None and "scene" in task.configuration.section("source"):
        return [name for name in names if name.startswith("test_")]
    chosen = list(apart if named is None else named)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise PipelineError(
            f"cameras.held_out names {', '.join(unknown)}; there are {', '.join(names)}"
        )
    if len(chosen) == len(names):
        raise PipelineError("cameras.held_out names all cameras; none is left to train with")
    return chosen


def _narrowed(rig: RigDocument, straight: RigDocument) -> dict[str, float]:
    """Return by how much each camera was narrowed whose lens left pixels without a source."""
    pairs = zip(rig.cameras, straight.cameras, strict=True)
    return {a.name: round(float(b.fx / a.fx), 4) for a, b in pairs if b.fx != a.fx}


def _write_frames(
    task: Task,
    captured: CapturedFrames,
    rig: RigDocument,
    straight: RigDocument,
    size: tuple[int, int] | None,
) -> None:
    """Write a folder such as ``nmc capture --cameras`` leaves, of the cameras that are known."""
    from PIL import Image

    from nmc_framework.cameras.distortion import undistorted
    from nmc_framework.cameras.formats import native
    from nmc_framework.cameras.rig_plot import plot_rig
    from nmc_framework.capture.captured_folder import CAMERAS, RECORD
    from nmc_framework.capture.frames import reduced

    count = len(captured)
    finished = tuple(camera.resized(*size) if size else camera for camera in straight.cameras)
    total = count * len(finished)
    lenses = zip(rig.cameras, straight.cameras, rig.lenses, strict=True)
    for k, (taken, ideal, lens) in enumerate(lenses):
        folder = task.folder / taken.name
        folder.mkdir()
        for frame in range(count):
            name = f"{frame:08d}.png"
            if lens.straight and size is None:
                _link(captured.folder / taken.name / name, folder / name)
            else:
                # Straightened before it is reduced: averaging hides what interpolation blurs.
                image = captured.picture(taken.name, frame)
                image = image if lens.straight else undistorted(image, taken, lens, ideal)
                image = reduced(image, size) if size else image
                Image.fromarray(image).save(folder / name)
            task.report(k * count + frame + 1, total)
    native.write(task.folder / CAMERAS, replace(straight, cameras=finished))
    plot_rig(task.folder / "rig.png", finished, f"{len(finished)} cameras")
    record = json.loads((captured.folder / RECORD).read_text(encoding="utf-8"))
    record["cameras"] = [camera.name for camera in finished]
    text = json.dumps(record, indent=1) + "\n"
    (task.folder / RECORD).write_text(text, encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    """Put a picture there without a second copy of its bytes, where the disk can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
