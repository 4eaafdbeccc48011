"""The options of ``nmc pack`` that say how much may be lost, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nmc
from nmc.reading.declared import declared_errors, declared_psnr
from nmc_format.manifest.check.refinements import SAME_PSNR
from nmc_tools.terminal import counted, note

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTES_SHOWN = 12
_MISSED_SHOWN = 6

PANEL = "Lossy packages (one of these; the profile becomes lossy)"

StepOption = Annotated[
    float | None,
    typer.Option(help="Distance of neighbouring values, of all tensors.", rich_help_panel=PANEL),
]
QualityOption = Annotated[
    float | None,
    typer.Option(
        help="1 to 100; 8 points more halve the steps. Each tensor by magnitude and size; of a "
        "package whose cameras see its model, as many bits, where they are seen.",
        rich_help_panel=PANEL,
    ),
]
MaxErrorOption = Annotated[
    float | None,
    typer.Option(
        help="No weight is farther from the original. Tensors that cannot keep it are lossless.",
        rich_help_panel=PANEL,
    ),
]
TargetBytesOption = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        help="Of a frame, on average from key frame to key frame; steps are found for it.",
        rich_help_panel=PANEL,
    ),
]
TargetPsnrOption = Annotated[
    float | None,
    typer.Option(
        metavar="DB",
        help="Of renderings, against those of the original; the input is a package with cameras.",
        rich_help_panel=PANEL,
    ),
]
DeclarePsnrOption = Annotated[
    bool | None,
    typer.Option(
        "--declare-psnr/--no-declare-psnr",
        help="Each frame says the PSNR of its renderings. By default where the input is a package "
        "whose cameras see its model.",
        rich_help_panel=PANEL,
    ),
]
MeasureOption = Annotated[
    bool | None,
    typer.Option(
        "--measure/--no-measure",
        help="Whether what cameras see says which weights have which steps. By default so for a "
        "quality or target, where the input is a package whose cameras see its model.",
        rich_help_panel=PANEL,
    ),
]
RefineOption = Annotated[
    list[int] | None,
    typer.Option(
        metavar="BITS",
        min=1,
        max=12,
        help="A refinement of each frame: steps are finer by so many halvings; may be repeated. "
        "Who receives the package may leave out the last ones.",
        rich_help_panel=PANEL,
    ),
]


def quantisation_of(
    frames: int, *, distortion: Any = None, refine: list[int] | None = None, **options: Any
) -> nmc.Quantisation | None:
    """Return what the options ask for; None where they ask for nothing.

    Parameters
    ----------
    frames : int
        How many there will be.
    distortion : callable or None
        How near two states are, where a target in dB is given.
    refine : list of int or None
        Refinements, in halvings of the steps.
    **options
        By name of the option; None where it is not given.

    Raises
    ------
    typer.BadParameter
        If several are given, or one is out of its range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        if refine:
            raise typer.BadParameter(
                "say what the base loses, such as --quality 30", param_hint="--refine"
            )
        return None
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"give one of {names}")
    if "target_psnr" in given and distortion is None:
        raise typer.BadParameter(
            "pictures are needed, of a model and cameras that are known: give a package with "
            "cameras, such as nmc train makes, or use nmc.Quantisation(distortion=…) from Python",
            param_hint="--target-psnr",
        )
    try:
        return nmc.Quantisation(
            **given, distortion=distortion, frames=frames, refinements=refine or ()
        )
    except ValueError as error:
        name = next(iter(given))
        text = str(error).replace("'step'", "all tensors").replace("'max_error'", "all tensors")
        raise typer.BadParameter(text, param_hint=f"--{name.replace('_', '-')}") from None


def show_notes(notes: Mapping[str, str]) -> None:
    """Print what a quantisation did not do as asked; of many, some, missed targets first."""
    missed = missed_targets(notes)
    if len(missed) > _MISSED_SHOWN:
        note(f"{len(missed)} frames missed their target; the first ones:")
    frames = {f"frame {each['frame']}" for each in missed}
    rest = [(name, text) for name, text in notes.items() if name not in frames]
    in_order = [(f"frame {m['frame']}", m["reason"]) for m in missed[:_MISSED_SHOWN]] + rest
    shown = in_order[:_NOTES_SHOWN]
    for name, text in shown:
        note(f"{name}: {text}")
    if len(in_order) > len(shown):
        note(f"… and {len(in_order) - len(shown)} more like these")


def missed_targets(notes: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each frame that did not meet its target, and how close it came, as JSON has it."""
    found = {name.removeprefix("frame "): text for name, text in notes.items() if _is_frame(name)}
    return [{"frame": int(t), "reason": text} for t, text in found.items()]


def _is_frame(name: str) -> bool:
    """Whether a note is of a frame and not of a tensor."""
    return name.startswith("frame ") and name.removeprefix("frame ").isdecimal()


@dataclass(frozen=True)
class Loss:
    """What a package says of its own loss.

    Attributes
    ----------
    errors : mapping of str to float
        By tensor that is quantised in any frame, the largest of its declared errors.
    tensors : int
        Tensors in all.
    psnr : float or None
        The least declared PSNR of a frame at the stop that is read, in dB; None where no frame
        declares any.
    """

    errors: Mapping[str, float]
    tensors: int
    psnr: float | None = None

    @staticmethod
    def of(sequence: nmc.ChainSequence) -> Loss | None:
        """Return the loss of a package; None where its profile allows none."""
        if sequence.manifest.profile != "lossy":
            return None
        rows = sequence.manifest.tensors
        worst: dict[str, float] = {}
        for errors in declared_errors(sequence):
            for row, error in errors.items():
                name = rows[row].name
                worst[name] = max(error, worst.get(name, 0.0))
        declared = [declared_psnr(frame, sequence.stop) for frame in sequence.frames]
        least = min((psnr for psnr in declared if psnr is not None), default=None)
        return Loss(worst, len({row.name for row in rows}), least)

    def text(self) -> str:
        """Say it in a line."""
        if not self.errors:
            return "nothing is quantised: every tensor is lossless"
        name = max(self.errors, key=lambda n: self.errors[n])
        lossless = self.tensors - len(self.errors)
        rest = f", {counted(lossless, 'tensor')} lossless" if lossless else ""
        return (
            f"lossy: {counted(len(self.errors), 'tensor')} quantised{rest}; "
            f"largest declared error {self.errors[name]:.4g} ({name})"
            + ("" if self.psnr is None else f"; {psnr_text(self.psnr)} between renderings at least")
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "lossless_tensors": self.tensors - len(self.errors),
            "errors": dict(self.errors),
            "psnr": self.psnr,
        }


def psnr_text(decibels: float) -> str:
    """Say a declared PSNR."""
    return "the same" if decibels >= SAME_PSNR else f"{decibels:.2f} dB"
