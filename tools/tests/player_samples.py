"""Packages for the player, and the page that has opened one."""

from contextlib import contextmanager

import numpy as np
from browser import Page
from serving import served

import nmc
from nmc_tools.player.address import page_address

SMALL = {"samples": 24, "occupancy": 9, "bounds": [[-1.0, -1.2, -0.5], [1.0, 1.2, 1.0]]}
HASHED = {"levels": 3, "features": 4, "log2_entries": 8, "coarsest": 4, "finest": 19}
FIELDS = {
    "usual": ("hash_grid", HASHED | {"hidden": 16, "geometry": 7}),
    "odd widths": ("hash_grid", HASHED | {"features": 3, "hidden": 18, "geometry": 5}),
    "no geometry": ("hash_grid", HASHED | {"levels": 1, "hidden": 5, "geometry": 0}),
    "wide": ("hash_grid", HASHED | {"features": 6, "hidden": 8, "geometry": 9}),
    "far": ("hash_grid", HASHED | {"hidden": 8, "contracted": True, "background": None}),
    "near": ("voxel_grid", {"cells": [3, 8], "near": 1.6, "background": [0.2, 0.5, 0.9]}),
    "glossy": ("voxel_grid", {"cells": [5, 12], "harmonics": 9}),
    "matt": ("voxel_grid", {"cells": [6], "harmonics": 4}),
}
"""Options of which each takes another way through the shader."""


def look(k, size=(24, 20)):
    """Return one of many cameras about the scene."""
    from nmc_framework.cameras import Camera, look_at

    angle = 2.4 * k
    eye = (2.6 * np.cos(angle), 2.6 * np.sin(angle), 0.3 + 0.1 * (k % 7))
    pose = look_at(eye, (0.1, 0, 0.2))
    return Camera(21.0 + k, 23.0, size[0] / 2 + 1, size[1] / 2, *size, pose, f"view_{k}")


def field(family, options, seed=3):
    """Return a model full of matter: tables and networks far from what training begins with."""
    import torch

    from nmc_framework.models.registry import build

    model = build(family, SMALL | options, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in model.named_parameters():
            spread = 1.5 if name.startswith("levels") else values.abs().mean()
            values.copy_(torch.randn(values.shape, generator=noise) * spread)
        cells = model.occupancy.cells
        cells.copy_(torch.rand(cells.shape, generator=noise) < 0.6)
    return model


def chain(path, model, frames=1, *, key_every=4, **options):
    """Write a package in which a table and a bitmap change from frame to frame."""
    import torch

    from nmc_framework.cameras.formats.rig_document import RigDocument
    from nmc_framework.cameras.packaged import manifest_cameras

    noise = torch.Generator().manual_seed(5)
    with nmc.Writer(path, **model.in_package(), key_every=key_every, **options) as writer:
        writer.set_cameras(manifest_cameras(RigDocument([look(k) for k in range(3)])))
        for _ in range(frames):
            writer.append(model.save())
            with torch.no_grad():
                table = model.grid_levels[-1].table
                table += 0.2 * torch.randn(table.shape, generator=noise)
    return path


def reference(model, camera):
    """Return what a camera sees, by the reference renderer."""
    from nmc_framework.rendering.image import render_image

    return render_image(model, camera)


@contextmanager
def opened(browser, path, *, size=(720, 420), **asked):
    with served([path]) as url, Page(browser, page_address(url, path, **asked), size=size) as page:
        yield page.opened()
        assert page.errors == []
