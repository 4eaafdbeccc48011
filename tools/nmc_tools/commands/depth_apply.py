"""``nmc depth apply``: the depth of pictures as files; maps, colours, surfaces and films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.depth import DeviceOption, FrameOption, PackageArgument, opened_model
from nmc_tools.commands.framework import framework, parse_device, require_folder, require_new
from nmc_tools.commands.shared_options import ForceOption, PlainJsonOption
from nmc_tools.pictures import write_png
from nmc_tools.terminal import counted, print_json, progress_bar, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Millimetres that 16 bits hold.
_MOST = 65535


def apply(
    package: PackageArgument,
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE…", help="PNG, JPEG, WebP…")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the files.")] = Path(
        "out/depth"
    ),
    colours: Annotated[
        bool, typer.Option("--colours", help="Write depth in colours too: near is red.")
    ] = False,
    mesh: Annotated[
        bool, typer.Option("--mesh", help="Write the surface too, as PLY with colours.")
    ] = False,
    film: Annotated[
        bool, typer.Option("--film", help="Write a film of the scene too, turning, as MP4.")
    ] = False,
    degrees: Annotated[
        float, typer.Option("--turn", min=1, max=360, help="Of the film; less: to and fro.")
    ] = 360.0,
    longest: Annotated[
        int, typer.Option(min=16, max=8192, help="Reduce pictures to such a side.")
    ] = 1024,
    frame: FrameOption = -1,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
    as_json: PlainJsonOption = False,
) -> None:
    """Say the depth of pictures: NAME.depth.png has 16 bits, in millimetres.

    Pictures are turned as their Exif data say. A picture that cannot be read is told before
    anything is written.

    Examples
    --------
      nmc depth apply depth.nmc photo.jpg

      nmc depth apply depth.nmc photo.jpg -o out --colours --mesh --film --turn 40
    """
    require_folder(output)
    kinds = ["depth.png", *(["colours.png"] if colours else [])]
    kinds += [*(["ply"] if mesh else []), *(["mp4"] if film else [])]
    for name, paths in _by_name(pictures).items():
        if len(paths) > 1:
            reason = f"{counted(len(paths), 'picture')} would become {name}.depth.png"
            raise typer.BadParameter(reason, param_hint="PICTURE")
        for kind in kinds:
            require_new(output / f"{name}.{kind}", force=force)
    told: list[dict[str, Any]] = []
    with framework(pictures[0], output):
        from nmc_framework.depth.estimate import estimate
        from nmc_framework.depth.pictures import read_picture

        model = opened_model(package, frame, parse_device(device))
        for path in pictures:  # all are looked at before anything is written
            read_picture(path, longest=longest)
        with progress_bar("looking at pictures", "pictures") as bar:
            for done, path in enumerate(pictures, start=1):
                picture = read_picture(path, longest=longest)
                depth = estimate(model, picture)
                output.mkdir(parents=True, exist_ok=True)
                files = _written(output / path.stem, picture, depth, kinds, degrees)
                told.append(
                    {
                        "picture": str(path),
                        "width": depth.shape[1],
                        "height": depth.shape[0],
                        "nearest": float(depth.min()),
                        "farthest": float(depth.max()),
                        "files": [str(file) for file in files],
                    }
                )
                bar(done, len(pictures))
    if as_json:
        print_json(told)
        return
    for each in told:
        names = ", ".join(Path(file).name for file in each["files"])
        say(f"{each['picture']}: {each['nearest']:.2f} to {each['farthest']:.2f} m; {names}")


def _by_name(pictures: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in pictures:
        found.setdefault(path.stem, []).append(path)
    return found


def _written(
    base: Path,
    picture: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    kinds: list[str],
    degrees: float,
) -> list[Path]:
    import numpy as np

    from nmc_framework.depth.colouring import coloured
    from nmc_framework.depth.surface import surface, write_ply
    from nmc_framework.depth.turning import RATE, turning
    from nmc_framework.rendering.video import write_video

    files = [base.with_name(f"{base.name}.{kind}") for kind in kinds]
    for kind, path in zip(kinds, files, strict=True):
        if kind == "depth.png":
            millimetres = np.clip(np.rint(depth * 1000), 1, _MOST).astype(np.uint16)
            write_png(path, millimetres)
        elif kind == "colours.png":
            write_png(path, coloured(depth))
        elif kind == "ply":
            write_ply(path, surface(picture, depth))
        else:
            write_video(path, turning(picture, depth, degrees=degrees), RATE, quality=20)
    return files
