"""The steps from a package to what people look at: 6DoF video and scores (clause 5.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nmc_framework.pipeline.chain_steps import PACKAGE, open_frames
from nmc_framework.pipeline.footage_steps import parse_size
from nmc_framework.pipeline.step import PipelineError, Task, usable_device

if TYPE_CHECKING:
    from nmc_framework.evaluation.held_out import Distance, HeldOut


def render(task: Task) -> Mapping[str, Any]:
    """Render what a user sees who moves along a track while the chain plays."""
    import nmc
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.rendering import (
        TrackSource,
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
        rate = options.get("rate") or max(1, sequence.manifest.timescale)
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
    return {"images": len(shown), "size": size, "rate": rate, "bytes": video.stat().st_size}


def evaluate(task: Task) -> Mapping[str, Any]:
    """Render the held-out cameras of every frame and score them against the truth."""
    import nmc
    from nmc import amend
    from nmc_framework.evaluation import (
        ChainPoint,
        HeldOut,
        plot_chain,
        plot_scores,
        write_scores,
    )
    from nmc_framework.evaluation.held_out import METRICS
    from nmc_framework.models import build

    frames = open_frames(task.made_by("cameras"))
    if not frames.held_out:
        raise PipelineError("no camera is held out; cameras.held_out names them")
    options = task.configuration.section("evaluate")
    path = task.made_by("package") / PACKAGE
    held_out = HeldOut(frames.cameras(frames.held_out), _lpips(task))
    device = usable_device(options["device"])
    points = []
    with nmc.open(path) as sequence:
        count = len(sequence)
        model = build(sequence.family, sequence.configuration).to(device)
        for index in range(count):
            model.load(sequence[index])
            truths = next(frames.captured.views(frames.held_out, index)).images
            held_out.score(model, index, truths)
            record = sequence.frames[index]
            sizes = record.state_bytes, record.segment_length
            mean = held_out.mean(index, "psnr")
            points.append(ChainPoint(index, mean, *sizes, record.coding))
            task.report(index + 1, count)
    write_scores(task.folder / "scores.csv", held_out.scores)
    plot_scores(task.folder / "scores.png", held_out.scores, "held-out views")
    plot_chain(task.folder / "chain.png", points, f"{count} frames")
    means = _means(held_out, METRICS)
    text = json.dumps({"views": list(frames.held_out), "mean": means}, indent=1) + "\n"
    (task.folder / "scores.json").write_text(text, encoding="utf-8")
    if options["into_package"]:
        scored = held_out.record(range(count), count)
        amend.write_quality(path, scored, task.folder / PACKAGE)
    return {"views": list(frames.held_out), **means}


def _lpips(task: Task) -> Distance | None:
    options = task.configuration.section("evaluate").get("lpips")
    if options is None:
        return None
    from nmc_framework.evaluation.lpips import read_lpips

    backbone = task.configuration.file("evaluate.lpips.backbone")
    heads = task.configuration.file("evaluate.lpips.heads")
    device = usable_device(task.configuration.section("evaluate")["device"])
    return read_lpips(options["net"], backbone, heads).to(device).distance


def _means(held_out: HeldOut, metrics: tuple[str, ...]) -> dict[str, float]:
    """Return the mean of each metric that has numbers; an infinite PSNR has none."""
    found = {}
    for metric in metrics:
        table = held_out.table(metric)
        known = table[np.isfinite(table)]
        if len(known):
            found[metric] = round(float(known.mean()), 6)
    return found
