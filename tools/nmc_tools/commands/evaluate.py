"""``nmc evaluate``: held-out cameras against the truth (clause 5.1, second render mode)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_tools.commands.clip_evaluate import ClipScoring, is_package_of_clips
from nmc_tools.commands.clip_render import refuse_of_cameras
from nmc_tools.commands.depth import evaluated_depth
from nmc_tools.commands.evaluate_files import check_files, refuse_unwritable
from nmc_tools.commands.footage import Footage, HeldOutOption, SceneName, SceneOption
from nmc_tools.commands.framework import (
    cameras_in,
    chosen_frames,
    framework,
    means_text,
)
from nmc_tools.commands.inverse import evaluated_inverse
from nmc_tools.commands.shared_options import FramesOption, PackagePath
from nmc_tools.commands.shared_work import OnOption, cluster_on, devices_on, views_on
from nmc_tools.commands.sr_apply import is_package_of_networks, score_networks
from nmc_tools.terminal import counted, print_json, progress_bar, refuse_input, say

if TYPE_CHECKING:
    from nmc_framework.evaluation import HeldOut, Scoring
    from nmc_framework.evaluation.lpips import Lpips
    from nmc_framework.rendering import Moment


def evaluate(
    package: PackagePath,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FRAMES", help="What it was trained on, a video too: what is true."),
    ] = None,
    scene: SceneOption = None,
    cameras: Annotated[
        Path | None, typer.Option(help="Camera file of the pictures; else what lies beside them.")
    ] = None,
    held_out: HeldOutOption = None,
    all_cameras: Annotated[
        bool,
        typer.Option("--all-cameras", help="Score every camera, those trained with apart."),
    ] = False,
    frames: FramesOption = None,
    scores: Annotated[Path | None, typer.Option("--csv", help="Scores by frame and view.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Truth, rendering and error of each view and frame side by side, and contact.png.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page to show others, in one file: .html."),
    ] = None,
    film: Annotated[
        list[Path] | None,
        typer.Option(metavar="MP4", help="A video for the page, of nmc render; repeatable."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of quality and bytes: .png.")] = None,
    metrics_plot: Annotated[
        Path | None, typer.Option(help="Picture of every metric by view: .png.")
    ] = None,
    align_colour: Annotated[
        bool,
        typer.Option(
            "--align-colour",
            help="Score after an affine fit of colours too: photographs differ in exposure.",
        ),
    ] = False,
    lpips_net: Annotated[
        Literal["alex", "vgg", "squeeze"] | None,
        typer.Option(help="Measure LPIPS with this network; its weights are yours to supply."),
    ] = None,
    lpips_backbone: Annotated[
        Path | None, typer.Option(help="Weights of the network as torchvision saves them: .pth.")
    ] = None,
    lpips_heads: Annotated[
        Path | None, typer.Option(help="Linear heads of LPIPS 0.1; else those of torchmetrics.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put the scores into the package (clause 5.7).")
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")] = "cpu",
    on: OnOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all scores as JSON.")] = False,
) -> None:
    """Render the held-out cameras and score them: PSNR, SSIM, MS-SSIM, LPIPS, flicker.

    The held-out cameras are those that the package says, unless others are named. With --write the
    manifest's quality record takes PSNR, SSIM and LPIPS of them; nothing else in the package
    changes. Views of an embedded scene are compared with what is there, without the exposure, noise
    and blur of the cameras that filmed it.

    Examples
    --------
      nmc evaluate scene.nmc --scene --csv scores.csv --plot chain.png

      nmc evaluate room.nmc frames/ --held-out cam_3 --json

      nmc evaluate room.nmc frames/ --all-cameras --images compared/ --html room.html

      nmc evaluate film.nmc film.mp4 --csv pictures.csv

      nmc evaluate room.nmc frames/ --on ray://host:10001

      nmc evaluate room.nmc frames/ --lpips-net alex --lpips-backbone alexnet.pth --write
    """
    if (scene is not None) == (folder is not None):
        raise typer.BadParameter("give the folder of frames, or --scene")
    check_files({"--plot": plot, "--metrics-plot": metrics_plot}, html, film or [])
    if lpips_net is None and (lpips_backbone or lpips_heads):
        raise typer.BadParameter("say which network: --lpips-net", param_hint="--lpips-backbone")
    if all_cameras and held_out:
        raise typer.BadParameter("give one of --held-out and --all-cameras")
    of_views: dict[str, Any] = {
        "--cameras": cameras, "--held-out": held_out, "--images": images, "--html": html,
        "--metrics-plot": metrics_plot, "--align-colour": align_colour, "--all-cameras": all_cameras
    }  # fmt: skip
    with framework(package, images or html or scores or package), ExitStack() as stack:
        device, theirs = devices_on(on, device)
        distance = _lpips(lpips_net, lpips_backbone, lpips_heads, device)
        lpips = distance.distance if distance else None
        if folder is not None and is_package_of_clips(package):
            refuse_of_cameras(of_views)
            refuse_unwritable([path for path in (scores, plot) if path])
            ClipScoring(package, folder, frames, lpips, theirs, on).run(
                csv=scores, plot=plot, write=write, as_json=as_json
            )
            return
        of_clips: dict[str, Any] = {
            "--csv": scores, "--plot": plot, "--write": write, "--frames": frames, "--on": on,
        }  # fmt: skip
        if folder is not None and _of_one_picture(
            package, folder, of_views | of_clips | {"--lpips-net": lpips_net}, device, as_json
        ):
            return
        if folder is not None and is_package_of_networks(package):
            refuse_of_cameras(of_views | of_clips)
            score_networks(package, folder, lpips=lpips, device=device, as_json=as_json)
            return
        refuse_unwritable([path for path in (scores, plot, metrics_plot, html) if path])
        import nmc
        from nmc_framework.evaluation import Gallery, HeldOut, Scoring, plot_scores, write_scores
        from nmc_framework.rendering import is_of_groups

        with nmc.open(package) as sequence:
            footage = _truth(sequence, folder, scene, cameras)
            views = _views(sequence, footage, held_out, package, every=all_cameras)
            chosen = chosen_frames(frames, len(sequence))
            shown = _shown(sequence, chosen, footage)
            align = align_colour or sequence.colour is not None
            times = footage.instants(views.names) if is_of_groups(sequence) else None
            quality = HeldOut(footage.cameras(views.names), lpips, align=align, times=times)
            room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            gallery = None
            if images is not None or html is not None:
                every = images is not None
                numbers = [moment.number for moment in shown]
                gallery = Gallery(images or room, views.names, numbers, every=every)
            scoring = Scoring(
                quality,
                chosen,
                device,
                gallery,
                room / "film.mp4" if html is not None else None,
                moments=shown,
            )
            cluster = stack.enter_context(cluster_on(on, theirs))
            if cluster is not None:
                scoring.rendered = views_on(cluster, package, shown, quality.cameras, device=theirs)
            kept = "the package is as it was"
            with progress_bar(f"evaluating {package.name}", kept=kept) as progress:
                scoring.run(
                    sequence, lambda frame: next(footage.views(views.names, frame)).images, progress
                )
            count = len(sequence)
            if plot is not None:
                _plot(plot, sequence, scoring)
        sheet = gallery.contact_sheet() if gallery else None
        if metrics_plot is not None:
            plot_scores(metrics_plot, quality.scores, f"{package.name}: {views.title}")
        if scores is not None:
            write_scores(scores, quality.scores)
        if html is not None:
            _page(html, package, scoring, views, sheet, film or [])
        if write:
            _write(package, quality, views, shown, count)
        _report(package, quality, views, [m.number for m in shown], as_json=as_json)


def _of_one_picture(
    package: Path, folder: Path, unmeant: dict[str, Any], device: str, as_json: bool
) -> bool:
    """Score what says depth or meshes of one picture, as its own command does; whether it is so."""
    return evaluated_depth(package, folder, unmeant, device, as_json) or evaluated_inverse(
        package, folder, unmeant, device, as_json
    )


@dataclass(frozen=True)
class _Views:
    """The views that are scored, those of them that the chain was trained with, those to record."""

    names: list[str]
    trained: list[str]
    recorded: list[str]

    @property
    def held_out(self) -> list[str]:
        return [name for name in self.names if name not in self.trained]

    @property
    def title(self) -> str:
        return "held-out views" if not self.trained else "views"


def _views(
    sequence: Any, footage: Footage, named: list[str] | None, package: Path, *, every: bool
) -> _Views:
    """Return what is to be scored: the cameras named, every one, or those the package says."""
    known = [camera.name for camera in footage.rig.cameras]
    stored = sequence.quality
    tested = list(stored.views) if stored else []
    all_names = [*tested, *(name for name in known if name not in tested)]
    names = all_names if every else list(dict.fromkeys(named or tested))
    unknown = [name for name in names if name not in known]
    if unknown:
        reason = f"no camera {', '.join(unknown)}; there are {', '.join(known)}"
        raise typer.BadParameter(reason, param_hint="--held-out")
    if not names:
        reason = "it does not say which cameras were held out; name them"
        refuse_input("input/unsupported", str(package), reason, "--held-out NAME, or --all-cameras")
    if sequence.colour is not None:
        used = set(sequence.colour.views)
    else:
        # Without a record of what was held out, what the user names is held out.
        used = set(known) - set(tested) if tested else set()
    trained = [name for name in names if name in used]
    # Who names a view wants it recorded.
    recorded = list(names) if named else [name for name in names if name not in used]
    return _Views(names, trained, recorded)


def _lpips(net: Any, backbone: Path | None, heads: Path | None, device: str) -> Lpips | None:
    if net is None:
        return None
    from nmc_framework.evaluation.lpips import read_lpips

    return read_lpips(net, backbone, heads).to(device)


def _write(package: Path, quality: HeldOut, views: _Views, shown: list[Moment], count: int) -> None:
    """Put the scores of held-out views over what the package recorded before."""
    from nmc.writing import amend

    if not views.recorded:
        reason = "no held-out camera was scored; those trained with do not count as quality"
        refuse_input("input/unsupported", str(package), reason)
    of = [moment.frame for moment in shown]
    record = quality.record(list(dict.fromkeys(of)), count, views.recorded, of=of)
    amend.write_quality(package, amend.merged(amend.quality_in(package), record))


def _truth(
    sequence: Any, folder: Path | None, scene: SceneName | None, given: Path | None
) -> Footage:
    """Return what the package's cameras should have seen."""
    from nmc_framework.cameras import CameraError
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.rendering import instants_a_second, moments
    from nmc_tools.commands.footage import film_scene, open_footage

    cameras = tuple(cameras_in(sequence))
    if not cameras:
        raise CameraError("the package holds no cameras")
    stored = sequence.cameras
    if stored is not None and set(stored.distortion_model or ()) - {"none"}:
        raise CameraError("the package's cameras have distortion, which is not rendered")
    rig = RigDocument(cameras)
    if folder is not None:
        found = open_footage(folder, scene=None, cameras=given)
        missing = sorted({c.name for c in cameras} - {c.name for c in found.rig.cameras})
        if missing:
            reason = f"it has no pictures of camera {', '.join(missing)}"
            refuse_input("input/unreadable", str(folder), reason)
        # A chain that was trained on reduced pictures is scored against such.
        sizes = {camera.name: (camera.width, camera.height) for camera in cameras}
        return replace(found.reduced(sizes), rig=rig)
    assert scene is not None
    shown = moments(sequence)
    count = 1 + max((moment.number for moment in shown), default=0)
    found = film_scene(scene, rig=rig, frames=count, rate=instants_a_second(sequence))
    # What a camera does to its picture is not the scene's: views are judged without it.
    return replace(found, read=found.clean or found.read)


def _shown(sequence: Any, chosen: list[int], footage: Footage) -> list[Moment]:
    """Return the instants that the chosen frames show, all of which are among what is true.

    Where each camera has an instant of its own, they are scored together.
    """
    from nmc_framework.capture import CaptureError
    from nmc_framework.rendering import Moment, moments

    available = footage.count
    if footage.times:
        return [Moment(frame, frame, None) for frame in chosen]
    shown = moments(sequence, chosen)
    last = max((moment.number for moment in shown), default=0)
    if last >= available:
        raise CaptureError(f"the folder has {available} frames; frame {last} is not there")
    return shown


def _plot(path: Path, sequence: Any, scoring: Scoring) -> None:
    from nmc_framework.evaluation import plot_chain

    path.parent.mkdir(parents=True, exist_ok=True)
    name = Path(sequence.path).name
    plot_chain(path, scoring.points, f"{name}: {counted(len(sequence), 'frame')}")


def _page(
    path: Path,
    package: Path,
    scoring: Scoring,
    views: _Views,
    sheet: Path | None,
    films: list[Path],
) -> None:
    from nmc_framework.evaluation import Evidence, Figure, write_report

    shown = [Figure(film, film.stem) for film in films]
    if scoring.film is not None and scoring.film.is_file():
        shown.append(Figure(scoring.film, f"{views.names[scoring.film_view]}: truth and rendering"))
    pictures = scoring.gallery.figures(scoring.quality.scores) if scoring.gallery else []
    if sheet is not None and len(pictures) > 1:
        pictures.append(Figure(sheet, "contact sheet", wide=True))
    evidence = Evidence(scoring.quality.scores, views.trained, shown, pictures)
    write_report(path, package, evidence)


def _report(
    package: Path, quality: HeldOut, views: _Views, chosen: list[int], *, as_json: bool
) -> None:
    import numpy as np

    from nmc_framework.evaluation.held_out import METRICS

    means = quality.means(views.held_out or views.names)
    trained = quality.means(views.trained) if views.trained and views.held_out else {}
    if as_json:
        # No number, where a metric does not apply, is null in JSON; a perfect PSNR has no number.
        scores = {
            metric: [[float(v) if np.isfinite(v) else None for v in row] for row in table]
            for metric, table in ((m, quality.table(m)) for m in METRICS)
        }
        whole: dict[str, Any] = {"path": str(package), "views": views.names, "frames": chosen}
        whole |= {"trained": views.trained, "mean": {m: means.get(m) for m in METRICS}}
        if trained:
            whole["mean_trained"] = {m: trained.get(m) for m in METRICS}
        print_json(whole | {"scores": scores})
        return
    scored = views.held_out or views.names
    kind = "held-out view" if views.held_out else "view that was trained with"
    kinds = "held-out views" if views.held_out else "views that were trained with"
    told = f"{counted(len(chosen), 'frame')}, {counted(len(scored), kind, kinds)}"
    say(f"{package}: {told}: {means_text(means)}")
    if trained:
        told = counted(len(views.trained), "view that was", "views that were")
        say(f"{package}: {told} trained with: {means_text(trained)}")
