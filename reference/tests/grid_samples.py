"""A hash grid of the synthetic scene that is quick to train."""

from __future__ import annotations

from nmc_framework.models import build
from nmc_framework.scene import BACKGROUND, BOUNDS

CONFIGURATION = {
    "bounds": [list(corner) for corner in BOUNDS], "background": list(BACKGROUND), "levels": 3,
    "features": 2, "log2_entries": 10, "coarsest": 4, "finest": 24, "hidden": 16, "geometry": 7,
    "samples": 32, "occupancy": 12, "warm_up": 8,
}  # fmt: skip


def grid(seed=0):
    """Return the grid as it is before any training."""
    return build("hash_grid", CONFIGURATION, seed=seed)
