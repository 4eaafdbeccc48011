"""``nmc experiment``: the experiments of the survey, each with tables, plots and a page."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmc_tools.commands.footage import HeldOutOption, SceneName
from nmc_tools.commands.framework import (
    IntoOption,
    NNCodecOption,
    ShareOption,
    SizeOption,
    framework,
    parse_size,
    require_folder,
    require_known,
    require_marks,
    require_there,
)
from nmc_tools.commands.shared_options import PlainJsonOption
from nmc_tools.commands.shared_work import OnOption, executor_on
from nmc_tools.terminal import out, print_json, progress_bar, say, warn

if TYPE_CHECKING:
    from nmc_tools.experiments.films import Film
    from nmc_tools.experiments.peer import Peer
    from nmc_tools.experiments.results_page import Results

app = typer.Typer(
    help="Run the experiments on implicit neural representations.", no_args_is_help=True
)

#: The picture of the embedded scene that is taken where none is given.
_SCENE: SceneName = "room"
_SIZE = (128, 128)
#: Of the films of the embedded scene: MS-SSIM needs sides of 176 pixels.
_FILM_SIZE = (192, 192)
_SceneOption = Annotated[
    SceneName | None, typer.Option(help="The embedded scene to film; room if none is named.")
]
_FramesOption = Annotated[int, typer.Option("--frames", min=2, help="Of the footage.")]


@app.callback()
def _group() -> None:
    """Run the experiments on implicit neural representations."""


@app.command("list")
def listed(
    as_json: PlainJsonOption = False,
) -> None:
    """List the experiments.

    Examples
    --------
      nmc experiment list
    """
    from dataclasses import asdict

    from nmc_tools.experiments.catalogue import EXPERIMENTS

    if as_json:
        print_json([asdict(each) for each in EXPERIMENTS])
        return
    for each in EXPERIMENTS:
        say(f"{each.name}: {each.shows}")


@app.command("all-intra")
def all_intra(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/all-intra"),
    picture: Annotated[
        list[Path] | None,
        typer.Option(help="A picture; repeatable. A view of an embedded scene if none is given."),
    ] = None,
    size: SizeOption = None,
    quality: Annotated[
        list[str] | None, typer.Option(help="Q1 to Q5; repeatable. All if not given.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Of training each model.")] = 1500,
    nncodec: NNCodecOption = True,
    on: OnOption = None,
    into: IntoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Code pictures as networks of five sizes, and compare how their weights are coded.

    INRIC models Q1 to Q5 are trained on each picture. Their weights are coded by NNCodec at QP -54
    to -42, rounded to 8 and 7 bits by AdaRound and QAT, and coded by our lossy coder. Leaves the
    tables (.md, .json), plots (.png) and a page (.html). Every result is kept by the content of
    what it follows from: an interrupted run goes on with the same command.

    Examples
    --------
      nmc experiment all-intra --no-nncodec

      nmc experiment all-intra --picture kodim23.png --size 384x256 -o out/kodim23

      nmc experiment all-intra --on ray --into BENCHMARKS.md
    """
    _on_all_cores()
    require_folder(output)
    require_marks(into, "all-intra")
    require_there(picture or [])
    wanted = parse_size(size)
    with framework(output, output):
        from nmc_framework.models.pictures.inric import QUALITIES
        from nmc_tools.experiments.all_intra import Request, run

        require_known(quality, QUALITIES, "--quality")
        request = Request(
            pictures=_pictures(picture or [], wanted),
            folder=output,
            qualities=quality or tuple(QUALITIES),
            iterations=iterations,
            nncodec=_nncodec(output) if nncodec else None,
        )
        with (
            executor_on(on) as executor,
            progress_bar("all-intra", unit="models", kept=f"in {output}", resume="") as bar,
        ):
            results = run(replace(request, executor=executor), bar)
    _tell(results, output, into, as_json=as_json)


@app.command("inter-like")
def inter_like(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/inter-like"),
    video: Annotated[
        list[Path] | None,
        typer.Option(
            help="A video or a folder of pictures; repeatable. Two films of an embedded "
            "scene if none is given: of a camera that stands, and of one that moves."
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(min=2, help="Of each video.")] = 16,
    size: SizeOption = None,
    family: Annotated[
        list[str] | None, typer.Option(help="ffnerv, hnerv or nvp; repeatable. All if not given.")
    ] = None,
    share: ShareOption = 1.0,
    on: OnOption = None,
    into: IntoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Compare neural videos with H.264 and HEVC: PSNR and MS-SSIM over bits a pixel.

    FFNeRV, HNeRV and NVP are trained in two sizes, and their weights coded by our lossy coder; x264
    and x265 code the same pictures with 4:4:4 sampling. MS-SSIM needs sides of 176 pixels. Leaves
    what all-intra leaves, and is kept in the same way.

    Examples
    --------
      nmc experiment inter-like

      nmc experiment inter-like --size 128x128 --on ray

      nmc experiment inter-like --video film.mp4 --size 320x180 --pictures 32 --family ffnerv
    """
    _on_all_cores()
    require_folder(output)
    require_marks(into, "inter-like")
    require_there(video or [])
    wanted = parse_size(size) or _FILM_SIZE
    with framework(output, output):
        from nmc_tools.experiments.inter_like import SIZES, Request, run

        require_known(family, SIZES, "--family")
        clips, rate = _clips(video or [], wanted, pictures)
        request = Request(clips, output, rate, family or tuple(SIZES), share)
        with (
            executor_on(on) as executor,
            progress_bar("inter-like", unit="points", kept=f"in {output}", resume="") as bar,
        ):
            results = run(replace(request, executor=executor), bar)
    _tell(results, output, into, as_json=as_json)


@app.command("consistency")
def consistency(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/consistency"),
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FRAMES", help="Frames of several cameras; else an embedded scene."),
    ] = None,
    scene: _SceneOption = None,
    held_out: HeldOutOption = None,
    frames: _FramesOption = 8,
    size: SizeOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="frame-wise, shared, 'shared and frozen', dynerf or mixvoxels; repeatable. All if "
            "not given."
        ),
    ] = None,
    share: ShareOption = 1.0,
    on: OnOption = None,
    into: IntoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Compare how steady models of frames, chains and models of a sequence are.

    A hash grid a frame by itself, from the frame before, and from the frame before with frozen
    networks; DyNeRF and MixVoxels of all frames. Held-out views are scored: PSNR, SSIM, flicker
    where the truth stands still, and error along the motion. Leaves a table (.md, .json), a plot,
    a film and a page (.html), and is kept in the same way as the other experiments.

    Examples
    --------
      nmc experiment consistency --size 64x64 --frames 8 --share 0.5

      nmc experiment consistency frames/ --held-out cam_3 -o out/steady
    """
    _on_all_cores()
    require_folder(output)
    require_marks(into, "consistency")
    with framework(output, output):
        from nmc_tools.bench.published import put_into
        from nmc_tools.experiments.consistency import METHODS, Request, run
        from nmc_tools.experiments.consistency_page import table, write_consistency

        require_known(method, METHODS, "--method")
        film = _film(folder, scene, held_out, frames, size)
        request = Request(film, output, method or METHODS, share)
        with (
            executor_on(on) as executor,
            progress_bar("consistency", unit="frames", kept=f"in {output}", resume="") as bar,
        ):
            found = run(replace(request, executor=executor), bar)
    files = write_consistency(output, found)
    if into:
        put_into(into, "consistency", table(found))
    if as_json:
        print_json(found.as_json())
        return
    out.print(table(found), markup=False)
    say(f"{output}: {', '.join(path.name for path in files)}")


@app.command("compression-3d")
def compression_3d(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; what is there is kept.")
    ] = Path("out/compression-3d"),
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FRAMES", help="Frames of several cameras; else an embedded scene."),
    ] = None,
    scene: _SceneOption = None,
    held_out: HeldOutOption = None,
    frames: _FramesOption = 8,
    size: SizeOption = None,
    family: Annotated[
        list[str] | None, typer.Option(help="dynerf or mixvoxels; repeatable. Both if not given.")
    ] = None,
    share: ShareOption = 1.0,
    nncodec: NNCodecOption = True,
    on: OnOption = None,
    into: IntoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Code models of a moving scene, and compare how: PSNR of held-out views over bits a pixel.

    A DyNeRF and a MixVoxels model of all frames are coded by NNCodec at QP -48 to -28 and by our
    lossy coder; the PSNR is told against the truth and against the model before it is coded.
    Leaves what all-intra leaves, and is kept in the same way.

    Examples
    --------
      nmc experiment compression-3d --size 64x64 --no-nncodec

      nmc experiment compression-3d frames/ --held-out cam_3 --family mixvoxels
    """
    _on_all_cores()
    require_folder(output)
    require_marks(into, "compression-3d")
    with framework(output, output):
        from nmc_tools.experiments.compression_3d import FAMILIES, Request, run

        require_known(family, FAMILIES, "--family")
        film = _film(folder, scene, held_out, frames, size)
        peer = _nncodec(output) if nncodec else None
        request = Request(film, output, family or FAMILIES, share, peer)
        with (
            executor_on(on) as executor,
            progress_bar("compression-3d", unit="models", kept=f"in {output}", resume="") as bar,
        ):
            results = run(replace(request, executor=executor), bar)
    _tell(results, output, into, as_json=as_json)


def _film(
    folder: Path | None,
    scene: SceneName | None,
    held_out: list[str] | None,
    frames: int,
    size: str | None,
) -> Film:
    """Return some frames of several cameras, of a folder or of an embedded scene."""
    from nmc_tools.commands.footage import open_footage
    from nmc_tools.experiments.films import Film

    wanted = parse_size(size) or (None if folder else _SIZE)
    name = scene or (None if folder else _SCENE)
    footage = open_footage(folder, scene=name, size=wanted, frames=frames)
    if footage.count < frames:
        known = f"there are {footage.count} frames: give --frames {footage.count} or less"
        raise typer.BadParameter(known, param_hint="--frames")
    if len(footage.split(held_out)[1]) == 0:
        reason = "name a camera to test with: nothing is measured of those trained with"
        raise typer.BadParameter(reason, param_hint="--held-out")
    return Film.of(folder.name if folder else str(name), footage, held_out)


def _on_all_cores() -> None:
    """Have what trains and codes use every core; libraries read this when they are loaded."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, str(os.cpu_count() or 1))


def _tell(results: Results, output: Path, into: Path | None, *, as_json: bool) -> None:
    """Write what was found, and print it."""
    from nmc_tools.bench.published import put_into
    from nmc_tools.experiments.results_page import summary, tables, write_results

    files = write_results(output, results)
    for left_out in results.notes:
        warn(left_out)
    if into:
        put_into(into, results.name, summary(results))
    if as_json:
        print_json(results.as_json())
        return
    out.print(tables(results), markup=False)
    say(f"{output}: {', '.join(path.name for path in files)}")


def _clips(paths: list[Path], size: tuple[int, int], count: int) -> tuple[dict[str, Any], int]:
    """Return clips by name, and pictures a second."""
    import numpy as np

    from nmc_framework.capture import CaptureError, open_moving
    from nmc_framework.scene import orbit_camera, scenes
    from nmc_framework.scene.rig import AZIMUTH

    if not paths:
        scene = scenes()[_SCENE]
        still = scene.rig(size).cameras[0]
        around = [orbit_camera(AZIMUTH - 15 + 30 * k / count, 20.0, size) for k in range(count)]
        filmed = {"still camera": [still] * count, "moving camera": around}
        return {
            name: np.stack([scene.render(c, k / scene.rate) for k, c in enumerate(cameras)])
            for name, cameras in filmed.items()
        }, scene.rate
    found, rate = {}, 1
    for path in paths:
        with framework(path):
            moving = open_moving(path, size=size, limit=count)
            if moving.count < count:
                raise CaptureError(
                    f"it has {moving.count} pictures: give --pictures {moving.count} or less"
                )
            found[path.stem], rate = next(moving.clips(count)), round(moving.rate)
    return found, rate


def _pictures(paths: list[Path], size: tuple[int, int] | None) -> dict[str, Any]:
    from nmc_framework.capture import open_moving
    from nmc_framework.scene import scenes

    if not paths:
        scene = scenes()[_SCENE]
        camera = scene.rig(size or _SIZE).cameras[0]
        return {f"{_SCENE}, {camera.name}": scene.render(camera, 0.0)}
    found = {}
    for path in paths:
        with framework(path):
            found[path.stem] = next(open_moving(path, size=size).clips(1))[0]
    return found


def _nncodec(output: Path) -> Peer:
    """Return NNCodec; where it cannot be had, what it would have coded is left out."""
    from nmc_tools.experiments.peer import Peer

    return Peer(output / "nncodec-environment")
