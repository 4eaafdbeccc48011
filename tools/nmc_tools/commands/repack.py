"""``nmc pack`` of a package: its frames coded anew, such as a lossless chain into a lossy one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import nmc
from nmc.writing.carried_media import refuse_in_the_clear
from nmc.writing.repack import described, repack
from nmc_tools.commands.against import is_package
from nmc_tools.commands.framework import cameras_in, framework
from nmc_tools.commands.lossy_options import Loss, quantisation_of, show_notes
from nmc_tools.commands.slice_notes import show_slices, slices_json
from nmc_tools.terminal import counted, note, print_json, progress_bar, say, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nmc.writing.quantisation import Distortion


def package_among(inputs: list[str]) -> Path | None:
    """Return the package that is the only input; None where there are others, or none."""
    path = Path(inputs[0])
    return path if len(inputs) == 1 and path.exists() and is_package(path) else None


def pack_package(
    source: Path,
    output: Path,
    lossy: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    declare: bool | None = None,
    as_json: bool,
) -> None:
    """Make a package of the frames of another one; what it says of scene and training is kept.

    Parameters
    ----------
    source, output : Path
    lossy : mapping of str to number or None
        The options that say how much may be lost.
    options : mapping
        Arguments of :class:`nmc.Writer` that a user gives.
    declare : bool or None
        Whether frames declare their PSNR; None: where their renderer is at hand.
    as_json : bool
    """
    with nmc.open(source, max_level=4) as sequence:
        quantisation = _quantisation(source, sequence, lossy, declare)
        options = {**options, "encrypt_key": options.get("encrypt_key") or sequence.cipher}
        if options["encrypt_key"] is not None:
            refuse_in_the_clear([sequence])
        try:
            writer = nmc.Writer(
                output, **described(sequence) | dict(options), quantisation=quantisation
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        kept = "finished frames are kept"
        with writer, progress_bar(f"packing {output.name}", kept=kept, resume="--resume") as shown:
            repack(sequence, writer, shown)
        show_notes(writer.notes)
        show_slices(writer.slices)
        if sequence.quality is not None and quantisation is not None:
            note("the quality record is left out: it was measured of the states of the source")
        before = sequence.size
    key = options["encrypt_key"]
    _summary(output, key, before, slices_json(writer.slices), as_json=as_json)


def _quantisation(
    source: Path, sequence: nmc.ChainSequence, lossy: Mapping[str, Any], declare: bool | None
) -> nmc.Quantisation | None:
    """Return what the options ask for; for a target in dB, with measured steps."""
    target = lossy.get("target_psnr")
    seen_by = _unused if sequence.cameras is not None and target is not None else None
    asked = quantisation_of(len(sequence), distortion=seen_by, **lossy)
    if declare and (asked is None or sequence.cameras is None):
        raise typer.BadParameter(
            "it goes with a package that has cameras, and with a loss", param_hint="--declare-psnr"
        )
    if asked is None or sequence.cameras is None or (declare is False and target is None):
        return asked
    if target is None and not declare:
        return replace(asked, distortion=renderer_of(sequence))
    with framework(source):
        distortion = _renderer(sequence)
        if target is None:
            return replace(asked, distortion=distortion)
        first: Any = sequence[0]
        known = _curvature(sequence)
        with progress_bar("measuring what is seen", "parts") as progress:
            if known is not None:
                progress(0, 1)
                seen = known(first).sensitivity(first)
                progress(1, 1)
            else:
                seen = nmc.Sensitivity.measured(
                    first, lambda state: distortion(dict(state), first), progress=progress
                )
    return replace(asked, step=seen.steps(target), distortion=distortion, curvature=known)


def _curvature(
    sequence: nmc.ChainSequence,
) -> Callable[[dict[str, Any]], nmc.Curvature] | None:
    """Return what measures a state by gradients; None of a model that single rays do not see."""
    from nmc_framework.evaluation.curvature import seen_curvature
    from nmc_framework.models import build
    from nmc_framework.models.views import RayModel

    model = build(str(sequence.family), sequence.configuration)
    if not isinstance(model, RayModel):
        return None
    cameras = cameras_in(sequence)

    def measured(state: dict[str, Any]) -> nmc.Curvature:
        model.load(state)
        return seen_curvature(model, cameras)

    return measured


def renderer_of(sequence: nmc.ChainSequence) -> Distortion | None:
    """Return how near renderings of two states are; None where they cannot be made here."""
    if sequence.cameras is None:
        return None
    with suppress(ImportError, ValueError, RuntimeError):
        return _renderer(sequence)
    return None


def _renderer(sequence: nmc.ChainSequence) -> Distortion:
    from nmc_framework.evaluation.fidelity import fidelity

    return fidelity(str(sequence.family), sequence.configuration, cameras_in(sequence))


def _unused(state: Any, original: Any) -> float:
    """Stand for the renderer while options are checked."""
    raise NotImplementedError


def _summary(
    output: Path, key: Any, before: int, slices: list[dict[str, Any]], *, as_json: bool
) -> None:
    with nmc.open(output, max_level=4, key=key) as sequence:
        raw = sum(frame.state_bytes for frame in sequence.frames)
        keys = sum(frame.coding == "key" for frame in sequence.frames)
        size, frames, loss = sequence.size, len(sequence), Loss.of(sequence)
    if as_json:
        document = {
            "path": str(output),
            "frames": frames,
            "key_frames": keys,
            "raw_bytes": raw,
            "source_bytes": before,
            "slices": slices,
            "bytes": size,
            "lossy": None if loss is None else loss.to_json(),
        }
        print_json(document)
        return
    ratio = "ratio" if loss is None else "lossy ratio"
    say(
        f"{output}: {counted(frames, 'frame')} ({keys} key), {size_text(raw)} of models in "
        f"{size_text(size)}, {ratio} {raw / size:.3f}; the source has {size_text(before)}"
    )
    if loss is not None:
        say(loss.text())
