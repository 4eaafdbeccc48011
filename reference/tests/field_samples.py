"""Radiance fields that are small enough to try, and rays that meet them."""

import torch

SMALL = {
    "hash_grid": {
        "levels": 3, "features": 2, "log2_entries": 9, "coarsest": 4, "finest": 16, "hidden": 8,
        "geometry": 3, "samples": 24, "occupancy": 8, "warm_up": 4,
    },
    "nerf_mlp": {
        "width": 16, "depth": 3, "skip": 2, "position_frequencies": 4, "direction_frequencies": 2,
        "samples": 12, "fine_samples": 8,
    },
    "nerf_plus_plus": {
        "width": 16, "depth": 3, "skip": 2, "position_frequencies": 4, "direction_frequencies": 2,
        "samples": 12, "fine_samples": 8, "sphere": [0.0, 0.0, 0.0, 3.3],
    },
    "plenoxels": {"finest": 12, "voxels": 1000, "samples": 24, "occupancy": 8, "warm_up": 4},
    "tensorf": {
        "finest": 12, "ranks": [2, 3], "features": 6, "hidden": 8, "samples": 24, "occupancy": 8,
        "warm_up": 4,
    },
    "voxel_grid": {"cells": [4, 8], "samples": 24, "occupancy": 8, "warm_up": 4, "harmonics": 4},
}  # fmt: skip


def rays(count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator)
    origins = 3 * origins / origins.norm(dim=1, keepdim=True)
    targets = torch.rand(count, 3, generator=generator) - 0.5
    return origins, torch.nn.functional.normalize(targets - origins, dim=1)
