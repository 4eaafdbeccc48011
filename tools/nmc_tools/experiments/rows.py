"""What an experiment measures: coded models as rows, and how one coder lies to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmc_tools.bench_rd.curves import Curve, bd_rate


@dataclass(frozen=True)
class Row:
    """One coded model or video.

    ``picture`` is what was coded, ``model`` by which model or coder's preset, ``coder`` how;
    ``size`` in bytes, ``psnr`` in dB, ``ms_ssim`` where the pictures are large enough for it.
    """

    picture: str
    model: str
    coder: str
    setting: str
    size: float
    bits_per_pixel: float
    psnr: float
    ms_ssim: float | None = None


#: What a curve has over its rate, in dB; None where it is not known of a row.
Quality = Callable[[Row], float | None]
#: What is left to 1 of an MS-SSIM at least: 80 dB.
_LEAST = 1e-8


def in_psnr(row: Row) -> float:
    """Return the PSNR in dB."""
    return row.psnr


def in_similarity(row: Row) -> float | None:
    """Return the MS-SSIM in dB, -10 log10(1 - MS-SSIM), as BD-rates are taken over it."""
    if row.ms_ssim is None:
        return None
    return -10 * math.log10(max(1 - row.ms_ssim, _LEAST))


#: What BD-rates are over, by what tables call it.
QUALITIES: dict[str, Quality] = {"PSNR": in_psnr, "MS-SSIM": in_similarity}


def hull(rows: Sequence[Row], quality: Quality = in_psnr) -> Curve:
    """Return the best of all models: what another has fewer bits *and* more dB of goes."""
    known = [(row.bits_per_pixel, value) for row in rows if (value := quality(row)) is not None]
    found: list[tuple[float, float]] = []
    for rate, value in sorted(known, key=lambda point: (point[0], -point[1])):
        if not found or (value > found[-1][1] and rate > found[-1][0]):
            found.append((rate, value))
    return Curve(tuple(value for _, value in found), tuple(rate for rate, _ in found))


def differences(
    rows: Sequence[Row], anchor: str, quality: Quality = in_psnr
) -> dict[tuple[str, str], float]:
    """Return the BD-rate in percent against a coder, by picture and coder, where there is one."""
    found: dict[tuple[str, str], float] = {}
    for name in dict.fromkeys(row.picture for row in rows):
        mine = [row for row in rows if row.picture == name]
        base = hull([row for row in mine if row.coder == anchor], quality)
        for coder in dict.fromkeys(row.coder for row in mine):
            curve = hull([row for row in mine if row.coder == coder], quality)
            difference = bd_rate(base, curve)
            if coder != anchor and difference is not None:
                found[name, coder] = difference.percent
    return found
