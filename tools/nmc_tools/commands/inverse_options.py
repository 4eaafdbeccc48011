"""What the commands of ``nmc inverse`` share: options, progress, the name of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nmc_tools.commands.framework import parse_device
from nmc_tools.terminal import refuse_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from nmc_framework.models import ChainModel
    from nmc_framework.training import Progress
    from nmc_tools.progress import Report

Kind = TypeVar("Kind", bound="ChainModel")

PicturesArgument = Annotated[
    Path, typer.Argument(metavar="PICTURES", help="A multi-view set, or any folder of pictures.")
]
GeneratorArgument = Annotated[
    Path, typer.Argument(metavar="GENERATOR.nmc", help="Of 'nmc inverse generator' or 'import'.")
]
ViewsArgument = Annotated[Path, typer.Argument(metavar="VIEWS", help="Folder of a multi-view set.")]
PackageOption = Annotated[Path, typer.Option("--output", "-o", help="Package that is made.")]
PictureOption = Annotated[Path, typer.Option("--output", "-o", help="Picture, .png.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
SeedOption = Annotated[int, typer.Option(min=0, help="All that is random follows from it.")]
FrameOption = Annotated[int, typer.Option("--frame", help="Of the chain; -1 is the last.")]
IterationsOption = Annotated[int, typer.Option(min=1, help="Of training.")]
SecondsOption = Annotated[
    float | None, typer.Option(min=1, help="How long it may take, instead of --iterations.")
]
BatchOption = Annotated[int, typer.Option(min=2, help="Pictures a batch.")]
DeviceOption = Annotated[str, typer.Option(help="Torch device, such as cpu or cuda:0.")]
HeldOutOption = Annotated[
    int, typer.Option("--held-out", min=1, help="The last so many objects are tested with.")
]


def require_png(path: Path) -> None:
    """Refuse to write a picture under a name that ends in something else."""
    if path.suffix.lower() != ".png":
        refuse_input("input/unsupported", str(path), "a picture is written as .png", "name it so")


def reported(shown: Report) -> Callable[[Progress], None]:
    """Return what tells of every iteration of training."""

    def report(progress: Progress) -> None:
        shown(progress.iteration, progress.iterations, note=f"loss {progress.loss:.4f}")

    return report


def opened_model(path: Path, kind: type[Kind], device: str, frame: int = -1) -> Kind:
    """Return the model of one frame of a package on a device, which has to be there."""
    from nmc_framework.inverse.packages import open_model

    there = parse_device(device)
    return open_model(path, kind, frame).to(there)
