"""``nmc demo``: the whole way of clause 5 on a scene of its own, and what it shows of it."""

import os

from nmc_tools.waiting import BRIEFLY

os.environ.setdefault(*BRIEFLY)  # before the imports below load torch

from nmc_tools.demo.size import FULL, QUICK, Size
from nmc_tools.demo.summary import DemoResult
from nmc_tools.demo.way import DemoError, run

__all__ = ["FULL", "QUICK", "DemoError", "DemoResult", "Size", "run"]
