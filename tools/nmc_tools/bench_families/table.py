"""What families reached, as Markdown, beside what was aimed at."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nmc_tools.bench_families.measure import ELSEWHERE, INSTANTS, Reached


def table(found: Sequence[Reached], machine: str) -> str:
    """Return what was aimed at, and tables of families of pictures and of views, as Markdown."""
    parts = [f"Measured on {machine}, {time.strftime('%Y-%m-%d', time.gmtime())}."]
    parts += _aims(found)
    for of_clips, title in ((True, "PSNR of the pictures"), (False, "PSNR of held-out views")):
        rows = [row for row in found if (row.pictures is not None) == of_clips]
        if not rows:
            continue
        head = "| family | pictures | weights | first dB | s | later dB | s | bytes | later bytes |"
        parts += ["", f"{title}:", "", head, "|---|---|---|---|---|---|---|---|---|"]
        parts += [
            f"| {r.name} | {r.pictures or ''} | {r.weights:,} | {r.first:.2f} | "
            f"{r.seconds[0]:.1f} | {r.later:.2f} | {r.seconds[1]:.1f} | {r.sizes[0]:,} | "
            f"{r.sizes[1]:,} |"
            for r in rows
        ]
    groups = [row for row in found if row.moving is not None]
    if groups:
        told = f"What moves in held-out views, over {INSTANTS} instants, beside a hash grid of the"
        parts += ["", f"{told} same size that learns all of them as one:", ""]
        parts += ["| family | dB | hash grid dB | more |", "|---|---|---|---|"]
        parts += [
            f"| {r.name} | {a:.2f} | {b:.2f} | {a - b:+.2f} |"
            for r in groups
            if r.moving is not None
            for a, b in [r.moving]
        ]
    others = ", ".join(f"{name} ({where})" for name, where in ELSEWHERE.items())
    parts += ["", f"These learn neither a film nor a scene, and are measured elsewhere: {others}."]
    return "\n".join(parts) + "\n"


def _aims(found: Sequence[Reached]) -> list[str]:
    """Return what was aimed at beside what was reached, of the families that were measured."""
    by_name = {row.name.removesuffix(" vm"): row for row in found}
    rows = []
    if (one := by_name.get("siren of 1 picture")) is not None:
        rows.append((one.name, "30 dB in 30 s", f"{one.first:.2f} dB in {one.seconds[0]:.1f} s"))
    for name in ("nerv", "hnerv", "ffnerv"):
        if (row := by_name.get(name)) is not None:
            reached = f"{row.first:.2f} dB in {row.seconds[0]:.1f} s"
            rows.append((name, f"28 dB of {row.pictures} pictures in 180 s", reached))
    if (grid := by_name.get("hash_grid")) is not None:
        for name in ("tensorf", "splats"):
            if (row := by_name.get(name)) is not None:
                times = row.seconds[0] / max(grid.seconds[0], 1e-9)
                reached = f"{row.first - grid.first:+.2f} dB in {times:.1f} times its time"
                rows.append((name, "within 1 dB of hash_grid in 3 times its time", reached))
    for name in ("dnerf", "mixvoxels"):
        if (row := by_name.get(name)) is not None and row.moving is not None:
            more = f"{row.moving[0] - row.moving[1]:+.2f} dB"
            rows.append((name, "+3 dB where it moves, over a static model of its size", more))
    if not rows:
        return []
    head = ["", "| family | aim | reached |", "|---|---|---|"]
    return head + [f"| {name} | {aim} | {reached} |" for name, aim, reached in rows]
