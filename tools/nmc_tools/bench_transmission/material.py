"""What is sent: made packages, and the demo's where it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import nmc
from nmc_tools.adaptive.describe import present

FRAMES, GROUP, WEIGHTS = 300, 10, 1_200_000
QUALITIES = {
    "made": {"low": 500, "middle": 2_500, "high": 15_000},
    "recorded": {"low": 500, "middle": 1_000, "high": 2_500},
}
"""For which lines; numbers of 32 bits a frame, of which 500 are 60 kB/s at 30 frames a second."""

Told = Callable[[str], None]


def seek_package(folder: Path, share: float, frames: int = FRAMES) -> Path:
    """Make a package of states of 4.8 MB, in groups of 10, of which a share changes.

    The weights are normal numbers; what changes is moved by a thousandth of their deviation, in
    rows of 8, as hash tables are trained.
    """
    path = folder / f"seek-{round(100 * share)}-{frames}.nmc"
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(WEIGHTS // 8, 8)).astype("f4")
    rows = len(weights)
    with nmc.Writer(path, key_every=GROUP, effort="fast", overwrite=True, timescale=30) as writer:
        for _ in range(frames):
            moved = rng.permutation(rows)[: round(share * rows)]
            weights[moved] += 1e-3 * rng.normal(size=(len(moved), 8)).astype("f4")
            writer.append({"table": weights.copy()})
    return path


def qualities(folder: Path, seconds: int, lines: str) -> Path:
    """Make three packages of noise and their presentation document; 30 frames a second."""
    rng = np.random.default_rng(1)
    made = folder / f"qualities-{lines}-{seconds}"
    made.mkdir(exist_ok=True)
    document = made / "sequence.json"
    if document.exists():
        return document
    import json

    paths = []
    for name, size in QUALITIES[lines].items():
        path = made / f"{name}.nmc"
        with nmc.Writer(
            path, key_every=GROUP, effort="fast", overwrite=True, timescale=30
        ) as writer:
            for _ in range(30 * seconds):
                writer.append({"w": rng.integers(0, 2**32, size, "u4")})
        paths.append(path)
    found = present(paths, document)
    document.write_text(json.dumps(found.to_json()), encoding="utf-8")
    return document


def crowd_package(folder: Path, demo: Path | None) -> tuple[Path, str]:
    """Return the package that clients play, and what it is."""
    if demo is not None and demo.exists():
        return demo, "the demo's package"
    return seek_package(folder, 0.1, 30), "a made package (make demo makes the demo's)"
