"""What the commands of the framework share: one-line errors, and options in one form."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmc_format.host import host_refusal
from nmc_format.issues import FormatError
from nmc_tools.commands.installation import extra
from nmc_tools.frame_selection import parse_frames
from nmc_tools.terminal import note, refuse_input
from nmc_tools.waiting import BRIEFLY

if TYPE_CHECKING:
    import nmc
    from nmc_framework.cameras import Camera
    from nmc_framework.cameras.formats import RigDocument
    from nmc_framework.training import Rate

#: Where these commands stand in the help.
PANEL = r"Framework (pip install 'neural-model-chain\[framework]')"

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Size in pixels, such as 320x180.")
]


def _price(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a price; write such as 0.1, or auto") from None


RateOption = Annotated[
    Any,
    typer.Option(
        "--rate",
        metavar="PRICE|auto",
        help="Train for few bytes: the dB of PSNR that a kilobyte has to bring, such as 0.1; "
        "auto: by the size of the model, for scenes of any size.",
        parser=_price,
    ),
]


NNCodecOption = Annotated[
    bool,
    typer.Option(
        "--nncodec/--no-nncodec",
        help="Whether NNCodec is measured; it gets an environment of its own, of 6 GB.",
    ),
]
IntoOption = Annotated[
    Path | None,
    typer.Option("--into", help="Put the tables between the marks of a Markdown file."),
]
ShareOption = Annotated[
    float,
    typer.Option("--share", min=0.001, max=10, help="Of the usual iterations; 1: all."),
]


@contextmanager
def framework(place: str | Path, output: Path | None = None) -> Iterator[None]:
    """Run what needs the framework: its errors become one line, and so does its absence.

    ``place`` is what an error is of that does not say so itself. ``output`` is what is written by a
    command that cannot go on where it stopped: what the system refuses is told of it.
    """
    os.environ.setdefault(*BRIEFLY)  # before torch is loaded
    try:
        with extra("framework", str(place)):
            yield
    except (ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("nmc_framework."):
            raise
        refuse_input("input/unreadable", str(place), _said_of(str(place), error))
    except OSError as error:
        if output is None:
            raise
        refused = host_refusal(error, str(output)).finding
        if refused.code == "host/no-space":
            refused = replace(refused, hint="free some space and give the same command again")
        raise FormatError(refused) from None


@contextmanager
def option(name: str) -> Iterator[None]:
    """Take an error of the framework for a wrong value of an option: wrong usage."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if not type(error).__module__.startswith("nmc_framework."):
            raise
        raise typer.BadParameter(" ".join(str(error).split()), param_hint=name) from None


def refuse_given(options: Mapping[str, object], reason: str) -> None:
    """Refuse options, values by name, that mean nothing here: a value is wrong usage."""
    for name, value in options.items():
        if value:
            raise typer.BadParameter(reason, param_hint=name)


def _said_of(place: str, error: Exception) -> str:
    """Return an error's text without the name of the file that is named before it."""
    text = " ".join(str(error).split())
    for name in dict.fromkeys((place, Path(place).name)):
        for sign in (": ", ", "):
            text = text.removeprefix(f"{name}{sign}")
        if text.startswith(f"{name} is "):
            text = f"it{text.removeprefix(name)}"
    return text


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Return (width, height) of ``WxH``."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(
            f"{text!r} is not a size; write such as 320x180", param_hint="--size"
        )
    return int(parts[0]), int(parts[1])


def chosen_frames(text: str | None, count: int) -> list[int]:
    """Return the frames that ``--frames`` names, of so many; all where it names none."""
    try:
        return parse_frames(text, count) if text else list(range(count))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--frames") from None


def parse_device(text: str, *, elsewhere: bool = False) -> str:
    """Return the torch device, where it is there; ``elsewhere``: a cluster has it, or not."""
    from nmc_framework.device import DeviceError, named_device, usable_device

    try:
        return named_device(text) if elsewhere else usable_device(text)
    except DeviceError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from None


def check_rate(price: float | Literal["auto"] | None, key_every: int = 0) -> Rate | None:
    """Return the price of bytes that ``--rate`` gives, if it does."""
    from nmc_framework.training import Rate

    with option("--rate"):
        return None if price is None else Rate.named(price, key_every)


def require_known(names: Iterable[str] | None, known: Iterable[str], option: str) -> None:
    """Refuse a name that an option gives and that there is not: wrong usage."""
    there = list(known)
    for name in names or ():
        if name not in there:
            reason = f"no {name}; there are {', '.join(there)}"
            raise typer.BadParameter(reason, param_hint=option)


def require_there(paths: Iterable[Path]) -> None:
    """Refuse paths at which there is nothing."""
    for path in paths:
        if not path.exists():
            refuse_input("host/not-found", str(path), "")


def require_folder(path: Path) -> None:
    """Refuse a file where results go into a folder."""
    if path.exists() and not path.is_dir():
        refuse_input("host/exists", str(path), "", "the results go into a folder; name one with -o")


def require_new(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file, unless forced."""
    if path.exists() and not force:
        refuse_input("host/exists", str(path), "", "choose another name, or overwrite with --force")


def package_cameras(rig: RigDocument) -> nmc.Cameras:
    """Return cameras without distortion in the form that a manifest takes."""
    from nmc_framework.cameras.packaged import manifest_cameras

    return manifest_cameras(rig)


def cameras_in(sequence: nmc.ChainSequence) -> list[Camera]:
    """Return the cameras of an opened package; none where it has none."""
    from nmc_framework.cameras import packaged

    return packaged.cameras_in(sequence)


def means_text(means: Mapping[str, float]) -> str:
    """Return the means of metrics in one line for people."""
    texts = {"psnr": "{:.2f} dB PSNR", "ssim": "SSIM {:.4f}", "ms_ssim": "MS-SSIM {:.4f}"}
    texts |= {"psnr_aligned": "{:.2f} dB with colours aligned", "lpips": "LPIPS {:.4f}"}
    texts |= {"flicker": "flicker {:.4f}", "static_flicker": "{:.4f} where nothing moves"}
    return ", ".join(texts[metric].format(value) for metric, value in means.items())


def say_doubt(place: Path, loss: float, psnr: float) -> None:
    """Say where held-out views are so far below those trained with that something is amiss."""
    from nmc_framework.evaluation.doubt import doubt

    reason = doubt(loss, psnr)
    if reason is not None:
        note(f"{place}: {reason}")


def require_marks(into: Path | None, mark: str) -> None:
    """Refuse a Markdown file that has no place for the tables, before there is work."""
    from nmc_tools.bench.published import has_marks

    if into is not None and not has_marks(into, mark):
        reason = f"{into} has no marks <!-- {mark} --> and <!-- /{mark} --> to put tables between"
        raise typer.BadParameter(reason, param_hint="--into")
