"""What ``nmc pack`` says of tensors whose slices changed in number or order."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nmc_tools.terminal import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nmc.writing.matched_slices import MatchedSlices

_NAMED = 2
_SHOWN = 8


def show_slices(slices: Sequence[MatchedSlices]) -> None:
    """Print where slices were matched, and where tensors are coded whole; of many, some."""
    texts = [*_matched(slices), *_whole(slices)]
    for text in texts[:_SHOWN]:
        note(text)
    if len(texts) > _SHOWN:
        note(f"… and {len(texts) - _SHOWN} more like these")


def slices_json(slices: Sequence[MatchedSlices]) -> list[dict[str, Any]]:
    """Return the same for ``--json``: one object for the tensors of a frame that go together."""
    return [asdict(each) | {"tensors": list(each.tensors)} for each in slices]


def _matched(slices: Sequence[MatchedSlices]) -> list[str]:
    together: dict[tuple[tuple[str, ...], str], list[MatchedSlices]] = {}
    for each in slices:
        if each.found:
            together.setdefault((each.tensors, each.by), []).append(each)
    return [
        f"{_frames([each.frame for each in some])}: slices of {_names(tensors)} were matched by "
        f"{by}, {100 * sum(e.found for e in some) / sum(e.count for e in some):.1f} % found again"
        for (tensors, by), some in together.items()
    ]


def _whole(slices: Sequence[MatchedSlices]) -> list[str]:
    together: dict[tuple[str, ...], list[int]] = {}
    for each in slices:
        if not each.found:
            together.setdefault(each.tensors, []).append(each.frame)
    return [
        f"{_frames(frames)}: {_names(tensors)} changed shape and fell back to being coded whole, "
        "as no slices were found again, or that was no smaller (--row-id says which tensor names "
        "them)"
        for tensors, frames in together.items()
    ]


def _frames(frames: Sequence[int]) -> str:
    """Return frames as words: one, a run, or how many."""
    if len(frames) == 1:
        return f"frame {frames[0]}"
    if frames[-1] - frames[0] == len(frames) - 1:
        return f"frames {frames[0]} to {frames[-1]}"
    return f"{len(frames)} frames from {frames[0]} on"


def _names(names: Sequence[str]) -> str:
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
