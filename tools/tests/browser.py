"""A browser for tests: the system's Chromium, by Playwright, drawing with the processor alone."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

#: Names that distributions give it.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SOFTWARE = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
_NO_GRAPHICS = ["--no-sandbox", "--disable-gpu", "--disable-3d-apis"]
#: A loaded machine may take its time; what is waited for comes, or never does.
PATIENCE = 120_000


def chromium():
    """Return the path of Chromium, or skip the test and say what is missing.

    Where ``NMC_TESTS_NEED`` has ``chromium`` among its words, as in CI, the test fails instead.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    missing = None
    if found is None:
        missing = "there is no Chromium on this machine"
    elif importlib.util.find_spec("playwright") is None:
        missing = "pip install playwright"
    if missing is not None:
        needed = "chromium" in os.environ.get("NMC_TESTS_NEED", "").split()
        (pytest.fail if needed else pytest.skip)(f"the player is not tested: {missing}")
    return found


@contextmanager
def launched():
    """Yield two browsers: with WebGL in software, and without; skip where there are none."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = playwright.chromium
        found = [chrome.launch(executable_path=path, args=a) for a in (_SOFTWARE, _NO_GRAPHICS)]
        yield found
        for browser in found:
            browser.close()


class Page:
    """The player in a page of a small window.

    Parameters
    ----------
    browser
        Which one.
    address : str
        Of the page, with what it opens.
    """

    def __init__(self, browser, address, *, size=(720, 420), context=None):
        self.context = context or browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def wait(self, condition, *values):
        """Wait until a condition in JavaScript holds."""
        self.page.wait_for_function(condition, arg=list(values))

    def opened(self):
        """Wait for the first frame."""
        self.wait(
            "() => nmcPlayer.frame >= 0 || (!document.querySelector('#notice').hidden && "
            "document.querySelector('#notice').className === '')"
        )
        return self

    def played(self, last):
        """Wait until playing has ended at the last frame."""
        self.wait(
            "([t]) => nmcPlayer.frame === t && "
            "document.querySelector('#play').ariaLabel === 'Play'",
            last,
        )

    def show(self, frame):
        """Seek to a frame."""
        self.page.evaluate("t => nmcPlayer.show(t)", frame)

    @property
    def frame(self):
        """The frame that is shown."""
        return self.page.evaluate("nmcPlayer.frame")

    @property
    def notice(self):
        """What the page tells in words; None where nothing is amiss."""
        note = self.page.locator("#notice")
        return note.text_content() if note.is_visible() else None

    def worker_heap(self):
        """Return what measures the bytes of the worker, objects and buffers."""
        protocol = self.context.new_cdp_session(self.page)
        attached, answers = [], []
        protocol.on("Target.attachedToTarget", lambda event: attached.append(event["sessionId"]))
        # a function of our own: Playwright marks it, which no builtin lets it do
        protocol.on("Target.receivedMessageFromTarget", lambda event: answers.extend([event]))
        how = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        protocol.send("Target.setAutoAttach", how)
        [worker] = attached

        def measured():
            answers.clear()
            for number, method in enumerate(
                ("HeapProfiler.collectGarbage", "Runtime.getHeapUsage")
            ):
                message = json.dumps({"id": number, "method": method})
                target = {"sessionId": worker, "message": message}
                protocol.send("Target.sendMessageToTarget", target)
            for _ in range(2000):
                for said in (json.loads(answer["message"]) for answer in list(answers)):
                    if said.get("id") == 1:
                        return said["result"]["usedSize"] + said["result"]["backingStorageSize"]
                self.page.wait_for_timeout(20)
            raise TimeoutError("the worker does not say what it holds")

        return measured

    def picture(self, camera):
        """Return what a camera sees, (height, width, 3) uint8."""
        view = {
            "pose": camera.camera_to_world[:3].ravel().tolist(),
            **{name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")},
        }
        values = self.page.evaluate("v => nmcPlayer.picture(v).then(a => Array.from(a))", view)
        return np.array(values, np.uint8).reshape(camera.height, camera.width, 3)


def psnr(one, other):
    """Return the PSNR in dB of two pictures of uint8."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
