"""Makes the pictures of the player in the documents: ``python docs/player_pictures.py PACKAGE``.

It opens the package with ``nmc view`` in the system's Chromium, which draws with the processor
alone, says how far each picture is and waits until it is whole, and writes
``figures/player.webp`` and the clip ``figures/player-clip.webp``: an eye that goes round while the
frames play. A picture takes minutes where others use the processor, too.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from nmc_tools.player.driven import SOFTWARE, chromium
from nmc_tools.progress import progress_bar

FIGURES = Path(__file__).parent / "figures"
_SIZE = (960, 640)
_CLIP = (420, 320)
_PATIENCE = 120
"""Seconds in which something of a picture has to come: a processor draws slowly, but it draws."""
_BETWEEN = 100
"""Milliseconds between two looks."""

_HOW_FAR = """() => {
  const { stage, frame, pictured } = nmcPlayer, part = stage?.underway;
  const note = document.querySelector("#notice");
  const share = part ? (part.scale ** 2 * part.done) / part.height : stage?.scale ** 2;
  return {
    frame, pictured, share: share || 0,
    whole: stage?.whole ?? false,
    told: note.hidden ? "" : note.textContent,
    prepared: document.querySelector("#preparing-says").textContent,
  };
}"""
"""The share of a picture's pixels that are there, and what the page says."""

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
    parser.add_argument(
        "--patience", type=float, default=_PATIENCE, help="seconds in which something has to come"
    )
    given = parser.parse_args()
    from playwright.sync_api import Error as PageError
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        parser.error("there is no Chromium on this machine")
    command = [sys.executable, "-m", "nmc_tools.cli", "view", str(given.package)]
    command += ["--no-browser", "--json", "--no-render"]
    with (
        progress_bar("pictures of the player", "pictures", kept=str(given.output)) as report,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewing,  # noqa: S603
        sync_playwright() as playwright,
    ):
        assert viewing.stdout is not None
        try:
            said = viewing.stdout.readline()
            if not said:
                parser.exit(1, f"{given.package} is not shown, see above\n")
            address = json.loads(said)["url"]
            browser = playwright.chromium.launch(executable_path=program, args=list(SOFTWARE))
            count = given.frames + (not given.only_clip)
            looking = _Looking(given.patience, partial(report, total=count))
            if not given.only_clip:
                page = _opened(browser, address, _SIZE)
                looking.show(page, min(7, page.evaluate("nmcPlayer.info.frames.length") - 1))
                looking.picture(page).save(given.output / "player.webp", quality=82, method=6)
                page.close()
            page = _opened(browser, address, _CLIP)
            _clip(page, looking, given.frames, given.output / "player-clip.webp")
            browser.close()
        except (_NoPictureError, PageError) as error:
            parser.exit(1, f"{given.package}: {error}\n")
        finally:
            viewing.terminate()


class _NoPictureError(Exception):
    """Why a picture is not waited for any longer, in words."""


@dataclass
class _Looking:
    """Waits for pictures, says how far they are, and gives up where nothing more comes."""

    patience: float
    report: Callable[..., None]
    done: int = 0

    def show(self, page: Any, frame: int) -> None:
        """Seek to a frame and wait until its picture is begun."""
        page.evaluate("t => void nmcPlayer.show(t)", frame)
        self._until(page, lambda now: now["pictured"] == now["frame"] == frame)

    def picture(self, page: Any) -> Image.Image:
        """Return the page when its picture is whole."""
        self._until(page, lambda now: now["whole"])
        page.wait_for_timeout(_BETWEEN)
        self.done += 1
        self.report(self.done, told=f"picture {self.done}")
        return Image.open(io.BytesIO(page.screenshot())).convert("RGB")

    def _until(self, page: Any, there: Callable[[dict[str, Any]], bool]) -> None:
        before, since = None, time.monotonic()
        while True:
            now = page.evaluate(_HOW_FAR)
            if now["told"]:
                raise _NoPictureError(now["told"])
            if there(now):
                return
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > self.patience:
                text = f"nothing of frame {now['frame']} has come for {self.patience:g} s"
                raise _NoPictureError(f"{text}, {now['share']:.0%} of its picture is there")
            self.report(self.done, note=f"{now['share']:.0%} of picture {self.done + 1}")
            page.wait_for_timeout(_BETWEEN)


def _opened(browser: Any, address: str, size: tuple[int, int]) -> Any:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_function(
        "() => nmcPlayer.frame >= 0 || !document.querySelector('#notice').hidden"
    )
    return page


def _clip(page: Any, looking: _Looking, count: int, path: Path) -> None:
    page.evaluate(_NARROW)
    frames = page.evaluate("nmcPlayer.info.frames.length")
    pictures = []
    for k in range(count):
        looking.show(page, k % frames)
        page.evaluate(_TURNED, [math.radians(60) * math.cos(2 * math.pi * k / count) / count])
        pictures.append(looking.picture(page))
    first, *others = pictures
    first.save(
        path, save_all=True, append_images=others, duration=140, loop=0, quality=60, method=6
    )


if __name__ == "__main__":
    main()
