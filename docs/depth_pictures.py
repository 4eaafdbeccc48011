"""Makes the pictures of depth in the documents: ``python docs/depth_pictures.py PACKAGE``.

It draws made-up rooms that no training takes: ``figures/depth-rooms.webp`` has pictures, true
depths and what the model of the package says, ``figures/depth-page.webp`` the page of ``nmc depth
serve`` in the system's Chromium, with one of the pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from nmc_framework.depth.colouring import coloured
from nmc_framework.depth.estimate import estimate
from nmc_framework.depth.pairs import Pair
from nmc_framework.depth.rooms import made_room, photographs
from nmc_tools.commands.depth import HELD_OUT, opened_model

FIGURES = Path(__file__).parent / "figures"
_ROOMS, _SIZE, _SHOWN = 4, (256, 192), 2
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
_PATIENCE = 120_000
"""Milliseconds: a processor draws slowly."""


def main() -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=FIGURES)
    arguments = parser.parse_args()
    pairs = [
        next(photographs(made_room(HELD_OUT + k), 1, _SIZE, supersampling=2)) for k in range(_ROOMS)
    ]
    rooms(arguments.package, pairs).save(arguments.output / "depth-rooms.webp", quality=85)
    seen = next(photographs(made_room(HELD_OUT + _SHOWN), 1, (640, 480), supersampling=2))
    page(arguments.package, seen).save(arguments.output / "depth-page.webp", quality=80)


def rooms(package: Path, pairs: list[Pair]) -> Image.Image:
    """Return pictures, their depths below, and below these what a model says."""
    model = opened_model(package, -1, "cpu")
    columns = []
    for pair in pairs:
        bounds = (float(pair.depth.min()), float(pair.depth.max()))
        parts = [pair.picture, coloured(pair.depth, bounds)]
        parts.append(coloured(estimate(model, pair.picture), bounds))
        columns.append(np.concatenate(parts))
    return Image.fromarray(np.concatenate(columns, axis=1))


def page(package: Path, pair: Pair) -> Image.Image:
    """Return the page with a picture, its scene turned a little."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise SystemExit("there is no Chromium on this machine")
    command = [sys.executable, "-m", "nmc_tools.cli", "depth", "serve", str(package)]
    server = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        data = io.BytesIO()
        Image.fromarray(pair.picture).save(data, "PNG")
        with sync_playwright() as playwright:
            found = playwright.chromium.launch(executable_path=browser, args=list(_SOFTWARE))
            shown = found.new_page(viewport={"width": 1000, "height": 1060})
            shown.set_default_timeout(_PATIENCE)
            shown.goto(url)
            photo = {"name": "room.png", "mimeType": "image/png", "buffer": data.getvalue()}
            shown.set_input_files("#file", photo)  # type: ignore[arg-type]
            shown.wait_for_function(
                "() => nmcDepth.facts && !document.querySelector('main').hidden"
            )
            shown.uncheck("#turn")
            shown.evaluate("() => { nmcDepth.scene.yaw = 0.35; nmcDepth.scene.pitch = 0.12; }")
            shown.evaluate("() => nmcDepth.scene.draw()")
            picture = shown.screenshot(full_page=True)
            found.close()
    finally:
        server.terminate()
        server.wait(30)
    return Image.open(io.BytesIO(picture)).convert("RGB")


if __name__ == "__main__":
    main()
