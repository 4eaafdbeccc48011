"""A browser for tests: the system's Chromium, by Playwright, drawing with the processor alone."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest

from nmc_tools.player import driven
from nmc_tools.player.driven import PATIENCE, Page, psnr

__all__ = ["PATIENCE", "Page", "chromium", "launched", "psnr"]


def chromium():
    """Return the path of Chromium, or skip the test and say what is missing.

    Where ``NMC_TESTS_NEED`` has ``chromium`` among its words, as in CI, the test fails instead.
    """
    missing = driven.missing()
    if missing is not None:
        needed = "chromium" in os.environ.get("NMC_TESTS_NEED", "").split()
        (pytest.fail if needed else pytest.skip)(f"the player is not tested: {missing}")
    return driven.chromium()


@contextmanager
def launched():
    """Yield two browsers: with WebGL in software, and without; skip where there are none."""
    chromium()
    with driven.launched(driven.SOFTWARE, driven.NO_GRAPHICS) as found:
        yield found
