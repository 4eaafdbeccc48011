"""The tables of the benchmark of inverse graphics as Markdown."""

from __future__ import annotations

import time
from typing import Any

Figures = dict[str, Any]


def tables(found: dict[str, Figures], size: int, machine: str) -> str:
    """Return what was measured; a step that was not is left out."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    parts = [f"Measured on {machine}, {day}. Synthetic cars, pictures of {size}x{size}."]
    networks = [name for name in ("multi-view", "single-view") if name in found]
    if networks:
        parts += ["", "IoU of masks of held-out objects; both see the same pictures:", ""]
        head = "| training | same view | other views | worst view | colours off | cameras off | "
        parts += [head + "iterations | s | processor s |", "|---" * 9 + "|"]
        parts += [_network(name, found[name]) for name in networks]
    if "generator" in found:
        f = found["generator"]
        told = f"Generator, 32x32, 16 layers: {f['iterations']} iterations, {f['pictures']:,} "
        parts += ["", f"{told}pictures shown, {f['processor_seconds']:.0f} s of one core."]
    if "layers" in found:
        parts += ["", *_layers(found["layers"])]
    if found.get("closed", {}).get("iterations"):
        f = found["closed"]
        told = f"A network that learned from {f['objects']} objects of that set alone"
        parts += ["", f"{told}: IoU {f['same']:.3f} of held-out filmed cars from the viewpoint"]
        parts += [f"shown, {f['other']:.3f} from the others; {f['iterations']} iterations, "]
        parts[-1] += f"{f['processor_seconds']:.0f} s of one core."
    if "renderer" in found:
        parts += ["", *_renderer(found["renderer"])]
    if "variants" in found:
        f = found["variants"]
        parts += ["", f"Variants of the generator, a state of {f['state_bytes']:,} bytes:", ""]
        parts += ["| frame | layers that learned | bytes |", "|---|---|---|"]
        parts += [f"| the generator | all | {f['first_bytes']:,} |"]
        parts += [
            f"| another {v['what']} | {v['layers'][0]} to {v['layers'][1]} | {v['bytes']:,} |"
            for v in f["variants"]
        ]
    return "\n".join(parts) + "\n"


def _network(name: str, f: Figures) -> str:
    cameras = "" if f["cameras"] is None else f"{f['cameras'][0]:.1f}° ({f['cameras'][1]:.1f}°)"
    return (
        f"| {name} | {f['same']:.3f} | {f['other']:.3f} | {f['worst']:.3f} | {f['colour']:.3f} | "
        f"{cameras} | {f['iterations']} | {f['seconds']:.0f} | {f['processor_seconds']:.0f} |"
    )


def _layers(f: Figures) -> list[str]:
    told = "What exchanging the codes of four layers changes, as a share of what all change"
    lines = [
        f"{told} (viewpoints told to {f['azimuth_off']:.1f}° on held-out cars):",
        "",
        "| layers | viewpoint | shape | colour | background |",
        "|---|---|---|---|---|",
    ]
    for g in f["groups"]:
        shares = [g[k][1] for k in ("viewpoint", "shape", "colour", "background")]
        cells = " | ".join(f"{share:.0%}" for share in shares)
        lines.append(f"| {g['first']} to {g['last']} | {cells} |")
    if f["set"]:
        s = f["set"]
        told = f"A set made of it: {s['kept']} of {s['made']} objects with good masks in all views"
        lines += ["", f"{told}, azimuths of one viewpoint {s['spread']:.1f}° apart."]
    else:
        lines += ["", "No object of it has a good mask in all views: there is no set of it."]
    return lines


def _renderer(f: Figures) -> list[str]:
    told = f"{f['iterations']} iterations, {f['processor_seconds']:.0f} s of one core"
    lines = [
        f"Camera, shape, texture and background as codes: {f['psnr']:.2f} dB on held-out cars",
        f"from viewpoints not shown, {told}. Parts exchanged, against the tracer's picture of",
        "just that car:",
        "",
        "| exchanged | dB | without the exchange |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {a:.2f} | {b:.2f} |" for name, (a, b) in f["swaps"].items()]
    return lines
