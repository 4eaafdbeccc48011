"""The steps from a package to what people look at: 6DoF video and scores (clause 5.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from nmc_framework.counting import counted
from nmc_framework.device import usable_device
from nmc_framework.frame_rate import plain
from nmc_framework.pipeline.chain_steps import PACKAGE, open_frames
from nmc_framework.pipeline.footage_steps import parse_size
from nmc_framework.pipeline.step import PipelineError, Task

if TYPE_CHECKING:
    from nmc_framework.evaluation.held_out import Distance


def render(task: Task) -> Mapping[str, Any]:
    """Render what a user sees who moves along a track while the chain plays."""
    import nmc
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.rendering import (
        TrackSource,
        instants_a_second,
        played,
        render_package,
        user_camera,
        user_track,
        write_track,
        write_video,
    )

    options = task.configuration.section("render")
    path = task.made_by("package") / PACKAGE
    with nmc.open(path) as sequence:
        known = cameras_in(sequence)
        rate = Fraction(options["rate"]) if "rate" in options else instants_a_second(sequence)
        count = len(sequence)
    source = TrackSource(
        file=task.configuration.file("render.track"),
        keys=task.configuration.file("render.spline"),
        anchor=options.get("anchor"),
        eye=options["eye"],
        scale=options["trace_scale"],
    )
    shown = played(range(count), options.get("length") or source.images(rate))
    track = user_track(source, len(shown), known, rate)
    camera = user_camera(known, parse_size(options.get("size")), options.get("field_of_view"))
    images = render_package(
        path,
        track,
        camera,
        shown,
        workers=options["workers"],
        devices=[usable_device(options["device"])],
    )

    def counted() -> Iterator[Any]:
        for number, image in enumerate(images, start=1):
            yield image
            task.report(number, len(shown))

    video = task.folder / "video.mp4"
    write_video(video, counted(), rate, quality=options["quality"])
    write_track(task.folder / "track.csv", track)
    size = f"{camera.width}x{camera.height}"
    return {"images": len(shown), "size": size, "rate": plain(rate), "bytes": video.stat().st_size}


def evaluate(task: Task) -> Mapping[str, Any]:
    """Render the held-out cameras of every frame and score them against the truth."""
    import nmc
    from nmc.writing import amend
    from nmc_framework.evaluation import (
        Gallery,
        HeldOut,
        Scoring,
        plot_chain,
        plot_scores,
        write_scores,
    )

    frames = open_frames(task.made_by("cameras"))
    options = task.configuration.section("evaluate")
    views = frames.held_out + (frames.training if options["all_cameras"] else ())
    if not views:
        raise PipelineError("no camera is held out; cameras.held_out names them")
    path = task.made_by("package") / PACKAGE
    with nmc.open(path) as sequence:
        count = len(sequence)
        align = options["align_colour"] or sequence.colour is not None
        quality = HeldOut(frames.cameras(views), _lpips(task), align=align)
        gallery = Gallery(
            task.folder / "pictures", views, range(count), every=options["every_picture"]
        )
        device = usable_device(options["device"])
        film = task.folder / "compared.mp4"
        scoring = Scoring(quality, range(count), device, gallery, film)
        scoring.run(
            sequence, lambda frame: next(frames.captured.views(views, frame)).images, task.report
        )
    gallery.contact_sheet()
    write_scores(task.folder / "scores.csv", quality.scores)
    plot_scores(task.folder / "scores.png", quality.scores, "held-out views")
    plot_chain(task.folder / "chain.png", scoring.points, counted(count, "frame"))
    tested = frames.held_out or views
    means = {name: round(value, 6) for name, value in quality.means(tested).items()}
    shown = {
        str(figure.path.relative_to(task.folder)): figure.caption
        for figure in gallery.figures(quality.scores)
    }
    record = {"views": list(views), "held_out": list(frames.held_out), "mean": means}
    text = json.dumps(record | {"pictures": shown}, indent=1) + "\n"
    (task.folder / "scores.json").write_text(text, encoding="utf-8")
    if options["into_package"] and frames.held_out:
        scored = quality.record(range(count), count, frames.held_out)
        amend.write_quality(path, scored, task.folder / PACKAGE)
    told: dict[str, Any] = {"views": list(tested), **means}
    if options["all_cameras"] and frames.held_out:
        trained = quality.means(frames.training)
        told["trained"] = {name: round(value, 6) for name, value in trained.items()}
    return told


def _lpips(task: Task) -> Distance | None:
    options = task.configuration.section("evaluate").get("lpips")
    if options is None:
        return None
    from nmc_framework.evaluation.lpips import read_lpips

    backbone = task.configuration.file("evaluate.lpips.backbone")
    heads = task.configuration.file("evaluate.lpips.heads")
    device = usable_device(task.configuration.section("evaluate")["device"])
    return read_lpips(options["net"], backbone, heads).to(device).distance
