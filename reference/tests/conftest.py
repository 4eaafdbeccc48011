"""Lets the tests import what stands beside them, such as ``nmc_samples``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
