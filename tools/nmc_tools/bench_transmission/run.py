"""Runs the measurements one after the other, keeps their figures, and makes the page of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nmc_tools.bench.published import machine
from nmc_tools.bench_transmission import material, measurements
from nmc_tools.bench_transmission.page import page
from nmc_tools.bench_transmission.player import Amounts, played
from nmc_tools.bench_transmission.proxy import TRACES
from nmc_tools.bench_transmission.signature import flipped_bits
from nmc_tools.player import driven
from nmc_tools.progress import Report

_PACKAGES = ("numpy", "numba", "starlette", "uvicorn", "httptools", "uvloop")

PARTS = ("seeks", "sequential", "crowd", "soak", "live", "adaptive", "player", "signature")
"""What is measured, in this order."""
_TOY = Amounts(iterations=2, views=2, frames=12, openings=1)


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
    resume : bool
        Parts whose figures are in the folder are not measured again.
    """

    output: Path
    demo: Path | None = None
    soak: float = 20.0
    only: Sequence[str] = ()
    quick: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Results:
    """The figures by part, and the tables of them as Markdown."""

    figures: dict[str, Any]
    text: str


def run(request: Request, told: Report) -> Results:
    """Measure; figures are kept in the folder part by part.

    Parameters
    ----------
    request : Request
        What is to be measured.
    told : callable
        Told how many parts are done, of how many, which one was finished, and beside it what is
        measured now.
    """
    data = request.output / "packages"
    data.mkdir(parents=True, exist_ok=True)
    kept = request.output / "bench-transmission.json"
    found = _kept(request, kept)
    wanted = [name for name in PARTS if not request.only or name in request.only]
    if request.resume:
        wanted = [name for name in wanted if name not in found]
    for name in wanted:  # what is measured anew and does not get there is measured when it goes on
        found.pop(name, None)
    _keep(found, kept)
    for done, name in enumerate(wanted):

        def note(words: str, done: int = done) -> None:
            told(done, len(wanted), note=words)

        note(name)
        found[name] = _parts(request, data, note)[name]()
        _keep(found, kept)
        told(done + 1, len(wanted), name)
    shared = "shared with the clients"
    if hasattr(os, "getloadavg"):
        shared += f" and whatever else ran (load {os.getloadavg()[1]:.0f})"
    text = page(found) + f"\nMeasured on {machine(_PACKAGES, shared)}.\n"
    (request.output / "bench-transmission.md").write_text(text, encoding="utf-8")
    return Results(found, text)


def _keep(found: dict[str, Any], path: Path) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _kept(request: Request, path: Path) -> dict[str, Any]:
    """Return the figures that stay, which are none where toy sizes and others would be mixed."""
    if not path.exists() or not (request.only or request.resume):
        return {"quick": request.quick}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("quick", False) == request.quick else {"quick": request.quick}


def _parts(
    request: Request, data: Path, note: Callable[[str], None]
) -> dict[str, Callable[[], Any]]:
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
        rows: list[Any] = []
        for lines, names in {"made": ("falls",)}.items() if quick else TRACES.items():
            document = material.qualities(data, 2 if quick else 20, lines)
            rows += measurements.adaptive(document, names)
        return rows

    def player() -> Any:
        lacking = driven.missing()
        if lacking is None and find_spec("torch") is None:
            lacking = "pip install 'neural-model-chain[framework]'"
        if lacking is not None:
            return {"missing": lacking}
        try:
            return played(data, _TOY if quick else Amounts(), note)
        except TimeoutError as error:
            return {"missing": str(error)}

    def signature() -> Any:
        if find_spec("cryptography") is None:
            return {"missing": "pip install 'neural-model-chain[trust]'"}
        return flipped_bits(
            data,
            101 if quick else 1,
            lambda done, total: note(f"signature, {done} of {total} bits"),
        )

    return {
        "seeks": seeks,
        "sequential": sequential,
        "crowd": crowd,
        "soak": soak,
        "live": lambda: measurements.live(data, 5 if quick else 20),
        "adaptive": adaptive,
        "player": player,
        "signature": signature,
    }
