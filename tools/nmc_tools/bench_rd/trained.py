"""Chains that are trained for rate on the scenes of other chains, where they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Decibels that a kilobyte has to bring, by scene or small chain: of a large one it buys less.
PRICES = {"room": (0.05, 0.1), "dome": (0.025, 0.05), "mlp": (0.1, 0.3)}


def packages(
    output: Path, scene: str, frames: int, report: Callable[[str, int, int], None]
) -> dict[str, Path]:
    """Return the packages of a scene by what tables say of them; those missing are trained.

    Parameters
    ----------
    output
        Folder whose folders ``<scene>-rate-<price>`` hold the packages.
    scene
        One of :func:`nmc_framework.scene.scenes`, or a small chain; without prices nothing is
        trained.
    frames
        How many models of it.
    report
        Told what is trained, how many are done, and of how many.
    """
    prices = PRICES.get(scene, ())
    found = {}
    for done, price in enumerate(prices):
        path = output / f"{scene}-rate-{price:g}" / "scene.nmc"
        if not path.exists():
            report(f"training the {scene} for rate, {price:g} dB a kB", done, len(prices))
            _train(path, scene, frames, price)
        found[f"{price:g} dB a kB"] = path
    return found


def _train(path: Path, scene: str, frames: int, price: float) -> None:
    from nmc_tools import demo
    from nmc_tools.bench_rd import small

    if scene in small.KINDS:
        small.train(path, small.KINDS[scene], price)
    else:
        demo.run(path.parent, scene=scene, frames=frames, rate=price)  # type: ignore[arg-type]
