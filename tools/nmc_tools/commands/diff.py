"""``nmc diff``: whether two packages, or two frames, are the same, and where not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

import nmc
from nmc.remote.address import scheme_of
from nmc_format.dtypes import PackedArray, dtype_of, to_words
from nmc_format.issues import FormatError
from nmc_tools.commands.diff_media import media_differences, print_media
from nmc_tools.commands.shared_options import Address, JsonOption, path_or_address
from nmc_tools.terminal import (
    Exit,
    counted,
    print_finding,
    print_json,
    printable,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc_format.dtypes import Array


def diff(
    first: Annotated[str, typer.Argument(metavar="A[@T]", help="A package, or one frame of it.")],
    second: Annotated[str, typer.Argument(metavar="B[@T]", help="What it is compared with.")],
    stat: Annotated[
        bool, typer.Option("--stat", help="One line for each tensor, and the summary.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the states of two packages bit for bit, however they are coded, and their media.

    Each tensor that differs is printed with its frame, and a summary after them; each medium with
    other bytes, another type, role or map, unless frames are named. Exit code 0 if they are the
    same, 1 if not, 2 if they could not be compared.

    Examples
    --------
      nmc diff a.nmc b.nmc

      nmc diff a.nmc b.nmc --stat

      nmc diff scene.nmc@3 scene.nmc@4
    """
    try:
        same = _compare(first, second, stat=stat, as_json=as_json)
    except FormatError as error:
        print_finding(error.finding)
        raise typer.Exit(Exit.USAGE) from None
    if not same:
        raise typer.Exit(Exit.REFUSED)


def _compare(first: str, second: str, *, stat: bool, as_json: bool) -> bool:
    path_a, frame_a = _place(first)
    path_b, frame_b = _place(second)
    if (frame_a is None) != (frame_b is None):
        raise typer.BadParameter("name a frame on both sides, or on neither")
    with nmc.open(path_a) as a, nmc.open(path_b) as b:
        pairs = _pairs(a, b, frame_a, frame_b)
        rows: list[dict[str, Any]] = []
        with progress_bar("comparing") as progress:
            for done, (s, t) in enumerate(pairs, 1):
                # Both are decoded and verified: equal digests are only what two manifests say.
                states = a[s], b[t]
                if a.frames[s].state_digest != b.frames[t].state_digest:
                    rows += _differences(*states, s, t)
                progress(done, len(pairs))
        lengths = (len(a), len(b)) if frame_a is None else (1, 1)
        media = [] if frame_a is not None else media_differences(a, b)
        lossy = [str(s.path) for s in (a, b) if s.manifest.profile == "lossy"]
    same = not rows and not media and lengths[0] == lengths[1]
    counts = _counts(rows, len(pairs))
    if as_json:
        document = {
            "same": same,
            "frames": list(lengths),
            **counts,
            "lossy": lossy,
            "differences": rows,
            "media": media,
        }
        print_json(document)
    elif same:
        say("the same, bit for bit")
    else:
        (_print_stat if stat else _print)(rows)
        print_media(media)
        _print_summary(counts, lengths)
    if not as_json:
        for path in dict.fromkeys(lossy):
            say(f"{path} is lossy: what it decodes to is not what it was made from")
    return same


def _counts(rows: list[dict[str, Any]], compared: int) -> dict[str, int]:
    return {
        "frames_compared": compared,
        "frames_different": len({tuple(row["frames"]) for row in rows}),
        "tensors_different": len({row["tensor"] for row in rows}),
    }


def _place(text: str) -> tuple[Path | Address, int | None]:
    path, at, frame = text.rpartition("@")
    numbered = bool(at) and frame.lstrip("-").isdigit()
    if numbered and (scheme_of(text) or not Path(text).exists()):
        return path_or_address(path), int(frame)
    return path_or_address(text), None


def _pairs(
    a: nmc.ChainSequence, b: nmc.ChainSequence, frame_a: int | None, frame_b: int | None
) -> list[tuple[int, int]]:
    if frame_a is None or frame_b is None:
        return [(t, t) for t in range(min(len(a), len(b)))]
    try:
        return [(range(len(a))[frame_a], range(len(b))[frame_b])]
    except IndexError:
        raise typer.BadParameter(
            f"there is no such frame; {a.path} has {len(a)}, {b.path} has {len(b)}"
        ) from None


def _differences(
    a: Mapping[str, Array], b: Mapping[str, Array], frame_a: int, frame_b: int
) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(a.keys() | b.keys()):
        fact = _difference(a.get(name), b.get(name))
        if fact:
            rows.append({"frames": [frame_a, frame_b], "tensor": name, **fact})
    return rows


def _difference(a: Array | None, b: Array | None) -> dict[str, Any]:
    if a is None or b is None:
        return {"what": "only in the second" if a is None else "only in the first"}
    if dtype_of(a) != dtype_of(b) or a.shape != b.shape:
        return {
            "what": f"{dtype_of(a).name} {list(a.shape)} against {dtype_of(b).name} {list(b.shape)}"
        }
    changed = to_words(a) != to_words(b)
    if not changed.any():
        return {}
    fact: dict[str, Any] = {"what": "values", "changed": int(changed.sum()), "of": changed.size}
    if not isinstance(a, PackedArray) and not isinstance(b, PackedArray) and a.dtype.kind in "fV":
        with np.errstate(all="ignore"):
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
        finite = gap[np.isfinite(gap)]
        fact["largest"] = float(finite.max(initial=0.0))
    return fact


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        s, t = row["frames"]
        where = f"frame {s}" if s == t else f"frames {s} and {t}"
        text = row["what"]
        if "changed" in row:
            text = f"{row['changed']} of {row['of']} words differ"
            text += f", by {row['largest']:.6g} at most" if "largest" in row else ""
        say(f"{where}, {printable(row['tensor'])}: {text}")


def _print_stat(rows: list[dict[str, Any]]) -> None:
    """Print a line for each tensor: in how many frames it differs, how far, and from where on."""
    by_tensor: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_tensor.setdefault(row["tensor"], []).append(row)
    for name, found in by_tensor.items():
        frames = counted(len(found), "frame")
        text = f"{printable(name)}: {frames}, the first is {found[0]['frames'][0]}"
        changed, words = (sum(row.get(key, 0) for row in found) for key in ("changed", "of"))
        if words:
            text += f"; {100 * changed / words:.3g} % of their words"
        if any("largest" in row for row in found):
            text += f", by {max(row.get('largest', 0.0) for row in found):.6g} at most"
        for kind in dict.fromkeys(row["what"] for row in found if row["what"] != "values"):
            text += f"; {kind}"
        say(text)


def _print_summary(counts: dict[str, int], lengths: tuple[int, int]) -> None:
    if lengths[0] != lengths[1]:
        say(f"the first has {counted(lengths[0], 'frame')}, the second {lengths[1]}")
    if not counts["frames_different"]:
        return
    say(
        f"{counts['frames_different']} of {counts['frames_compared']} frames differ, "
        f"in {counted(counts['tensors_different'], 'tensor')}"
    )
