"""Makes the pictures of the player in the documents: ``python docs/player_pictures.py PACKAGE``.

It opens the package with ``nmc view`` in the system's Chromium, which draws with the processor
alone, waits until each picture is whole, and writes ``figures/player.webp`` and the clip
``figures/player-clip.webp``: an eye that goes round while the frames play.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from nmc_tools.player.driven import SOFTWARE, chromium

FIGURES = Path(__file__).parent / "figures"
_SIZE = (1280, 800)
_CLIP = (600, 420)
_PATIENCE = 600_000
"""Milliseconds: a processor draws slowly."""

_DRAWN = """([fine]) => new Promise((resolve) => {
  const look = () => nmcPlayer.stage?.whole || nmcPlayer.stage?.scale >= fine;
  const still = () => (look() ? resolve() : setTimeout(still, 30));
  still();
})"""
"""Waits until a picture has so many of its pixels, 1 being all of them, in each direction."""

_NARROW = """() => {
  document.querySelector("aside").hidden = true;
  document.querySelector("#hint").hidden = true;
  document.querySelector("main").style.gridTemplateColumns = "1fr";
}"""
_TURNED = """([angle]) => {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const p = nmcPlayer.pose, m = nmcPlayer.flight.pivot, out = [...p];
  for (let k = 0; k < 4; k++) {
    const [x, y] = k === 3 ? [p[3] - m[0], p[7] - m[1]] : [p[k], p[4 + k]];
    out[k] = c * x - s * y + (k === 3 ? m[0] : 0);
    out[4 + k] = s * x + c * y + (k === 3 ? m[1] : 0);
  }
  nmcPlayer.look(out);
}"""
"""Turns the eye about the vertical axis through what it looks at."""


def main() -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=FIGURES)
    parser.add_argument("--frames", type=int, default=20, help="of the clip")
    parser.add_argument("--only-clip", action="store_true")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        parser.error("there is no Chromium on this machine")
    command = [sys.executable, "-m", "nmc_tools.cli", "view", str(given.package)]
    command += ["--no-browser", "--json", "--no-render"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewing,  # noqa: S603
        sync_playwright() as playwright,
    ):
        assert viewing.stdout is not None
        address = json.loads(viewing.stdout.readline())["url"]
        browser = playwright.chromium.launch(executable_path=program, args=list(SOFTWARE))
        try:
            if not given.only_clip:
                page = _opened(browser, address, _SIZE)
                page.evaluate("nmcPlayer.show(Math.min(7, nmcPlayer.info.frames.length - 1))")
                _picture(page, 1).save(given.output / "player.webp", quality=82, method=6)
                page.close()
            _clip(_opened(browser, address, _CLIP), given.frames, given.output / "player-clip.webp")
        finally:
            browser.close()
            viewing.terminate()


def _opened(browser: Any, address: str, size: tuple[int, int]) -> Any:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(_PATIENCE)
    page.goto(address)
    page.wait_for_function("() => nmcPlayer.frame >= 0")
    return page


def _picture(page: Any, fine: float) -> Image.Image:
    page.evaluate(_DRAWN, [fine])
    page.wait_for_timeout(100)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _clip(page: Any, count: int, path: Path) -> None:
    page.evaluate(_NARROW)
    frames = page.evaluate("nmcPlayer.info.frames.length")
    pictures = []
    for k in range(count):
        page.evaluate("t => nmcPlayer.show(t)", k % frames)
        page.evaluate(_TURNED, [math.radians(60) * math.cos(2 * math.pi * k / count) / count])
        pictures.append(_picture(page, 0.5))
    first, *others = pictures
    first.save(
        path, save_all=True, append_images=others, duration=140, loop=0, quality=55, method=6
    )


if __name__ == "__main__":
    main()
