"""``nmc demo``: the whole way of clause 5 on a scene of its own, and what it shows of it."""

import os

# Threads that wait must sleep: training and coding alternate on the same few cores. Read by the
# OpenMP runtime when torch is loaded, hence set before the imports below.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from nmc_tools.demo.size import FULL, QUICK, Size
from nmc_tools.demo.summary import DemoResult
from nmc_tools.demo.way import DemoError, run

__all__ = ["FULL", "QUICK", "DemoError", "DemoResult", "Size", "run"]
