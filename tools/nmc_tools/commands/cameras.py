"""``nmc cameras``: camera files of other tools converted, summed up and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nmc_tools.commands.framework import SizeOption, framework, option, parse_size, require_new
from nmc_tools.commands.shared_options import ForceOption
from nmc_tools.terminal import counted, out, print_json, printable, refuse_input, say

if TYPE_CHECKING:
    from nmc_framework.cameras.formats import RigDocument

_FORMATS = (
    "nmc, colmap, colmap-bin, nerfstudio, blender, instant-ngp, llff, miv, metashape, "
    "realitycapture, opencv, caliscope (only read), arkit, panoptic, dynamic-gaussians, "
    "voxelpose (only read), ncore (only read)"
)
_ROWS_SHOWN = 40

app = typer.Typer(
    help=f"Convert, sum up and draw camera files. Formats: {_FORMATS}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

CamerasPath = Annotated[
    Path, typer.Argument(metavar="CAMERAS", help="A camera file, or folder, of any known format.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="Its format; told from its content if left out.")
]


@app.command()
def convert(
    source: CamerasPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="File or folder to write.")],
    source_format: FromOption = None,
    target_format: Annotated[
        str | None, typer.Option("--to", help="Format to write; told from the name if left out.")
    ] = None,
    size: SizeOption = None,
    centre: Annotated[
        bool, typer.Option("--centre", help="Move the rig so that the origin lies amid it.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Convert cameras; what a format cannot say is refused by name, never dropped.

    The format nmc keeps all: lenses, and the normalisation, so that it can be undone. --size is
    for formats that do not state the size of the images: blender, realitycapture, opencv.
    --centre is for coordinates of a map, too large for training; nmc notes the shift, the other
    formats cannot.

    Examples
    --------
      nmc cameras convert transforms.json -o cameras.json

      nmc cameras convert sparse/0 -o rig.json --to miv

      nmc cameras convert transforms_train.json -o colmap/ --size 800x800

      nmc cameras convert georeferenced/sparse/0 -o cameras.json --centre
    """
    with framework(source, output):
        from nmc_framework.cameras.formats import camera_files

        with option("--to" if target_format else "--output"):
            target = camera_files.named(target_format or camera_files.guess(output))
            if target.write is None:
                raise typer.BadParameter(f"{target.name} is only read", param_hint="--to")
        if output.is_dir() and not target.several_files:
            refuse_input("host/exists", str(output), "", f"{target.name} is one file; name it")
        require_new(output, force=force)
        document = _read(source, source_format, size)
        if centre:
            document = document.centred()
        written = camera_files.write(output, document, target.name)
        say(f"{output}: {counted(len(document.cameras), 'camera')}, {written}")


@app.command("inspect")
def inspect_(
    source: CamerasPath,
    source_format: FromOption = None,
    size: SizeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the format nmc.")] = False,
) -> None:
    """Show what a camera file says, in NMC's convention.

    Examples
    --------
      nmc cameras inspect poses_bounds.npy

      nmc cameras inspect sparse/0 --json
    """
    with framework(source):
        document = _read(source, source_format, size)
        if as_json:
            from nmc_framework.cameras.formats import native

            print_json(native.as_json(document))
            return
        _show(document)


@app.command()
def plot(
    source: CamerasPath,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture: .png, .svg or .pdf.")
    ] = Path("rig.png"),
    source_format: FromOption = None,
    size: SizeOption = None,
    mark: Annotated[
        list[str] | None, typer.Option(help="A camera to draw in red; may be repeated.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Draw the rig: each camera's frustum and optical axis in space, named, on equal axes.

    Examples
    --------
      nmc cameras plot cameras.json -o rig.png --mark test_00
    """
    if output.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise typer.BadParameter("the picture is .png, .svg or .pdf", param_hint="--output")
    with framework(source, output):
        from nmc_framework.cameras.rig_plot import plot_rig

        require_new(output, force=force)
        document = _read(source, source_format, size)
        names = [camera.name for camera in document.cameras]
        unknown = [name for name in mark or () if name not in names]
        if unknown:
            reason = f"no camera {', '.join(unknown)}; there are {', '.join(names)}"
            raise typer.BadParameter(reason, param_hint="--mark")
        output.parent.mkdir(parents=True, exist_ok=True)
        title = f"{printable(source.name)}: {counted(len(document.cameras), 'camera')}"
        plot_rig(output, document.cameras, title, marked=frozenset(mark or ()))
        say(str(output))


def _read(source: Path, source_format: str | None, size: str | None) -> RigDocument:
    from nmc_framework.cameras.formats import camera_files

    if source_format is not None:
        with option("--from"):
            camera_files.named(source_format)
    return camera_files.read(source, source_format, parse_size(size))


def _show(document: RigDocument) -> None:
    table = Table("camera", "size", "fx", "fy", "cx", "cy", "centre", "lens", box=None)
    for camera, lens in list(zip(document.cameras, document.lenses, strict=True))[:_ROWS_SHOWN]:
        numbers = [f"{v:.1f}" for v in (camera.fx, camera.fy, camera.cx, camera.cy)]
        centre = " ".join(f"{v:.3f}" for v in camera.centre)
        size = f"{camera.width}x{camera.height}"
        distortion = "-" if lens.straight else lens.model
        table.add_row(Text(printable(camera.name)), size, *numbers, centre, distortion)
    out.print(table)
    if len(document.cameras) > _ROWS_SHOWN:
        say(f"… and {len(document.cameras) - _ROWS_SHOWN} more; --json lists them")
    applied = document.normalisation
    say(f"{counted(len(document.cameras), 'camera')}; normalisation: {_normalisation(applied)}")


def _normalisation(applied: Any) -> str:
    import numpy as np

    if np.allclose(applied.matrix, np.eye(4), atol=1e-12, rtol=0):
        return "none"
    shift = " ".join(f"{v:.4g}" for v in applied.translation)
    turn = float(np.degrees(np.arccos(np.clip((np.trace(applied.rotation) - 1) / 2, -1, 1))))
    return f"scale {applied.scale:.6g}, turned by {turn:.4g} degrees, shifted by {shift}"
