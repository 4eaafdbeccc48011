"""``nmc render``: a user's viewpoint track to 6DoF video (clause 5.1, first render mode)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_tools.commands.clip_render import (
    is_of_clips,
    refuse_of_cameras,
    refuse_unseen,
    render_clips,
)
from nmc_tools.commands.depth import refuse_depth
from nmc_tools.commands.framework import (
    SizeOption,
    cameras_in,
    chosen_frames,
    framework,
    parse_device,
    parse_size,
    require_new,
)
from nmc_tools.commands.shared_options import ForceOption, FpsOption, PackagePath, parse_rate
from nmc_tools.commands.shared_work import (
    OnOption,
    cluster_on,
    devices_on,
    refuse_beside_on,
    track_on,
)
from nmc_tools.commands.sr_apply import enlarge_into, is_of_networks
from nmc_tools.terminal import counted, progress_bar, say, size_text

if TYPE_CHECKING:
    from nmc_framework.cameras import Camera
    from nmc_framework.rendering import TrackSource


def render(
    package: PackagePath,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The video: .mp4; of pictures .png or a folder too."),
    ],
    track: Annotated[
        str,
        typer.Option(
            metavar="CSV|orbit", help="x,y,z,yaw,pitch,roll a frame; an EyeNavGS trace; or orbit."
        ),
    ] = "orbit",
    keys: Annotated[
        Path | None,
        typer.Option(
            "--spline",
            metavar="CSV",
            help="Key poses x,y,z,yaw,pitch,roll (and time, in seconds) of a smooth path.",
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Frames to show, such as 0,3-5,8-; all if left out.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Images of the video; the frames are played to and fro."),
    ] = None,
    size: SizeOption = None,
    field_of_view: Annotated[
        float | None, typer.Option(min=1, max=170, help="Horizontal, in degrees.")
    ] = None,
    fps: FpsOption = None,
    save_track: Annotated[
        Path | None, typer.Option(help="Write the viewpoints that were used as CSV.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(help="Move a trace so that it begins at this camera.")
    ] = None,
    eye: Annotated[
        Literal["left", "right", "centre"], typer.Option(help="Which eye of a trace.")
    ] = "centre",
    trace_scale: Annotated[
        float, typer.Option(min=1e-6, help="Scene units for one unit of a trace.")
    ] = 1.0,
    quality: Annotated[int, typer.Option(min=0, max=51, help="0 lossless, 51 worst.")] = 18,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the images are the same.")] = 1,
    device: Annotated[
        list[str] | None, typer.Option(help="Torch device; several share the frames.")
    ] = None,
    on: OnOption = None,
    force: ForceOption = False,
) -> None:
    """Render what a user sees who moves along a track while the chain plays; or its pictures.

    An orbit swings about what the package's cameras face, within the angles they cover. A track
    in a CSV file has one viewpoint for each image. A spline runs from its first key pose to its
    last, by their times where they have some, else within the length of the video.

    Examples
    --------
      nmc render scene.nmc -o video.mp4 --length 90

      nmc render scene.nmc --track user.csv -o video.mp4 --size 640x360 --workers 4

      nmc render scene.nmc --spline keys.csv --length 120 -o video.mp4

      nmc render film.nmc -o film.mp4            (a chain of pictures, or of nmc sr: no track)

      nmc render scene.nmc -o video.mp4 --on ray://host:10001

      nmc render scene.nmc --track user10_room.csv --anchor train_03 -o video.mp4
    """
    refuse_beside_on(on, {"--workers": workers > 1, "--device": len(device or []) > 1})
    with framework(package, output):
        import nmc
        from nmc_framework.rendering import (
            instants_a_second,
            moments,
            played,
            render_package,
            user_camera,
            user_track,
            write_track,
            write_video,
        )

        of_cameras = {
            "--track": track != "orbit", "--spline": keys, "--length": length,
            "--field-of-view": field_of_view, "--save-track": save_track, "--anchor": anchor,
            "--eye": eye != "centre", "--trace-scale": trace_scale != 1,
            "--workers": workers > 1, "--device": len(device or ()) > 1,
        }  # fmt: skip
        with nmc.open(package) as sequence:
            if is_of_clips(sequence):
                refuse_of_cameras(of_cameras)
                render_clips(
                    sequence,
                    output,
                    frames=frames,
                    size=parse_size(size),
                    rate=parse_rate(fps),
                    quality=quality,
                    device=devices_on(on, (device or ["cpu"])[0])[1],
                    on=on,
                    package=package,
                    force=force,
                )
                return
            refuse_depth(sequence, package)
            if is_of_networks(sequence):
                refuse_of_cameras(
                    of_cameras | {"--on": on} | {"--frames": frames, "--size": size, "--fps": fps}
                )
                where = parse_device((device or ["cpu"])[0])
                enlarge_into(package, None, output, crf=quality, device=where, force=force)
                return
            refuse_unseen(sequence, package)
            if output.suffix.lower() != ".mp4":
                raise typer.BadParameter("the video is .mp4", param_hint="--output")
            devices = [devices_on(on, text)[1] for text in device or ["cpu"]]
            require_new(output, force=force)
            known = cameras_in(sequence)
            rate = parse_rate(fps) or instants_a_second(sequence)
            once = moments(sequence, chosen_frames(frames, len(sequence)))
        source = _source(track, keys, known, anchor, eye, trace_scale)
        with framework(source.keys or source.file or package):
            shown = played(once, length or source.images(rate))
            viewpoints = user_track(source, len(shown), known, rate)
        camera = user_camera(known, parse_size(size), field_of_view)
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            cluster_on(on, devices[0]) as cluster,
            progress_bar(f"rendering {output.name}", "images") as progress,
        ):
            if cluster is not None:
                pairs = list(zip(shown, viewpoints, strict=True))
                images = track_on(cluster, package, pairs, camera, device=devices[0])
            else:
                images = render_package(
                    package,
                    viewpoints,
                    camera,
                    [moment.frame for moment in shown],
                    times=[moment.time for moment in shown],
                    workers=workers,
                    devices=devices,
                )
            write_video(output, _counted(images, len(shown), progress), rate, quality=quality)
        if save_track is not None:
            write_track(save_track, viewpoints)
        seconds = float(len(shown) / rate)
        say(
            f"{output}: {counted(len(shown), 'image')} of {camera.width}x{camera.height}, "
            f"{seconds:.1f} s, {size_text(output.stat().st_size)}"
        )


def _source(
    track: str,
    keys: Path | None,
    known: list[Camera],
    anchor: str | None,
    eye: Literal["left", "right", "centre"],
    scale: float,
) -> TrackSource:
    from nmc_framework.rendering import TrackSource

    if keys is not None and track != "orbit":
        raise typer.BadParameter("give --track or --spline", param_hint="--spline")
    names = [camera.name for camera in known]
    if anchor is not None and anchor not in names:
        reason = f"no camera {anchor!r} in the package; there are {', '.join(names) or 'none'}"
        raise typer.BadParameter(reason, param_hint="--anchor")
    file = None if track == "orbit" else Path(track)
    return TrackSource(file, keys, anchor, eye, scale)


def _counted(images: Iterator[Any], total: int, progress: Any) -> Iterator[Any]:
    for number, image in enumerate(images, start=1):
        yield image
        progress(number, total)
