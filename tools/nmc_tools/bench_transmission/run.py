"""Runs the measurements one after the other, keeps their figures, and makes the page of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmc_tools.bench.published import machine
from nmc_tools.bench_transmission import material, measurements
from nmc_tools.bench_transmission.page import page

_PACKAGES = ("numpy", "numba", "starlette", "uvicorn", "httptools", "uvloop")

PARTS = ("seeks", "sequential", "crowd", "soak", "live", "adaptive")
"""What is measured, in this order."""


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes
    ----------
    output : Path
        Folder of the packages and the results; what is there is kept.
    demo : Path or None
        The package that many clients play; made where it is not there.
    soak : float
        Seconds of the part of that name.
    only : sequence of str
        Parts that are measured anew; empty: all.
    quick : bool
        Toy sizes: tries the code only.
    """

    output: Path
    demo: Path | None = None
    soak: float = 20.0
    only: Sequence[str] = ()
    quick: bool = False


@dataclass(frozen=True)
class Results:
    """The figures by part, and the tables of them as Markdown."""

    figures: dict[str, Any]
    text: str


def run(request: Request, told: Callable[[int, int, str], None]) -> Results:
    """Measure; figures are kept in the folder part by part.

    Parameters
    ----------
    request : Request
        What is to be measured.
    told : callable
        Told how many parts are done, of how many, and the name of the next.
    """
    data = request.output / "packages"
    data.mkdir(parents=True, exist_ok=True)
    parts = _parts(request, data)
    kept = request.output / "bench-transmission.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and request.only else {}
    for done, (name, measure) in enumerate(parts.items()):
        told(done, len(parts), name)
        if not request.only or name in request.only:
            found[name] = measure()
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    shared = "shared with the clients"
    if hasattr(os, "getloadavg"):
        shared += f" and whatever else ran (load {os.getloadavg()[1]:.0f})"
    text = page(found) + f"\nMeasured on {machine(_PACKAGES, shared)}.\n"
    (request.output / "bench-transmission.md").write_text(text, encoding="utf-8")
    return Results(found, text)


def _parts(request: Request, data: Path) -> dict[str, Callable[[], Any]]:
    quick, folder = request.quick, request.output
    frames = 20 if quick else material.FRAMES

    def crowd() -> Any:
        path, words = material.crowd_package(data, request.demo)
        return measurements.crowds(path, folder, 1.0 if quick else 5.0) | {"what": words}

    def soak() -> Any:
        path, words = material.crowd_package(data, request.demo)
        return measurements.soak(path, 2.0 if quick else request.soak, 5) | {"what": words}

    def seeks() -> Any:
        return [
            measurements.seeks(
                material.seek_package(data, share, frames), 5 if quick else 100, threads
            )
            for share in (0.1, 1.0)
            for threads in (1, 2)
        ]

    def sequential() -> Any:
        path = material.seek_package(data, 0.1, 20 if quick else 60)
        return measurements.sequential(path, 2 if quick else 4)

    def adaptive() -> Any:
        document = material.qualities(data, 2 if quick else 20)
        return measurements.adaptive(document, ("falls",) if quick else ("falls", "swings", "walk"))

    return {
        "seeks": seeks,
        "sequential": sequential,
        "crowd": crowd,
        "soak": soak,
        "live": lambda: measurements.live(data, 5 if quick else 20),
        "adaptive": adaptive,
    }
