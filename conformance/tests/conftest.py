"""Lets the tests import the generators and the programs under test, which are no packages."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
for folder in (".", "generators", "selftest", "soundness", "tests"):
    sys.path.insert(0, str(_ROOT / folder))
