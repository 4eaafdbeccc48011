"""The player's page as programs drive it, in the system's Chromium by Playwright."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from nmc_framework.cameras import Camera

Picture = NDArray[np.uint8]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Names that distributions give it."""
SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
"""Draws with the processor alone, the same on every machine."""
NO_GRAPHICS = ("--no-sandbox", "--disable-gpu", "--disable-3d-apis")
PATIENCE = 120_000
"""Milliseconds. A loaded machine may take its time; what is waited for comes, or never does."""
_COLLECTED = ("HeapProfiler.collectGarbage", "Runtime.getHeapUsage")
_LOOKS, _BETWEEN = 2000, 20
_COLLECTIONS, _BETWEEN_COLLECTIONS = 5, 200


def chromium() -> str | None:
    """Return the path of Chromium; None where it is not installed."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def missing() -> str | None:
    """Return what lacks to drive the page, in words; None where all is there."""
    if chromium() is None:
        return "there is no Chromium on this machine"
    if importlib.util.find_spec("playwright") is None:
        return "pip install playwright"
    return None


@contextmanager
def launched(*options: tuple[str, ...]) -> Iterator[list[Browser]]:
    """Yield a browser for each tuple of options.

    Raises
    ------
    FileNotFoundError
        If something lacks; :func:`missing` says what.
    """
    lacking = missing()
    if lacking is not None:
        raise FileNotFoundError(lacking)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome, path = playwright.chromium, chromium()
        found = [
            chrome.launch(executable_path=path, args=list(each), timeout=PATIENCE)
            for each in options
        ]
        yield found
        for browser in found:
            browser.close()


class Page:
    """The player in a page of a small window, opened and closed as a context.

    Parameters
    ----------
    browser : Browser
        Which one.
    address : str
        Of the page, with what it opens.
    size : tuple of int
        Of the window, in pixels.
    context : BrowserContext, optional
        One that was prepared; closed with the page.
    patience : int
        Milliseconds that are waited for anything.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        *,
        size: tuple[int, int] = (720, 420),
        context: BrowserContext | None = None,
        patience: int = PATIENCE,
    ) -> None:
        self.context = context or browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(patience)
        self.patience = patience
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def wait(self, condition: str, *values: Any, patience: int | None = None) -> Any:
        """Wait until a condition in JavaScript holds; return what it gave.

        Parameters
        ----------
        condition : str
            A function of ``values``, as a list.
        *values
            What JSON can carry.
        patience : int, optional
            Milliseconds; those of the page, if none are given.

        Raises
        ------
        TimeoutError
            If it does not within that time.
        """
        from playwright.sync_api import TimeoutError as Late

        limit = self.patience if patience is None else patience
        try:
            found = self.page.wait_for_function(condition, arg=list(values), timeout=limit)
            return found.json_value()
        except Late as error:
            waited = limit / 1000
            raise TimeoutError(f"the page did not come to {condition} in {waited:g} s") from error

    def opened(self) -> Page:
        """Wait for the first frame, or for why there is none."""
        self.wait(
            "() => nmcPlayer.frame >= 0 || (!document.querySelector('#notice').hidden && "
            "document.querySelector('#notice').className === '')"
        )
        return self

    def played(self, last: int) -> None:
        """Wait until playing has ended at the last frame."""
        self.wait(
            "([t]) => nmcPlayer.frame === t && "
            "document.querySelector('#play').ariaLabel === 'Play'",
            last,
        )

    def play_through(self, last: int) -> None:
        """Play from the first frame to the last, at four times the speed."""
        self.page.select_option("#speed", "4")
        self.page.uncheck("#loop")
        self.show(0)
        self.page.click("#play")
        self.played(last)

    def show(self, frame: int) -> None:
        """Seek to a frame."""
        self.page.evaluate("t => nmcPlayer.show(t)", frame)

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return int(self.page.evaluate("nmcPlayer.frame"))

    @property
    def notice(self) -> str | None:
        """What the page tells in words; None where nothing is amiss."""
        note = self.page.locator("#notice")
        return note.text_content() if note.is_visible() else None

    def page_heap(self) -> Callable[[], int]:
        """Return what measures the bytes of the page's objects: the least of a few collections."""
        protocol = self.context.new_cdp_session(self.page)

        def once() -> int:
            protocol.send("HeapProfiler.collectGarbage")
            return int(protocol.send("Runtime.getHeapUsage")["usedSize"])

        return lambda: self.least(once)

    def worker_heap(self) -> Callable[[], int]:
        """Return what measures the bytes of the worker, objects and buffers, after collections."""
        protocol = self.context.new_cdp_session(self.page)
        attached: list[str] = []
        answers: list[dict[str, Any]] = []
        protocol.on("Target.attachedToTarget", lambda event: attached.append(event["sessionId"]))
        # a function of our own: Playwright marks it, which no builtin lets it do
        protocol.on("Target.receivedMessageFromTarget", lambda event: answers.extend([event]))
        how = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        protocol.send("Target.setAutoAttach", how)
        [worker] = attached

        def once() -> int:
            answers.clear()
            for number, method in enumerate(_COLLECTED):
                message = json.dumps({"id": number, "method": method})
                target = {"sessionId": worker, "message": message}
                protocol.send("Target.sendMessageToTarget", target)
            for _ in range(_LOOKS):
                for said in (json.loads(answer["message"]) for answer in list(answers)):
                    if said.get("id") == 1:
                        found = said["result"]
                        return int(found["usedSize"] + found["backingStorageSize"])
                self.page.wait_for_timeout(_BETWEEN)
            raise TimeoutError("the worker does not say what it holds")

        return lambda: self.least(once)

    def least(self, measured: Callable[[], int]) -> int:
        """Return the least of a few values: what was just let go of is still counted at first."""
        held = [measured()]
        while len(held) < _COLLECTIONS:
            self.page.wait_for_timeout(_BETWEEN_COLLECTIONS)
            held.append(measured())
        return min(held)

    def picture(self, camera: Camera) -> Picture:
        """Return what a camera sees, (height, width, 3) uint8."""
        view = {
            "pose": camera.camera_to_world[:3].ravel().tolist(),
            **{name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")},
        }
        values = self.page.evaluate("v => nmcPlayer.picture(v).then(a => Array.from(a))", view)
        return np.array(values, np.uint8).reshape(camera.height, camera.width, 3)


def psnr(one: Picture, other: Picture) -> float:
    """Return the PSNR in dB of two pictures of uint8; infinite where they are equal."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
