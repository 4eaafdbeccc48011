"""``nmc sfm``: the cameras of a rig from its own images, by structure from motion (clause 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from nmc_framework.whole_files import write_text
from nmc_tools.commands.framework import (
    framework,
    option,
    require_folder,
    require_new,
    require_there,
)
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.progress import stages
from nmc_tools.terminal import (
    Exit,
    counted,
    note,
    out,
    print_json,
    printable,
    progress_bar,
    say,
    warn,
)

if TYPE_CHECKING:
    from nmc_framework.cameras.alignment import Alignment
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.sfm import RigSolution
    from nmc_framework.sfm.pictures import Images

_CAMERAS, _DOUBTFUL, _PICTURE, _REPORT, _WORK = (
    "cameras.json",
    "cameras.doubtful.json",
    "rig.png",
    "report.json",
    "work",
)
#: What else --to writes, beside cameras.json.
_WRITTEN_AS = {
    "colmap": "colmap",
    "colmap-bin": "colmap",
    "nerfstudio": "transforms.json",
    "blender": "transforms_train.json",
    "instant-ngp": "transforms_ngp.json",
    "llff": "poses_bounds.npy",
    "miv": "miv.json",
    "metashape": "cameras.xml",
    "realitycapture": "cameras.csv",
    "opencv": "opencv",
    "arkit": "arkit",
    "panoptic": "calibration.json",
    "dynamic-gaussians": "train_meta.json",
}


def sfm(
    footage: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOOTAGE…",
            help="A folder that nmc capture made, a video file a camera, a folder of videos or of "
            "image folders, or one folder with an image a camera.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    frames: Annotated[
        int, typer.Option(min=1, help="How many frames to solve from, spread over the footage.")
    ] = 4,
    camera_model: Annotated[
        str, typer.Option(help="COLMAP's name of the lens model to estimate.")
    ] = "simple_radial",
    shared_intrinsics: Annotated[
        bool, typer.Option("--shared-intrinsics", help="All cameras have one set of intrinsics.")
    ] = False,
    intrinsics: Annotated[
        Path | None, typer.Option(help="Camera file of any format with the known intrinsics.")
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(help="Camera file of any format to align with and to compare with."),
    ] = None,
    poses: Annotated[
        Path | None,
        typer.Option(help="Camera file with known cameras: find points with them, and refine."),
    ] = None,
    pairs: Annotated[
        Literal["auto", "exhaustive", "sequential", "retrieval"],
        typer.Option(help="Which cameras to compare; auto: all up to 60, then likely ones."),
    ] = "auto",
    extent: Annotated[
        float | None,
        typer.Option(min=1e-9, help="Length that errors relate to; else the known rig's diameter."),
    ] = None,
    target_format: Annotated[
        str | None, typer.Option("--to", help="Write the cameras in this format as well.")
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="End with a robust bundle adjustment.")
    ] = True,
    allow_partial: Annotated[
        bool,
        typer.Option("--allow-partial", help="Leave out cameras that cannot be registered."),
    ] = False,
    rivals: Annotated[
        int, typer.Option(min=0, max=16, help="Times to map again from elsewhere, to compare.")
    ] = 2,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the cameras although the verdict is not sound.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Estimate a rig's cameras, which stand still, from one frame or several.

    Leaves cameras.json, points.ply, rig.png and report.json, and in work/ what is used again when
    the same images are solved once more. Without --known the coordinates are arbitrary: structure
    from motion knows no scale. With it the result is moved into the known rig's coordinates, and
    cameras.json records by what, so that it can be undone.

    Every result has a verdict with its reasons: sound, doubtful or wrong. Unless it is sound the
    command ends with 1, and the cameras are left as cameras.doubtful.json: look at rig.png, and
    take them with --accept, which does no work twice. Cameras that cannot be placed at all end it
    with 1, too: report.json names them, and --allow-partial goes on without them.

    Examples
    --------
      nmc sfm frames/ -o rig/

      nmc sfm cam_*.mp4 -o rig/ --frames 6 --shared-intrinsics --to colmap

      nmc sfm footage/ -o rig/ --known cameras.json --json

      nmc sfm frames/ -o rig/ --intrinsics frames/cameras.json

      nmc sfm photographs/ -o rig/ --pairs sequential

      nmc sfm frames/ -o rig/ --poses calibration.json
    """
    with framework(footage[0], output):
        import pycolmap  # noqa: F401 - says at once what is missing

        from nmc_framework.cameras.alignment import align
        from nmc_framework.cameras.formats import camera_files
        from nmc_framework.cameras.rig_plot import plot_rig
        from nmc_framework.capture.points import POINTS
        from nmc_framework.sfm import SfmOptions, UnplacedError, against_known, solve_rig

        require_there([*footage, *(p for p in (intrinsics, known, poses) if p is not None)])
        require_folder(output)
        require_new(output / _CAMERAS, force=force)
        with option("--camera-model"):
            options = SfmOptions(
                camera_model=camera_model,
                shared_intrinsics=shared_intrinsics,
                refine=refine,
                allow_partial=allow_partial,
                seed=seed,
                pairs=pairs,
                rivals=rivals,
            )
        written = _file_of(target_format)
        given, truth, placed = map(_read, (intrinsics, known, poses))
        images = _images(footage, frames)
        count = len(next(iter(images.values())))
        kept = f"features and matches that were found are kept in {output / _WORK}"
        again = None if force else ""
        with progress_bar(f"solving {output.name}", "%", kept=kept, resume=again) as progress:
            try:
                solved = solve_rig(
                    images,
                    output / _WORK,
                    options,
                    intrinsics=given,
                    poses=placed,
                    report=stages(progress, ("features", "matches", "cameras")),
                    replace=force,
                )
            except UnplacedError as error:
                _write_unplaced(output, {"frames": count} | error.as_json(), as_json=as_json)
                raise
        compared = None if truth is None else align(solved.rig, truth, extent)
        if compared is not None:
            verdict = solved.verdict.and_(against_known(compared))
            solved = replace(solved.moved(compared.similarity), verdict=verdict)
        taken = accept or solved.verdict.kind == "sound"
        names = [camera.name for camera in solved.rig.cameras]
        report = _report(solved, compared, frames=count)
        for name in (_CAMERAS, _DOUBTFUL):
            (output / name).unlink(missing_ok=True)
        target = _CAMERAS if taken else _DOUBTFUL
        camera_files.write(output / target, solved.rig, "nmc")
        if taken and written is not None:
            camera_files.write(output / written, _with_depths(solved), target_format)
        solved.points.write_ply(output / POINTS)
        title = f"{counted(len(names), 'camera')}, {counted(len(solved.points), 'point')}"
        points = (solved.points.positions, solved.points.colours)
        plot_rig(output / _PICTURE, solved.rig.cameras, title, points=points)
        _write_report(output / _REPORT, report)
        if as_json:
            print_json({"path": str(output)} | report)
        else:
            _show(solved, compared)
            files = (target, written if taken else None, POINTS, _PICTURE, _REPORT)
            say(f"{output}: {', '.join(filter(None, files))}")
        if not taken:
            reasons = "; ".join(reason.text() for reason in solved.verdict.against)
            note(f"{output}: the cameras are {solved.verdict.kind}: {reasons}")
            note(f"look at {output / _PICTURE}; --accept takes them all the same")
            raise SystemExit(Exit.REFUSED)


def _file_of(target_format: str | None) -> str | None:
    if target_format in {None, "nmc"}:
        return None
    if target_format not in _WRITTEN_AS:
        raise typer.BadParameter(
            f"cameras cannot be written as {target_format}; there are {', '.join(_WRITTEN_AS)}",
            param_hint="--to",
        )
    return _WRITTEN_AS[target_format]


def _read(path: Path | None) -> RigDocument | None:
    """Return the rig of a camera file, where one is given."""
    from nmc_framework.cameras.formats import camera_files

    if path is None:
        return None
    with framework(path):
        return camera_files.read(path)


def _images(footage: Sequence[Path], frames: int) -> Images:
    """Return the pictures of evenly spread frames, by camera."""
    from nmc_framework.capture import ImageSource, open_sources, read_frames, synchronise
    from nmc_framework.capture.captured_folder import RECORD, read_capture

    first = footage[0]
    if len(footage) == 1 and (first / RECORD).is_file():
        captured = read_capture(first)
        chosen = _spread(len(captured), frames)
        return {n: [first / n / f"{k:08d}.png" for k in chosen] for n in captured.names}
    sources = open_sources(footage)
    synchrony = synchronise(sources)
    for line in synchrony.warnings():
        warn(line)
    picked = [synchrony.instants[k] for k in _spread(len(synchrony.instants), frames)]
    if all(isinstance(source, ImageSource) for source in sources):
        # As files: photographs carry their focal lengths with them.
        return {
            source.name: [source.paths[instant.pictures[k]] for instant in picked]
            for k, source in enumerate(sources)
            if isinstance(source, ImageSource)
        }
    views = list(read_frames(sources, replace(synchrony, instants=tuple(picked))))
    return {source.name: [v.images[k] for v in views] for k, source in enumerate(sources)}


def _spread(count: int, wanted: int) -> list[int]:
    """Return the indices of ``wanted`` frames of ``count``, from the first on, evenly apart."""
    number = min(count, wanted)
    return [k * count // number for k in range(number)]


def _with_depths(solved: RigSolution) -> RigDocument:
    """Add near and far of the points that each camera faces, for formats that hold them."""
    import numpy as np

    rows = []
    for camera in solved.rig.cameras:
        _, depth = camera.project(solved.points.positions)
        ahead = depth[depth > 0]
        rows.append(np.percentile(ahead, [0.5, 99.5]) if len(ahead) else (0.0, 1.0))
    return replace(solved.rig, depths=np.array(rows))


def _report(solved: RigSolution, compared: Alignment | None, *, frames: int) -> dict[str, Any]:
    report = {"frames": frames} | solved.as_json()
    if compared is None:
        return report
    known = {offset.name: offset for offset in compared.offsets}
    for row in report["cameras"]:
        offset = known.get(row["name"])
        if offset is not None:
            row |= {
                "centre_error": offset.centre,
                "rotation_error_degrees": offset.rotation,
                "focal_ratio": offset.focal,
            }
    return report | {"alignment": compared.as_json()}


def _write_report(path: Path, report: Mapping[str, Any]) -> None:
    import json

    write_text(path, json.dumps(report, indent=1, allow_nan=False) + "\n")


def _write_unplaced(output: Path, report: dict[str, Any], *, as_json: bool) -> None:
    """Leave the verdict on cameras that could not be placed, and no cameras of another run."""
    for name in (_CAMERAS, _DOUBTFUL):
        (output / name).unlink(missing_ok=True)
    _write_report(output / _REPORT, report)
    if as_json:
        print_json({"path": str(output)} | report)


def _show(solved: RigSolution, compared: Alignment | None) -> None:
    table = Table("camera", box=None, padding=(0, 2, 0, 0))
    heads = ["features", "tracks", "error px", "focal px"]
    heads += [] if compared is None else ["centre %", "rotation °"]
    for head in heads:
        table.add_column(head, justify="right")
    known = {} if compared is None else {offset.name: offset for offset in compared.offsets}
    for fit, camera in zip(solved.errors, solved.rig.cameras, strict=True):
        row = [str(fit.keypoints), str(fit.observations), f"{fit.error:.2f}", f"{camera.fx:.1f}"]
        if compared is not None:
            offset = known.get(fit.name)
            row += (
                ["-", "-"]
                if offset is None
                else [f"{100 * offset.centre / compared.extent:.2f}", f"{offset.rotation:.2f}"]
            )
        table.add_row(Text(printable(fit.name)), *row)
    out.print(table)
    say(
        f"{counted(len(solved.errors), 'camera')}, {counted(len(solved.points), 'point')}, "
        f"mean reprojection error {solved.error:.2f} px"
    )
    verdict = solved.verdict
    say(f"verdict: {verdict.kind}, score {verdict.score:.2f}")
    for reason in verdict.against:
        say(f"  {reason.kind}: {reason.text()}")
    if solved.missing:
        say(f"left out, not registered: {', '.join(solved.missing)}")
    if compared is not None:
        say(
            f"against the known rig: centres off by {100 * compared.mean_centre:.2f} % of "
            f"{compared.extent:.4g} (worst {100 * compared.worst_centre:.2f} %), "
            f"rotations by {compared.mean_rotation:.2f} degrees "
            f"(worst {compared.worst_rotation:.2f})"
        )
