"""The player in Chromium: its first picture, its pictures, what it keeps, and what damage does."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nmc
from nmc_tools.bench_transmission.servers import ours
from nmc_tools.player.address import page_address
from nmc_tools.player.driven import SOFTWARE, Page, launched, psnr

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Figures = dict[str, Any]
Told = Callable[[str], None]

_SIZE = (32, 24)
"""Of the pictures that are compared."""
_FIRST = """() => window.nmcPlayer?.frame >= 0 && nmcPlayer.stage?.scale > 0
  && performance.now()"""
"""The time since the page was asked for, once a picture is seen; the eye moves when it opens."""
_BAKED = {"hash_grid": (0, 64, 128), "voxel_grid": (0,)}
"""Cells of the lattices that are compared, 0 for the tables as they are."""
_PATIENCE = 900_000
"""Milliseconds: sixty frames are played by a processor that draws."""
_GROUP = 10
_DAMAGED = _GROUP // 2


@dataclass(frozen=True)
class Amounts:
    """How much is measured.

    Attributes
    ----------
    iterations, views, frames, openings : int
        Of the training of the first frame; viewpoints; frames that are played; pages that are
        opened to see how long the first picture takes.
    """

    iterations: int = 120
    views: int = 20
    frames: int = 60
    openings: int = 5


def played(folder: Path, amounts: Amounts, told: Told) -> Figures:
    """Measure the player on trained scenes of both families of grids.

    Parameters
    ----------
    folder : Path
        Of the packages; what is there is kept.
    amounts : Amounts
        How much.
    told : callable
        Told what is measured next.

    Raises
    ------
    TimeoutError
        If the page does not do what is waited for.
    """
    with launched(SOFTWARE) as [browser], ours(folder) as server:
        found: Figures = {"browser": f"Chromium {browser.version}", "pictures": [], "first": []}
        for family, lattices in _BAKED.items():
            told(f"player, trains {family}")
            path = _scene(folder, family, amounts)
            told(f"player, first picture of {family}")
            found["first"].append({"family": family, **_first(browser, server.url, path, amounts)})
            for cells in lattices:
                told(f"player, pictures of {family}" + (f", {cells}³ cells" if cells else ""))
                row = _pictures(browser, server.url, path, cells, amounts)
                found["pictures"].append({"family": family, "cells": cells, **row})
        chain = _chain(folder, _scene(folder, "hash_grid", amounts), amounts.frames)
        told("player, plays")
        found["played"] = _heaps(browser, server.url, chain, amounts.frames)
        told("player, plays what is damaged")
        found["damaged"] = _damage(browser, server.url, chain, amounts.frames)
    return found


def _scene(folder: Path, family: str, amounts: Amounts) -> Path:
    """Return two trained frames of a made scene, photographed by the demo's cameras."""
    path = folder / f"{family}-{amounts.iterations}.nmc"
    if path.exists():
        return path
    command = [sys.executable, "-P", "-E", "-m", "nmc_tools.cli", "train", "--scene", "-o"]
    command += [str(path), "--size", f"{_SIZE[0]}x{_SIZE[1]}", "--family", family, "--frames", "2"]
    command += ["--iterations", str(amounts.iterations), "--later", "10", "--set", "samples=64"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return path


def _chain(folder: Path, scene: Path, frames: int) -> Path:
    """Return a chain that goes from the first trained frame to the second in so many."""
    from nmc_framework.models.registry import build

    path = folder / f"played-{frames}.nmc"
    with nmc.open(scene) as sequence:
        first, second = (
            {name: np.asarray(value) for name, value in sequence[t].items()} for t in (0, 1)
        )
        about = build(sequence.family, sequence.configuration).in_package()
    with nmc.Writer(path, **about, key_every=_GROUP, overwrite=True, timescale=30) as writer:
        for t in range(frames):
            share = np.float32(t / max(1, frames - 1))
            writer.append(
                {
                    name: value + share * (second[name] - value) if value.dtype == "f4" else value
                    for name, value in first.items()
                }
            )
    return path


def _opened(browser: Browser, address: str) -> Page:
    return Page(browser, address, patience=_PATIENCE)


def _first(browser: Browser, url: str, path: Path, amounts: Amounts) -> Figures:
    """Open pages that know nothing yet: milliseconds until a picture is seen."""
    times = []
    for _ in range(amounts.openings):
        with _opened(browser, page_address(url, path)) as page:
            times.append(float(page.wait(_FIRST)))
    return {"median_ms": statistics.median(times), "longest_ms": max(times), "openings": len(times)}


def _pictures(browser: Browser, url: str, path: Path, cells: int, amounts: Amounts) -> Figures:
    """Compare viewpoints of both frames with the reference renderer: PSNR in dB."""
    from nmc_framework.cameras.packaged import cameras_in
    from nmc_framework.models.registry import build
    from nmc_framework.rendering.image import render_image

    found = []
    with (
        _opened(browser, page_address(url, path, bake=cells)) as page,
        nmc.open(path) as sequence,
    ):
        page.opened()
        model = build(sequence.family, sequence.configuration)
        cameras = [camera.resized(*_SIZE) for camera in cameras_in(sequence)]
        for frame in (0, 1):
            page.show(frame)
            model.load(sequence[frame])
            for k in range(frame, amounts.views, 2):
                camera = cameras[(7 * k + frame) % len(cameras)]
                found.append(min(99.0, psnr(page.picture(camera), render_image(model, camera))))
    return {
        "views": len(found),
        "least_psnr": min(found),
        "mean_psnr": statistics.fmean(found),
    }


def _heaps(browser: Browser, url: str, path: Path, frames: int) -> Figures:
    """Play all frames three times: what page and worker hold after each; the first fills caches."""
    page_bytes, worker_bytes, seconds = [], [], []
    with _opened(browser, page_address(url, path)) as page:
        page.opened()
        page_heap, worker_heap = page.page_heap(), page.worker_heap()
        for _ in range(3):
            began = time.perf_counter()
            page.play_through(frames - 1)
            seconds.append(time.perf_counter() - began)
            page_bytes.append(page_heap())
            worker_bytes.append(worker_heap())
    return {
        "frames": frames,
        "seconds": seconds,
        "page_bytes": page_bytes,
        "worker_bytes": worker_bytes,
    }


def _damage(browser: Browser, url: str, path: Path, frames: int) -> Figures:
    """Flip a bit of a segment and play: what is told, and where it goes on."""
    damaged = path.with_name("damaged.nmc")
    with nmc.open(path) as sequence:
        segment = sequence.coded(_DAMAGED)
    data = bytearray(path.read_bytes())
    data[data.index(segment) + len(segment) // 2] ^= 16
    damaged.write_bytes(data)
    with _opened(browser, page_address(url, damaged)) as page:
        page.opened().play_through(frames - 1)
        findings = page.page.locator("#findings li").all_text_contents()
        notice, last = page.notice, page.frame
    return {
        "frame": _DAMAGED,
        "findings": findings,
        "notice": notice,
        "last": last,
        "frames": frames,
    }
