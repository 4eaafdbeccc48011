"""What an experiment measures: coded models as rows, and how one coder lies to another."""

from __future__ import annotations

from collections.abc import Sequence
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


def hull(rows: Sequence[Row]) -> Curve:
    """Return the best of all models: what another has fewer bits *and* more dB of goes."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: (r.bits_per_pixel, -r.psnr)):
        last = found[-1] if found else None
        if last is None or (row.psnr > last.psnr and row.bits_per_pixel > last.bits_per_pixel):
            found.append(row)
    return Curve(tuple(r.psnr for r in found), tuple(r.bits_per_pixel for r in found))


def differences(rows: Sequence[Row], anchor: str) -> dict[tuple[str, str], float]:
    """Return the BD-rate in percent against a coder, by picture and coder, where there is one."""
    found: dict[tuple[str, str], float] = {}
    for name in dict.fromkeys(row.picture for row in rows):
        mine = [row for row in rows if row.picture == name]
        base = hull([row for row in mine if row.coder == anchor])
        for coder in dict.fromkeys(row.coder for row in mine):
            difference = bd_rate(base, hull([row for row in mine if row.coder == coder]))
            if coder != anchor and difference is not None:
                found[name, coder] = difference.percent
    return found
