"""Where the tests of the framework look for the data of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("NMC_SHARED_DATA", "../shared/data")).resolve()


def shared(*parts: str) -> Path:
    """Return the path of a file of the shared data; skip the test where it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the shared {path.name} is not here")
    return path
