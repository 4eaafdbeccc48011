"""``nmc capture``: videos of several cameras to synchronous frames (clause 5.1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmc_tools.commands.framework import (
    SizeOption,
    framework,
    parse_size,
    require_folder,
    require_new,
    require_there,
)
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.terminal import counted, print_json, progress_bar, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc_framework.cameras.camera import FloatArray
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.capture import Source


def capture(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEOS…",
            help="A video file a camera, or one folder: of videos, of pictures of one instant, or "
            "of folders of pictures by camera or by frame.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the frames.")],
    by: Annotated[
        Literal["time", "index"], typer.Option(help="Match pictures by time stamp or by number.")
    ] = "time",
    stamps: Annotated[
        Path | None,
        typer.Option(help="CSV (cam_id, frame_time) of when the pictures were really taken."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The camera whose pictures are the frames; else the first.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Largest skew in ms; else half an interval.")
    ] = None,
    cameras: Annotated[
        Path | None,
        typer.Option(help="Camera file of any format; pictures are freed of distortion by it."),
    ] = None,
    size: SizeOption = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Frames a second of images.")] = 30.0,
    every: Annotated[int, typer.Option(min=1, help="Take every so many frames.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Take at most so many.")] = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write the frames that all cameras saw, and report skew and drops of each camera.

    Leaves one folder of pictures a camera, capture.json, and, with --cameras, cameras.json for
    the pictures as they are: what nmc train starts from. Points beside the camera file come along.

    Examples
    --------
      nmc capture cam_*.mp4 -o frames --cameras camera_array.toml --size 320x180

      nmc capture footage/ -o frames --by index --every 2 --json
    """
    with framework(videos[0], output):
        from nmc_framework.capture import background_of, open_sources, read_frames, synchronise
        from nmc_framework.capture.captured_folder import RECORD, synchrony_record, write_capture
        from nmc_framework.frame_rate import plain

        require_there(videos)
        require_folder(output)
        require_new(output / RECORD, force=force)
        with framework(stamps or videos[0]):
            sources = open_sources(videos, rate=rate, stamps=stamps)
        names = [source.name for source in sources]
        limit_s = None if tolerance is None else tolerance / 1000
        if reference is not None and reference not in names:
            reason = f"no camera {reference!r}; there are {', '.join(names)}"
            raise typer.BadParameter(reason, param_hint="--reference")
        synchrony = synchronise(
            sources, by=by, reference=reference, tolerance=limit_s, every=every, limit=limit
        )
        wanted = parse_size(size)
        rig, points = None, None
        if cameras is not None:
            sources, rig, points = _with_cameras(cameras, sources, wanted)
        frames = read_frames(sources, synchrony, size=wanted)
        total = len(synchrony.instants)
        kept = f"{output} is not finished, and is not a folder of captured frames yet"
        with progress_bar(f"capturing to {output.name}", kept=kept) as progress:
            report = lambda done: progress(done, total)  # noqa: E731
            behind = background_of(sources)
            written = write_capture(
                output,
                names,
                frames,
                synchrony,
                rig,
                points=points,
                background=behind,
                report=report,
            )
        warnings = synchrony.warnings()
        for line in warnings:
            warn(line)
        if as_json:
            record = {"path": str(output), "written": len(written), "rate": plain(written.rate)}
            told = {"warnings": warnings, "synchrony": synchrony_record(synchrony)}
            print_json(record | told)
            return
        for line in synchrony.lines():
            say(line)
        say(f"{output}: {counted(len(written), 'frame')} of {counted(len(names), 'camera')}")


def _with_cameras(
    cameras: Path, sources: Sequence[Source], size: tuple[int, int] | None
) -> tuple[list[Source], RigDocument, FloatArray | None]:
    """Return the sources as their cameras took them, these, and the points found with them."""
    from nmc_framework.capture import picture_sizes, turned_to
    from nmc_framework.capture.captured_folder import matched
    from nmc_framework.capture.points import points_beside
    from nmc_framework.capture.tested import read_with_tests

    sizes = picture_sizes(sources)
    with framework(cameras):
        document, _ = read_with_tests(cameras, None, next(iter(sizes.values())))
        turned = turned_to(sources, document.named_after(list(sizes)))
        rig = matched(document, picture_sizes(turned), size)
        return turned, rig, points_beside(cameras)
