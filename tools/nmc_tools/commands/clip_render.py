"""``nmc render`` of a chain of clips: its pictures as a video, or as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nmc_tools.commands.framework import chosen_frames, refuse_given, require_new
from nmc_tools.commands.shared_work import clips_on, cluster_on
from nmc_tools.pictures import write_png
from nmc_tools.terminal import counted, progress_bar, refuse_input, say, size_text

if TYPE_CHECKING:
    import nmc


def is_of_clips(sequence: nmc.ChainSequence) -> bool:
    """Whether an opened package says that it holds models of clips that can be shown here."""
    from nmc_framework.models import families, family
    from nmc_framework.models.pictures import ClipModel

    name = str(sequence.family)
    return name in families() and issubclass(family(name), ClipModel)


def refuse_unseen(sequence: nmc.ChainSequence, package: Path) -> None:
    """Refuse a package of a family that is known and that no camera sees."""
    from nmc_framework.models import ViewModel, families, family

    name = str(sequence.family)
    if name in families() and not issubclass(family(name), ViewModel):
        reason = f"its models, of the family {name}, are not seen by cameras"
        hint = "'nmc inverse', 'nmc depth' and 'nmc sr' show models of other kinds"
        refuse_input("input/unsupported", str(package), reason, hint)


def refuse_of_cameras(options: Mapping[str, object]) -> None:
    """Refuse options by name that have a value and no meaning for pictures."""
    refuse_given(options, "the package holds pictures, not what cameras see")


def render_clips(
    sequence: nmc.ChainSequence,
    output: Path,
    *,
    frames: str | None,
    size: tuple[int, int] | None,
    rate: Fraction | None,
    quality: int,
    device: str,
    on: str | None,
    package: Path,
    force: bool,
) -> None:
    """Write the pictures of a package as ``.mp4``, one as ``.png``, or all into a folder."""
    from nmc_framework.frame_rate import package_rate
    from nmc_framework.rendering import write_video
    from nmc_framework.rendering.clips import clip_model, package_pictures

    chosen = chosen_frames(frames, len(sequence))
    if output.suffix.lower() not in {".mp4", ".png", ""}:
        raise typer.BadParameter("write .mp4, .png or a folder", param_hint="--output")
    require_new(output, force=force)
    model = clip_model(sequence, device if on is None else "cpu")
    span = model.size[0]
    rate = rate or package_rate(sequence, span)
    with (
        cluster_on(on, device) as cluster,
        progress_bar(f"rendering {output.name}", "pictures") as progress,
    ):
        shown = package_pictures(sequence, model, chosen, size=size)
        if cluster is not None:
            shown = clips_on(cluster, package, chosen, size=size, device=device)
        images = _counted(shown, len(chosen) * span, progress)
        if output.suffix.lower() == ".mp4":
            output.parent.mkdir(parents=True, exist_ok=True)
            count = write_video(output, (image for _, image in images), rate, quality=quality)
            size_told = f", {float(count / rate):.1f} s, {size_text(output.stat().st_size)}"
        else:
            count = _files(images, output, span)
            size_told = ""
    say(f"{output}: {counted(count, 'picture')} of {counted(len(chosen), 'frame')}{size_told}")


def _counted(shown: Iterator[Any], total: int, progress: Any) -> Iterator[Any]:
    for done, (frame, number, image) in enumerate(shown, start=1):
        progress(done, max(done, total))
        yield (frame, number), image


def _files(images: Iterator[Any], output: Path, span: int) -> int:
    """Write picture k of the video as ``picture_k.png`` into a folder; or the one there is."""
    if output.suffix.lower() == ".png":
        first = list(islice(images, 2))
        if len(first) != 1:
            hint = "name a folder or an .mp4, or choose a frame of one with --frames"
            refuse_input("input/unsupported", str(output), "there is not just one picture", hint)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_png(output, first[0][1])
        return 1
    count = 0
    output.mkdir(parents=True, exist_ok=True)
    for (frame, number), image in images:
        path = output / f"picture_{frame * span + number:08d}.png"
        write_png(path, image)
        count += 1
    return count
