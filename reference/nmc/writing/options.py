"""Options of a writer and of its frames, refused before anything is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nmc.coding.encode import EFFORTS, ENTROPIES
from nmc.writing.quantisation import Quantisation
from nmc_format.issues import refuse
from nmc_format.manifest import columns
from nmc_format.manifest.check.refinements import SAME_PSNR
from nmc_format.manifest.json_object import configuration_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nmc.writing.draft import Draft
    from nmc.writing.quantisation import Distortion


PROFILES = ("main", "baseline", "lossy")


def check_coding(profile: str, entropy: str, effort: str, key_every: int, timescale: int) -> None:
    """Refuse options of coding that do not exist, or that the profile does not allow."""
    for name, value, allowed in (
        ("profile", profile, PROFILES),
        ("entropy", entropy, ENTROPIES if profile != "baseline" else ("none",)),
        ("effort", effort, EFFORTS),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}; it may be {', '.join(map(repr, allowed))}")
    if key_every < 0 or not 0 < timescale < 2**32:
        raise ValueError("key_every is 0 or more, timescale 1 to 2^32 - 1")


def with_distortion(
    quantisation: Quantisation | None, distortion: Distortion | None
) -> Quantisation | None:
    """Return a quantisation that has a writer's function of distortion where it has none."""
    if distortion is None or not isinstance(quantisation, Quantisation):
        return quantisation
    if not callable(distortion):
        raise TypeError(f"distortion is {distortion!r}; it is a function of two states")
    return quantisation if quantisation.distortion else replace(quantisation, distortion=distortion)


def check_quantisation(quantisation: Quantisation | None, profile: str) -> None:
    """Refuse a quantisation that is none, or that the profile has no modes for."""
    if quantisation is None:
        return
    if not isinstance(quantisation, Quantisation):
        raise TypeError(f"quantisation is {quantisation!r}; it is an nmc.Quantisation")
    if quantisation.target_psnr is not None and not callable(quantisation.distortion):
        raise ValueError("target_psnr needs a distortion: a function of two states")
    if profile != "lossy":
        raise ValueError(f"the profile is {profile!r}; quantised tensors take 'lossy'")


def configuration_text(value: Mapping[str, Any] | str | None) -> str:
    """Return a configuration as the manifest has it (clause 5.4.2); a text as it is.

    Raises
    ------
    ValueError
        If it is not a JSON object of the clause.
    """
    try:
        text = value if isinstance(value, str) else json.dumps(value or {}, sort_keys=True)
    except ValueError as error:
        raise ValueError(f"configuration: {error}; it may be given as a text of JSON") from None
    reason = configuration_fault(text)
    if reason:
        raise ValueError(f"configuration: {reason}")
    return text


def check_model(family: str, sequence_id: str | None, layers: Mapping[str, int] | None) -> None:
    """Refuse at the start what no manifest can hold, not after the last frame."""
    for name, text in (("family", family), ("sequence_id", sequence_id or "")):
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
            raise ValueError(f"{name} is {text!r}; it is Unicode text without NUL")
    for name, layer in (layers or {}).items():
        if isinstance(layer, bool) or not -1 <= layer < 2**31:
            raise ValueError(f"layer of {name!r} is {layer!r}; it is an index from 0, or -1")


def presentation_time(given: int | None, last: int | None, t: int) -> int:
    """Return the presentation time of frame t in ticks: as given, or one after the last frame's.

    Raises
    ------
    FormatError
        If it is not after the last one, beyond 64 bits, or not a whole number.
    """
    place = columns.frame_pointer(t, columns.PRESENTATION_TIME)
    time = (-1 if last is None else last) + 1 if given is None else _whole(given, place)
    if not -(2**63) <= time < 2**63:
        raise refuse("manifest/value", pointer=place, reason=f"time {time} is beyond 64 bits")
    if last is not None and time <= last:
        raise refuse("manifest/time-order", pointer=place, time=time, before=last)
    return time


def check_effort(iterations: int | None, seconds: float | None, t: int) -> None:
    """Refuse a training effort that is no number of iterations or of seconds (clause 5.5)."""
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        place = columns.frame_pointer(t, columns.SECONDS)
        raise refuse("manifest/not-a-number", pointer=place, count=1)
    if iterations is None:
        return
    place = columns.frame_pointer(t, columns.ITERATIONS)
    if not 0 <= _whole(iterations, place) < 2**63:
        reason = f"iterations is {iterations}; it is a count"
        raise refuse("manifest/value", pointer=place, reason=reason)


def check_psnr(declared: float | None, t: int) -> None:
    """Refuse a declared PSNR that is out of its range (clause 5.4.6)."""
    if declared is not None and not 0 <= declared <= SAME_PSNR:
        place = columns.frame_pointer(t, columns.DECLARED_PSNR)
        reason = f"the PSNR is {declared!r}; it is a number of dB from 0 to {SAME_PSNR:.0f}"
        raise refuse("manifest/value", pointer=place, reason=reason)


def known_psnr(measured: float | None, declared: float | None) -> float | None:
    """Return what a frame declares: what was measured of it, else what its caller says."""
    known = declared if measured is None else measured
    return None if known is None else float(known)


def check_stops(stops: int, draft: Draft) -> None:
    """Refuse a frame that has other refinements than those before (clause 5.4.7)."""
    if draft.entries and (before := len(draft.entries[-1].record.refinements)) != stops:
        raise ValueError(f"the frames before have {before} refinements, this one {stops}")


def _whole(given: float, place: str) -> int:
    """Return a number that is whole; another one is refused, since cutting it would lose a part."""
    try:
        whole = int(given)
    except (ValueError, OverflowError):
        whole = None
    if whole is None or whole != given:
        raise refuse("manifest/value", pointer=place, reason=f"{given!r} is not a whole number")
    return whole


def check_threads(threads: int) -> None:
    """Check a number of threads.

    Raises
    ------
    ValueError
        If it is less than one.
    """
    if threads < 1:
        raise ValueError(f"{threads} threads; at least one is needed")
