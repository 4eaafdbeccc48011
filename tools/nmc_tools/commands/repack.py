"""``nmc pack`` of a package: its frames coded anew, such as a lossless chain into a lossy one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import nmc
from nmc.writing.carried_media import refuse_in_the_clear
from nmc.writing.quantisation import FIRST_QUALITY
from nmc.writing.repack import described, repack
from nmc_tools.commands.against import is_package
from nmc_tools.commands.framework import framework
from nmc_tools.commands.lossy_options import Loss, missed_targets, quantisation_of, show_notes
from nmc_tools.commands.seen_steps import renderer, renderer_of, where_it_can, with_seen_steps
from nmc_tools.commands.slice_notes import show_slices, slices_json
from nmc_tools.terminal import counted, note, print_json, progress_bar, say, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc.writing.quantisation import Distortion


def package_among(inputs: list[str]) -> Path | None:
    """Return the package that is the only input; None where there are others, or none."""
    path = Path(inputs[0])
    return path if len(inputs) == 1 and path.exists() and is_package(path) else None


def frames_of(package: Path) -> int:
    """Return how many frames a package has."""
    with nmc.open(package, max_level=4) as sequence:
        return len(sequence)


def pack_package(
    source: Path,
    output: Path,
    lossy: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    declare: bool | None = None,
    measure: bool | None = None,
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
    measure : bool or None
        Whether steps follow from what cameras see; None: where their renderer is at hand, and no
        step or largest error is given.
    as_json : bool
    """
    with nmc.open(source, max_level=4) as sequence:
        quantisation = _quantisation(source, sequence, lossy, declare, measure)
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
    beside = {"slices": slices_json(writer.slices), "missed": missed_targets(writer.notes)}
    _summary(output, key, before, beside, as_json=as_json)


def _quantisation(
    source: Path,
    sequence: nmc.ChainSequence,
    lossy: Mapping[str, Any],
    declare: bool | None,
    measure: bool | None,
) -> nmc.Quantisation | None:
    """Return what the options ask for, with steps that are measured where cameras see the model."""
    target = lossy.get("target_psnr")
    seen_by = _unused if sequence.cameras is not None and target is not None else None
    asked = quantisation_of(len(sequence), distortion=seen_by, **lossy)
    for option, wanted in (("--declare-psnr", declare), ("--measure", measure)):
        if wanted and (asked is None or sequence.cameras is None):
            raise typer.BadParameter(
                "it goes with a package that has cameras, and with a loss", param_hint=option
            )
    if asked is None or sequence.cameras is None:
        return asked
    if measure and asked.max_error is not None:
        raise typer.BadParameter("each error is bounded by --max-error", param_hint="--measure")
    if target is not None or measure or declare:
        with framework(source):
            return _seen(source, sequence, asked, renderer(sequence), declare, measure)
    distortion = renderer_of(sequence)
    if distortion is not None:
        return _seen(source, sequence, asked, distortion, declare, measure)
    if measure is None and asked.step is None and asked.max_error is None:
        note(f"steps go by magnitude: a model of {sequence.family!r} cannot be rendered here")
    return asked


def _seen(
    source: Path,
    sequence: nmc.ChainSequence,
    asked: nmc.Quantisation,
    distortion: Distortion,
    declare: bool | None,
    measure: bool | None,
) -> nmc.Quantisation:
    """Return a quantisation that renders: to declare, to meet a target, and to measure steps."""
    has_target = asked.target_psnr is not None
    if has_target or declare:
        asked = replace(asked, distortion=distortion)
    elif declare is None:
        asked = replace(asked, distortion=where_it_can(distortion))
    is_given = asked.step is not None or asked.max_error is not None
    if measure or (measure is None and not is_given):
        certainly = bool(measure) or has_target
        return with_seen_steps(source, sequence, asked, certainly=certainly)
    if has_target and not is_given:  # without any steps, those of the library would be measured
        return replace(asked, quality=FIRST_QUALITY)
    return asked


def _unused(state: Any, original: Any) -> float:
    """Stand for the renderer while options are checked."""
    raise NotImplementedError


def _summary(
    output: Path, key: Any, before: int, beside: Mapping[str, Any], *, as_json: bool
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
            "slices": beside["slices"],
            "bytes": size,
            "lossy": None if loss is None else loss.to_json() | {"missed": beside["missed"]},
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
