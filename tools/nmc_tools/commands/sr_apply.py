"""``nmc sr apply`` and ``nmc sr evaluate``: the receiver's film, and how good it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_tools.commands.framework import framework, parse_device, require_new, require_there
from nmc_tools.commands.shared_options import ForceOption, JsonOption
from nmc_tools.terminal import counted, note, print_json, progress_bar, say, size_text

if TYPE_CHECKING:
    import nmc
    from nmc_framework.evaluation.held_out import Distance
    from nmc_framework.super_resolution.footage import Footage

DeviceOption = Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")]
LowArgument = Annotated[
    Path | None,
    typer.Argument(metavar="LOW", help="The small video, where it is not in the package."),
]


def apply(
    package: Annotated[Path, typer.Argument(metavar="PKG", help="A package of networks.")],
    low: LowArgument = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .mp4 to write.")] = Path(
        "enlarged.mp4"
    ),
    frame: Annotated[
        int | None,
        typer.Option(min=0, help="Enlarge all by this frame; 0: the network as pre-trained."),
    ] = None,
    crf: Annotated[int, typer.Option(min=0, max=51, help="0 lossless, 18 visually so.")] = 16,
    device: DeviceOption = "cpu",
    force: ForceOption = False,
) -> None:
    """Enlarge a video by the networks of a package, each scene by its own.

    Examples
    --------
      nmc sr apply film.nmc -o film.mp4

      nmc sr apply base.nmc small.mp4 -o large.mp4
    """
    require_there([package, *([low] if low else [])])
    enlarge_into(package, low, output, frame=frame, crf=crf, device=device, force=force)


def enlarge_into(
    package: Path,
    low: Path | None,
    output: Path,
    *,
    frame: int | None = None,
    crf: int = 16,
    device: str = "cpu",
    force: bool = False,
) -> None:
    """Write the film of a package of networks, with the times of the small video."""
    if output.suffix.lower() != ".mp4":
        raise typer.BadParameter("write .mp4", param_hint="--output")
    require_new(output, force=force)
    import nmc

    with framework(low or package, output), nmc.open(package) as sequence:
        from nmc_framework.super_resolution.coding import code_video
        from nmc_framework.super_resolution.enlarging import enlarged_film

        device = parse_device(device)
        if frame is not None and frame >= len(sequence):
            reason = f"{package.name} has {counted(len(sequence), 'frame')}"
            raise typer.BadParameter(reason, param_hint="--frame")
        with (
            small_video(package, low) as video,
            progress_bar(f"enlarging {output.name}", "pictures") as progress,
        ):
            ticks = [moment.ticks for moment in video.moments]

            def shown() -> Iterator[Any]:
                film = enlarged_film(sequence, video, frame=frame, device=device)
                for done, picture in enumerate(film, start=1):
                    yield picture
                    progress(done, len(video))

            output.parent.mkdir(parents=True, exist_ok=True)
            count = code_video(output, shown(), ticks, video.timescale, factor=crf)
    say(f"{output}: {counted(count, 'picture')}, {size_text(output.stat().st_size)}")


def is_of_networks(sequence: nmc.ChainSequence) -> bool:
    """Whether an opened package says that it holds networks that enlarge pictures."""
    from nmc_framework.models import families, family
    from nmc_framework.super_resolution import Upscaler

    name = str(sequence.family)
    return name in families() and issubclass(family(name), Upscaler)


def is_package_of_networks(package: Path) -> bool:
    """Whether a package holds networks that enlarge pictures."""
    import nmc

    with nmc.open(package) as sequence:
        return is_of_networks(sequence)


@contextmanager
def small_video(package: Path, low: Path | None) -> Iterator[Footage]:
    """Give the small video: what is named, else what is in the package, or beside it."""
    import nmc
    from nmc_framework.capture import CaptureError
    from nmc_framework.super_resolution.enlarging import carried
    from nmc_framework.super_resolution.footage import look_through
    from nmc_tools.super_resolution.transmission import small_video_of

    beside = small_video_of(package)
    with tempfile.TemporaryDirectory() as folder:
        if low is None:
            with nmc.open(package) as sequence:
                medium = carried(sequence)
                if medium is not None:
                    low = Path(folder) / "low-resolution"
                    with low.open("wb") as file:
                        file.writelines(medium.chunks())
        if low is None and not beside.is_file():
            raise CaptureError(
                f"{package.name} carries no video, and there is no {beside.name} beside it: name "
                "the small video too"
            )
        yield look_through(low or beside)


def evaluate(
    package: Annotated[Path, typer.Argument(metavar="PKG", help="A package of networks.")],
    original: Annotated[
        Path | None,
        typer.Argument(metavar="ORIGINAL", help="The video itself; without it, NIQE alone."),
    ] = None,
    low: Annotated[
        Path | None, typer.Option(help="The small video, where it is not in the package.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Score every so many pictures.")] = 1,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="A part of one picture, as every way shows it."),
    ] = None,
    lpips_net: Annotated[
        Literal["alex", "vgg", "squeeze"] | None,
        typer.Option(help="Measure LPIPS with this network; its weights are yours to supply."),
    ] = None,
    lpips_backbone: Annotated[
        Path | None, typer.Option(help="The network's weights, from torchvision's model zoo.")
    ] = None,
    lpips_heads: Annotated[
        Path | None, typer.Option(help="The linear heads; those of torchmetrics if not given.")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Score the bicubic filter, the pre-trained network and those of the scenes, side by side.

    PSNR, SSIM and MS-SSIM are those of the brightness without a border of as many pixels as the
    scale. NIQE needs no original. An original that is shorter than the small video is refused; of
    a longer one the first pictures count, and that is said.

    Examples
    --------
      nmc sr evaluate film.nmc original.mp4

      nmc sr evaluate film.nmc original.mp4 --every 5 --sheet compared.png
    """
    require_there([package, *(path for path in (original, low) if path)])
    with framework(package):
        distance = None
        if lpips_net is not None:
            from nmc_framework.evaluation.lpips import read_lpips

            distance = read_lpips(lpips_net, lpips_backbone, lpips_heads).distance
        score_networks(
            package,
            original,
            low,
            every=every,
            sheet=sheet,
            lpips=distance,
            device=device,
            as_json=as_json,
        )


def score_networks(
    package: Path,
    original: Path | None,
    low: Path | None = None,
    *,
    every: int = 1,
    sheet: Path | None = None,
    lpips: Distance | None = None,
    device: str = "cpu",
    as_json: bool = False,
) -> None:
    """Print how good a package of networks is, beside the bicubic filter."""
    import nmc
    from nmc_framework.super_resolution.enlarging import shown_size
    from nmc_framework.super_resolution.footage import look_through
    from nmc_tools.super_resolution.scoring import doubts, line
    from nmc_tools.super_resolution.scoring import evaluate as scored
    from nmc_tools.super_resolution.sheet import write_sheet

    device = parse_device(device)
    with nmc.open(package) as sequence:
        size = shown_size(sequence)
    with (
        small_video(package, low) as video,
        progress_bar(f"scoring {package.name}", "pictures") as progress,
    ):
        truth = look_through(original, size=size, limit=len(video) + 1) if original else None
        keep = len(video) // 2 if sheet is not None else None
        found = scored(
            package,
            video,
            truth,
            every=every,
            keep=keep,
            lpips=lpips,
            device=device,
            report=progress,
        )
        shown = [(f"{s.name}: {line(s)}", s.shown) for s in found if s.shown is not None]
        if sheet is not None and keep is not None:
            truths = [("original", truth.chosen([keep])[0])] if truth is not None else []
            write_sheet(sheet, [*shown, *truths])
        doubtful = doubts(video, truth, found) if truth is not None else []
    if as_json:
        whole: dict[str, Any] = {"path": str(package), "pictures": len(video), "every": every}
        whole["doubts"] = doubtful
        print_json(whole | {"scores": {s.name: s.means() for s in found}})
        return
    for each in doubtful:
        note(each)
    scored_count = len(range(0, len(video), every))
    say(f"{package}: {scored_count} of {counted(len(video), 'picture')} scored")
    for scores in found:
        say(f"{scores.name}: {line(scores)}")
