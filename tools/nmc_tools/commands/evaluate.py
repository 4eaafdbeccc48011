"""``nmc evaluate``: held-out cameras against the truth (clause 5.1, second render mode)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_tools.commands.footage import Footage, HeldOutOption, SceneName, SceneOption
from nmc_tools.commands.framework import cameras_in, framework, parse_device
from nmc_tools.commands.options import FramesOption, PackagePath
from nmc_tools.selection import parse_frames
from nmc_tools.terminal import print_json, progress_bar, refuse_input, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_framework.evaluation import HeldOut
    from nmc_framework.evaluation.lpips import Lpips


def evaluate(
    package: PackagePath,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FRAMES", help="The folder of nmc capture: what is true."),
    ] = None,
    scene: SceneOption = None,
    held_out: HeldOutOption = None,
    frames: FramesOption = None,
    scores: Annotated[Path | None, typer.Option("--csv", help="Scores by frame and view.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of quality and bytes: .png.")] = None,
    metrics_plot: Annotated[
        Path | None, typer.Option(help="Picture of every metric by view: .png.")
    ] = None,
    lpips_net: Annotated[
        Literal["alex", "vgg", "squeeze"] | None,
        typer.Option(help="Measure LPIPS with this network; its weights are yours to supply."),
    ] = None,
    lpips_backbone: Annotated[
        Path | None, typer.Option(help="Weights of the network as torchvision saves them: .pth.")
    ] = None,
    lpips_heads: Annotated[
        Path | None, typer.Option(help="Linear heads of LPIPS 0.1, such as alex.pth.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put the scores into the package (clause 5.7).")
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print all scores as JSON.")] = False,
) -> None:
    """Render the held-out cameras and score them: PSNR, SSIM, MS-SSIM, LPIPS, flicker.

    The held-out cameras are those that the package says, unless others are named. With --write the
    manifest's quality record takes PSNR, SSIM and LPIPS; nothing else in the package changes.

    Examples
    --------
      nmc evaluate scene.nmc --scene --csv scores.csv --plot chain.png

      nmc evaluate room.nmc frames/ --held-out cam_3 --json

      nmc evaluate room.nmc frames/ --lpips-net alex --lpips-backbone alexnet.pth \
        --lpips-heads alex.pth --write
    """
    if (scene is not None) == (folder is not None):
        raise typer.BadParameter("give the folder of frames, or --scene")
    for picture, hint in ((plot, "--plot"), (metrics_plot, "--metrics-plot")):
        if picture is not None and picture.suffix.lower() != ".png":
            raise typer.BadParameter("the picture is .png", param_hint=hint)
    if lpips_net is None and (lpips_backbone or lpips_heads):
        raise typer.BadParameter("say which network: --lpips-net", param_hint="--lpips-backbone")
    with framework(package):
        import nmc
        from nmc.records import quality_of
        from nmc_framework.evaluation import HeldOut, plot_scores, write_scores
        from nmc_framework.models import build

        with nmc.open(package) as sequence:
            footage = _truth(sequence, folder, scene)
            stored = quality_of(sequence.manifest)
            names = held_out or (list(stored.views) if stored else [])
            if not names:
                reason = "it does not say which cameras were held out; name them"
                refuse_input("input/unsupported", str(package), reason, "--held-out NAME")
            chosen = _chosen(frames, len(sequence), footage.count)
            footage.split(names)
            distance = _lpips(lpips_net, lpips_backbone, lpips_heads, parse_device(device))
            model = build(sequence.family, sequence.configuration).to(device)
            lpips = distance.distance if distance else None
            quality = HeldOut(footage.cameras(names), lpips)
            kept = "the package is as it was"
            with progress_bar(f"evaluating {package.name}", kept=kept) as progress:
                _score(sequence, model, footage, names, chosen, quality, progress)
            if plot is not None:
                _plot(plot, sequence, quality, chosen)
            count = len(sequence)
        if metrics_plot is not None:
            metrics_plot.parent.mkdir(parents=True, exist_ok=True)
            plot_scores(metrics_plot, quality.scores, f"{package.name}: held-out views")
        if scores is not None:
            scores.parent.mkdir(parents=True, exist_ok=True)
            write_scores(scores, quality.scores)
        if write:
            _write(package, quality, chosen, count)
        _report(package, quality, names, chosen, as_json=as_json)


def _lpips(net: Any, backbone: Path | None, heads: Path | None, device: str) -> Lpips | None:
    if net is None:
        return None
    from nmc_framework.evaluation.lpips import read_lpips

    return read_lpips(net, backbone, heads).to(device)


def _write(package: Path, quality: HeldOut, chosen: list[int], count: int) -> None:
    """Put the scores over what the package recorded before."""
    from nmc import amend

    amend.write_quality(
        package, amend.merged(amend.quality_in(package), quality.record(chosen, count))
    )


def _truth(sequence: Any, folder: Path | None, scene: SceneName | None) -> Footage:
    """Return what the package's cameras should have seen."""
    from nmc.records import cameras_of
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.capture.folder import read_capture
    from nmc_tools.commands.footage import film_scene

    cameras = tuple(cameras_in(sequence))
    if not cameras:
        raise CameraError("the package holds no cameras")
    stored = cameras_of(sequence.manifest)
    if stored is not None and set(stored.distortion_model or ()) - {"none"}:
        raise CameraError("the package's cameras have distortion, which is not rendered")
    rig = RigDocument(cameras)
    if folder is not None:
        capture = read_capture(folder)
        missing = sorted({c.name for c in cameras} - set(capture.names))
        if missing:
            raise CameraError(f"{folder} has no pictures of camera {', '.join(missing)}")
        return Footage(rig, len(capture), capture.rate, capture.views)
    assert scene is not None
    return film_scene(scene, rig=rig, frames=len(sequence), rate=sequence.manifest.timescale)


def _chosen(text: str | None, count: int, available: int) -> list[int]:
    from nmc_framework.capture import CaptureError

    try:
        chosen = parse_frames(text, count) if text else list(range(count))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--frames") from None
    if chosen[-1] >= available:
        raise CaptureError(f"the folder has {available} frames; frame {chosen[-1]} is not there")
    return chosen


def _score(
    sequence: Any,
    model: Any,
    footage: Footage,
    names: list[str],
    chosen: list[int],
    quality: HeldOut,
    progress: Callable[[int, int], None],
) -> None:
    for done, frame in enumerate(chosen, start=1):
        model.load(sequence[frame])
        quality.score(model, frame, next(footage.views(names, frame)).images)
        progress(done, len(chosen))


def _plot(path: Path, sequence: Any, quality: HeldOut, chosen: list[int]) -> None:
    from nmc_framework.evaluation import ChainPoint, plot_chain

    points = []
    for index in chosen:
        record = sequence.frames[index]
        decibels = quality.mean(index, "psnr")
        sizes = record.state_bytes, record.segment_length
        points.append(ChainPoint(index, decibels, *sizes, record.coding))
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_chain(path, points, f"{sequence.path.name}: {len(sequence)} frames")


def _report(
    package: Path, quality: HeldOut, names: list[str], chosen: list[int], *, as_json: bool
) -> None:
    import numpy as np

    from nmc_framework.evaluation.held_out import METRICS

    tables = {metric: quality.table(metric) for metric in METRICS}
    # No number, where a metric does not apply, is null in JSON; a perfect PSNR has no number.
    means = {m: float(np.nanmean(t)) for m, t in tables.items() if np.isfinite(t).any()}
    if as_json:
        scores = {
            metric: [[float(v) if np.isfinite(v) else None for v in row] for row in table]
            for metric, table in tables.items()
        }
        whole = {"path": str(package), "views": names, "frames": chosen}
        print_json(whole | {"mean": {m: means.get(m) for m in METRICS}, "scores": scores})
        return
    texts = {"psnr": "{:.2f} dB PSNR", "ssim": "SSIM {:.4f}", "ms_ssim": "MS-SSIM {:.4f}"}
    texts |= {"lpips": "LPIPS {:.4f}", "flicker": "flicker {:.4f}"}
    shown = ", ".join(texts[metric].format(value) for metric, value in means.items())
    say(f"{package}: {len(chosen)} frames, {len(names)} held-out views: {shown}")
